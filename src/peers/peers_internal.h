/* SPDX-License-Identifier: Apache-2.0 */
/* What peers.c (who there is), peers_handshake.c (who may be), peer_link.c (what we dial) and
 * peer_inbound.c (what dials us), peer_ping.c (round trips), peer_strangers.c (whose word counts,
 * though we do not know him) share. */
#ifndef INDABA_PEERS_PEERS_INTERNAL_H
#define INDABA_PEERS_PEERS_INTERNAL_H

#include "base/fold.h"
#include "peers/peer_evidence.h"
#include "peers/peers.h"
#include "peers/rtt_window.h"
#include "wire/wire_peer.h"

enum {
    PEER_FRAME_HANDSHAKE = 1,
    PEER_FRAME_RAFT = 2,
    /* u64 stamp, u32 longest round trip of the sender in microseconds, u8 1: it had rather not lead
     */
    PEER_FRAME_PING = 3,
    PEER_FRAME_PONG = 4, /* the stamp, back on the same connection */
    /* u64 u64 id, string name: is this a member, as far as you know? */
    PEER_FRAME_ASK = 5,
    /* The same, u8 1: yes; back on the same connection. u64 term, u64 index of the log: for people
     */
    PEER_FRAME_ANSWER = 6,
    /* u64 u64 id, string name, string who, string reason, u64 wall clock: a person here made us
     * believe this one */
    PEER_FRAME_VOUCHED = 7,
    PEER_LANES = 3,
    PEER_REDIAL_MS_MIN = 50,
    PEER_REDIAL_MS_MAX = 1000,
    PEER_DETAIL_SIZE = 160,
    /* Accepted connections with one certificate's identity; the oldest gives way. A member has one
     * for each lane, and for a moment those of a link that it has given up. */
    PEER_INBOUND_SHARE = 12,
    PEER_HANDSHAKE_MS = 5000, /* who has said nothing by then is let go */
};

struct peer;

/* One outgoing connection; lives as long as its peer. */
struct peer_link {
    struct peer *peer;
    enum wire_lane lane;
    struct peer_conn *conn; /* NULL while waiting to redial … */
    uint64_t redial_ms;     /* … at that time */
    uint64_t dialled_ms;    /* the last dial began */
    uint64_t opened_ms;     /* the last handshake was done */
    uint32_t backoff_ms;
    bool open;       /* the handshake is done */
    bool said_blank; /* in our handshake */
    bool answers_pings;
    bool names_members;
};

struct peer {
    struct peers *peers;
    struct member_id id;
    char name[NAME_SIZE];
    char address[ADDRESS_SIZE];
    uint32_t command_level; /* 0 unknown */
    bool listed;    /* else a stranger that is believed, there while it is and is connected */
    bool known;     /* it has acknowledged something once, says the record */
    bool regressed; /* and it has lost that */
    struct peer_link links[PEER_LANES];
    uint32_t rtt_us; /* round trip of the heartbeat lane, smoothed; 0 not measured yet */
    struct rtt_window rtt_window;
    uint32_t rtt_told_us; /* the longest that it measures itself; 0 not told yet */
    bool reluctant;       /* it told that others should rather lead */
    struct peer_evidence evidence;
    uint64_t dropped;
    char detail[PEER_DETAIL_SIZE];
};

/* One accepted connection. */
struct peer_inbound {
    struct peers *peers;
    struct peer *peer; /* NULL before the handshake */
    struct peer_conn *conn;
    uint64_t accepted_ms;
    struct peer_inbound *next;
};

struct peers {
    struct peers_options options;
    struct fold said; /* of connections that were turned away */
    struct peer *items[PEERS_MAX];
    uint32_t count;
    bool started; /* the members are known */
    bool refuse_strangers;
    struct voices voices;
    struct peers_position position; /* of our log, told with answers about others */
    uint32_t cluster_epoch_plus_1;
    bool blank;     /* ourselves: nothing was ever written here */
    bool reluctant; /* ourselves: others should rather lead */
    struct peer_inbound *inbound;
    struct buf scratch; /* one encoded message */
    uint64_t ping_due_ms;
    bool closing;
};

