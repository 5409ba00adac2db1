/* SPDX-License-Identifier: Apache-2.0 */
/* See peers.h. Here: the set of peers, sending, and what counts as evidence. */
#include "peers/peers_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NS_PER_MS = 1000 * 1000,
};

static void tell(const struct peer *peer, enum peer_evidence_news news);
static void move_peer(struct peer *peer, const struct member *member);
static enum wire_lane lane_of(enum raft_message_type type);

struct peers *peers_new(const struct peers_options *options)
{
    CHECK(options->process_incarnation != 0);
    CHECK(options->handlers.on_message != NULL);
    struct peers *peers = mem_new(sizeof(*peers));
    peers->options = *options;
    return peers;
}

void peers_set(struct peers *peers, const struct member *members, uint32_t count)
{
    peers->started = true;
    for (uint32_t at = peers->count; at > 0; at--) {
        struct peer *peer = peers->items[at - 1];
        bool stays = !peer->listed;
        for (uint32_t i = 0; i < count; i++) {
            stays = stays || member_id_equal(members[i].id, peer->id);
        }
        if (!stays) {
            peers_remove(peers, peer);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (member_id_equal(members[i].id, peers->options.config->member)) {
            continue;
        }
        struct peer *peer = peers_find(peers, members[i].id);
        if (peer == NULL) {
            peer = peers_add(peers, members[i].id, members[i].name, members[i].peer_address);
        } else {
            move_peer(peer, &members[i]);
        }
        peer->listed = true;
        peer->known = members[i].level != 0;
    }
    peer_strangers_settle(peers, members, count);
}

void peers_set_blank(struct peers *peers, bool blank)
{
    peers->blank = blank;
}

void peers_refuse_for_good(struct peers *peers, struct member_id id)
{
    struct peer *peer = peers_find(peers, id);
    if (peer == NULL) {
        return;
    }
    peer->regressed = true;
    peer_inbound_end(peers, peer);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        if (peer->links[lane].conn != NULL) {
            peers->options.io->close(peer->links[lane].conn);
        }
    }
}

void peers_set_cluster_epoch(struct peers *peers, uint32_t cluster_epoch_plus_1)
{
    peers->cluster_epoch_plus_1 = cluster_epoch_plus_1;
}

void peers_refuse_strangers(struct peers *peers, bool refuse)
{
    peers->refuse_strangers = refuse;
}

uint32_t peers_command_level(const struct peers *peers, struct member_id id)
{
    const struct peer *peer = peers_find(peers, id);
    return peer == NULL ? 0 : peer->command_level;
}

void peers_free(struct peers *peers)
{
    peers->closing = true;
    peer_inbound_close(peers, NULL);
    while (peers->count > 0) {
        peers_remove(peers, peers->items[peers->count - 1]);
    }
    buf_deinit(&peers->scratch);
    mem_free(peers);
}

uint64_t peers_now_ms(const struct peers *peers)
{
    return peers->options.io->now_ns(peers->options.io_ctx) / NS_PER_MS;
}

enum error peers_write(const struct peers *peers,
                       struct peer_conn *conn,
                       uint8_t type,
                       const struct buf *payload)
{
    return peers->options.io->write(conn, type, buf_view(payload));
}

void peers_send(struct peers *peers, const struct raft_message *message)
{
    struct peer *peer = peers_find(peers, message->to);
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
    if (peers_write(peers, link->conn, PEER_FRAME_RAFT, &peers->scratch) != ERR_OK) {
        peer->dropped++;
    }
}

bool peers_any_address(const struct peers *peers,
                       bool (*is)(const char *address, const void *ctx),
                       const void *ctx)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (is(peers->items[i]->address, ctx)) {
            return true;
        }
    }
    return false;
}

bool peers_has_ended(const struct peers *peers, struct member_id id)
{
    const struct peer *peer = peers_find(peers, id);
    return peer != NULL && !peer->links[WIRE_LANE_HEARTBEAT - 1].open;
}

