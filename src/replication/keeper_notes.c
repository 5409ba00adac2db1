/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper remembers of data folders: marks, which are told to all, and the anchor of its
 * own, up to which it was watched. Nothing is noted of what somebody else may have made. */
#include "replication/keeper.h"

static bool holds_our_history(const struct keeper_facts *facts, const struct keeper_state *state);

void keeper_note_marks(const struct keeper_facts *facts,
                       const struct keeper_state *state,
                       struct instance_id self,
                       struct marks *marks)
{
    if (state->building || !holds_our_history(facts, state)) {
        return;
    }
    marks_raise(marks, (struct sync_member){self, state->incarnation}, facts->held);
    if (facts->state == INSTANCE_PRIMARY) {
        struct marks seen = facts->confirmed;
        seen.acked = facts->acked;
        marks_merge(marks, &seen);
    }
}

void keeper_note_anchor(const struct keeper_facts *facts,
                        const struct keeper_state *state,
                        const struct goal *goal,
                        struct lineage_anchor *anchor)
{
    /* One that is about to be promoted still runs as a standby. */
    bool over = state->writable_epoch.value <= state->fenced_epoch.value;
    bool known = anchor->incarnation == state->incarnation.value;
    uint64_t writable_epoch = known ? anchor->writable_epoch : 0;
    struct lineage_anchor next = {
        .incarnation = state->incarnation.value,
        .position = facts->state == INSTANCE_STOPPED ? facts->proven_from : facts->held,
        .fingerprint = facts->state == INSTANCE_STOPPED ? 0 : facts->held_fingerprint,
        .writable_epoch =
            facts->state == INSTANCE_STANDBY && over ? state->writable_epoch.value : writable_epoch,
    };

    if (state->building || goal == NULL || !holds_our_history(facts, state)) {
        return;
    }
    next.position = lineage_place(next.position, goal->history, goal->history_count);
    if (next.position.timeline == 0) {
        return;
    }
    /* A standby that has just been started shows less than it held before. */
    int order = known ? position_compare(next.position, anchor->position) : 1;
    if (order < 0 || (order == 0 && next.fingerprint == 0)) {
        next.position = anchor->position;
        next.fingerprint = anchor->fingerprint;
    }
    *anchor = next;
}

/* Whoever was cut in an epoch follows nobody who was promoted in it. */
struct epoch keeper_led_epoch(const struct keeper_state *state)
{
    bool follows = state->goal_role == GOAL_STANDBY;
    uint64_t before = state->epoch.value > 0 ? state->epoch.value - 1 : 0;

    return (struct epoch){follows ? state->epoch.value : before};
}

void keeper_adopt_anchor(const struct keeper_state *state,
                         const struct marks *marks,
                         struct lineage_anchor *anchor)
{
    for (uint32_t i = 0; i < marks->count && anchor->incarnation == 0; i++) {
        if (marks->items[i].incarnation.value == state->incarnation.value &&
            state->incarnation.value != 0) {
            anchor->incarnation = state->incarnation.value;
            anchor->position = marks->items[i].position;
        }
    }
}

/* What runs, or lies there proven, was made by this shard: a standby whose folder was proven before
 * its start, or a primary that was promoted by order and verified. */
static bool holds_our_history(const struct keeper_facts *facts, const struct keeper_state *state)
{
    if (facts->state == INSTANCE_PRIMARY) {
        return state->writable_epoch.value > state->fenced_epoch.value &&
               state->promoted_fork.epoch == state->writable_epoch.value;
    }
    return facts->lineage == LINEAGE_PROVEN;
}