uint64_t peers_now_ms(const struct peers *peers);
/* Queues one frame. */
MUST_CHECK enum error peers_write(const struct peers *peers,
                                  struct peer_conn *conn,
                                  uint8_t type,
                                  const struct buf *payload);
void peer_link_start(struct peer_link *link);
/* Stops dialling and forgets the connection. */
void peer_link_stop(struct peer_link *link);
/* Those of one peer, or all (NULL). */
void peer_inbound_close(struct peers *peers, const struct peer *peer);
/* The same in later turns of the loop: for a call that comes from one of them. */
void peer_inbound_end(struct peers *peers, const struct peer *peer);
bool peer_inbound_has(const struct peers *peers, const struct peer *peer);

/* Why a handshake was refused. */
struct peer_refusal {
    char text[WIRE_REFUSAL_SIZE];
    bool for_good; /* it cannot come back as the member that it says it is */
    bool quiet;    /* the log has it already */
};

/* ERR_OK if the handshake, received of `party`, is of a peer of ours, or of a stranger that becomes
 * one. Otherwise `refusal` says why not. */
MUST_CHECK enum error peers_check_handshake(struct peers *peers,
                                            const struct wire_handshake *handshake,
                                            const struct peer_party *party,
                                            struct peer_refusal *refusal,
                                            struct peer **peer_out);
/* Whether a certificate is of the member of this name. */
bool peers_is_party(const struct peer_party *party, const char *name);
/* Our side of a handshake, as one frame. */
MUST_CHECK enum error peers_write_handshake(const struct peers *peers,
                                            struct peer_conn *conn,
                                            enum wire_lane lane,
                                            const struct peer_refusal *refusal);
/* A handshake of nobody that we know, whose certificate is of the name that it says. ERR_OK if it
 * is believed, otherwise as peers_check_handshake. */
MUST_CHECK enum error peer_stranger_met(struct peers *peers,
                                        const struct wire_handshake *handshake,
                                        struct peer_refusal *refusal);
/* The others are asked about strangers, and those that are not believed any more are let go. */
void peer_strangers_tick(struct peers *peers, uint64_t now_ms);
/* The members that we know are others now. */
void peer_strangers_settle(struct peers *peers, const struct member *members, uint32_t count);
/* A question about somebody that came in, and the answer to one of ours. An error ends the
 * connection. */
MUST_CHECK enum error peer_stranger_answer(struct peer_inbound *inbound, struct slice payload);
MUST_CHECK enum error peer_stranger_take(struct peer_link *link, struct slice payload);
/* A member tells for whom a person vouched there. */
MUST_CHECK enum error peer_vouch_take(struct peer_inbound *inbound, struct slice payload);
/* Lets those go that have not said who they are, and whoever is above his share. */
void peer_inbound_tick(struct peers *peers, uint64_t now_ms);
/* Its links and connections end; not from inside one of its calls. */
void peers_remove(struct peers *peers, struct peer *peer);
/* The connection that pings go out on has ended: its round trip is of the past. */
void peer_ping_link_ended(struct peer *peer);
/* The last one that pings of the peer came in on has ended. */
void peer_ping_inbound_ended(struct peer *peer);
/* A ping that came in, and the answer to one of ours. An error ends the connection. */
MUST_CHECK enum error peer_ping_answer(struct peer_inbound *inbound, struct slice payload);
MUST_CHECK enum error peer_ping_take(struct peer_link *link, struct slice payload);
/* A peer that is dialled from now on; there must be room. */
struct peer *
peers_add(struct peers *peers, struct member_id id, const char *name, const char *address);
/* NULL if there is none. */
struct peer *peers_find(const struct peers *peers, struct member_id id);
/* The peer's process was seen, over either direction. */
void peers_saw_process(struct peer *peer, uint64_t incarnation);
void peers_saw_refusal(struct peer *peer);
void peers_saw_open(struct peer *peer);
/* An accepted connection of the peer has ended. */
void peers_inbound_ended(struct peer *peer);
/* The next dial has another time. */
void peers_rearm(const struct peers *peers);

#endif
