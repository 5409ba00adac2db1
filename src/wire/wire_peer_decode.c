/* SPDX-License-Identifier: Apache-2.0 */
/* bytes -> struct raft_message, struct wire_handshake. Peers are authenticated members, and still
 * nothing from them is trusted beyond the limits. */
#include "base/check.h"
#include "base/mem.h"
#include "indaba/internal/peer.pb-c.h"
#include "wire/wire_peer.h"
#include "wire/wire_text.h"

#include <string.h>

enum {
    APPEND_ENTRIES_MAX = 65536
};

typedef Indaba__Internal__RaftMessage pb_message;

static enum error decode_body(const pb_message *from, struct raft_message *to);
static enum error decode_append(const Indaba__Internal__Append *from, struct raft_append *to);
static enum error decode_snapshot(const Indaba__Internal__InstallSnapshot *from,
                                  struct raft_install_snapshot *to);
static bool body_fits(const pb_message *from);
static bool terms_are_possible(const struct raft_message *message);

enum error wire_handshake_decode(struct slice bytes, struct wire_handshake *handshake_out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(bytes.len));
    ProtobufCMessage *base = NULL;
    enum error error = wire_unpack(&indaba__internal__handshake__descriptor, bytes, &arena, &base);
    if (error == ERR_OK) {
        const Indaba__Internal__Handshake *from = (const void *)base;
        struct wire_check check = {.error = ERR_OK};
        struct wire_handshake handshake = {
            .protocol_version = from->protocol_version,
            .cluster = {from->cluster_hi, from->cluster_lo},
            .member = {from->member_hi, from->member_lo},
            .process_incarnation = from->process_incarnation,
            .lane = (enum wire_lane)from->lane,
        };
        wire_require(&check, from->lane >= WIRE_LANE_HEARTBEAT && from->lane <= WIRE_LANE_SNAPSHOT);
        WIRE_COPY_TEXT(&check, handshake.refusal, from->refusal);
        WIRE_COPY_TEXT(&check, handshake.name, from->name);
        WIRE_COPY_TEXT(&check, handshake.peer_address, from->peer_address);
        handshake.command_level = from->command_level;
        handshake.cluster_epoch_plus_1 = from->cluster_epoch_plus_1;
        handshake.answers_pings = from->answers_pings;
        handshake.names_members = from->names_members;
        handshake.blank = from->blank;
        handshake.refused_for_good = from->refused_for_good;
        error = check.error;
        if (error == ERR_OK) {
            *handshake_out = handshake;
        }
    }
    wire_arena_deinit(&arena);
    return error;
}

enum error wire_raft_message_decode(struct slice bytes, struct raft_message *message_out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(bytes.len));
    ProtobufCMessage *base = NULL;
    enum error error =
        wire_unpack(&indaba__internal__raft_message__descriptor, bytes, &arena, &base);
    if (error == ERR_OK) {
        const pb_message *from = (const void *)base;
        struct raft_message message;
        memset(&message, 0, sizeof(message));
        message.type = (enum raft_message_type)from->type;
        message.from = (struct member_id){from->from_hi, from->from_lo};
        message.to = (struct member_id){from->to_hi, from->to_lo};
        message.term = from->term;
        error = body_fits(from) ? decode_body(from, &message) : ERR_PROTOCOL;
        if (error == ERR_OK && !terms_are_possible(&message)) {
            error = ERR_PROTOCOL;
        }
        if (error == ERR_OK) {
            *message_out = message;
        } else if (body_fits(from)) {
            raft_message_deinit(&message);
        }
    }
    wire_arena_deinit(&arena);
    return error;
}

/* Is the type known, and does the message carry the body of its type? */
static bool body_fits(const pb_message *from)
{
    switch (from->type) {
    case RAFT_REQUEST_VOTE:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_REQUEST_VOTE;
    case RAFT_REQUEST_VOTE_RESULT:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_REQUEST_VOTE_RESULT;
    case RAFT_APPEND:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_APPEND;
    case RAFT_APPEND_RESULT:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_APPEND_RESULT;
    case RAFT_HEARTBEAT:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_HEARTBEAT;
    case RAFT_HEARTBEAT_RESULT:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_HEARTBEAT_RESULT;
    case RAFT_INSTALL_SNAPSHOT:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_INSTALL_SNAPSHOT;
    case RAFT_INSTALL_SNAPSHOT_RESULT:
        return from->body_case == INDABA__INTERNAL__RAFT_MESSAGE__BODY_INSTALL_SNAPSHOT_RESULT;
    case RAFT_TIMEOUT_NOW:
        return true;
    default:
        return false;
    }
}

/* Of the message, and of the entries that it carries or is about. */
static bool terms_are_possible(const struct raft_message *message)
{
    uint64_t latest = message->term;
    uint64_t within = 0;
    if (message->type == RAFT_REQUEST_VOTE) {
        within = message->request_vote.last_term;
    } else if (message->type == RAFT_APPEND) {
        const struct raft_append *append = &message->append;
        uint32_t count = append->entries_count; /* their terms ascend */
        within = count > 0 ? append->entries[count - 1].term : append->prev_term;
    } else if (message->type == RAFT_APPEND_RESULT) {
        within = message->append_result.hint_term;
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        within = message->install_snapshot.last_term;
    }
    latest = within > latest ? within : latest;
    return latest <= RAFT_TERM_MAX;
}

