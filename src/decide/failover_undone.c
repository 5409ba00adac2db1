/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts that did not last (safety.md 3): an attempt that rests on one is given up. */
#include "base/log.h"
#include "decide/explain.h"
#include "decide/failover_restart.h"

enum {
    AT_ONCE_MAX = 3, /* whoever undoes cuts again and again burns no epochs */
};

bool failover_cut_undone(const struct plan_input *input, struct plan *plan)
{
    const struct failover *failover = &input->view->failover;
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    uint64_t attempts = input->view->shard.epoch.value - input->view->shard.primary_epoch.value;

    for (uint32_t i = 0; i < input->observations->count && !failover->in_place; i++) {
        const struct observation *heard = &input->observations->items[i];
        if (!heard->heard || !heard->report.cut_undone ||
            heard->report.epoch.value != failover->epoch.value) {
            continue;
        }
        const char *name = explain_instance(input->view, heard->instance);
        if (attempts > AT_ONCE_MAX && waited_ms < failover_stuck_ms(input)) {
            explain(plan->waiting, "%s received again after it was cut: a new attempt soon", name);
        } else {
            MARK("planner.cut_undone");
            failover_begin(input, CAUSE_STUCK, WAY_SUCCESSION, plan);
            explain(plan->command.failover.evidence, "%s received again after it was cut", name);
        }
        return true;
    }
    return false;
}
