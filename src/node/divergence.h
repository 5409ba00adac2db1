/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the members' states are one state. Each member reports with its heartbeat answers the
 * rolling hash of its state at an index; the leader remembers its own at recent indexes and
 * compares. A rolling hash never heals, so one comparison in a while finds a divergence, and who
 * agrees at an index agreed at all before.
 *
 * What a majority of the voters holds the leader tells each peer, at an index that the peer has
 * just reported: it compares as well, and knows by itself that its state is the wrong one.
 *
 * Pure; one owner. Zeros are a valid start. */
#ifndef INDABA_NODE_DIVERGENCE_H
#define INDABA_NODE_DIVERGENCE_H

#include "raft/raft.h"

enum {
    DIVERGENCE_KEPT = 4096, /* latest indexes whose hash is remembered */
};

enum divergence_verdict {
    DIVERGENCE_UNKNOWN, /* nothing to compare yet */
    DIVERGENCE_AGREES,
    DIVERGENCE_DIFFERS,
};

struct divergence_peer {
    struct member_id id;
    bool voter;
    enum divergence_verdict verdict; /* of the latest comparison that was possible */
    uint64_t reported_index;         /* the latest */
    uint64_t differs_index; /* at which its state was first seen to be another; 0: it is not */
    uint64_t agreed_index;  /* at which its state was last seen to be ours; 0: it is not */
    uint64_t told_index;    /* what its heartbeats say; 0: nothing */
    uint64_t told_hash;
};

struct divergence {
    struct {
        uint64_t index; /* 0: empty */
        uint64_t hash;
    } at[DIVERGENCE_KEPT];
    struct divergence_peer peers[RAFT_SERVERS_MAX];
    uint32_t peers_count;
    bool disputed; /* as of divergence_settle */
};

/* Our state has this hash after this index. */
void divergence_note(struct divergence *divergence, uint64_t index, uint64_t hash);
/* Our state was replaced: earlier hashes say nothing about it. */
void divergence_reset(struct divergence *divergence);
/* We do not lead (any more): verdicts are of an office. */
void divergence_leave(struct divergence *divergence);
/* Compares what a peer reported. True if it is found to differ, and was not before. */
bool divergence_look(struct divergence *divergence, const struct raft_peer_status *peer);
/* Forgets whoever is not among these: it has left, and is no witness any more. */
void divergence_keep(struct divergence *divergence,
                     const struct raft_peer_status *peers,
                     uint32_t count);
/* Decides what the peers are told: the state that a majority of the voters shares with us, `self`.
 * Nothing while there is no such majority, or a change of the members is under way. */
void divergence_settle(struct divergence *divergence,
                       const struct raft_configuration *configuration,
                       struct member_id self);
/* Whether a voter's state differs from ours and no majority is known to hold ours: then nobody can
 * say which is wrong, and ours must not be handed on. */
bool divergence_is_disputed(const struct divergence *divergence);
/* Fills in what this peer is told. */
void divergence_tell(const struct divergence *divergence,
                     struct member_id peer,
                     struct raft_heartbeat *heartbeat);
/* How our state at `index` compares with this hash. */
enum divergence_verdict
divergence_compare(const struct divergence *divergence, uint64_t index, uint64_t hash);
/* Whether this peer was last seen to differ. */
bool divergence_is_against(const struct divergence *divergence, struct member_id peer);
/* Whether leadership may be handed to this peer, as far as states go: to who differs only if the
 * wrong state is ours, and then to nobody else. */
bool divergence_may_lead(const struct divergence *divergence, struct member_id peer);
/* Members that differ from us. */
uint32_t divergence_count(const struct divergence *divergence);
/* More voters differ from us than agree: the wrong state is probably ours. */
bool divergence_is_ours(const struct divergence *divergence);

#endif
