/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: finds the row, works out what must be persisted first, fills the report. The table
 * itself is keeper_table.c, what is remembered of folders keeper_notes.c. */
#include "replication/keeper.h"

#include "base/check.h"
#include "replication/keeper_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const ACTION_NAMES[] = {
#define X(name, text) text,
    KEEPER_ACTION_TABLE(X)
#undef X
};

_Static_assert(ARRAY_LEN(ACTION_NAMES) == KEEPER_ACTION_COUNT, "one name per action");

static const struct keeper_row *find_row(const struct keeper_look *look);
static void
apply_effect(const struct keeper_look *look, enum keeper_effect effect, struct keeper_state *next);
static void fill_parameters(const struct keeper_look *look, struct keeper_action *action);
static struct epoch over_before(const struct keeper_look *look);
static bool is_met(const struct keeper_look *look);
static void report_primary(const struct keeper_look *look, struct report *report);
static void print_names(struct buf *out, uint32_t bits, bool roles);

const char *keeper_action_name(enum keeper_action_kind kind)
{
    return (unsigned)kind < KEEPER_ACTION_COUNT ? ACTION_NAMES[kind] : "?";
}

void keeper_step(const struct keeper_facts *facts,
                 const struct keeper_state *state,
                 const struct goal *goal,
                 struct keeper_action *action_out)
{
    struct keeper_look look = {.facts = facts, .state = state, .goal = goal};

    memset(action_out, 0, sizeof(*action_out));
    action_out->state_next = *state;
    action_out->kind = KEEPER_WAIT;
    if (goal == NULL) {
        action_out->reason = "waiting for the first goal";
        return;
    }
    const struct keeper_row *row = find_row(&look);
    CHECK(row != NULL);
    action_out->row = (uint32_t)(row - KEEPER_ROWS);
    bool may_interrupt = (row->action == KEEPER_FENCE && facts->running != KEEPER_FENCE) ||
                         row->effect == EFFECT_ADOPT || row->action == KEEPER_REFUSE;
    if (facts->running != KEEPER_NONE && !may_interrupt) {
        action_out->reason = "one action at a time: the last one is still under way";
        return;
    }
    action_out->kind = row->action;
    action_out->reason = row->why;
    apply_effect(&look, row->effect, &action_out->state_next);
    action_out->persist = row->effect != EFFECT_NONE;
    fill_parameters(&look, action_out);
    /* What was once over stays over, and what may be writable was persisted to be so. */
    CHECK(action_out->state_next.fenced_epoch.value >= state->fenced_epoch.value);
    CHECK(action_out->kind != KEEPER_PROMOTE ||
          action_out->state_next.writable_epoch.value > action_out->state_next.fenced_epoch.value);
}

/* The log of the one that went on alone may be shorter than what was obeyed here: its indexes are
 * compared among themselves. Ballots are not: all of the new ones are higher (epoch_next). */
bool keeper_may_obey(const struct keeper_state *state,
                     uint32_t cluster_epoch,
                     struct keeper_state *state_next_out)
{
    if (cluster_epoch < state->cluster_epoch) {
        return false;
    }
    *state_next_out = *state;
    if (cluster_epoch > state->cluster_epoch) {
        state_next_out->cluster_epoch = cluster_epoch;
        state_next_out->goal_index = 0;
    }
    return true;
}

bool keeper_may_be_writable(const struct keeper_facts *facts, const struct keeper_state *state)
{
    switch (facts->state) {
    case INSTANCE_PRIMARY:
        return true;
    case INSTANCE_UNKNOWN:
    case INSTANCE_STARTING:
    case INSTANCE_STANDBY:
    case INSTANCE_HUNG:
        return state->writable_epoch.value > state->fenced_epoch.value;
    case INSTANCE_EMPTY:
    case INSTANCE_STOPPED:
    case INSTANCE_BUILDING:
    case INSTANCE_STATE_COUNT:
        return false;
    }
    return true;
}

void keeper_report(const struct keeper_facts *facts,
                   const struct keeper_state *state,
                   const struct goal *goal,
                   struct instance_id instance,
                   struct report *report_out)
{
    struct keeper_look look = {.facts = facts, .state = state, .goal = goal};
    struct keeper_action action;

