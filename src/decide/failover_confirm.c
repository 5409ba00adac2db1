/* SPDX-License-Identifier: Apache-2.0 */
/* See failover_confirm.h. */
#include "decide/failover_confirm.h"

#include "base/check.h"
#include "decide/explain.h"

#include <inttypes.h>
#include <string.h>

static bool is_held(const struct plan_input *input);

void failover_confirm_if_held(const struct plan_input *input, struct plan *plan)
{
    const struct shard *shard = &input->view->shard;
    const struct failover *failover = &input->view->failover;

    CHECK(!plan->has_command);
    if (failover->id == 0 || failover->step != FAILOVER_DONE || failover->confirmed_wall_ms != 0 ||
        shard->forks_count == 0) {
        return;
    }
    if (is_held(input)) {
        memset(&plan->command, 0, sizeof(plan->command));
        plan->has_command = true;
        plan->command.kind = COMMAND_FAILOVER_CONFIRMED;
        plan->command.failover.shard = shard->id;
        plan->command.failover.epoch = failover->epoch;
    } else if (plan->waiting[0] == '\0') {
        explain(plan->waiting,
                "no write can be acknowledged yet: none has been flushed by %" PRIu32
                " of the sync set since %s was opened",
                shard->sync.pairs_count == 0
                    ? 1
                    : shard->sync.pairs[shard->sync.pairs_count - 1].required,
                explain_instance(input->view, shard->primary));
    }
}

static bool is_held(const struct plan_input *input)
{
    const struct shard *shard = &input->view->shard;
    const struct fork *fork = &shard->forks[shard->forks_count - 1];
    const struct observation *primary = observe_find(input->observations, shard->primary);

    return observation_is_fresh(primary, input->now_ms, OBSERVATION_FRESH_MS) &&
           primary->report.state == INSTANCE_PRIMARY &&
           primary->report.promoted_epoch.value == input->view->failover.epoch.value &&
           primary->report.acked.timeline == fork->timeline &&
           primary->report.acked.lsn > fork->fork_lsn;
}
