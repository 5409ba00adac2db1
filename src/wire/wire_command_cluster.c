/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about members and the cluster as a whole, both ways. */
#include "wire/wire_command_internal.h"

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

void wire_encode_member_add(struct wire_arena *arena,
                            const struct command_member_add *body,
                            pb_command *message)
{
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_ADD;
    message->member_add = wire_new(arena, sizeof(*message->member_add));
    indaba__internal__member_add__init(message->member_add);
    message->member_add->member = wire_new(arena, sizeof(Indaba__Internal__Member));
    wire_command_encode_member(message->member_add->member, &body->member);
}

void wire_decode_member_add(struct wire_check *check,
                            const pb_command *message,
                            struct command_member_add *to)
{
    NEED_BODY(MEMBER_ADD);
    wire_command_decode_member(check, message->member_add->member, &to->member);
}

void wire_encode_member_change(struct wire_arena *arena,
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

void wire_decode_member_change(struct wire_check *check,
                               const pb_command *message,
                               struct command_member_change *to)
{
    NEED_BODY(MEMBER_CHANGE);
    const Indaba__Internal__MemberChange *from = message->member_change;
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

void wire_encode_member_gone(struct wire_arena *arena,
                             const struct command_member_gone *body,
                             pb_command *message)
{
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_GONE;
    message->member_gone = wire_new(arena, sizeof(*message->member_gone));
    indaba__internal__member_gone__init(message->member_gone);
    message->member_gone->id_hi = body->id.hi;
    message->member_gone->id_lo = body->id.lo;
}

void wire_decode_member_gone(struct wire_check *check,
                             const pb_command *message,
                             struct command_member_gone *to)
{
    NEED_BODY(MEMBER_GONE);
    to->id = (struct member_id){message->member_gone->id_hi, message->member_gone->id_lo};
}

void wire_encode_member_level(struct wire_arena *arena,
                              const struct command_member_level *body,
                              pb_command *message)
{
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_LEVEL;
    message->member_level = wire_new(arena, sizeof(*message->member_level));
    indaba__internal__member_level__init(message->member_level);
    message->member_level->id_hi = body->id.hi;
    message->member_level->id_lo = body->id.lo;
    message->member_level->level = body->level;
}

void wire_decode_member_level(struct wire_check *check,
                              const pb_command *message,
                              struct command_member_level *to)
{
    NEED_BODY(MEMBER_LEVEL);
    to->id = (struct member_id){message->member_level->id_hi, message->member_level->id_lo};
    to->level = message->member_level->level;
}

void wire_encode_member_vouched(struct wire_arena *arena,
                                const struct command_member_vouched *body,
                                pb_command *message)
{
    Indaba__Internal__MemberVouched *to = wire_new(arena, sizeof(*to));
    indaba__internal__member_vouched__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_MEMBER_VOUCHED;
    message->member_vouched = to;
    to->by_hi = body->by.hi;
    to->by_lo = body->by.lo;
    to->id_hi = body->id.hi;
    to->id_lo = body->id.lo;
    to->name = wire_string(body->name);
    to->who = wire_string(body->who);
    to->reason = wire_string(body->reason);
    to->said_wall_ms = body->said_wall_ms;
}

void wire_decode_member_vouched(struct wire_check *check,
                                const pb_command *message,
                                struct command_member_vouched *to)
{
    NEED_BODY(MEMBER_VOUCHED);
    const Indaba__Internal__MemberVouched *from = message->member_vouched;
    to->by = (struct member_id){from->by_hi, from->by_lo};
    to->id = (struct member_id){from->id_hi, from->id_lo};
    WIRE_COPY_TEXT(check, to->name, from->name);
    WIRE_COPY_TEXT(check, to->who, from->who);
    WIRE_COPY_TEXT(check, to->reason, from->reason);
    to->said_wall_ms = from->said_wall_ms;
}

void wire_encode_cluster_set(struct wire_arena *arena,
                             const struct command_cluster_set *body,
                             pb_command *message)
{
    Indaba__Internal__ClusterSet *to = wire_new(arena, sizeof(*to));
    indaba__internal__cluster_set__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_SET;
    message->cluster_set = to;
    to->heartbeat_ms = body->heartbeat_ms;
    to->election_ms = body->election_ms;
    to->commit_regions = body->commit_regions;
    to->lease_ms = body->lease_ms;
    to->leader_region = wire_string(body->leader_region);
}

void wire_decode_cluster_set(struct wire_check *check,
                             const pb_command *message,
                             struct command_cluster_set *to)
{
    NEED_BODY(CLUSTER_SET);
    to->heartbeat_ms = message->cluster_set->heartbeat_ms;
    to->election_ms = message->cluster_set->election_ms;
    to->commit_regions = message->cluster_set->commit_regions;
    to->lease_ms = message->cluster_set->lease_ms;
    WIRE_COPY_TEXT(check, to->leader_region, message->cluster_set->leader_region);
}

void wire_encode_cluster_recovered(struct wire_arena *arena,
                                   const struct command_cluster_recovered *body,
                                   pb_command *message)
{
    Indaba__Internal__ClusterRecovered *to = wire_new(arena, sizeof(*to));
    indaba__internal__cluster_recovered__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_RECOVERED;
    message->cluster_recovered = to;
    to->survivor_hi = body->survivor.hi;
    to->survivor_lo = body->survivor.lo;
    to->cluster_epoch = body->cluster_epoch;
    to->reason = wire_string(body->reason);
}

void wire_decode_cluster_recovered(struct wire_check *check,
                                   const pb_command *message,
                                   struct command_cluster_recovered *to)
{
    NEED_BODY(CLUSTER_RECOVERED);
    const Indaba__Internal__ClusterRecovered *from = message->cluster_recovered;
    to->survivor = (struct member_id){from->survivor_hi, from->survivor_lo};
    to->cluster_epoch = from->cluster_epoch;
    WIRE_COPY_TEXT(check, to->reason, from->reason);
}

void wire_encode_cluster_confirm(struct wire_arena *arena,
                                 const struct command_cluster_confirm *body,
                                 pb_command *message)
{
    Indaba__Internal__ClusterConfirm *to = wire_new(arena, sizeof(*to));
    indaba__internal__cluster_confirm__init(to);
    message->body_case = INDABA__INTERNAL__COMMAND__BODY_CLUSTER_CONFIRM;
    message->cluster_confirm = to;
    to->cluster_epoch = body->cluster_epoch;
    to->reason = wire_string(body->reason);
}

void wire_decode_cluster_confirm(struct wire_check *check,
                                 const pb_command *message,
                                 struct command_cluster_confirm *to)
{
    NEED_BODY(CLUSTER_CONFIRM);
    to->cluster_epoch = message->cluster_confirm->cluster_epoch;
    WIRE_COPY_TEXT(check, to->reason, message->cluster_confirm->reason);
}
