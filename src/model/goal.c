/* SPDX-License-Identifier: Apache-2.0 */
/* From the shard's replicated view to what one instance should be: the table "Goals" of
 * docs/failover.md, row by row. Pure, so that every member derives the same. */
#include "model/goal.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static enum goal_role role_of(const struct shard_view *view, bool is_primary, bool is_old_primary);
static enum goal_role role_before_decision(const struct shard_view *view, bool is_old_primary);
static void
set_upstream(const struct shard_view *view, struct instance_id upstream, struct goal *goal);
static void set_primary(const struct shard_view *view, struct goal *goal);

void goal_derive(const struct shard_view *view, struct instance_id instance, struct goal *goal_out)
{
    const struct shard *shard = &view->shard;
    const struct failover *failover = &view->failover;
    const struct instance *self = shard_view_instance(view, instance);
    CHECK(self != NULL);
    CHECK(shard->epoch.value >= shard->primary_epoch.value);

    bool is_primary = shard->primary.value == instance.value;
    bool is_old_primary = failover->old_primary.value == instance.value;
    memset(goal_out, 0, sizeof(*goal_out));
    goal_out->shard = shard->id;
    goal_out->instance = instance;
    goal_out->epoch = shard->epoch;
    goal_out->index = shard->changed_index;
    goal_out->mode = shard->mode;
    goal_out->system_identifier = shard->system_identifier;
    goal_out->in_record = sync_record_contains(
        &shard->sync, (struct sync_member){.instance = instance, .incarnation = self->incarnation});
    if (shard->forks_count > 0) {
        goal_out->fork = shard->forks[shard->forks_count - 1];
        memcpy(goal_out->history, shard->forks, sizeof(goal_out->history));
        goal_out->history_count = shard->forks_count;
    }
    goal_out->role = role_of(view, is_primary, is_old_primary);
    switch (goal_out->role) {
    case GOAL_PRIMARY:
        set_primary(view, goal_out);
        break;
    case GOAL_STANDBY:
        set_upstream(view, shard->primary, goal_out);
        break;
    case GOAL_CUT:
        /* From whom: the primary that is being replaced; nobody when it is the instance itself. */
        if (!is_old_primary) {
            set_upstream(view, failover->old_primary, goal_out);
        }
        break;
    case GOAL_FENCED:
        goal_out->drain = failover_drains(failover);
        break;
    case GOAL_WAIT:
    case GOAL_ROLE_COUNT:
        break;
    }
}

int goal_compare(const struct goal *a, const struct goal *b)
{
    if (a->epoch.value != b->epoch.value) {
        return a->epoch.value < b->epoch.value ? -1 : 1;
    }
    if (a->index != b->index) {
        return a->index < b->index ? -1 : 1;
    }
    return 0;
}

static enum goal_role role_of(const struct shard_view *view, bool is_primary, bool is_old_primary)
{
    const struct shard *shard = &view->shard;
    const struct failover *failover = &view->failover;
    switch (failover->step) {
    case FAILOVER_EXCLUDE:
    case FAILOVER_COMPLETE:
    case FAILOVER_DECIDE:
        return role_before_decision(view, is_old_primary);
    case FAILOVER_PROMOTE:
        if (is_primary) {
            return GOAL_PRIMARY;
        }
        if (failover->cause == CAUSE_BOOTSTRAP) {
            return GOAL_WAIT;
        }
        if (is_old_primary) {
            return GOAL_FENCED;
        }
        return failover->in_place ? GOAL_STANDBY : GOAL_CUT;
    case FAILOVER_NONE:
    case FAILOVER_OPEN:
    case FAILOVER_DONE:
    case FAILOVER_ABORTED:
    case FAILOVER_STEP_COUNT:
        break;
    }
    if (is_primary) {
        return GOAL_PRIMARY;
    }
    return shard->primary.value != 0 && shard->forks_count > 0 ? GOAL_STANDBY : GOAL_WAIT;
}

static enum goal_role role_before_decision(const struct shard_view *view, bool is_old_primary)
{
    const struct failover *failover = &view->failover;
    if (failover->cause == CAUSE_BOOTSTRAP) {
        return GOAL_WAIT;
    }
    if (failover->in_place) {
        return is_old_primary ? GOAL_CUT : GOAL_STANDBY;
    }
    if (failover_drains(failover) && !is_old_primary) {
        return GOAL_STANDBY; /* it receives until the primary has stopped */
    }
    return is_old_primary && !failover->witnessed ? GOAL_FENCED : GOAL_CUT;
}

static void
set_upstream(const struct shard_view *view, struct instance_id upstream, struct goal *goal)
{
    const struct instance *instance = shard_view_instance(view, upstream);
    CHECK(instance != NULL);
    CHECK(upstream.value != goal->instance.value);
    goal->upstream = upstream;
    (void)snprintf(goal->upstream_address, sizeof(goal->upstream_address), "%s", instance->address);
}

static void set_primary(const struct shard_view *view, struct goal *goal)
{
    const struct shard *shard = &view->shard;
    const struct failover *failover = &view->failover;
    goal->epoch = shard->primary_epoch;
    goal->may_promote = failover->step == FAILOVER_PROMOTE;
    goal->bootstrap = failover->step == FAILOVER_PROMOTE && failover->cause == CAUSE_BOOTSTRAP;
    goal->timeline = shard->timeline_reserved;
    goal->floor = shard->floor;
    /* Nobody else was asked: its own folder must hold whatever anybody is known to have held. */
    struct position own = failover_own_floor(failover);
    if (goal->may_promote && failover->in_place && position_compare(own, goal->floor) > 0) {
        goal->floor = own;
    }
    if (shard->mode == SHARD_SYNC) {
        CHECK(shard->sync.pairs_count > 0);
        goal->sync = shard->sync.pairs[shard->sync.pairs_count - 1];
        goal->sync_version = shard->sync.version;
    }
    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *sibling = &view->instances[i];
        if (sibling->id.value != goal->instance.value) {
            goal->siblings[goal->siblings_count++] = (struct sync_member){
                .instance = sibling->id,
                .incarnation = sibling->incarnation,
            };
        }
    }
}
