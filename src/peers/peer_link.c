/* SPDX-License-Identifier: Apache-2.0 */
/* One outgoing connection to a peer: dial, handshake, and dial again. A link that was open and ends
 * is redialled at once, since the answer to that (refused or not) is evidence; after that with a
 * backoff. */
#include "peers/peers_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static void dial(struct peer_link *link);
static void cannot_dial(struct peer_link *link);
static void redial_in(struct peer_link *link, uint32_t wait_ms);
static struct peer_party party_of(const struct peer_link *link);
static bool answered_since(const struct peer *peer, uint64_t since_ms);
static enum error take_handshake(struct peer_link *link, struct slice payload, char *why);
static enum error
check_speaker(const struct peer_link *link, const struct wire_handshake *handshake, char *why);

void peer_link_start(struct peer_link *link)
{
    link->backoff_ms = PEER_REDIAL_MS_MIN;
    dial(link);
}

void peer_link_stop(struct peer_link *link)
{
    if (link->conn != NULL) {
        link->peer->peers->options.io->forget(link->conn);
        link->conn = NULL;
        link->open = false;
    }
}

void peers_timer(struct peers *peers)
{
    uint64_t now_ms = peers_now_ms(peers);
    for (uint32_t i = 0; i < peers->count; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            struct peer_link *link = &peers->items[i]->links[lane];
            if (link->conn == NULL && link->redial_ms <= now_ms) {
                dial(link);
            }
        }
    }
    peers_rearm(peers);
}

void peers_rearm(const struct peers *peers)
{
    uint64_t next_ms = UINT64_MAX;
    for (uint32_t i = 0; i < peers->count; i++) {
        for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
            const struct peer_link *link = &peers->items[i]->links[lane];
            if (link->conn == NULL && link->redial_ms < next_ms) {
                next_ms = link->redial_ms;
            }
        }
    }
    peers->options.io->arm_timer(peers->options.io_ctx, next_ms);
}

static void dial(struct peer_link *link)
{
    CHECK(link->conn == NULL);
    CHECK(!link->open);
    const struct peers_options *options = &link->peer->peers->options;
    link->dialled_ms = peers_now_ms(link->peer->peers);
    if (options->io->dial(options->io_ctx, link, link->lane, link->peer->address, &link->conn) !=
        ERR_OK) {
        cannot_dial(link);
    }
}

/* Nobody takes in such an address, but what a log or a handshake says is not ours: the peer is as
 * one that does not answer, until its record has another one. */
static void cannot_dial(struct peer_link *link)
{
    struct peer *peer = link->peer;
    static const char WHY[] =
        "its peer address is not numeric: `indaba member move` gives it another";
    if (strcmp(peer->detail, WHY) != 0) {
        log_event(LOG_ERROR,
                  "peer.bad_address",
                  "peer=%s address=%s hint=%s",
                  peer->name,
                  log_quote(peer->address),
                  log_quote(WHY));
        (void)snprintf(peer->detail, sizeof(peer->detail), "%s", WHY);
    }
    redial_in(link, PEER_REDIAL_MS_MAX);
}

static void redial_in(struct peer_link *link, uint32_t wait_ms)
{
    link->redial_ms = peers_now_ms(link->peer->peers) + wait_ms;
    peers_rearm(link->peer->peers);
}

void peer_link_opened(struct peer_link *link)
{
    const struct peers *peers = link->peer->peers;
    const struct peer_refusal none = {0};
    CHECK(link->conn != NULL && !link->open);
    link->said_blank = peers->blank;
    if (peers_write_handshake(peers, link->conn, link->lane, &none) != ERR_OK) {
        peers->options.io->close(link->conn);
    }
}

/* What comes back is the handshake, and answers to pings and questions. */
bool peer_link_frame(struct peer_link *link, uint8_t type, struct slice payload)
{
    char why[WIRE_REFUSAL_SIZE + 16] = "an unexpected frame";
    if (type == PEER_FRAME_HANDSHAKE && !link->open &&
        take_handshake(link, payload, why) == ERR_OK) {
        return true;
    }
    if (type == PEER_FRAME_PONG && link->open && peer_ping_take(link, payload) == ERR_OK) {
        return true;
    }
    if (type == PEER_FRAME_ANSWER && link->open && peer_stranger_take(link, payload) == ERR_OK) {
        return true;
    }
    log_event(LOG_WARN,
              "peer.handshake_failed",
              "peer=%s address=%s why=%s",
              link->peer->name,
              link->peer->address,
              log_quote(why));
    link->peer->peers->options.io->close(link->conn);
    return false;
}

