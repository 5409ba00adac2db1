/* SPDX-License-Identifier: Apache-2.0 */
/* struct command -> bytes. Only the leader encodes an entry; every member hashes the bytes that it
 * got, so nothing rests on two programs giving the same (ADR 4). */
#include "base/check.h"
#include "wire/wire_command_internal.h"
#include "wire/wire_command_kv.h"
#include "wire/wire_text.h"

enum {
    ENCODE_CAP = 1024 * 1024
};

static void
encode_body(struct wire_arena *arena, const struct command *command, pb_command *message);
static Indaba__Internal__Region *encode_region(Indaba__Internal__Region *to,
                                               const struct region *region);
static void put_report(struct wire_arena *arena,
                       const struct final_report *report,
                       Indaba__Internal__FinalReport *to);
static Indaba__Internal__Marks *encode_marks(struct wire_arena *arena, const struct marks *marks);
static Indaba__Internal__Position *encode_position(struct wire_arena *arena,
                                                   struct position position);
static Indaba__Internal__SyncPair *encode_pair(struct wire_arena *arena,
                                               const struct sync_pair *pair);

void wire_command_encode(const struct command *command, struct buf *out)
{
    CHECK(command->kind > COMMAND_NONE);
    CHECK(command->kind < COMMAND_KIND_COUNT);
    if (command->kind == COMMAND_KV) {
        wire_command_kv_encode(command, out);
        return;
    }
    struct wire_arena arena;
    wire_arena_init(&arena, ENCODE_CAP);
    pb_command message = INDABA__INTERNAL__COMMAND__INIT;
    message.version = WIRE_COMMAND_VERSION;
    message.kind = (uint32_t)command->kind;
    message.leader_term = command->leader_term;
    message.wall_ms = command->wall_ms;
    message.actor = wire_string(command->actor);
    message.request_hi = command->request.hi;
    message.request_lo = command->request.lo;
    encode_body(&arena, command, &message);
    wire_pack(&message.base, out);
    wire_arena_deinit(&arena);
}

static void
encode_body(struct wire_arena *arena, const struct command *command, pb_command *message)
{
    switch (command_kind_body(command->kind)) {
#define X(UPPER, lower)                                       \
    case COMMAND_BODY_##UPPER:                                \
        wire_encode_##lower(arena, &command->lower, message); \
        return;
        COMMAND_BODY_TABLE(X)
#undef X
    case COMMAND_BODY_COUNT:
        break;
    }
    UNREACHABLE("each kind has one of the bodies above");
}

void wire_encode_cluster_init(struct wire_arena *arena,
                              const struct command_cluster_init *body,
                              pb_command *message)
{
    CHECK(body->regions_count <= REGIONS_MAX);
    CHECK(body->members_count <= MEMBERS_MAX);
    Indaba__Internal__ClusterInit *init = wire_new(arena, sizeof(*init));
    indaba__internal__cluster_init__init(init);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_INIT;
    message->cluster_init = init;
    init->cluster_hi = body->cluster.hi;
    init->cluster_lo = body->cluster.lo;
    init->name = wire_string(body->name);
    init->lease_ms = body->lease_ms;
    init->n_regions = body->regions_count;
    init->regions = (Indaba__Internal__Region **)wire_new_messages(
        arena, body->regions_count, sizeof(Indaba__Internal__Region));
    for (uint32_t i = 0; i < body->regions_count; i++) {
        encode_region(init->regions[i], &body->regions[i]);
    }
    init->n_members = body->members_count;
    init->members = (Indaba__Internal__Member **)wire_new_messages(
        arena, body->members_count, sizeof(Indaba__Internal__Member));
    for (uint32_t i = 0; i < body->members_count; i++) {
        wire_command_encode_member(init->members[i], &body->members[i]);
    }
}

void wire_encode_region_put(struct wire_arena *arena,
                            const struct command_region_put *body,
                            pb_command *message)
{
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_REGION_PUT;
    message->region_put = wire_new(arena, sizeof(*message->region_put));
    indaba__internal__region_put__init(message->region_put);
    message->region_put->region =
        encode_region(wire_new(arena, sizeof(Indaba__Internal__Region)), &body->region);
}

static Indaba__Internal__Region *encode_region(Indaba__Internal__Region *to,
                                               const struct region *region)
{
    indaba__internal__region__init(to);
    to->name = wire_string(region->name);
    to->jurisdiction = wire_string(region->jurisdiction);
    to->rank = region->rank;
    to->state = (uint32_t)region->state;
    return to;
}

