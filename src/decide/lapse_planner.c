/* SPDX-License-Identifier: Apache-2.0 */
/* See lapse_planner.h. */
#include "decide/lapse_planner.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/explain.h"

#include <string.h>

static bool is_of_the_record(const struct plan_input *input, const struct observation *observation);
static struct command_sync *
order(const struct plan_input *input, struct plan *plan, enum command_kind kind);

void lapse_plan(const struct plan_input *input, struct plan *plan_out)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *primary = observe_find(input->observations, shard->primary);
    char found[TEXT_SIZE];

    CHECK(!plan_out->has_command);
    if (shard->mode != SHARD_SYNC || shard->primary.value == 0 ||
        shard_view_in_failover(input->view) ||
        !observation_is_fresh(primary, input->now_ms, OBSERVATION_FRESH_MS) ||
        primary->report.promoted_epoch.value != shard->primary_epoch.value) {
        return;
    }
    lapse_known(input, found);
    if (found[0] != '\0' && shard->lapse[0] == '\0') {
        MARK("lapse_planner.lapsed");
        explain(order(input, plan_out, COMMAND_SYNC_LAPSED)->reason, "%s", found);
    } else if (found[0] == '\0' && shard->lapse[0] != '\0' &&
               primary->report.sync_confirmed_version == shard->sync.version &&
               input->now_ms - input->observations->lapse_ms >= LAPSE_QUIET_MS) {
        MARK("lapse_planner.mended");
        explain(order(input, plan_out, COMMAND_SYNC_MENDED)->reason,
                "put back, and enough standbys hold all that was written before");
    }
}

void lapse_known(const struct plan_input *input, char *text)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < input->observations->count && text[0] == '\0'; i++) {
        const struct observation *observation = &input->observations->items[i];
        if (observation->heard && observation->report.lapse[0] != '\0' &&
            is_of_the_record(input, observation)) {
            explain(text,
                    "%s: %.200s",
                    explain_instance(input->view, observation->instance),
                    observation->report.lapse);
        }
    }
}

/* The primary of this office, or a standby whose word commits wait for. */
static bool is_of_the_record(const struct plan_input *input, const struct observation *observation)
{
    const struct shard *shard = &input->view->shard;
    const struct report *report = &observation->report;
    struct sync_member member = {.instance = observation->instance,
                                 .incarnation = report->incarnation};

    if (observation->instance.value == shard->primary.value) {
        return report->promoted_epoch.value == shard->primary_epoch.value;
    }
    return sync_record_contains(&shard->sync, member);
}

static struct command_sync *
order(const struct plan_input *input, struct plan *plan, enum command_kind kind)
{
    memset(&plan->command, 0, sizeof(plan->command));
    plan->has_command = true;
    plan->command.kind = kind;
    plan->command.sync.shard = input->view->shard.id;
    plan->command.sync.epoch = input->view->shard.primary_epoch;
    return &plan->command.sync;
}