    memset(report_out, 0, sizeof(*report_out));
    report_out->instance = instance;
    report_out->incarnation = state->incarnation;
    report_out->epoch = state->epoch;
    report_out->goal_index = state->goal_index;
    report_out->goal_role = state->goal_role;
    report_out->goal_met = goal != NULL && is_met(&look);
    report_out->state = facts->state;
    report_out->system_identifier = facts->system_identifier;
    report_out->position = facts->position;
    report_out->position_final =
        facts->position_final && !facts->cut_undone && facts->state != INSTANCE_PRIMARY;
    report_out->cut_undone = facts->cut_undone;
    report_out->write_stalled_ms = facts->write_stalled_ms;
    memcpy(report_out->lapse, facts->lapse, sizeof(report_out->lapse));
    memcpy(report_out->concern, facts->concern, sizeof(report_out->concern));
    memcpy(report_out->gate, facts->gate, sizeof(report_out->gate));
    report_out->replay_lag_bytes = facts->replay_lag_bytes;
    report_out->redo_bytes = facts->redo_bytes;
    if (state->goal_role == GOAL_CUT && report_out->goal_met) {
        report_out->cut_from = state->cut_from;
    }
    report_out->receiver_streaming = facts->receiver_streaming;
    report_out->receiver_silence_ms = facts->receiver_silence_ms;
    report_out->upstream = facts->conninfo_of;
    report_out->primary_reach = facts->primary_reach;
    report_out->primary_reach_of = facts->primary_reach_of;
    report_out->primary_reach_ms = facts->primary_reach_ms;
    report_out->writable_epoch = state->writable_epoch;
    report_out->lease_epoch = facts->lease_epoch;
    report_out->fenced_epoch = state->fenced_epoch;
    report_out->data_intact = !state->building && !facts->cannot_start &&
                              facts->state != INSTANCE_EMPTY && facts->state != INSTANCE_BUILDING &&
                              facts->state != INSTANCE_UNKNOWN;
    report_out->start_nonce = facts->start_nonce;
    report_out->continuous = facts->continuous && report_out->data_intact;
    report_out->marks = facts->marks;
    if (facts->state == INSTANCE_PRIMARY) {
        report_primary(&look, report_out);
    }
    keeper_step(facts, state, goal, &action);
    (void)snprintf(report_out->detail,
                   sizeof(report_out->detail),
                   "%s: %s",
                   keeper_action_name(action.kind),
                   action.reason);
}

void keeper_print_table(struct buf *out)
{
    buf_append_string(out, "| goal | instance | when | action | why |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < KEEPER_ROWS_COUNT; i++) {
        const struct keeper_row *row = &KEEPER_ROWS[i];
        buf_append_string(out, "| ");
        print_names(out, row->roles, true);
        buf_append_string(out, " | ");
        print_names(out, row->states, false);
        buf_printf(out,
                   " | %s | %s%s | %s |\n",
                   row->when_text,
                   row->effect != EFFECT_NONE && row->action != KEEPER_PERSIST ? "persist, " : "",
                   keeper_action_name(row->action),
                   row->why);
    }
}

uint32_t keeper_rows_count(void)
{
    return KEEPER_ROWS_COUNT;
}

static const struct keeper_row *find_row(const struct keeper_look *look)
{
    for (uint32_t i = 0; i < KEEPER_ROWS_COUNT; i++) {
        const struct keeper_row *row = &KEEPER_ROWS[i];
        if ((row->roles & (1u << look->goal->role)) != 0 &&
            (row->states & (1u << look->facts->state)) != 0 && row->when(look)) {
            return row;
        }
    }
    return NULL;
}

static void
apply_effect(const struct keeper_look *look, enum keeper_effect effect, struct keeper_state *next)
{
    switch (effect) {
    case EFFECT_NONE:
        break;
    case EFFECT_ADOPT:
        next->epoch = look->goal->epoch;
        next->goal_index = look->goal->index;
        next->goal_role = look->goal->role;
        if (look->goal->role == GOAL_CUT) {
            next->cut_from = look->goal->upstream;
            next->cut_epoch = look->goal->epoch;
        }
        break;
    case EFFECT_FENCED:
        next->fenced_epoch = look->goal->epoch;
        break;
    case EFFECT_FENCED_BEFORE:
        next->fenced_epoch = over_before(look);
        break;
    case EFFECT_NEW_FOLDER:
        CHECK(look->facts->fresh_incarnation != 0);
        next->incarnation.value = look->facts->fresh_incarnation;
        next->building = true;
        next->writable_epoch.value = 0;
        next->promoted_fork = (struct fork){0};
        break;
    case EFFECT_FOLDER_COMPLETE:
        next->building = false;
        break;
    case EFFECT_WRITABLE:
        CHECK(look->goal->epoch.value > look->state->fenced_epoch.value);
        next->writable_epoch = look->goal->epoch;
        next->promoted_fork = (struct fork){.timeline = look->goal->timeline};
        break;
    case EFFECT_PROMOTED:
        next->promoted_fork = look->facts->fork;
        next->promoted_fork.epoch = look->goal->epoch.value;
        break;
    }
}

