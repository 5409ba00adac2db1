/* SPDX-License-Identifier: Apache-2.0 */
/* bytes -> structs of the sidecar session. Bytes come from outside: bounds, enums and ids are
 * checked here, meaning by the controller (up) and the agent (down). */
#include "base/check.h"
#include "indaba/v1/sidecars.pb-c.h"
#include "wire/wire_sidecar.h"
#include "wire/wire_text.h"

#include <string.h>

static void decode_hello(struct wire_check *check, const Indaba__V1__Hello *from, struct hello *to);
static void
decode_report(struct wire_check *check, const Indaba__V1__Report *from, struct report *to);
static void
decode_report_primary(struct wire_check *check, const Indaba__V1__Report *from, struct report *to);
static void
decode_welcome(struct wire_check *check, const Indaba__V1__Welcome *from, struct wire_welcome *to);
static void decode_goal(struct wire_check *check, const Indaba__V1__Goal *from, struct goal *to);
static struct position decode_position(const Indaba__V1__Position *from);
static struct fork decode_fork(const Indaba__V1__Fork *from);
static uint32_t decode_standbys(struct wire_check *check,
                                Indaba__V1__StandbyRef *const *from,
                                size_t count,
                                struct sync_member *to,
                                uint32_t max);
static void decode_marks(struct wire_check *check, const Indaba__V1__Marks *from, struct marks *to);
static struct cluster_id decode_id(struct wire_check *check, const char *text);

enum error wire_sidecar_decode(struct slice bytes, struct wire_sidecar_message *message_out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(bytes.len));
    ProtobufCMessage *base = NULL;
    enum error error = wire_unpack(&indaba__v1__sidecar_message__descriptor, bytes, &arena, &base);
    if (error != ERR_OK) {
        goto out;
    }
    const Indaba__V1__SidecarMessage *from = (const void *)base;
    struct wire_check check = {.error = ERR_OK};
    struct wire_sidecar_message message;
    memset(&message, 0, sizeof(message));
    if (from->body_case == INDABA__V1__SIDECAR_MESSAGE__BODY_HELLO) {
        message.kind = WIRE_HELLO;
        decode_hello(&check, from->hello, &message.hello);
    } else if (from->body_case == INDABA__V1__SIDECAR_MESSAGE__BODY_REPORT) {
        message.kind = WIRE_REPORT;
        decode_report(&check, from->report, &message.report);
    } else if (from->body_case == INDABA__V1__SIDECAR_MESSAGE__BODY_RENEWAL) {
        message.kind = WIRE_RENEWAL;
        message.renewal.id = from->renewal->id;
        message.renewal.epoch.value = from->renewal->epoch;
    } else {
        wire_require(&check, false);
    }
    error = check.error;
    if (error == ERR_OK) {
        *message_out = message;
    }
out:
    wire_arena_deinit(&arena);
    return error;
}

enum error wire_coordinator_decode(struct slice bytes, struct wire_coordinator_message *message_out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(bytes.len));
    ProtobufCMessage *base = NULL;
    enum error error =
        wire_unpack(&indaba__v1__coordinator_message__descriptor, bytes, &arena, &base);
    if (error != ERR_OK) {
        goto out;
    }
    const Indaba__V1__CoordinatorMessage *from = (const void *)base;
    struct wire_check check = {.error = ERR_OK};
    struct wire_coordinator_message message;
    memset(&message, 0, sizeof(message));
    if (from->body_case == INDABA__V1__COORDINATOR_MESSAGE__BODY_WELCOME) {
        message.kind = WIRE_WELCOME;
        decode_welcome(&check, from->welcome, &message.welcome);
    } else if (from->body_case == INDABA__V1__COORDINATOR_MESSAGE__BODY_GOAL) {
        message.kind = WIRE_GOAL;
        decode_goal(&check, from->goal, &message.goal);
    } else if (from->body_case == INDABA__V1__COORDINATOR_MESSAGE__BODY_RENEWAL_ANSWER) {
        message.kind = WIRE_RENEWAL_ANSWER;
        message.renewal_answer = (struct renewal_answer){
            .id = from->renewal_answer->id,
            .granted = from->renewal_answer->granted,
            .epoch = {from->renewal_answer->epoch},
            .lease_ms = from->renewal_answer->lease_ms,
        };
    } else {
        wire_require(&check, false);
    }
    error = check.error;
    if (error == ERR_OK) {
        *message_out = message;
    }
