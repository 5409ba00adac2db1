/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the members' states are one state. Each member reports with its heartbeat answers the
 * rolling hash of its state at an index; the leader remembers its own at recent indexes and
 * compares. A rolling hash never heals, so one comparison in a while finds a divergence.
 *
 * Pure; one owner. Zeros are a valid start. */
#ifndef INDABA_COORDINATOR_DIVERGENCE_H
#define INDABA_COORDINATOR_DIVERGENCE_H

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
};

struct divergence {
    struct {
        uint64_t index; /* 0: empty */
        uint64_t hash;
    } at[DIVERGENCE_KEPT];
    struct divergence_peer peers[RAFT_SERVERS_MAX];
    uint32_t peers_count;
};

/* Our state has this hash after this index. */
void divergence_note(struct divergence *divergence, uint64_t index, uint64_t hash);
/* Our state was replaced: earlier hashes say nothing about it. */
void divergence_reset(struct divergence *divergence);
/* We do not lead (any more): verdicts are of an office. */
void divergence_leave(struct divergence *divergence);
/* Compares what a peer reported. True if it is found to differ, and was not before. */
bool divergence_look(struct divergence *divergence, const struct raft_peer_status *peer);
/* Members that differ from us. */
uint32_t divergence_count(const struct divergence *divergence);
/* More voters differ from us than agree: the wrong state is probably ours. */
bool divergence_is_ours(const struct divergence *divergence);

#endif
