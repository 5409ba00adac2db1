/* SPDX-License-Identifier: Apache-2.0 */
/* Structs of the sidecar session -> bytes. */
#include "base/check.h"
#include "indaba/v1/sidecars.pb-c.h"
#include "wire/wire_sidecar.h"
#include "wire/wire_text.h"

enum {
    ENCODE_CAP = 256 * 1024
};

static Indaba__V1__Hello *encode_hello(struct wire_arena *arena, const struct hello *hello);
static Indaba__V1__Report *encode_report(struct wire_arena *arena, const struct report *report);
static void encode_report_primary(struct wire_arena *arena,
                                  const struct report *report,
                                  Indaba__V1__Report *to);
static Indaba__V1__Welcome *encode_welcome(struct wire_arena *arena,
                                           const struct wire_welcome *welcome);
static Indaba__V1__Goal *encode_goal(struct wire_arena *arena, const struct goal *goal);
static Indaba__V1__Position *encode_position(struct wire_arena *arena, struct position position);
static Indaba__V1__Fork *encode_fork(struct wire_arena *arena, const struct fork *fork);
static void put_fork(Indaba__V1__Fork *to, const struct fork *fork);
static Indaba__V1__StandbyRef **
encode_standbys(struct wire_arena *arena, const struct sync_member *members, uint32_t count);
static Indaba__V1__Marks *encode_marks(struct wire_arena *arena, const struct marks *marks);
static char *encode_id(struct wire_arena *arena, struct cluster_id id);

void wire_sidecar_encode(const struct wire_sidecar_message *message, struct buf *out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, ENCODE_CAP);
    Indaba__V1__SidecarMessage to = INDABA__V1__SIDECAR_MESSAGE__INIT;
    switch (message->kind) {
    case WIRE_HELLO:
        to.body_case = INDABA__V1__SIDECAR_MESSAGE__BODY_HELLO;
        to.hello = encode_hello(&arena, &message->hello);
        break;
    case WIRE_REPORT:
        to.body_case = INDABA__V1__SIDECAR_MESSAGE__BODY_REPORT;
        to.report = encode_report(&arena, &message->report);
        break;
    case WIRE_RENEWAL:
        to.body_case = INDABA__V1__SIDECAR_MESSAGE__BODY_RENEWAL;
        to.renewal = wire_new(&arena, sizeof(*to.renewal));
        indaba__v1__renewal__init(to.renewal);
        to.renewal->id = message->renewal.id;
        to.renewal->epoch = message->renewal.epoch.value;
        break;
    }
    CHECK(to.body_case != INDABA__V1__SIDECAR_MESSAGE__BODY__NOT_SET);
    wire_pack(&to.base, out);
    wire_arena_deinit(&arena);
}

void wire_coordinator_encode(const struct wire_coordinator_message *message, struct buf *out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, ENCODE_CAP);
    Indaba__V1__CoordinatorMessage to = INDABA__V1__COORDINATOR_MESSAGE__INIT;
    switch (message->kind) {
    case WIRE_WELCOME:
        to.body_case = INDABA__V1__COORDINATOR_MESSAGE__BODY_WELCOME;
        to.welcome = encode_welcome(&arena, &message->welcome);
        break;
    case WIRE_GOAL:
        to.body_case = INDABA__V1__COORDINATOR_MESSAGE__BODY_GOAL;
        to.goal = encode_goal(&arena, &message->goal);
        break;
    case WIRE_RENEWAL_ANSWER:
        to.body_case = INDABA__V1__COORDINATOR_MESSAGE__BODY_RENEWAL_ANSWER;
        to.renewal_answer = wire_new(&arena, sizeof(*to.renewal_answer));
        indaba__v1__renewal_answer__init(to.renewal_answer);
        to.renewal_answer->id = message->renewal_answer.id;
        to.renewal_answer->granted = message->renewal_answer.granted;
        to.renewal_answer->epoch = message->renewal_answer.epoch.value;
        to.renewal_answer->lease_ms = message->renewal_answer.lease_ms;
        break;
    }
    CHECK(to.body_case != INDABA__V1__COORDINATOR_MESSAGE__BODY__NOT_SET);
    wire_pack(&to.base, out);
    wire_arena_deinit(&arena);
}