static enum error decode_body(const pb_message *from, struct raft_message *to)
{
    switch (to->type) {
    case RAFT_REQUEST_VOTE:
        to->request_vote = (struct raft_request_vote){
            .last_index = from->request_vote->last_index,
            .last_term = from->request_vote->last_term,
            .pre_vote = from->request_vote->pre_vote,
            .disrupt = from->request_vote->disrupt,
        };
        return ERR_OK;
    case RAFT_REQUEST_VOTE_RESULT:
        to->request_vote_result.granted = from->request_vote_result->granted;
        to->request_vote_result.pre_vote = from->request_vote_result->pre_vote;
        return ERR_OK;
    case RAFT_APPEND:
        return decode_append(from->append, &to->append);
    case RAFT_APPEND_RESULT:
        to->append_result = (struct raft_append_result){
            .success = from->append_result->success,
            .index = from->append_result->index,
            .hint_index = from->append_result->hint_index,
            .hint_term = from->append_result->hint_term,
        };
        return ERR_OK;
    case RAFT_HEARTBEAT:
        to->heartbeat.commit = from->heartbeat->commit;
        to->heartbeat.probe = from->heartbeat->probe;
        to->heartbeat.agreed_index = from->heartbeat->agreed_index;
        to->heartbeat.agreed_hash = from->heartbeat->agreed_hash;
        return ERR_OK;
    case RAFT_HEARTBEAT_RESULT:
        to->heartbeat_result.probe = from->heartbeat_result->probe;
        to->heartbeat_result.applied_index = from->heartbeat_result->applied_index;
        to->heartbeat_result.state_hash = from->heartbeat_result->state_hash;
        return ERR_OK;
    case RAFT_INSTALL_SNAPSHOT:
        return decode_snapshot(from->install_snapshot, &to->install_snapshot);
    case RAFT_INSTALL_SNAPSHOT_RESULT:
        to->install_snapshot_result.last_index = from->install_snapshot_result->last_index;
        to->install_snapshot_result.offset = from->install_snapshot_result->offset;
        to->install_snapshot_result.done = from->install_snapshot_result->done;
        return ERR_OK;
    case RAFT_TIMEOUT_NOW:
        return ERR_OK;
    }
    UNREACHABLE("body_fits knows the types");
}

static enum error decode_append(const Indaba__Internal__Append *from, struct raft_append *to)
{
    to->prev_index = from->prev_index;
    to->prev_term = from->prev_term;
    to->commit = from->commit;
    if (from->n_entries > APPEND_ENTRIES_MAX) {
        return ERR_LIMIT;
    }
    if (from->n_entries == 0) {
        return ERR_OK;
    }
    to->entries = mem_new_array(from->n_entries, sizeof(*to->entries));
    for (size_t i = 0; i < from->n_entries; i++) {
        const Indaba__Internal__Entry *entry = from->entries[i];
        /* The core relies on contiguous entries above prev_index, with terms that never fall. */
        bool in_order = entry->index == from->prev_index + 1 + i && entry->term > 0 &&
                        entry->term >= (i == 0 ? from->prev_term : from->entries[i - 1]->term);
        bool known = entry->kind >= RAFT_ENTRY_NOOP && entry->kind <= RAFT_ENTRY_CONFIGURATION;
        if (!in_order || !known || entry->payload.len > RAFT_PAYLOAD_MAX) {
            return ERR_PROTOCOL;
        }
        to->entries[i] = (struct raft_entry){
            .term = entry->term,
            .index = entry->index,
            .kind = (enum raft_entry_kind)entry->kind,
            .payload = blob_new(slice_of(entry->payload.data, entry->payload.len)),
        };
        to->entries_count++;
    }
    return ERR_OK;
}

static enum error decode_snapshot(const Indaba__Internal__InstallSnapshot *from,
                                  struct raft_install_snapshot *to)
{
    if (from->n_servers > RAFT_SERVERS_MAX || from->chunk.len > RAFT_SNAPSHOT_CHUNK_MAX) {
        return ERR_LIMIT;
    }
    to->last_index = from->last_index;
    to->last_term = from->last_term;
    to->offset = from->offset;
    to->last = from->last;
    to->size = from->size;
    to->configuration.rules = (struct raft_rules){
        .heartbeat_ms = from->heartbeat_ms,
        .election_ms = from->election_ms,
        .commit_regions_min = from->commit_regions_min,
    };
    to->configuration.count = (uint32_t)from->n_servers;
    for (size_t i = 0; i < from->n_servers; i++) {
        to->configuration.servers[i] = (struct raft_server){
            .id = {from->servers[i]->id_hi, from->servers[i]->id_lo},
            .voter = from->servers[i]->voter,
            .voter_old = from->servers[i]->voter_old,
            .region = from->servers[i]->region,
            .promote = from->servers[i]->promote,
            .demoted = from->servers[i]->demoted,
        };
    }
    to->chunk = blob_new(slice_of(from->chunk.data, from->chunk.len));
    return ERR_OK;
}
