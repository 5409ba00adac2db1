/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that other members dialled: one handshake, then messages of Raft. A message must name
 * the peer of the connection as its sender and us as its receiver. */
#include "peers/peers_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SAID_PAUSE_MAX_MS = 60 * 1000
};

static bool take_handshake(struct peer_inbound *inbound, struct slice payload);
static bool take_message(struct peer_inbound *inbound, struct slice payload);
static void keep_share(struct peers *peers, const char *identity);
static bool drop(struct peer_inbound *inbound, const char *why);
static struct peer_party party_of(const struct peer_inbound *inbound);
static void say(const struct peer_inbound *inbound, const char *event, const char *why);
static void tell(struct peers *peers, uint64_t now_ms);

struct peer_inbound *peer_inbound_accepted(struct peers *peers, struct peer_conn *conn)
{
    struct peer_inbound *inbound = mem_new(sizeof(*inbound));
    inbound->peers = peers;
    inbound->conn = conn;
    inbound->accepted_ms = peers_now_ms(peers);
    inbound->next = peers->inbound;
    peers->inbound = inbound;
    keep_share(peers, party_of(inbound).identity);
    return inbound;
}

bool peer_inbound_is_known(const struct peer_inbound *inbound)
{
    return inbound->peer != NULL;
}

void peer_inbound_tick(struct peers *peers, uint64_t now_ms)
{
    for (struct peer_inbound *at = peers->inbound; at != NULL; at = at->next) {
        if (at->peer == NULL && now_ms - at->accepted_ms >= PEER_HANDSHAKE_MS) {
            say(at, "peer.silent", "no handshake of ours in time");
            peers->options.io->close(at->conn);
        }
    }
    tell(peers, now_ms);
}

void peer_inbound_close(struct peers *peers, const struct peer *peer)
{
    struct peer_inbound **at = &peers->inbound;
    while (*at != NULL) {
        struct peer_inbound *inbound = *at;
        if (peer != NULL && inbound->peer != peer) {
            at = &inbound->next;
            continue;
        }
        *at = inbound->next;
        peers->options.io->forget(inbound->conn);
        mem_free(inbound);
    }
}

void peer_inbound_end(struct peers *peers, const struct peer *peer)
{
    for (struct peer_inbound *at = peers->inbound; at != NULL; at = at->next) {
        if (at->peer == peer) {
            peers->options.io->close(at->conn);
        }
    }
}

bool peer_inbound_has(const struct peers *peers, const struct peer *peer)
{
    for (const struct peer_inbound *at = peers->inbound; at != NULL; at = at->next) {
        if (at->peer == peer) {
            return true;
        }
    }
    return false;
}

void peer_inbound_too_large(struct peer_inbound *inbound)
{
    (void)drop(inbound,
               inbound->peer == NULL ? "a frame that is too large for a handshake"
                                     : "a frame that is too large");
}

bool peer_inbound_frame(struct peer_inbound *inbound, uint8_t type, struct slice payload)
{
    if (inbound->peer == NULL) {
        return type == PEER_FRAME_HANDSHAKE ? take_handshake(inbound, payload)
                                            : drop(inbound, "a message before the handshake");
    }
    if (type == PEER_FRAME_ASK) {
        return peer_stranger_answer(inbound, payload) == ERR_OK ? true
                                                                : drop(inbound, "a bad question");
    }
    if (type == PEER_FRAME_VOUCHED) {
        return peer_vouch_take(inbound, payload) == ERR_OK ? true : drop(inbound, "a bad vouch");
    }
    if (type == PEER_FRAME_PING) {
        return peer_ping_answer(inbound, payload) == ERR_OK ? true : drop(inbound, "a bad ping");
    }
    return type == PEER_FRAME_RAFT ? take_message(inbound, payload)
                                   : drop(inbound, "a frame of an unknown type");
}