static Indaba__V1__Hello *encode_hello(struct wire_arena *arena, const struct hello *hello)
{
    Indaba__V1__Hello *to = wire_new(arena, sizeof(*to));
    indaba__v1__hello__init(to);
    to->shard = wire_string(hello->shard);
    to->instance = wire_string(hello->instance);
    to->region = wire_string(hello->region);
    to->address = wire_string(hello->address);
    to->http_address = wire_string(hello->http_address);
    to->cluster_id = encode_id(arena, hello->cluster);
    to->kind = wire_string(hello->kind);
    return to;
}

static Indaba__V1__Report *encode_report(struct wire_arena *arena, const struct report *report)
{
    Indaba__V1__Report *to = wire_new(arena, sizeof(*to));
    indaba__v1__report__init(to);
    to->instance = report->instance.value;
    to->incarnation = report->incarnation.value;
    to->epoch = report->epoch.value;
    to->goal_index = report->goal_index;
    to->goal_role = (uint32_t)report->goal_role;
    to->goal_met = report->goal_met;
    to->state = (uint32_t)report->state;
    to->system_identifier = report->system_identifier;
    to->position = encode_position(arena, report->position);
    to->position_final = report->position_final;
    to->cut_from = report->cut_from.value;
    to->replay_lag_bytes = report->replay_lag_bytes;
    to->redo_bytes = report->redo_bytes;
    to->receiver_streaming = report->receiver_streaming;
    to->receiver_silence_ms = report->receiver_silence_ms;
    to->upstream = report->upstream.value;
    to->primary_reach = (uint32_t)report->primary_reach;
    to->primary_reach_of = report->primary_reach_of.value;
    to->primary_reach_ms = report->primary_reach_ms;
    to->fenced_epoch = report->fenced_epoch.value;
    to->data_intact = report->data_intact;
    to->failures = report->failures;
    to->detail = wire_string(report->detail);
    to->start_nonce = report->start_nonce;
    to->continuous = report->continuous;
    to->number = report->number;
    to->marks = encode_marks(arena, &report->marks);
    to->cut_undone = report->cut_undone;
    to->lapse = wire_string(report->lapse);
    to->concern = wire_string(report->concern);
    to->gate = wire_string(report->gate);
    to->write_stalled_ms = report->write_stalled_ms;
    encode_report_primary(arena, report, to);
    return to;
}

static void
encode_report_primary(struct wire_arena *arena, const struct report *report, Indaba__V1__Report *to)
{
    CHECK(report->caught_up_count <= SYNC_SET_MAX);
    CHECK(report->streaming_count <= SYNC_SET_MAX);
    to->writable_epoch = report->writable_epoch.value;
    to->lease_epoch = report->lease_epoch.value;
    to->promoted_epoch = report->promoted_epoch.value;
    to->promoted_fork = encode_fork(arena, &report->promoted_fork);
    to->canary_ok = report->canary_ok;
    to->acked = encode_position(arena, report->acked);
    to->sync_confirmed_version = report->sync_confirmed_version;
    to->n_caught_up = report->caught_up_count;
    to->caught_up = encode_standbys(arena, report->caught_up, report->caught_up_count);
    to->n_streaming = report->streaming_count;
    to->streaming = encode_standbys(arena, report->streaming, report->streaming_count);
}

static Indaba__V1__Welcome *encode_welcome(struct wire_arena *arena,
                                           const struct wire_welcome *welcome)
{
    Indaba__V1__Welcome *to = wire_new(arena, sizeof(*to));
    indaba__v1__welcome__init(to);
    to->cluster_id = encode_id(arena, welcome->cluster);
    to->shard = welcome->shard.value;
    to->instance = welcome->instance.value;
    to->leader = wire_string(welcome->leader);
    to->term = welcome->term;
    to->cluster_epoch = welcome->cluster_epoch;
    to->member_id =
        encode_id(arena, (struct cluster_id){.hi = welcome->member.hi, .lo = welcome->member.lo});
    return to;
}

