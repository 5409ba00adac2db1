/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about members and the cluster as a whole, both ways. */
#include "base/check.h"
#include "wire/wire_command_internal.h"

static void
encode_member(struct wire_arena *arena, const struct command *command, pb_command *message);
static void encode_member_change(struct wire_arena *arena,
                                 const struct command_member_change *body,
                                 pb_command *message);
static void
encode_settings(struct wire_arena *arena, const struct command *command, pb_command *message);
static void
decode_member(struct wire_check *check, const pb_command *message, struct command *command);
static void decode_member_change(struct wire_check *check,
                                 const Indaba__Internal__MemberChange *from,
                                 struct command_member_change *to);
static void
decode_settings(struct wire_check *check, const pb_command *message, struct command *command);
static void encode_vouched(struct wire_arena *arena,
                           const struct command_member_vouched *body,
                           pb_command *message);
static void
decode_vouched(struct wire_check *check, const pb_command *message, struct command *command);

void wire_command_encode_cluster(struct wire_arena *arena,
                                 const struct command *command,
                                 pb_command *message)
{
    bool of_member = command->kind >= COMMAND_MEMBER_ADD && command->kind <= COMMAND_MEMBER_LEVEL;
    if (of_member) {
        encode_member(arena, command, message);
    } else if (command->kind == COMMAND_MEMBER_VOUCHED) {
        encode_vouched(arena, &command->member_vouched, message);
    } else {
        encode_settings(arena, command, message);
    }
}

void wire_command_decode_cluster(struct wire_check *check,
                                 const pb_command *message,
                                 struct command *command)
{
    bool of_member = command->kind >= COMMAND_MEMBER_ADD && command->kind <= COMMAND_MEMBER_LEVEL;
    if (of_member) {
        decode_member(check, message, command);
    } else if (command->kind == COMMAND_MEMBER_VOUCHED) {
        decode_vouched(check, message, command);
    } else {
        decode_settings(check, message, command);
    }
}

void wire_command_encode_member(Indaba__Internal__Member *to, const struct member *member)
{
    indaba__internal__member__init(to);
    to->id_hi = member->id.hi;
    to->id_lo = member->id.lo;
    to->name = wire_string(member->name);
    to->region = wire_string(member->region);
    to->peer_address = wire_string(member->peer_address);
    to->api_address = wire_string(member->api_address);
    to->ops_address = wire_string(member->ops_address);
    to->standing = (uint32_t)member->standing;
}

void wire_command_decode_member(struct wire_check *check,
                                const Indaba__Internal__Member *from,
                                struct member *to)
{
    if (from == NULL || from->standing >= MEMBER_STANDING_COUNT) {
        wire_require(check, false);
        return;
    }
    to->id = (struct member_id){from->id_hi, from->id_lo};
    WIRE_COPY_TEXT(check, to->name, from->name);
    WIRE_COPY_TEXT(check, to->region, from->region);
    WIRE_COPY_TEXT(check, to->peer_address, from->peer_address);
    WIRE_COPY_TEXT(check, to->api_address, from->api_address);
    WIRE_COPY_TEXT(check, to->ops_address, from->ops_address);
    to->standing = (enum member_standing)from->standing;
}

static void
encode_member(struct wire_arena *arena, const struct command *command, pb_command *message)
{
    if (command->kind == COMMAND_MEMBER_ADD) {
        message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_ADD;
        message->member_add = wire_new(arena, sizeof(*message->member_add));
        indaba__internal__member_add__init(message->member_add);
        message->member_add->member = wire_new(arena, sizeof(Indaba__Internal__Member));
        wire_command_encode_member(message->member_add->member, &command->member_add.member);
    } else if (command->kind == COMMAND_MEMBER_CHANGE) {
        encode_member_change(arena, &command->member_change, message);
    } else if (command->kind == COMMAND_MEMBER_GONE) {
        message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_GONE;
        message->member_gone = wire_new(arena, sizeof(*message->member_gone));
        indaba__internal__member_gone__init(message->member_gone);
        message->member_gone->id_hi = command->member_gone.id.hi;
        message->member_gone->id_lo = command->member_gone.id.lo;
    } else {
        CHECK(command->kind == COMMAND_MEMBER_LEVEL);
        message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_LEVEL;
        message->member_level = wire_new(arena, sizeof(*message->member_level));
        indaba__internal__member_level__init(message->member_level);
        message->member_level->id_hi = command->member_level.id.hi;
        message->member_level->id_lo = command->member_level.id.lo;
        message->member_level->level = command->member_level.level;
    }
}

static void encode_member_change(struct wire_arena *arena,
                                 const struct command_member_change *body,
                                 pb_command *message)
{
    Indaba__Internal__MemberChange *to = wire_new(arena, sizeof(*to));
    indaba__internal__member_change__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_CHANGE;
    message->member_change = to;
    to->name = wire_string(body->name);
    to->standing = (uint32_t)body->standing;
    to->peer_address = wire_string(body->peer_address);
    to->api_address = wire_string(body->api_address);
    to->ops_address = wire_string(body->ops_address);
}

