/* SPDX-License-Identifier: Apache-2.0 */
/* bytes -> struct command. Committed entries come from the log, which peers fill: nothing is
 * trusted beyond the limits of the structs. Meaning is checked at apply, not here. */
#include "base/check.h"
#include "wire/wire_command_internal.h"
#include "wire/wire_command_kv.h"
#include "wire/wire_text.h"

#include <string.h>

static void
decode_body(struct wire_check *check, const pb_command *message, struct command *command);
static void
decode_region(struct wire_check *check, const Indaba__Internal__Region *from, struct region *to);
static void decode_report(const Indaba__Internal__FinalReport *from, struct final_report *to);
static void
decode_marks(struct wire_check *check, const Indaba__Internal__Marks *from, struct marks *to);
static struct position decode_position(const Indaba__Internal__Position *from);
static void
decode_pair(struct wire_check *check, const Indaba__Internal__SyncPair *from, struct sync_pair *to);

enum error wire_command_decode(struct slice bytes, struct command *command_out)
{
    if (wire_command_kv_is(bytes)) {
        return wire_command_kv_decode(bytes, command_out);
    }
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(bytes.len));
    ProtobufCMessage *base = NULL;
    enum error error = wire_unpack(&indaba__internal__command__descriptor, bytes, &arena, &base);
    if (error != ERR_OK) {
        goto out;
    }
    const pb_command *message = (const pb_command *)(const void *)base;
    if (message->version != WIRE_COMMAND_VERSION || message->kind == COMMAND_NONE ||
        message->kind == COMMAND_KV || message->kind >= COMMAND_KIND_COUNT) {
        error = ERR_VERSION;
        goto out;
    }
    struct wire_check check = {.error = ERR_OK};
    struct command command;
    memset(&command, 0, sizeof(command));
    command.kind = (enum command_kind)message->kind;
    command.leader_term = message->leader_term;
    command.wall_ms = message->wall_ms;
    WIRE_COPY_TEXT(&check, command.actor, message->actor);
    command.request = (struct request_id){message->request_hi, message->request_lo};
    decode_body(&check, message, &command);
    error = check.error;
    if (error == ERR_OK) {
        *command_out = command;
    }
out:
    wire_arena_deinit(&arena);
    return error;
}

static void
decode_body(struct wire_check *check, const pb_command *message, struct command *command)
{
    switch (command_kind_body(command->kind)) {
#define X(UPPER, lower)                                       \
    case COMMAND_BODY_##UPPER:                                \
        wire_decode_##lower(check, message, &command->lower); \
        return;
        COMMAND_BODY_TABLE(X)
#undef X
    case COMMAND_BODY_COUNT:
        break;
    }
    UNREACHABLE("each kind has one of the bodies above");
}

void wire_decode_cluster_init(struct wire_check *check,
                              const pb_command *message,
                              struct command_cluster_init *to)
{
    NEED_BODY(CLUSTER_INIT);
    const Indaba__Internal__ClusterInit *from = message->cluster_init;
    to->cluster = (struct cluster_id){from->cluster_hi, from->cluster_lo};
    WIRE_COPY_TEXT(check, to->name, from->name);
    to->lease_ms = from->lease_ms;
    if (from->n_regions > REGIONS_MAX || from->n_members > MEMBERS_MAX) {
        wire_require(check, false);
        return;
    }
    to->regions_count = (uint32_t)from->n_regions;
    for (size_t i = 0; i < from->n_regions; i++) {
        decode_region(check, from->regions[i], &to->regions[i]);
    }
    to->members_count = (uint32_t)from->n_members;
    for (size_t i = 0; i < from->n_members; i++) {
        wire_command_decode_member(check, from->members[i], &to->members[i]);
    }
}

void wire_decode_region_put(struct wire_check *check,
                            const pb_command *message,
                            struct command_region_put *to)
{
    NEED_BODY(REGION_PUT);
    decode_region(check, message->region_put->region, &to->region);
}