static Indaba__V1__Goal *encode_goal(struct wire_arena *arena, const struct goal *goal)
{
    CHECK(goal->sync.members_count <= SYNC_SET_MAX);
    CHECK(goal->siblings_count <= SHARD_INSTANCES_MAX);
    CHECK(goal->history_count <= SHARD_FORKS_MAX);
    Indaba__V1__Goal *to = wire_new(arena, sizeof(*to));
    indaba__v1__goal__init(to);
    to->shard = goal->shard.value;
    to->instance = goal->instance.value;
    to->epoch = goal->epoch.value;
    to->index = goal->index;
    to->role = (uint32_t)goal->role;
    to->mode = (uint32_t)goal->mode;
    to->upstream = goal->upstream.value;
    to->upstream_address = wire_string(goal->upstream_address);
    to->in_record = goal->in_record;
    to->drain = goal->drain;
    to->fork = encode_fork(arena, &goal->fork);
    to->n_history = goal->history_count;
    to->history = (Indaba__V1__Fork **)wire_new_messages(
        arena, goal->history_count, sizeof(Indaba__V1__Fork));
    for (uint32_t i = 0; i < goal->history_count; i++) {
        put_fork(to->history[i], &goal->history[i]);
    }
    to->system_identifier = goal->system_identifier;
    to->marks = encode_marks(arena, &goal->marks);
    to->bootstrap = goal->bootstrap;
    to->may_promote = goal->may_promote;
    to->timeline = goal->timeline;
    to->floor = encode_position(arena, goal->floor);
    to->n_sync_members = goal->sync.members_count;
    to->sync_members = encode_standbys(arena, goal->sync.members, goal->sync.members_count);
    to->sync_required = goal->sync.required;
    to->sync_version = goal->sync_version;
    to->n_siblings = goal->siblings_count;
    to->siblings = encode_standbys(arena, goal->siblings, goal->siblings_count);
    return to;
}

static Indaba__V1__Position *encode_position(struct wire_arena *arena, struct position position)
{
    Indaba__V1__Position *to = wire_new(arena, sizeof(*to));
    indaba__v1__position__init(to);
    to->timeline = position.timeline;
    to->lsn = position.lsn;
    return to;
}

static Indaba__V1__Fork *encode_fork(struct wire_arena *arena, const struct fork *fork)
{
    Indaba__V1__Fork *to = wire_new(arena, sizeof(*to));
    put_fork(to, fork);
    return to;
}

static void put_fork(Indaba__V1__Fork *to, const struct fork *fork)
{
    indaba__v1__fork__init(to);
    to->epoch = fork->epoch;
    to->timeline = fork->timeline;
    to->parent_timeline = fork->parent_timeline;
    to->fork_lsn = fork->fork_lsn;
}

static Indaba__V1__StandbyRef **
encode_standbys(struct wire_arena *arena, const struct sync_member *members, uint32_t count)
{
    Indaba__V1__StandbyRef **to =
        (Indaba__V1__StandbyRef **)wire_new_messages(arena, count, sizeof(Indaba__V1__StandbyRef));
    for (uint32_t i = 0; i < count; i++) {
        indaba__v1__standby_ref__init(to[i]);
        to[i]->instance = members[i].instance.value;
        to[i]->incarnation = members[i].incarnation.value;
    }
    return to;
}

static Indaba__V1__Marks *encode_marks(struct wire_arena *arena, const struct marks *marks)
{
    CHECK(marks->count <= MARKS_MAX);
    Indaba__V1__Marks *to = wire_new(arena, sizeof(*to));
    indaba__v1__marks__init(to);
    to->acked = encode_position(arena, marks->acked);
    to->n_items = marks->count;
    to->items =
        (Indaba__V1__Mark **)wire_new_messages(arena, marks->count, sizeof(Indaba__V1__Mark));
    for (uint32_t i = 0; i < marks->count; i++) {
        indaba__v1__mark__init(to->items[i]);
        to->items[i]->instance = marks->items[i].instance.value;
        to->items[i]->incarnation = marks->items[i].incarnation.value;
        to->items[i]->position = encode_position(arena, marks->items[i].position);
    }
    return to;
}

static char *encode_id(struct wire_arena *arena, struct cluster_id id)
{
    return id128_format(id.hi, id.lo, wire_new(arena, ID128_TEXT_SIZE));
}