void wire_encode_shard_create(struct wire_arena *arena,
                              const struct command_shard_create *body,
                              pb_command *message)
{
    const struct shard *spec = &body->spec;
    CHECK(spec->allowed_regions_count <= REGIONS_MAX);
    Indaba__Internal__ShardCreate *create = wire_new(arena, sizeof(*create));
    indaba__internal__shard_create__init(create);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_SHARD_CREATE;
    message->shard_create = create;
    create->name = wire_string(spec->name);
    create->kind = (uint32_t)spec->kind;
    create->mode = (uint32_t)spec->mode;
    create->rto_ms = spec->rto_ms;
    create->rpo_ms = spec->rpo_ms;
    create->sync_required = spec->sync_required;
    create->preferred_region = wire_string(spec->preferred_region);
    create->n_allowed_regions = spec->allowed_regions_count;
    create->allowed_regions = wire_new(arena, (REGIONS_MAX + 1) * sizeof(char *));
    for (uint32_t i = 0; i < spec->allowed_regions_count; i++) {
        create->allowed_regions[i] = wire_string(spec->allowed_regions[i]);
    }
}

void wire_encode_shard_freeze(struct wire_arena *arena,
                              const struct command_shard_freeze *body,
                              pb_command *message)
{
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_SHARD_FREEZE;
    message->shard_freeze = wire_new(arena, sizeof(*message->shard_freeze));
    indaba__internal__shard_freeze__init(message->shard_freeze);
    message->shard_freeze->name = wire_string(body->name);
    message->shard_freeze->frozen = body->frozen;
}

void wire_encode_instance_register(struct wire_arena *arena,
                                   const struct command_instance_register *body,
                                   pb_command *message)
{
    Indaba__Internal__InstanceRegister *to = wire_new(arena, sizeof(*to));
    indaba__internal__instance_register__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_INSTANCE_REGISTER;
    message->instance_register = to;
    to->shard = wire_string(body->hello.shard);
    to->instance = wire_string(body->hello.instance);
    to->region = wire_string(body->hello.region);
    to->address = wire_string(body->hello.address);
    to->http_address = wire_string(body->hello.http_address);
}

void wire_encode_instance_update(struct wire_arena *arena,
                                 const struct command_instance_update *body,
                                 pb_command *message)
{
    Indaba__Internal__InstanceUpdate *to = wire_new(arena, sizeof(*to));
    indaba__internal__instance_update__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_INSTANCE_UPDATE;
    message->instance_update = to;
    to->shard = body->shard.value;
    to->instance = body->instance.value;
    to->address = wire_string(body->address);
    to->http_address = wire_string(body->http_address);
    to->incarnation = body->incarnation.value;
}

void wire_encode_sync(struct wire_arena *arena,
                      const struct command_sync *body,
                      pb_command *message)
{
    Indaba__Internal__SyncChange *to = wire_new(arena, sizeof(*to));
    indaba__internal__sync_change__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_SYNC_CHANGE;
    message->sync_change = to;
    to->shard = body->shard.value;
    to->epoch = body->epoch.value;
    to->pair = encode_pair(arena, &body->pair);
    to->version = body->version;
    to->reason = wire_string(body->reason);
}

void wire_encode_failover(struct wire_arena *arena,
                          const struct command_failover *body,
                          pb_command *message)
{
    CHECK(body->reports_count <= SHARD_INSTANCES_MAX);
    Indaba__Internal__FailoverStep *to = wire_new(arena, sizeof(*to));
    indaba__internal__failover_step__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_FAILOVER_STEP;
    message->failover_step = to;
    to->shard = body->shard.value;
    to->epoch = body->epoch.value;
    to->cause = (uint32_t)body->cause;
    to->proof = (uint32_t)body->proof;
    to->in_place = body->in_place;
    to->in_place_row = body->in_place_row;
    to->candidate = body->candidate.value;
    to->acked_floor = encode_position(arena, body->acked_floor);
    to->n_reports = body->reports_count;
    to->reports = (Indaba__Internal__FinalReport **)wire_new_messages(
        arena, body->reports_count, sizeof(Indaba__Internal__FinalReport));
    for (uint32_t i = 0; i < body->reports_count; i++) {
        put_report(arena, &body->reports[i], to->reports[i]);
    }
    if (body->own.instance.value != 0) {
        to->own = wire_new(arena, sizeof(*to->own));
        put_report(arena, &body->own, to->own);
    }
    to->witnessed = body->witnessed;
    to->start_nonce = body->start_nonce;
    to->marks = encode_marks(arena, &body->marks);
    to->pair = encode_pair(arena, &body->pair);
    to->fork = wire_new(arena, sizeof(*to->fork));
    indaba__internal__fork__init(to->fork);
    to->fork->epoch = body->fork.epoch;
    to->fork->timeline = body->fork.timeline;
    to->fork->parent_timeline = body->fork.parent_timeline;
    to->fork->fork_lsn = body->fork.fork_lsn;
    to->system_identifier = body->system_identifier;
    to->loss_bound_bytes = body->loss_bound_bytes;
    to->detected_wall_ms = body->detected_wall_ms;
    to->evidence = wire_string(body->evidence);
    to->reason = wire_string(body->reason);
    to->could_lose = wire_string(body->could_lose);
}

