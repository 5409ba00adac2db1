/* SPDX-License-Identifier: Apache-2.0 */
/* See decide/failover_wish.h. */
#include "decide/failover_wish.h"

#include "decide/explain.h"
#include "decide/failover_restart.h"

#include <inttypes.h>

bool failover_target_is_ready(const struct plan_input *input, char *why_out)
{
    const struct shard_view *view = input->view;
    const struct instance *instance = shard_view_instance(view, input->wanted);
    const struct observation *heard = observe_find(input->observations, input->wanted);
    const char *name = explain_instance(view, input->wanted);

    if (instance == NULL || heard == NULL || !heard->heard) {
        explain(why_out, "%s has not been heard: nothing was changed", name);
        return false;
    }
    if (!observation_is_fresh(heard, input->now_ms, OBSERVATION_FRESH_MS)) {
        explain(why_out,
                "%s is not heard any more (last %" PRIu64 " ms ago): nothing was changed",
                name,
                input->now_ms - heard->report_ms);
        return false;
    }
    if (!failover_can_report(input, instance) || heard->report.state != INSTANCE_STANDBY) {
        explain(why_out,
                "%s is no running standby now (%s): nothing was changed",
                name,
                instance_state_name(heard->report.state));
        return false;
    }
    if (position_compare(heard->report.position, view->shard.floor) < 0 ||
        !position_can_follow_history(
            heard->report.position, view->shard.forks, view->shard.forks_count)) {
        explain(why_out,
                "%s does not hold the history that the shard is on: nothing was changed",
                name);
        return false;
    }
    return true;
}
