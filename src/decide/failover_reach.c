/* SPDX-License-Identifier: Apache-2.0 */
/* Who of the others could be cut and report now; see failover_restart.h. */
#include "base/check.h"
#include "decide/failover_restart.h"

static uint32_t
reachable(const struct plan_input *input, struct sync_member *members, bool *lawful_out);
static bool waits_for_an_epoch(const struct shard *shard, const struct report *report);

uint32_t failover_reachable(const struct plan_input *input, bool *enough_out)
{
    const struct shard_view *view = input->view;
    struct sync_member members[SHARD_INSTANCES_MAX];
    bool lawful = false;
    uint32_t count = reachable(input, members, &lawful);

    if (enough_out != NULL) {
        *enough_out = lawful && (view->shard.mode == SHARD_ASYNC ||
                                 sync_record_quorum(&view->shard.sync, members, count));
    }
    return count;
}

bool failover_reachable_quorum(const struct plan_input *input)
{
    struct sync_member members[SHARD_INSTANCES_MAX];
    bool lawful = false;
    uint32_t count = reachable(input, members, &lawful);

    return sync_record_quorum(&input->view->shard.sync, members, count);
}

static uint32_t
reachable(const struct plan_input *input, struct sync_member *members, bool *lawful_out)
{
    const struct shard_view *view = input->view;
    uint32_t count = 0;

    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *instance = &view->instances[i];
        if (!failover_can_report(input, instance)) {
            continue;
        }
        CHECK(count < SHARD_INSTANCES_MAX);
        *lawful_out = *lawful_out || shard_allows_region(&view->shard, instance->region);
        members[count++] =
            (struct sync_member){.instance = instance->id, .incarnation = instance->incarnation};
    }
    return count;
}

bool failover_can_report(const struct plan_input *input, const struct instance *instance)
{
    const struct observation *heard = observe_find(input->observations, instance->id);

    return instance->id.value != input->view->shard.primary.value &&
           instance->incarnation.value != 0 &&
           observation_is_fresh(heard, input->now_ms, OBSERVATION_FRESH_MS) &&
           heard->report.incarnation.value == instance->incarnation.value &&
           (heard->report.position.timeline != 0 ||
            waits_for_an_epoch(&input->view->shard, &heard->report)) &&
           heard->report.state != INSTANCE_EMPTY && heard->report.state != INSTANCE_BUILDING;
}

/* It obeyed a later goal than any that is known here: a forced recovery forgot it. What is said
 * here is refused there, so that a database that ended stays as it is and its position unknown,
 * until there is a new epoch. Whether it can give a final one is seen then. */
static bool waits_for_an_epoch(const struct shard *shard, const struct report *report)
{
    bool later = report->epoch.value != shard->epoch.value
                     ? report->epoch.value > shard->epoch.value
                     : report->goal_index > shard->changed_index;

    return later && report->state == INSTANCE_STOPPED && report->data_intact;
}
