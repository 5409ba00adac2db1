/* SPDX-License-Identifier: Apache-2.0 */
/* struct raft_message, struct wire_handshake -> bytes. */
#include "base/check.h"
#include "indaba/internal/peer.pb-c.h"
#include "wire/wire_peer.h"
#include "wire/wire_text.h"

/* Pointers and small structs only; payloads are not copied into the arena. */
enum {
    ENCODE_CAP = 8 * 1024 * 1024
};

typedef Indaba__Internal__RaftMessage pb_message;

static void encode_body(struct wire_arena *arena, const struct raft_message *from, pb_message *to);
static void encode_append(struct wire_arena *arena, const struct raft_append *from, pb_message *to);
static void encode_append_result(struct wire_arena *arena,
                                 const struct raft_append_result *from,
                                 pb_message *to);
static void encode_votes(struct wire_arena *arena, const struct raft_message *from, pb_message *to);
static void
encode_heartbeats(struct wire_arena *arena, const struct raft_message *from, pb_message *to);
static void
encode_snapshots(struct wire_arena *arena, const struct raft_message *from, pb_message *to);

void wire_handshake_encode(const struct wire_handshake *handshake, struct buf *out)
{
    Indaba__Internal__Handshake message = INDABA__INTERNAL__HANDSHAKE__INIT;
    message.protocol_version = handshake->protocol_version;
    message.cluster_hi = handshake->cluster.hi;
    message.cluster_lo = handshake->cluster.lo;
    message.member_hi = handshake->member.hi;
    message.member_lo = handshake->member.lo;
    message.process_incarnation = handshake->process_incarnation;
    message.lane = (uint32_t)handshake->lane;
    message.refusal = wire_string(handshake->refusal);
    message.name = wire_string(handshake->name);
    message.peer_address = wire_string(handshake->peer_address);
    message.command_level = handshake->command_level;
    message.cluster_epoch_plus_1 = handshake->cluster_epoch_plus_1;
    message.answers_pings = handshake->answers_pings;
    message.names_members = handshake->names_members;
    message.blank = handshake->blank;
    message.refused_for_good = handshake->refused_for_good;
    wire_pack(&message.base, out);
}

void wire_raft_message_encode(const struct raft_message *message, struct buf *out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, ENCODE_CAP);
    pb_message to = INDABA__INTERNAL__RAFT_MESSAGE__INIT;
    to.type = (uint32_t)message->type;
    to.from_hi = message->from.hi;
    to.from_lo = message->from.lo;
    to.to_hi = message->to.hi;
    to.to_lo = message->to.lo;
    to.term = message->term;
    encode_body(&arena, message, &to);
    wire_pack(&to.base, out);
    wire_arena_deinit(&arena);
}

/* Makes the sub-message `field` of type `type_name` and names it as the body. */
#define NEW_BODY(arena, to, FIELD, field, type_name)                    \
    do {                                                                \
        (to)->body_case = INDABA__INTERNAL__RAFT_MESSAGE__BODY_##FIELD; \
        (to)->field = wire_new((arena), sizeof(*(to)->field));          \
        indaba__internal__##type_name##__init((to)->field);             \
    } while (0)

static void encode_body(struct wire_arena *arena, const struct raft_message *from, pb_message *to)
{
    switch (from->type) {
    case RAFT_REQUEST_VOTE:
    case RAFT_REQUEST_VOTE_RESULT:
        encode_votes(arena, from, to);
        return;
    case RAFT_APPEND:
        encode_append(arena, &from->append, to);
        return;
    case RAFT_APPEND_RESULT:
        encode_append_result(arena, &from->append_result, to);
        return;
    case RAFT_HEARTBEAT:
    case RAFT_HEARTBEAT_RESULT:
        encode_heartbeats(arena, from, to);
        return;
    case RAFT_INSTALL_SNAPSHOT:
    case RAFT_INSTALL_SNAPSHOT_RESULT:
        encode_snapshots(arena, from, to);
        return;
    case RAFT_TIMEOUT_NOW:
        return;
    }
    UNREACHABLE("a message has one of the types above");
}

static void encode_votes(struct wire_arena *arena, const struct raft_message *from, pb_message *to)
{
    if (from->type == RAFT_REQUEST_VOTE) {
        NEW_BODY(arena, to, REQUEST_VOTE, request_vote, request_vote);
        to->request_vote->last_index = from->request_vote.last_index;
        to->request_vote->last_term = from->request_vote.last_term;
        to->request_vote->pre_vote = from->request_vote.pre_vote;
        to->request_vote->disrupt = from->request_vote.disrupt;
        return;
    }
    NEW_BODY(arena, to, REQUEST_VOTE_RESULT, request_vote_result, request_vote_result);
    to->request_vote_result->granted = from->request_vote_result.granted;
    to->request_vote_result->pre_vote = from->request_vote_result.pre_vote;
}