out:
    wire_arena_deinit(&arena);
    return error;
}

static void decode_hello(struct wire_check *check, const Indaba__V1__Hello *from, struct hello *to)
{
    WIRE_COPY_TEXT(check, to->shard, from->shard);
    WIRE_COPY_TEXT(check, to->instance, from->instance);
    WIRE_COPY_TEXT(check, to->region, from->region);
    WIRE_COPY_TEXT(check, to->address, from->address);
    WIRE_COPY_TEXT(check, to->http_address, from->http_address);
    to->cluster = decode_id(check, from->cluster_id);
    WIRE_COPY_TEXT(check, to->kind, from->kind);
}

static void
decode_report(struct wire_check *check, const Indaba__V1__Report *from, struct report *to)
{
    wire_require(check, from->goal_role < GOAL_ROLE_COUNT);
    wire_require(check, from->state < INSTANCE_STATE_COUNT);
    wire_require(check, from->primary_reach <= REACH_SILENT);
    if (check->error != ERR_OK) {
        return;
    }
    to->instance.value = from->instance;
    to->incarnation.value = from->incarnation;
    to->epoch.value = from->epoch;
    to->goal_index = from->goal_index;
    to->goal_role = (enum goal_role)from->goal_role;
    to->goal_met = from->goal_met;
    to->state = (enum instance_state)from->state;
    to->system_identifier = from->system_identifier;
    to->position = decode_position(from->position);
    to->position_final = from->position_final;
    to->cut_from.value = from->cut_from;
    to->replay_lag_bytes = from->replay_lag_bytes;
    to->redo_bytes = from->redo_bytes;
    to->receiver_streaming = from->receiver_streaming;
    to->receiver_silence_ms = from->receiver_silence_ms;
    to->upstream.value = from->upstream;
    to->primary_reach = (enum reach)from->primary_reach;
    to->primary_reach_of.value = from->primary_reach_of;
    to->primary_reach_ms = from->primary_reach_ms;
    to->fenced_epoch.value = from->fenced_epoch;
    to->data_intact = from->data_intact;
    to->failures = from->failures;
    WIRE_COPY_TEXT(check, to->detail, from->detail);
    to->start_nonce = from->start_nonce;
    to->continuous = from->continuous;
    to->number = from->number;
    decode_marks(check, from->marks, &to->marks);
    to->cut_undone = from->cut_undone;
    WIRE_COPY_TEXT(check, to->lapse, from->lapse);
    WIRE_COPY_TEXT(check, to->concern, from->concern);
    WIRE_COPY_TEXT(check, to->gate, from->gate);
    to->write_stalled_ms = from->write_stalled_ms;
    decode_report_primary(check, from, to);
}

static void
decode_report_primary(struct wire_check *check, const Indaba__V1__Report *from, struct report *to)
{
    to->writable_epoch.value = from->writable_epoch;
    to->lease_epoch.value = from->lease_epoch;
    to->promoted_epoch.value = from->promoted_epoch;
    to->promoted_fork = decode_fork(from->promoted_fork);
    to->canary_ok = from->canary_ok;
    to->acked = decode_position(from->acked);
    to->sync_confirmed_version = from->sync_confirmed_version;
    to->caught_up_count =
        decode_standbys(check, from->caught_up, from->n_caught_up, to->caught_up, SYNC_SET_MAX);
    to->streaming_count =
        decode_standbys(check, from->streaming, from->n_streaming, to->streaming, SYNC_SET_MAX);
}