static void put_report(struct wire_arena *arena,
                       const struct final_report *report,
                       Indaba__Internal__FinalReport *to)
{
    indaba__internal__final_report__init(to);
    to->instance = report->instance.value;
    to->incarnation = report->incarnation.value;
    to->position = encode_position(arena, report->position);
    to->replay_lag_bytes = report->replay_lag_bytes;
}

static Indaba__Internal__Marks *encode_marks(struct wire_arena *arena, const struct marks *marks)
{
    CHECK(marks->count <= MARKS_MAX);
    Indaba__Internal__Marks *to = wire_new(arena, sizeof(*to));
    indaba__internal__marks__init(to);
    to->acked = encode_position(arena, marks->acked);
    to->n_items = marks->count;
    to->items = (Indaba__Internal__Mark **)wire_new_messages(
        arena, marks->count, sizeof(Indaba__Internal__Mark));
    for (uint32_t i = 0; i < marks->count; i++) {
        indaba__internal__mark__init(to->items[i]);
        to->items[i]->instance = marks->items[i].instance.value;
        to->items[i]->incarnation = marks->items[i].incarnation.value;
        to->items[i]->position = encode_position(arena, marks->items[i].position);
    }
    return to;
}

void wire_encode_refusal(struct wire_arena *arena,
                         const struct command_refusal *body,
                         pb_command *message)
{
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_REFUSAL;
    message->refusal = wire_new(arena, sizeof(*message->refusal));
    indaba__internal__refusal__init(message->refusal);
    message->refusal->method = wire_string(body->method);
    message->refusal->reason = wire_string(body->reason);
    message->refusal->count = body->count;
}

void wire_encode_kv(struct wire_arena *arena, const struct command_kv *body, pb_command *message)
{
    (void)arena;
    (void)body;
    (void)message;
    UNREACHABLE("has a layout of its own");
}

void wire_encode_failover_request(struct wire_arena *arena,
                                  const struct command_failover_request *body,
                                  pb_command *message)
{
    Indaba__Internal__FailoverRequest *to = wire_new(arena, sizeof(*to));
    indaba__internal__failover_request__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_FAILOVER_REQUEST;
    message->failover_request = to;
    to->shard = wire_string(body->shard);
    to->instance = wire_string(body->instance);
    to->reason = wire_string(body->reason);
}

static Indaba__Internal__Position *encode_position(struct wire_arena *arena,
                                                   struct position position)
{
    Indaba__Internal__Position *to = wire_new(arena, sizeof(*to));
    indaba__internal__position__init(to);
    to->timeline = position.timeline;
    to->lsn = position.lsn;
    return to;
}

static Indaba__Internal__SyncPair *encode_pair(struct wire_arena *arena,
                                               const struct sync_pair *pair)
{
    CHECK(pair->members_count <= SYNC_SET_MAX);
    Indaba__Internal__SyncPair *to = wire_new(arena, sizeof(*to));
    indaba__internal__sync_pair__init(to);
    to->required = pair->required;
    to->n_members = pair->members_count;
    to->members = (Indaba__Internal__SyncMember **)wire_new_messages(
        arena, pair->members_count, sizeof(Indaba__Internal__SyncMember));
    for (uint32_t i = 0; i < pair->members_count; i++) {
        indaba__internal__sync_member__init(to->members[i]);
        to->members[i]->instance = pair->members[i].instance.value;
        to->members[i]->incarnation = pair->members[i].incarnation.value;
    }
    return to;
}