static void fill_parameters(const struct keeper_look *look, struct keeper_action *action)
{
    bool follows = look->goal->role == GOAL_STANDBY;

    switch (action->kind) {
    case KEEPER_START:
    case KEEPER_FOLLOW:
    case KEEPER_CLONE:
        if (follows) {
            action->upstream = look->goal->upstream;
            memcpy(action->upstream_address, look->goal->upstream_address, ADDRESS_SIZE);
        }
        break;
    case KEEPER_FENCE:
        action->fence_epoch = over_before(look);
        if (look->goal->role == GOAL_PRIMARY &&
            look->state->writable_epoch.value == look->goal->epoch.value) {
            action->fence_epoch = look->goal->epoch;
        }
        break;
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_INIT:
    case KEEPER_REBUILD:
    case KEEPER_PROVE:
    case KEEPER_STOP:
    case KEEPER_CUT:
    case KEEPER_FINAL_POSITION:
    case KEEPER_PROMOTE:
    case KEEPER_SET_SYNC:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
    case KEEPER_ACTION_COUNT:
        break;
    }
}

/* All below the goal's epoch, and whatever this folder was writable under. */
static struct epoch over_before(const struct keeper_look *look)
{
    uint64_t over = look->goal->epoch.value > 0 ? look->goal->epoch.value - 1 : 0;

    if (look->state->writable_epoch.value > over) {
        over = look->state->writable_epoch.value;
    }
    if (look->state->fenced_epoch.value > over) {
        over = look->state->fenced_epoch.value;
    }
    return (struct epoch){over};
}

static bool is_met(const struct keeper_look *look)
{
    const struct keeper_facts *facts = look->facts;

    if (look->goal->epoch.value != look->state->epoch.value ||
        look->goal->index != look->state->goal_index) {
        return false;
    }
    switch (look->goal->role) {
    case GOAL_WAIT:
        return !keeper_may_be_writable(facts, look->state);
    case GOAL_PRIMARY:
        return facts->state == INSTANCE_PRIMARY &&
               look->state->promoted_fork.epoch == look->goal->epoch.value;
    case GOAL_STANDBY:
        return facts->state == INSTANCE_STANDBY && !facts->nameless &&
               facts->conninfo_of.value == look->goal->upstream.value;
    case GOAL_CUT:
        return facts->state == INSTANCE_STANDBY && facts->running == KEEPER_NONE &&
               facts->conninfo_of.value == 0 && !facts->receiver_running && facts->position_final &&
               !keeper_may_be_writable(facts, look->state);
    case GOAL_FENCED:
        return look->state->fenced_epoch.value + 1 >= look->goal->epoch.value;
    case GOAL_ROLE_COUNT:
        break;
    }
    return false;
}

static void report_primary(const struct keeper_look *look, struct report *report)
{
    const struct keeper_facts *facts = look->facts;

    report->promoted_epoch.value = look->state->promoted_fork.epoch;
    report->promoted_fork = look->state->promoted_fork;
    report->canary_ok = look->goal != NULL && facts->canary_epoch.value != 0 &&
                        facts->canary_epoch.value == look->goal->epoch.value;
    report->acked = facts->acked;
    report->sync_confirmed_version = facts->sync_confirmed_version;
    report->caught_up_count =
        facts->caught_up_count < SYNC_SET_MAX ? facts->caught_up_count : SYNC_SET_MAX;
    memcpy(report->caught_up, facts->caught_up, sizeof(report->caught_up));
    report->streaming_count =
        facts->streaming_count < SYNC_SET_MAX ? facts->streaming_count : SYNC_SET_MAX;
    memcpy(report->streaming, facts->streaming, sizeof(report->streaming));
}

static void print_names(struct buf *out, uint32_t bits, bool roles)
{
    int count = roles ? GOAL_ROLE_COUNT : INSTANCE_STATE_COUNT;
    bool first = true;

    if (bits == (1u << count) - 1) {
        buf_append_string(out, "any");
        return;
    }
    for (int i = 0; i < count; i++) {
        if ((bits & (1u << i)) != 0) {
            buf_printf(out,
                       "%s%s",
                       first ? "" : ", ",
                       roles ? goal_role_name((enum goal_role)i)
                             : instance_state_name((enum instance_state)i));
            first = false;
        }
    }
}
