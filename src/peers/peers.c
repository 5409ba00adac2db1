/* SPDX-License-Identifier: Apache-2.0 */
/* See peers.h. Here: the set of peers, sending, and what counts as evidence. */
#include "peers/peers_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool knows_source(const char *host, void *ctx);
static void tell(const struct peer *peer, enum peer_evidence_news news);
static void move_peer(struct peer *peer, const struct member *member);
static enum wire_lane lane_of(enum raft_message_type type);
static void free_if_done(struct peers *peers);

enum error
peers_new(const struct peers_options *options, struct reason *reason, struct peers **peers_out)
{
    CHECK(options->process_incarnation != 0);
    CHECK(options->handlers.on_message != NULL);
    const struct member_config *config = options->config;
    const struct stream_listen_options listen = {
        .address = config->listen_peer,
        .stream = {.tls = options->tls,
                   .tls_role = TLS_SERVER,
                   .is_urgent = true,
                   .alpn = PEER_ALPN,
                   .peer_path_prefix = "/member/"},
        .connections_max = 256,
        .half_open_max = 64,
        .knows_source = knows_source,
    };
    struct peers *peers = mem_new(sizeof(*peers));
    peers->options = *options;
    const struct stream_acceptor acceptor = {.on_accept = peer_inbound_accept, .ctx = peers};
    enum error error = stream_listen(options->net, &listen, acceptor, reason, &peers->listener);
    if (error != ERR_OK) {
        mem_free(peers);
        return error;
    }
    *peers_out = peers;
    return ERR_OK;
}

/* Who is dialled, and who is in the configuration file: before peers_set it is all we know. */
static bool knows_source(const char *host, void *ctx)
{
    const struct peers *peers = ctx;
    const struct member_config *config = peers->options.config;
    for (uint32_t i = 0; i < peers->count; i++) {
        if (net_is_host(peers->items[i]->address, host)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (net_is_host(config->members[i].peer_address, host)) {
            return true;
        }
    }
    return false;
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
        if (peer->links[lane].stream != NULL) {
            stream_close(peer->links[lane].stream);
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
    stream_listener_close(peers->listener);
    peer_inbound_close(peers, NULL);
    while (peers->count > 0) {
        peers_remove(peers, peers->items[peers->count - 1]);
    }
    free_if_done(peers);
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
    struct slice payload = buf_view(&peers->scratch);
    if (frame_write(link->stream, PEER_FRAME_RAFT, &payload, 1) != ERR_OK) {
        peer->dropped++;
    }
}

uint32_t peers_status(const struct peers *peers, struct peer_status *statuses_out)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = peers->items[i];
        size_t queued = 0;
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            const struct peer_link *link = &peer->links[lane];
            queued += link->open ? stream_queued_bytes(link->stream) : 0;
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

void peers_timer_closed(struct peer *peer)
{
    struct peers *peers = peer->peers;
    CHECK(peer->removed && peer->timers_open > 0);
    peer->timers_open--;
    if (peer->timers_open == 0) {
        mem_free(peer);
        CHECK(peers->peers_open > 0);
        peers->peers_open--;
        free_if_done(peers);
    }
}

struct peer *
peers_add(struct peers *peers, struct member_id id, const char *name, const char *address)
{
    CHECK(peers->count < PEERS_MAX);
    struct peer *peer = mem_new(sizeof(*peer));
    peers->items[peers->count++] = peer;
    peers->peers_open++;
    peer->peers = peers;
    peer->id = id;
    (void)snprintf(peer->name, sizeof(peer->name), "%s", name);
    (void)snprintf(peer->address, sizeof(peer->address), "%s", address);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        peer->links[lane].peer = peer;
        peer->links[lane].lane = (enum wire_lane)(lane + 1);
        peer->timers_open++;
        peer_link_start(&peer->links[lane]);
    }
    return peer;
}

/* Its memory goes when the timers of its links have closed. */
void peers_remove(struct peers *peers, struct peer *peer)
{
    uint32_t at = 0;
    while (peers->items[at] != peer) {
        at++;
        CHECK(at < peers->count);
    }
    peers->count--;
    peers->items[at] = peers->items[peers->count];
    peer->removed = true;
    peer_inbound_close(peers, peer);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        peer_link_stop(&peer->links[lane]);
    }
    if (!peers->closing) {
        tell(peer, peer_evidence_let_go(&peer->evidence));
    }
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
        if (peer->links[lane].stream != NULL) {
            stream_close(peer->links[lane].stream);
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

static void free_if_done(struct peers *peers)
{
    if (!peers->closing || peers->peers_open > 0) {
        return;
    }
    buf_deinit(&peers->scratch);
    mem_free(peers);
}