uint32_t peers_status(const struct peers *peers, struct peer_status *statuses_out)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = peers->items[i];
        size_t queued = 0;
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            const struct peer_link *link = &peer->links[lane];
            queued += link->open ? peers->options.io->queued_bytes(link->conn) : 0;
        }
        statuses_out[i] = (struct peer_status){
            .id = peer->id,
            .name = peer->name,
            .heartbeat_open = peer->links[WIRE_LANE_HEARTBEAT - 1].open,
            .bulk_open = peer->links[WIRE_LANE_BULK - 1].open,
            .dead = peer->evidence.kind == PEER_EVIDENCE_REFUSED,
            .listed = peer->listed,
            .rtt_us = peer->rtt_us,
            .queued_bytes = queued,
            .dropped = peer->dropped,
            .detail = peer->detail,
        };
    }
    return peers->count;
}

void peers_saw_process(struct peer *peer, uint64_t incarnation)
{
    enum peer_evidence_news news = peer_evidence_process(&peer->evidence, incarnation);
    if (news != PEER_EVIDENCE_SAYS_NOTHING) {
        log_event(LOG_INFO, "peer.restarted", "peer=%s", peer->name);
    }
    tell(peer, news);
}

void peers_saw_refusal(struct peer *peer)
{
    if (peer->evidence.kind != PEER_EVIDENCE_REFUSED) {
        log_event(
            LOG_WARN, "peer.dead", "peer=%s address=%s why=refused", peer->name, peer->address);
    }
    tell(peer, peer_evidence_refused(&peer->evidence));
}

void peers_saw_open(struct peer *peer)
{
    tell(peer, peer_evidence_open(&peer->evidence));
}

static void tell(const struct peer *peer, enum peer_evidence_news news)
{
    const struct peers_options *options = &peer->peers->options;
    switch (news) {
    case PEER_EVIDENCE_SAYS_NOTHING:
        return;
    case PEER_EVIDENCE_SAYS_DEAD:
        options->handlers.on_dead(peer->id, options->ctx);
        return;
    case PEER_EVIDENCE_SAYS_ALIVE:
        options->handlers.on_alive(peer->id, options->ctx);
        return;
    }
}

void peers_inbound_ended(struct peer *peer)
{
    if (peer_inbound_has(peer->peers, peer)) {
        return;
    }
    peer_ping_inbound_ended(peer);
    if (!peer->listed) {
        log_event(LOG_INFO, "peer.stranger_left", "peer=%s", peer->name);
        peers_remove(peer->peers, peer);
    }
}

struct peer *
peers_add(struct peers *peers, struct member_id id, const char *name, const char *address)
{
    CHECK(peers->count < PEERS_MAX);
    struct peer *peer = mem_new(sizeof(*peer));
    peers->items[peers->count++] = peer;
    peer->peers = peers;
    peer->id = id;
    (void)snprintf(peer->name, sizeof(peer->name), "%s", name);
    (void)snprintf(peer->address, sizeof(peer->address), "%s", address);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        peer->links[lane].peer = peer;
        peer->links[lane].lane = (enum wire_lane)(lane + 1);
        peer_link_start(&peer->links[lane]);
    }
    return peer;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
    uint32_t at = 0;
    while (peers->items[at] != peer) {
        at++;
        CHECK(at < peers->count);
    }
    peers->count--;
    peers->items[at] = peers->items[peers->count];
    peer_inbound_close(peers, peer);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        peer_link_stop(&peer->links[lane]);
    }
    if (!peers->closing) {
        tell(peer, peer_evidence_let_go(&peer->evidence));
    }
    mem_free(peer);
}

/* What its record says now; links to the old address are let go, and dialled anew when they have
 * ended. */
static void move_peer(struct peer *peer, const struct member *member)
{
    (void)snprintf(peer->name, sizeof(peer->name), "%s", member->name);
    if (strcmp(peer->address, member->peer_address) == 0) {
        return;
    }
    (void)snprintf(peer->address, sizeof(peer->address), "%s", member->peer_address);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        if (peer->links[lane].conn != NULL) {
            peer->peers->options.io->close(peer->links[lane].conn);
        }
    }
}

struct peer *peers_find(const struct peers *peers, struct member_id id)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (member_id_equal(peers->items[i]->id, id)) {
            return peers->items[i];
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