static void
decode_region(struct wire_check *check, const Indaba__Internal__Region *from, struct region *to)
{
    if (from == NULL || from->state > REGION_MAINTENANCE) {
        wire_require(check, false);
        return;
    }
    WIRE_COPY_TEXT(check, to->name, from->name);
    WIRE_COPY_TEXT(check, to->jurisdiction, from->jurisdiction);
    to->rank = from->rank;
    to->state = (enum region_state)from->state;
}

void wire_decode_shard_create(struct wire_check *check,
                              const pb_command *message,
                              struct command_shard_create *body)
{
    NEED_BODY(SHARD_CREATE);
    const Indaba__Internal__ShardCreate *from = message->shard_create;
    struct shard *to = &body->spec;
    if (from->n_allowed_regions > REGIONS_MAX || from->kind > SHARD_KEYVALUE ||
        from->mode > SHARD_ASYNC) {
        wire_require(check, false);
        return;
    }
    WIRE_COPY_TEXT(check, to->name, from->name);
    to->kind = (enum shard_kind)from->kind;
    to->mode = (enum shard_mode)from->mode;
    to->rto_ms = from->rto_ms;
    to->rpo_ms = from->rpo_ms;
    to->sync_required = from->sync_required;
    WIRE_COPY_TEXT(check, to->preferred_region, from->preferred_region);
    to->allowed_regions_count = (uint32_t)from->n_allowed_regions;
    for (size_t i = 0; i < from->n_allowed_regions; i++) {
        WIRE_COPY_TEXT(check, to->allowed_regions[i], from->allowed_regions[i]);
    }
}

void wire_decode_shard_freeze(struct wire_check *check,
                              const pb_command *message,
                              struct command_shard_freeze *to)
{
    NEED_BODY(SHARD_FREEZE);
    WIRE_COPY_TEXT(check, to->name, message->shard_freeze->name);
    to->frozen = message->shard_freeze->frozen;
}

void wire_decode_instance_register(struct wire_check *check,
                                   const pb_command *message,
                                   struct command_instance_register *to)
{
    NEED_BODY(INSTANCE_REGISTER);
    const Indaba__Internal__InstanceRegister *from = message->instance_register;
    WIRE_COPY_TEXT(check, to->hello.shard, from->shard);
    WIRE_COPY_TEXT(check, to->hello.instance, from->instance);
    WIRE_COPY_TEXT(check, to->hello.region, from->region);
    WIRE_COPY_TEXT(check, to->hello.address, from->address);
    WIRE_COPY_TEXT(check, to->hello.http_address, from->http_address);
}

void wire_decode_instance_update(struct wire_check *check,
                                 const pb_command *message,
                                 struct command_instance_update *to)
{
    NEED_BODY(INSTANCE_UPDATE);
    const Indaba__Internal__InstanceUpdate *from = message->instance_update;
    to->shard.value = from->shard;
    to->instance.value = from->instance;
    WIRE_COPY_TEXT(check, to->address, from->address);
    WIRE_COPY_TEXT(check, to->http_address, from->http_address);
    to->incarnation.value = from->incarnation;
}

void wire_decode_sync(struct wire_check *check, const pb_command *message, struct command_sync *to)
{
    NEED_BODY(SYNC_CHANGE);
    const Indaba__Internal__SyncChange *from = message->sync_change;
    to->shard.value = from->shard;
    to->epoch.value = from->epoch;
    decode_pair(check, from->pair, &to->pair);
    to->version = from->version;
    WIRE_COPY_TEXT(check, to->reason, from->reason);
}