static void encode_append(struct wire_arena *arena, const struct raft_append *from, pb_message *to)
{
    NEW_BODY(arena, to, APPEND, append, append);
    Indaba__Internal__Append *append = to->append;
    append->prev_index = from->prev_index;
    append->prev_term = from->prev_term;
    append->commit = from->commit;
    append->n_entries = from->entries_count;
    append->entries = (Indaba__Internal__Entry **)wire_new_messages(
        arena, from->entries_count, sizeof(Indaba__Internal__Entry));
    for (uint32_t i = 0; i < from->entries_count; i++) {
        const struct raft_entry *entry = &from->entries[i];
        indaba__internal__entry__init(append->entries[i]);
        append->entries[i]->term = entry->term;
        append->entries[i]->index = entry->index;
        append->entries[i]->kind = (uint32_t)entry->kind;
        append->entries[i]->payload.data = entry->payload->data;
        append->entries[i]->payload.len = entry->payload->len;
    }
}

static void encode_append_result(struct wire_arena *arena,
                                 const struct raft_append_result *from,
                                 pb_message *to)
{
    NEW_BODY(arena, to, APPEND_RESULT, append_result, append_result);
    to->append_result->success = from->success;
    to->append_result->index = from->index;
    to->append_result->hint_index = from->hint_index;
    to->append_result->hint_term = from->hint_term;
}

static void
encode_heartbeats(struct wire_arena *arena, const struct raft_message *from, pb_message *to)
{
    if (from->type == RAFT_HEARTBEAT) {
        NEW_BODY(arena, to, HEARTBEAT, heartbeat, heartbeat);
        to->heartbeat->commit = from->heartbeat.commit;
        to->heartbeat->probe = from->heartbeat.probe;
        to->heartbeat->agreed_index = from->heartbeat.agreed_index;
        to->heartbeat->agreed_hash = from->heartbeat.agreed_hash;
        return;
    }
    NEW_BODY(arena, to, HEARTBEAT_RESULT, heartbeat_result, heartbeat_result);
    to->heartbeat_result->probe = from->heartbeat_result.probe;
    to->heartbeat_result->applied_index = from->heartbeat_result.applied_index;
    to->heartbeat_result->state_hash = from->heartbeat_result.state_hash;
}

static void
encode_snapshots(struct wire_arena *arena, const struct raft_message *from, pb_message *to)
{
    if (from->type == RAFT_INSTALL_SNAPSHOT_RESULT) {
        NEW_BODY(
            arena, to, INSTALL_SNAPSHOT_RESULT, install_snapshot_result, install_snapshot_result);
        to->install_snapshot_result->last_index = from->install_snapshot_result.last_index;
        to->install_snapshot_result->offset = from->install_snapshot_result.offset;
        to->install_snapshot_result->done = from->install_snapshot_result.done;
        return;
    }
    const struct raft_install_snapshot *snapshot = &from->install_snapshot;
    NEW_BODY(arena, to, INSTALL_SNAPSHOT, install_snapshot, install_snapshot);
    to->install_snapshot->last_index = snapshot->last_index;
    to->install_snapshot->last_term = snapshot->last_term;
    to->install_snapshot->offset = snapshot->offset;
    to->install_snapshot->last = snapshot->last;
    to->install_snapshot->size = snapshot->size;
    to->install_snapshot->heartbeat_ms = snapshot->configuration.rules.heartbeat_ms;
    to->install_snapshot->election_ms = snapshot->configuration.rules.election_ms;
    to->install_snapshot->commit_regions_min = snapshot->configuration.rules.commit_regions_min;
    if (snapshot->chunk != NULL) {
        to->install_snapshot->chunk.data = snapshot->chunk->data;
        to->install_snapshot->chunk.len = snapshot->chunk->len;
    }
    uint32_t count = snapshot->configuration.count;
    CHECK(count <= RAFT_SERVERS_MAX);
    to->install_snapshot->n_servers = count;
    to->install_snapshot->servers = (Indaba__Internal__Server **)wire_new_messages(
        arena, count, sizeof(Indaba__Internal__Server));
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_server *server = &snapshot->configuration.servers[i];
        Indaba__Internal__Server *target = to->install_snapshot->servers[i];
        indaba__internal__server__init(target);
        target->id_hi = server->id.hi;
        target->id_lo = server->id.lo;
        target->voter = server->voter;
        target->voter_old = server->voter_old;
        target->region = server->region;
        target->promote = server->promote;
        target->demoted = server->demoted;
    }
}