static void
encode_settings(struct wire_arena *arena, const struct command *command, pb_command *message)
{
    if (command->kind == COMMAND_CLUSTER_SET) {
        Indaba__Internal__ClusterSet *to = wire_new(arena, sizeof(*to));
        indaba__internal__cluster_set__init(to);
        message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_SET;
        message->cluster_set = to;
        to->heartbeat_ms = command->cluster_set.heartbeat_ms;
        to->election_ms = command->cluster_set.election_ms;
        to->commit_regions = command->cluster_set.commit_regions;
        to->lease_ms = command->cluster_set.lease_ms;
        to->leader_region = wire_string(command->cluster_set.leader_region);
    } else if (command->kind == COMMAND_CLUSTER_RECOVERED) {
        Indaba__Internal__ClusterRecovered *to = wire_new(arena, sizeof(*to));
        indaba__internal__cluster_recovered__init(to);
        message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_RECOVERED;
        message->cluster_recovered = to;
        to->survivor_hi = command->cluster_recovered.survivor.hi;
        to->survivor_lo = command->cluster_recovered.survivor.lo;
        to->cluster_epoch = command->cluster_recovered.cluster_epoch;
        to->reason = wire_string(command->cluster_recovered.reason);
    } else {
        CHECK(command->kind == COMMAND_CLUSTER_CONFIRM);
        Indaba__Internal__ClusterConfirm *to = wire_new(arena, sizeof(*to));
        indaba__internal__cluster_confirm__init(to);
        message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_CONFIRM;
        message->cluster_confirm = to;
        to->cluster_epoch = command->cluster_confirm.cluster_epoch;
        to->reason = wire_string(command->cluster_confirm.reason);
    }
}

static void
decode_member(struct wire_check *check, const pb_command *message, struct command *command)
{
    if (command->kind == COMMAND_MEMBER_ADD) {
        NEED_BODY(MEMBER_ADD);
        wire_command_decode_member(check, message->member_add->member, &command->member_add.member);
    } else if (command->kind == COMMAND_MEMBER_CHANGE) {
        NEED_BODY(MEMBER_CHANGE);
        decode_member_change(check, message->member_change, &command->member_change);
    } else if (command->kind == COMMAND_MEMBER_GONE) {
        NEED_BODY(MEMBER_GONE);
        command->member_gone.id =
            (struct member_id){message->member_gone->id_hi, message->member_gone->id_lo};
    } else {
        NEED_BODY(MEMBER_LEVEL);
        command->member_level.id =
            (struct member_id){message->member_level->id_hi, message->member_level->id_lo};
        command->member_level.level = message->member_level->level;
    }
}

static void decode_member_change(struct wire_check *check,
                                 const Indaba__Internal__MemberChange *from,
                                 struct command_member_change *to)
{
    if (from->standing >= MEMBER_STANDING_COUNT) {
        wire_require(check, false);
        return;
    }
    to->standing = (enum member_standing)from->standing;
    WIRE_COPY_TEXT(check, to->name, from->name);
    WIRE_COPY_TEXT(check, to->peer_address, from->peer_address);
    WIRE_COPY_TEXT(check, to->api_address, from->api_address);
    WIRE_COPY_TEXT(check, to->ops_address, from->ops_address);
}

static void
decode_settings(struct wire_check *check, const pb_command *message, struct command *command)
{
    if (command->kind == COMMAND_CLUSTER_SET) {
        NEED_BODY(CLUSTER_SET);
        command->cluster_set.heartbeat_ms = message->cluster_set->heartbeat_ms;
        command->cluster_set.election_ms = message->cluster_set->election_ms;
        command->cluster_set.commit_regions = message->cluster_set->commit_regions;
        command->cluster_set.lease_ms = message->cluster_set->lease_ms;
        WIRE_COPY_TEXT(
            check, command->cluster_set.leader_region, message->cluster_set->leader_region);
    } else if (command->kind == COMMAND_CLUSTER_RECOVERED) {
        NEED_BODY(CLUSTER_RECOVERED);
        const Indaba__Internal__ClusterRecovered *from = message->cluster_recovered;
        command->cluster_recovered.survivor =
            (struct member_id){from->survivor_hi, from->survivor_lo};
        command->cluster_recovered.cluster_epoch = from->cluster_epoch;
        WIRE_COPY_TEXT(check, command->cluster_recovered.reason, from->reason);
    } else {
        NEED_BODY(CLUSTER_CONFIRM);
        command->cluster_confirm.cluster_epoch = message->cluster_confirm->cluster_epoch;
        WIRE_COPY_TEXT(check, command->cluster_confirm.reason, message->cluster_confirm->reason);
    }
}

static void encode_vouched(struct wire_arena *arena,
                           const struct command_member_vouched *body,
                           pb_command *message)
{
    Indaba__Internal__MemberVouched *to = wire_new(arena, sizeof(*to));
    indaba__internal__member_vouched__init(to);
    to->by_hi = body->by.hi;
    to->by_lo = body->by.lo;
    to->id_hi = body->id.hi;
    to->id_lo = body->id.lo;
    to->name = wire_string(body->name);
    to->who = wire_string(body->who);
    to->reason = wire_string(body->reason);
    to->said_wall_ms = body->said_wall_ms;
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_VOUCHED;
    message->member_vouched = to;
}

static void
decode_vouched(struct wire_check *check, const pb_command *message, struct command *command)
{
    NEED_BODY(MEMBER_VOUCHED);
    const Indaba__Internal__MemberVouched *from = message->member_vouched;
    struct command_member_vouched *to = &command->member_vouched;
    to->by = (struct member_id){from->by_hi, from->by_lo};
    to->id = (struct member_id){from->id_hi, from->id_lo};
    WIRE_COPY_TEXT(check, to->name, from->name);
    WIRE_COPY_TEXT(check, to->who, from->who);
    WIRE_COPY_TEXT(check, to->reason, from->reason);
    to->said_wall_ms = from->said_wall_ms;
}
