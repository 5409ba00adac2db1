/* SPDX-License-Identifier: Apache-2.0 */
/* See peers.h. Here: the set of peers, sending, handshakes, and what counts as evidence. */
#include "coordinator/peers_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_peer(struct peers *peers, const struct member *member);
static struct peer *find(struct peers *peers, struct member_id id);
static enum wire_lane lane_of(enum raft_message_type type);
static void free_if_done(struct peers *peers);

enum error peers_new(const struct peers_options *options, char *errmsg, struct peers **peers_out)
{
    CHECK(options->process_incarnation != 0);
    CHECK(options->handlers.on_message != NULL);
    const struct member_config *config = options->config;
    const struct stream_listen_options listen = {
        .address = config->listen_peer,
        .stream = {.tls = options->tls,
                   .tls_role = TLS_SERVER,
                   .alpn = PEER_ALPN,
                   .peer_path_prefix = "/member/"},
        .connections_max = 256,
        .half_open_max = 64,
    };
    struct peers *peers = mem_new(sizeof(*peers));
    peers->options = *options;
    const struct stream_acceptor acceptor = {.on_accept = peer_inbound_accept, .ctx = peers};
    enum error error = stream_listen(options->net, &listen, acceptor, errmsg, &peers->listener);
    if (error != ERR_OK) {
        mem_free(peers);
        return error;
    }
    peers->items = mem_new_array(MEMBERS_MAX, sizeof(*peers->items));
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (!member_id_equal(config->members[i].id, config->member)) {
            add_peer(peers, &config->members[i]);
        }
    }
    *peers_out = peers;
    return ERR_OK;
}

void peers_free(struct peers *peers)
{
    peers->closing = true;
    stream_listener_close(peers->listener);
    peer_inbound_close_all(peers);
    for (uint32_t i = 0; i < peers->count; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            peer_link_stop(&peers->items[i].links[lane]);
        }
    }
    free_if_done(peers);
}

void peers_send(struct peers *peers, const struct raft_message *message)
{
    struct peer *peer = find(peers, message->to);
    if (peer == NULL) {
        return;
    }
    struct peer_link *link = &peer->links[lane_of(message->type) - 1];
    if (!link->open) {
        peer->dropped++;
        return;
    }
    buf_clear(&peers->scratch);
    wire_raft_message_encode(message, &peers->scratch);
    struct slice payload = buf_view(&peers->scratch);
    if (frame_write(link->stream, PEER_FRAME_RAFT, &payload, 1) != ERR_OK) {
        peer->dropped++;
    }
}

uint32_t peers_status(const struct peers *peers, struct peer_status *statuses_out)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->items[i];
        size_t queued = 0;
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            const struct peer_link *link = &peer->links[lane];
            queued += link->open ? stream_queued_bytes(link->stream) : 0;
        }
        statuses_out[i] = (struct peer_status){
            .id = peer->member->id,
            .name = peer->member->name,
            .heartbeat_open = peer->links[WIRE_LANE_HEARTBEAT - 1].open,
            .bulk_open = peer->links[WIRE_LANE_BULK - 1].open,
            .dead = peer->evidence == PEER_REFUSED,
            .queued_bytes = queued,
            .dropped = peer->dropped,
            .detail = peer->detail,
        };
    }
    return peers->count;
}

enum error peers_check_handshake(struct peers *peers,
                                 const struct wire_handshake *handshake,
                                 const char *identity,
                                 char *refusal,
                                 struct peer **peer_out)
{
    if (handshake->protocol_version != WIRE_PEER_PROTOCOL_VERSION) {
        (void)snprintf(refusal,
                       WIRE_REFUSAL_SIZE,
                       "peer protocol %" PRIu32 " is not spoken here (%d is): upgrade one of us",
                       handshake->protocol_version,
                       WIRE_PEER_PROTOCOL_VERSION);
        return ERR_VERSION;
    }
    if (!cluster_id_equal(handshake->cluster, peers->options.config->cluster)) {
        (void)snprintf(refusal, WIRE_REFUSAL_SIZE, "another cluster's id: check cluster.id");
        return ERR_WRONG_CLUSTER;
    }
    struct peer *peer = find(peers, handshake->member);
    if (peer == NULL) {
        (void)snprintf(refusal, WIRE_REFUSAL_SIZE, "this member id is not among our members");
        return ERR_WRONG_MEMBER;
    }
    char path[NAME_SIZE + sizeof("/member/")];
    (void)snprintf(path, sizeof(path), "/member/%s", peer->member->name);
    if (strcmp(tls_identity_path(identity), path) != 0) {
        (void)snprintf(refusal,
                       WIRE_REFUSAL_SIZE,
                       "the certificate is of %.100s, the member id of %.63s",
                       identity,
                       peer->member->name);
        return ERR_DENIED;
    }
    if (handshake->process_incarnation == 0) {
        (void)snprintf(refusal, WIRE_REFUSAL_SIZE, "the handshake has no process incarnation");
        return ERR_PROTOCOL;
    }
    *peer_out = peer;
    return ERR_OK;
}

