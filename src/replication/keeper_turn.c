/* SPDX-License-Identifier: Apache-2.0 */
/* See keeper_turn.h. */
#include "replication/keeper_turn.h"

#include "base/check.h"

static void hold(struct keeper_action *action, const struct keeper_state *state);
static bool is_same_state(const struct keeper_state *a, const struct keeper_state *b);

void keeper_turn_next(struct keeper_turn *turn,
                      const struct keeper_facts *facts,
                      const struct goal *goal,
                      struct keeper_action *action_out)
{
    struct keeper_facts seen = *facts;
    if (turn->saving && seen.running == KEEPER_NONE) {
        seen.running = KEEPER_PERSIST;
    }
    keeper_step(&seen, &turn->state, goal, action_out);
    if (!action_out->persist) {
        CHECK(!turn->saving || action_out->kind == KEEPER_WAIT ||
              action_out->kind == KEEPER_FENCE || action_out->kind == KEEPER_REFUSE);
        return;
    }
    if (!turn->saving) {
        turn->saving = true;
        turn->action = *action_out;
    }
    hold(action_out, &turn->state);
}

void keeper_turn_saved(struct keeper_turn *turn,
                       const struct keeper_facts *facts,
                       const struct goal *goal,
                       bool written,
                       struct keeper_action *action_out)
{
    const struct keeper_action meant = turn->action;
    CHECK(turn->saving);
    turn->saving = false;
    if (!written) {
        *action_out = meant;
        hold(action_out, &turn->state);
        return;
    }
    /* While it was written the goal may have changed, the lease may have ended. */
    keeper_step(facts, &turn->state, goal, action_out);
    bool still = action_out->persist && action_out->kind == meant.kind &&
                 is_same_state(&action_out->state_next, &meant.state_next);
    turn->state = meant.state_next;
    if (!still) {
        hold(action_out, &turn->state);
        action_out->kind = KEEPER_PERSIST;
    }
    action_out->persist = false;
    action_out->state_next = turn->state;
}

enum keeper_hearing keeper_turn_hear(struct keeper_turn *turn, uint32_t cluster_epoch)
{
    struct keeper_state next;
    if (!keeper_may_obey(&turn->state, cluster_epoch, &next)) {
        return KEEPER_LEFT_BEHIND;
    }
    if (next.cluster_epoch == turn->state.cluster_epoch) {
        return KEEPER_HEARS;
    }
    if (!turn->saving) {
        turn->saving = true;
        turn->action = (struct keeper_action){
            .kind = KEEPER_PERSIST,
            .reason = "the cluster was recovered by force",
            .persist = true,
            .state_next = next,
        };
    }
    return KEEPER_HEARS_LATER;
}

const struct goal *keeper_turn_lease(const struct keeper_turn *turn, const struct goal *goal)
{
    if (goal == NULL || goal->role != GOAL_PRIMARY) {
        return goal;
    }
    bool promised =
        turn->state.epoch.value == goal->epoch.value && turn->state.goal_role == GOAL_PRIMARY;
    return promised ? goal : NULL;
}

static void hold(struct keeper_action *action, const struct keeper_state *state)
{
    action->kind = KEEPER_WAIT;
    action->persist = false;
    action->state_next = *state;
}

static bool is_same_state(const struct keeper_state *a, const struct keeper_state *b)
{
    return a->epoch.value == b->epoch.value && a->goal_index == b->goal_index &&
           a->goal_role == b->goal_role && a->cut_from.value == b->cut_from.value &&
           a->cut_epoch.value == b->cut_epoch.value &&
           a->fenced_epoch.value == b->fenced_epoch.value && a->cluster_epoch == b->cluster_epoch &&
           a->incarnation.value == b->incarnation.value && a->building == b->building &&
           a->writable_epoch.value == b->writable_epoch.value &&
           a->promoted_fork.epoch == b->promoted_fork.epoch &&
           a->promoted_fork.timeline == b->promoted_fork.timeline &&
           a->promoted_fork.parent_timeline == b->promoted_fork.parent_timeline &&
           a->promoted_fork.fork_lsn == b->promoted_fork.fork_lsn;
}