static enum error take_handshake(struct peer_link *link, struct slice payload, char *why)
{
    struct wire_handshake handshake;
    struct peer *peer = NULL;
    TRY(wire_handshake_decode(payload, &handshake));
    TRY(check_speaker(link, &handshake, why));
    if (handshake.refusal[0] != '\0') {
        (void)snprintf(why, WIRE_REFUSAL_SIZE, "%s", handshake.refusal);
        /* A young member may have been taken in while this handshake was on its way: then what it
         * said of itself is no longer true, and the next one says so. */
        bool outdated = link->said_blank && !link->peer->peers->blank;
        if (handshake.refused_for_good && !outdated) {
            const struct peers_options *options = &link->peer->peers->options;
            options->handlers.on_refused_for_good(link->peer->name, why, options->ctx);
        }
        return ERR_REFUSED;
    }
    struct peer_refusal refusal = {0};
    const struct peer_party party = party_of(link);
    enum error error =
        peers_check_handshake(link->peer->peers, &handshake, &party, &refusal, &peer);
    if (error != ERR_OK) {
        (void)snprintf(why, WIRE_REFUSAL_SIZE, "%s", refusal.text);
        return error;
    }
    CHECK(peer == link->peer);
    link->open = true;
    link->opened_ms = peers_now_ms(link->peer->peers);
    link->answers_pings = handshake.answers_pings;
    link->names_members = handshake.names_members;
    link->backoff_ms = PEER_REDIAL_MS_MIN;
    log_event(LOG_DEBUG, "peer.open", "peer=%s lane=%d", peer->name, (int)link->lane);
    peer->command_level = handshake.command_level;
    peers_saw_process(peer, handshake.process_incarnation);
    peers_saw_open(peer);
    return ERR_OK;
}

/* Only who was dialled is believed anything: not another member that has the address now, which
 * must dial us to be met as a stranger, and no other cluster's. */
static enum error
check_speaker(const struct peer_link *link, const struct wire_handshake *handshake, char *why)
{
    const struct peer *peer = link->peer;
    if (!cluster_id_equal(handshake->cluster, peer->peers->options.config->cluster)) {
        (void)snprintf(why, WIRE_REFUSAL_SIZE, "a member of another cluster answers there");
        return ERR_WRONG_CLUSTER;
    }
    if (!member_id_equal(handshake->member, peer->id)) {
        (void)snprintf(
            why, WIRE_REFUSAL_SIZE, "member \"%s\" with another id answers there", handshake->name);
        return ERR_WRONG_MEMBER;
    }
    const struct peer_party party = party_of(link);
    if (!peers_is_party(&party, peer->name)) {
        (void)snprintf(
            why, WIRE_REFUSAL_SIZE, "the certificate there is of %.100s", party.identity);
        return ERR_DENIED;
    }
    return ERR_OK;
}

static struct peer_party party_of(const struct peer_link *link)
{
    return link->peer->peers->options.io->party(link->conn);
}

void peer_link_closed(struct peer_link *link, const struct peer_end *end)
{
    CHECK(link->conn != NULL);
    bool was_open = link->open;
    link->conn = NULL;
    link->open = false;
    if (link->lane == WIRE_LANE_HEARTBEAT) {
        peer_ping_link_ended(link->peer);
    }
    (void)snprintf(link->peer->detail,
                   sizeof(link->peer->detail),
                   "%s: %s",
                   end->why,
                   end->detail == NULL ? "" : end->detail);
    if (was_open) {
        log_event(LOG_INFO,
                  "peer.lost",
                  "peer=%s lane=%d why=%s",
                  link->peer->name,
                  (int)link->lane,
                  end->why);
    }
    uint32_t wait_ms = was_open ? 0 : link->backoff_ms;
    if (!was_open) {
        link->backoff_ms =
            link->backoff_ms * 2 > PEER_REDIAL_MS_MAX ? PEER_REDIAL_MS_MAX : link->backoff_ms * 2;
    }
    redial_in(link, wait_ms);
    if (end->refused && !answered_since(link->peer, link->dialled_ms)) {
        peers_saw_refusal(link->peer);
    }
}

/* A refusal may be older than it is late: a process that answered on another lane after that dial
 * began was there after it. If it has ended since, that lane ends too, and is dialled again. */
static bool answered_since(const struct peer *peer, uint64_t since_ms)
{
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        if (peer->links[lane].open && peer->links[lane].opened_ms >= since_ms) {
            return true;
        }
    }
    return false;
}