static bool take_handshake(struct peer_inbound *inbound, struct slice payload)
{
    struct peers *peers = inbound->peers;
    struct wire_handshake handshake;
    struct peer_refusal refusal = {0};
    if (wire_handshake_decode(payload, &handshake) != ERR_OK) {
        return drop(inbound, "a handshake that cannot be read");
    }
    struct peer *peer = NULL;
    const struct peer_party party = party_of(inbound);
    enum error error = peers_check_handshake(peers, &handshake, &party, &refusal, &peer);
    if (peers_write_handshake(peers, inbound->conn, handshake.lane, &refusal) != ERR_OK) {
        return drop(inbound, "the answer to the handshake could not be queued");
    }
    if (error != ERR_OK) {
        if (refusal.quiet) {
            log_event(LOG_DEBUG, "peer.refused", "why=%s", log_quote(refusal.text));
        } else {
            say(inbound, "peer.refused", refusal.text);
        }
        peers->options.io->finish(inbound->conn);
        return false;
    }
    inbound->peer = peer;
    peer->command_level = handshake.command_level;
    peers_saw_process(peer, handshake.process_incarnation);
    return true;
}

static bool take_message(struct peer_inbound *inbound, struct slice payload)
{
    struct peers *peers = inbound->peers;
    struct raft_message message;
    if (wire_raft_message_decode(payload, &message) != ERR_OK) {
        return drop(inbound, "a message that cannot be read");
    }
    bool ours = member_id_equal(message.from, inbound->peer->id) &&
                member_id_equal(message.to, peers->options.config->member);
    if (ours) {
        peers->options.handlers.on_message(&message, peers->options.ctx);
    }
    raft_message_deinit(&message);
    return ours ? true : drop(inbound, "a message from or to somebody else");
}

/* One certificate does not take the room of all: its oldest connection gives way. */
static void keep_share(struct peers *peers, const char *identity)
{
    struct peer_inbound *oldest = NULL;
    uint32_t count = 0;
    for (struct peer_inbound *at = peers->inbound; at != NULL; at = at->next) {
        if (strcmp(party_of(at).identity, identity) == 0) {
            oldest = at; /* the newest is first */
            count++;
        }
    }
    if (count > PEER_INBOUND_SHARE) {
        (void)drop(oldest, "its certificate has more connections here than a member needs");
    }
}

static bool drop(struct peer_inbound *inbound, const char *why)
{
    say(inbound, "peer.dropped", why);
    inbound->peers->options.io->close(inbound->conn);
    return false;
}

static struct peer_party party_of(const struct peer_inbound *inbound)
{
    return inbound->peers->options.io->party(inbound->conn);
}

/* Whoever has a certificate decides how often: folded by event, certificate and reason. */
static void say(const struct peer_inbound *inbound, const char *event, const char *why)
{
    struct peers *peers = inbound->peers;
    char text[FOLD_TEXT_SIZE];
    char note[FOLD_NOTE_SIZE];
    uint64_t now_ms = peers_now_ms(peers);
    const struct peer_party party = party_of(inbound);
    (void)snprintf(text,
                   sizeof(text),
                   "%s who=%.100s why=%s",
                   event,
                   log_quote(party.identity),
                   log_quote(why));
    (void)snprintf(note, sizeof(note), "from=%s", party.address);
    peers->said.pause_max_ms = SAID_PAUSE_MAX_MS;
    fold_add(&peers->said, text, note, now_ms);
    tell(peers, now_ms);
}

static void tell(struct peers *peers, uint64_t now_ms)
{
    struct fold_told told;
    while (fold_due(&peers->said, now_ms, &told)) {
        char *pairs = strchr(told.text, ' ');
        if (pairs == NULL) { /* more kinds than there is room for */
            log_event(LOG_WARN, "peer.refused", "who=%s count=%" PRIu64, told.text, told.count);
            continue;
        }
        *pairs = '\0';
        log_event(LOG_WARN, told.text, "%s count=%" PRIu64 " %s", pairs + 1, told.count, told.note);
    }
}

void peer_inbound_closed(struct peer_inbound *inbound)
{
    struct peer_inbound **at = &inbound->peers->inbound;
    while (*at != inbound) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = inbound->next;
    struct peer *peer = inbound->peer;
    mem_free(inbound);
    if (peer != NULL) {
        peers_inbound_ended(peer);
    }
}