void wire_decode_failover(struct wire_check *check,
                          const pb_command *message,
                          struct command_failover *to)
{
    NEED_BODY(FAILOVER_STEP);
    const Indaba__Internal__FailoverStep *from = message->failover_step;
    if (from->n_reports > SHARD_INSTANCES_MAX || from->cause >= FAILOVER_CAUSE_COUNT ||
        from->proof >= EXCLUSION_PROOF_COUNT) {
        wire_require(check, false);
        return;
    }
    to->shard.value = from->shard;
    to->epoch.value = from->epoch;
    to->cause = (enum failover_cause)from->cause;
    to->proof = (enum exclusion_proof)from->proof;
    to->in_place = from->in_place;
    to->in_place_row = from->in_place_row;
    to->candidate.value = from->candidate;
    to->acked_floor = decode_position(from->acked_floor);
    to->reports_count = (uint32_t)from->n_reports;
    for (size_t i = 0; i < from->n_reports; i++) {
        decode_report(from->reports[i], &to->reports[i]);
    }
    if (from->own != NULL) {
        decode_report(from->own, &to->own);
    }
    to->witnessed = from->witnessed;
    to->start_nonce = from->start_nonce;
    decode_marks(check, from->marks, &to->marks);
    decode_pair(check, from->pair, &to->pair);
    if (from->fork != NULL) {
        to->fork = (struct fork){
            .epoch = from->fork->epoch,
            .timeline = from->fork->timeline,
            .parent_timeline = from->fork->parent_timeline,
            .fork_lsn = from->fork->fork_lsn,
        };
    }
    to->system_identifier = from->system_identifier;
    to->loss_bound_bytes = from->loss_bound_bytes;
    to->detected_wall_ms = from->detected_wall_ms;
    WIRE_COPY_TEXT(check, to->evidence, from->evidence);
    WIRE_COPY_TEXT(check, to->reason, from->reason);
    WIRE_COPY_TEXT(check, to->could_lose, from->could_lose);
}

void wire_decode_failover_request(struct wire_check *check,
                                  const pb_command *message,
                                  struct command_failover_request *to)
{
    NEED_BODY(FAILOVER_REQUEST);
    WIRE_COPY_TEXT(check, to->shard, message->failover_request->shard);
    WIRE_COPY_TEXT(check, to->instance, message->failover_request->instance);
    WIRE_COPY_TEXT(check, to->reason, message->failover_request->reason);
}

void wire_decode_refusal(struct wire_check *check,
                         const pb_command *message,
                         struct command_refusal *to)
{
    NEED_BODY(REFUSAL);
    WIRE_COPY_TEXT(check, to->method, message->refusal->method);
    WIRE_COPY_TEXT(check, to->reason, message->refusal->reason);
    to->count = message->refusal->count;
}

void wire_decode_kv(struct wire_check *check, const pb_command *message, struct command_kv *to)
{
    (void)message;
    (void)to;
    wire_require(check, false); /* has a layout of its own */
}

static void decode_report(const Indaba__Internal__FinalReport *from, struct final_report *to)
{
    to->instance.value = from->instance;
    to->incarnation.value = from->incarnation;
    to->position = decode_position(from->position);
    to->replay_lag_bytes = from->replay_lag_bytes;
}

static void
decode_marks(struct wire_check *check, const Indaba__Internal__Marks *from, struct marks *to)
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

static struct position decode_position(const Indaba__Internal__Position *from)
{
    if (from == NULL) {
        return (struct position){0};
    }
    return (struct position){.timeline = from->timeline, .lsn = from->lsn};
}

static void
decode_pair(struct wire_check *check, const Indaba__Internal__SyncPair *from, struct sync_pair *to)
{
    if (from == NULL) {
        return;
    }
    if (from->n_members > SYNC_SET_MAX) {
        wire_require(check, false);
        return;
    }
    to->required = from->required;
    to->members_count = (uint32_t)from->n_members;
    for (size_t i = 0; i < from->n_members; i++) {
        to->members[i].instance.value = from->members[i]->instance;
        to->members[i].incarnation.value = from->members[i]->incarnation;
    }
}