enum error peers_write_handshake(struct stream *stream,
                                 const struct peers *peers,
                                 enum wire_lane lane,
                                 const char *refusal)
{
    struct wire_handshake handshake = {
        .protocol_version = WIRE_PEER_PROTOCOL_VERSION,
        .cluster = peers->options.config->cluster,
        .member = peers->options.config->member,
        .process_incarnation = peers->options.process_incarnation,
        .lane = lane,
    };
    (void)snprintf(handshake.refusal, sizeof(handshake.refusal), "%s", refusal);
    struct buf bytes = {0};
    wire_handshake_encode(&handshake, &bytes);
    struct slice payload = buf_view(&bytes);
    enum error error = frame_write(stream, PEER_FRAME_HANDSHAKE, &payload, 1);
    buf_deinit(&bytes);
    return error;
}

void peers_saw_process(struct peer *peer, uint64_t incarnation)
{
    if (peer->incarnation == incarnation) {
        return;
    }
    bool known = peer->incarnation != 0;
    peer->incarnation = incarnation;
    if (known) {
        log_event(LOG_INFO, "peer.restarted", "peer=%s", peer->member->name);
        peer->evidence = PEER_REBORN;
        peer->peers->options.handlers.on_dead(peer->member->id, peer->peers->options.ctx);
    }
}

void peers_saw_refusal(struct peer *peer)
{
    if (peer->evidence != PEER_REFUSED) {
        log_event(LOG_WARN,
                  "peer.dead",
                  "peer=%s address=%s why=refused",
                  peer->member->name,
                  peer->member->peer_address);
    }
    peer->evidence = PEER_REFUSED;
    peer->peers->options.handlers.on_dead(peer->member->id, peer->peers->options.ctx);
}

void peers_saw_open(struct peer *peer)
{
    /* A new process gives no reason to trust the office of the old one: that evidence is withdrawn
     * by Raft itself, when the peer speaks in a later term. */
    if (peer->evidence == PEER_REFUSED) {
        peer->evidence = PEER_NO_EVIDENCE;
        peer->peers->options.handlers.on_alive(peer->member->id, peer->peers->options.ctx);
    }
}

void peers_timer_closed(struct peers *peers)
{
    CHECK(peers->timers_open > 0);
    peers->timers_open--;
    free_if_done(peers);
}

static void add_peer(struct peers *peers, const struct member *member)
{
    CHECK(peers->count < MEMBERS_MAX);
    struct peer *peer = &peers->items[peers->count++];
    peer->peers = peers;
    peer->member = member;
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        peer->links[lane].peer = peer;
        peer->links[lane].lane = (enum wire_lane)(lane + 1);
        peers->timers_open++;
        peer_link_start(&peer->links[lane]);
    }
}

static struct peer *find(struct peers *peers, struct member_id id)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (member_id_equal(peers->items[i].member->id, id)) {
            return &peers->items[i];
        }
    }
    return NULL;
}

static enum wire_lane lane_of(enum raft_message_type type)
{
    switch (type) {
    case RAFT_REQUEST_VOTE:
    case RAFT_REQUEST_VOTE_RESULT:
    case RAFT_HEARTBEAT:
    case RAFT_HEARTBEAT_RESULT:
    case RAFT_TIMEOUT_NOW:
        return WIRE_LANE_HEARTBEAT;
    case RAFT_APPEND:
    case RAFT_APPEND_RESULT:
        return WIRE_LANE_BULK;
    case RAFT_INSTALL_SNAPSHOT:
    case RAFT_INSTALL_SNAPSHOT_RESULT:
        return WIRE_LANE_SNAPSHOT;
    }
    UNREACHABLE("every message type has a lane");
}

static void free_if_done(struct peers *peers)
{
    if (!peers->closing || peers->timers_open > 0) {
        return;
    }
    buf_deinit(&peers->scratch);
    mem_free(peers->items);
    mem_free(peers);
}
