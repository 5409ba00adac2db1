/* SPDX-License-Identifier: Apache-2.0 */
/* The links between members: mutual TLS, length-prefixed frames, three lanes (heartbeats, log,
 * snapshots) with connections of their own, so that a heartbeat never waits behind a megabyte. Each
 * member dials the others for what it sends, and accepts what the others dial.
 *
 * Nobody is spoken to before peers_set says who the members are. A stranger, with a member's
 * certificate and the cluster's id, may be one that was added while we were away: the members that
 * we know are asked, and it is a peer, while it is connected, if more than half of them name it, or
 * a person vouches for it (voices.h), unless strangers are refused.
 *
 * Evidence of death (safety.md 6): a link that ends is redialled once at once; refused, or answered
 * by a new process, the peer (its old process) is dead. Anything less is silence. One thread owns
 * all of it, and what it asks of the outside is struct peers_io; callbacks may send. */
#ifndef INDABA_PEERS_PEERS_H
#define INDABA_PEERS_PEERS_H

#include "config/member_config.h"
#include "peers/peers_io.h"
#include "peers/voices.h"
#include "state/command.h"

struct peers;

enum {
    PEERS_STRANGERS_MAX = 8,
    /* Of the record, of the log behind it and of the configuration file, and strangers. */
    PEERS_MAX = 3 * MEMBERS_MAX + PEERS_STRANGERS_MAX
};

struct peers_handlers {
    /* Valid during the call; the handler may take what the message owns by clearing it. */
    void (*on_message)(struct raft_message *message, void *ctx);
    void (*on_dead)(struct member_id peer, void *ctx);
    void (*on_alive)(struct member_id peer, void *ctx);
    /* A peer says that we can never come back as what we are; `why` says what to do. */
    void (*on_refused_for_good)(const char *peer, const char *why, void *ctx);
    /* Somebody that we do not know spoke: peers_stranger_is is to tell whether its id was removed.
     */
    void (*on_stranger)(struct member_id id, void *ctx);
    /* A member says that a person there vouched for somebody; again and again, perhaps. */
    void (*on_vouched)(const struct command_member_vouched *vouched, void *ctx);
};

/* Where our log stands. */
struct peers_position {
    uint64_t term;
    uint64_t index;
};

struct peers_options {
    const struct peers_io *io; /* outlives the peers, as the configuration does */
    void *io_ctx;
    const struct member_config *config;
    uint64_t process_incarnation; /* random, not 0 */
    uint32_t command_level;       /* told to the others */
    const char *vouch_hint; /* what a person types to vouch, up to the name; outlives the peers */
    struct peers_handlers handlers;
    void *ctx;
};

/* Nobody is dialled before peers_set. */
struct peers *peers_new(const struct peers_options *options);
/* Connections are forgotten, without calls to the handlers. */
void peers_free(struct peers *peers);

/* The members are these (ourselves are skipped); others are let go, an address that has changed is
 * dialled anew. Copied. */
void peers_set(struct peers *peers, const struct member *members, uint32_t count);
/* How many forced recoveries our state knows of, plus 1; 0 while we have none. Who knows of fewer
 * was left behind by one: unless it is a member, it is refused. */
void peers_set_cluster_epoch(struct peers *peers, uint32_t cluster_epoch_plus_1);
/* Our log is empty, and no term was ever seen here: told to the others. */
void peers_set_blank(struct peers *peers, bool blank);
/* This peer has lost what it had acknowledged: its connections end, and it is refused from now on.
 */
void peers_refuse_for_good(struct peers *peers, struct member_id id);
/* Others should rather lead than we: told to them with the pings. */
void peers_set_reluctant(struct peers *peers, bool reluctant);
/* Whether this peer says so of itself. */
bool peers_is_reluctant(const struct peers *peers, struct member_id id);
/* Whether whoever is not among the members is refused. At first it is not. */
void peers_refuse_strangers(struct peers *peers, bool refuse);
/* Whether this id was removed for good. */
void peers_stranger_is(struct peers *peers, struct member_id id, bool gone);
/* Whom a person vouched for on this machine. */
void peers_set_vouched(struct peers *peers, const struct voices_identity *vouched, uint32_t count);
/* Tells one member for whom a person vouched here; false if there is no way to it now. */
bool peers_tell_vouched(struct peers *peers,
                        struct member_id to,
                        const struct command_member_vouched *vouched);
void peers_set_position(struct peers *peers, struct peers_position position);
/* The command level that this peer said it knows; 0 if it said none yet. */
uint32_t peers_command_level(const struct peers *peers, struct member_id id);

/* Queues on the lane of the message's type. Dropped (and counted) if the link is not open or its
 * queue is full: Raft sends again. */
void peers_send(struct peers *peers, const struct raft_message *message);

/* Measures round trips now and then. */
void peers_tick(struct peers *peers, uint64_t now_ms);
/* The round trip of a heartbeat and its answer in microseconds, smoothed; 0 if not measured yet, or
 * not connected. */
uint32_t peers_rtt_us(const struct peers *peers, struct member_id id);
/* The longest between any two members, as far as they have told; 0 if nothing is known. Of each
 * pair the shortest of some seconds: how far they are apart, however busy they are. */
uint32_t peers_rtt_longest_us(const struct peers *peers);

/* Whether there is no connection to this one, for heartbeats, though it is a peer. */
bool peers_has_ended(const struct peers *peers, struct member_id id);

/* For pages and metrics. */
struct peer_status {
    struct member_id id;
    const char *name;
    bool heartbeat_open;
    bool bulk_open;
    bool dead;       /* by evidence that stands */
    bool listed;     /* a member; else a stranger that is connected */
    uint32_t rtt_us; /* see peers_rtt_us */
    size_t queued_bytes;
    uint64_t dropped;
    const char *detail; /* why the last link ended, "" if none did; until the next event */
};

/* Somebody who spoke lately and is not believed. */
struct peers_refused {
    struct member_id id;
    char name[NAME_SIZE];
    char address[ADDRESS_SIZE];
    uint64_t heard_ms_ago;
    uint32_t named_by; /* so many of those that we know name it … */
    uint32_t needed;   /* … and so many would have to */
    bool gone;         /* removed for good */
};

enum {
    PEERS_REFUSED_MAX = VOICES_STRANGERS_MAX
};

/* Fills at most PEERS_REFUSED_MAX and returns how many there are. */
uint32_t
peers_refused(const struct peers *peers, uint64_t now_ms, struct peers_refused *refused_out);
/* Fills at most PEERS_MAX and returns how many there are. */
uint32_t peers_status(const struct peers *peers, struct peer_status *statuses_out);

#endif