static void
decode_welcome(struct wire_check *check, const Indaba__V1__Welcome *from, struct wire_welcome *to)
{
    to->cluster = decode_id(check, from->cluster_id);
    to->shard.value = from->shard;
    to->instance.value = from->instance;
    WIRE_COPY_TEXT(check, to->leader, from->leader);
    to->term = from->term;
    to->cluster_epoch = from->cluster_epoch;
    struct cluster_id member = decode_id(check, from->member_id);
    to->member = (struct member_id){.hi = member.hi, .lo = member.lo};
}

static void decode_goal(struct wire_check *check, const Indaba__V1__Goal *from, struct goal *to)
{
    wire_require(check, from->role < GOAL_ROLE_COUNT);
    wire_require(check, from->mode == SHARD_SYNC || from->mode == SHARD_ASYNC);
    if (check->error != ERR_OK) {
        return;
    }
    to->shard.value = from->shard;
    to->instance.value = from->instance;
    to->epoch.value = from->epoch;
    to->index = from->index;
    to->role = (enum goal_role)from->role;
    to->mode = (enum shard_mode)from->mode;
    to->upstream.value = from->upstream;
    WIRE_COPY_TEXT(check, to->upstream_address, from->upstream_address);
    to->in_record = from->in_record;
    to->drain = from->drain;
    to->fork = decode_fork(from->fork);
    if (from->n_history > SHARD_FORKS_MAX) {
        wire_require(check, false);
        return;
    }
    to->history_count = (uint32_t)from->n_history;
    for (size_t i = 0; i < from->n_history; i++) {
        to->history[i] = decode_fork(from->history[i]);
    }
    to->system_identifier = from->system_identifier;
    decode_marks(check, from->marks, &to->marks);
    to->bootstrap = from->bootstrap;
    to->may_promote = from->may_promote;
    to->timeline = from->timeline;
    to->floor = decode_position(from->floor);
    to->sync.required = from->sync_required;
    to->sync.members_count = decode_standbys(
        check, from->sync_members, from->n_sync_members, to->sync.members, SYNC_SET_MAX);
    to->sync_version = from->sync_version;
    to->siblings_count =
        decode_standbys(check, from->siblings, from->n_siblings, to->siblings, SHARD_INSTANCES_MAX);
}

static struct position decode_position(const Indaba__V1__Position *from)
{
    if (from == NULL) {
        return (struct position){0};
    }
    return (struct position){.timeline = from->timeline, .lsn = from->lsn};
}

static struct fork decode_fork(const Indaba__V1__Fork *from)
{
    if (from == NULL) {
        return (struct fork){0};
    }
    return (struct fork){
        .epoch = from->epoch,
        .timeline = from->timeline,
        .parent_timeline = from->parent_timeline,
        .fork_lsn = from->fork_lsn,
    };
}

static uint32_t decode_standbys(struct wire_check *check,
                                Indaba__V1__StandbyRef *const *from,
                                size_t count,
                                struct sync_member *to,
                                uint32_t max)
{
    if (count > max) {
        wire_require(check, false);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        to[i].instance.value = from[i]->instance;
        to[i].incarnation.value = from[i]->incarnation;
    }
    return (uint32_t)count;
}

static void decode_marks(struct wire_check *check, const Indaba__V1__Marks *from, struct marks *to)
{
    if (from == NULL) {
        return;
    }
    if (from->n_items > MARKS_MAX) {
        wire_require(check, false);
        return;
    }
    to->acked = decode_position(from->acked);
    to->count = (uint32_t)from->n_items;
    for (size_t i = 0; i < from->n_items; i++) {
        to->items[i].instance.value = from->items[i]->instance;
        to->items[i].incarnation.value = from->items[i]->incarnation;
        to->items[i].position = decode_position(from->items[i]->position);
    }
}

static struct cluster_id decode_id(struct wire_check *check, const char *text)
{
    struct cluster_id id = {0};
    if (text != NULL && text[0] != '\0') {
        wire_require(check, id128_parse(text, &id.hi, &id.lo) == ERR_OK);
    }
    return id;
}
