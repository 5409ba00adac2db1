/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's view of one other server: how far its log is known to match, what is on the way to
 * it, and when it was last heard. Pure bookkeeping; replicate.c decides what to send.
 *
 *            refused, no answer, link came back
 *          +------------------------------------+
 *          v                                    |
 *      PROBE ---- an append succeeded ----> REPLICATE
 *          |                                    |
 *          +---- the log no longer reaches -----+----> SNAPSHOT
 *
 * PROBE has one append under way and learns where the logs meet; REPLICATE streams ahead of the
 * answers, within a window of messages and bytes; SNAPSHOT (snapshot_send.h) ends with a probe just
 * behind the snapshot. */
#ifndef INDABA_RAFT_PROGRESS_H
#define INDABA_RAFT_PROGRESS_H

#include "raft/types.h"

enum progress_state {
    PROGRESS_PROBE,
    PROGRESS_REPLICATE,
    PROGRESS_SNAPSHOT,
};

struct progress_flight {
    uint64_t last_index;
    uint64_t bytes;
};

/* The snapshot that is on its way to a peer. Offsets are bytes of its file. */
struct progress_snapshot {
    uint64_t index; /* 0: none chosen yet */
    uint64_t term;
    uint64_t size;
    uint64_t next;     /* the next byte to read and send */
    uint64_t acked;    /* the peer had so much */
    uint64_t reported; /* what it said last: less, if it had to begin again */
    bool alone;        /* one chunk at a time, for it has said nothing: until it takes one */
};

struct progress {
    struct member_id id;
    enum progress_state state;
    uint64_t match;      /* the logs agree, durably over there, up to here */
    uint64_t grew_ms;    /* when that last grew */
    uint64_t next;       /* the next entry to send */
    uint64_t told;       /* the highest commit index that was sent to it */
    bool probing;        /* PROBE: an append is under way */
    bool regressed;      /* it lost what it had acknowledged (progress_refused) */
    uint64_t departs_ms; /* it left the configuration and is forgotten then; 0: it is in it */
    uint32_t refusals;   /* PROBE: one after another at a place that it had acknowledged */
    bool refusal_noted;  /* PROBE: the one under way was refused there */
    uint64_t sent_ms;    /* start of the wait for an answer */
    uint64_t heard_ms;   /* any answer of this term */
    bool answered;       /* in this term, at all: heard_ms starts as if it had */
    bool lost;           /* dead by evidence since it was heard last */
    uint64_t probe_acked;
    uint64_t applied_index;
    uint64_t state_hash;
    struct progress_flight *flights; /* ring */
    uint32_t flights_head;
    uint32_t flights_count;
    uint32_t flights_cap;
    uint64_t flights_bytes;
    struct progress_snapshot snapshot; /* SNAPSHOT only */
    uint64_t kept_from; /* it came from SNAPSHOT and has not caught up: what follows here, or its
                           match, is kept for it; 0: nothing is (compaction.c) */
    /* Catching up, in rounds (thesis, 4.2.1): a round ends when the peer has what the log held when
     * it began. */
    uint64_t round_target;
    uint64_t round_start_ms;
    uint64_t round_took_ms; /* the latest complete one; UINT64_MAX before the first */
};

/* A server of which nothing is known yet: it is probed just behind the log's end. */
void progress_init(struct progress *progress,
                   struct member_id id,
                   uint64_t next,
                   uint32_t flights_max);
void progress_deinit(struct progress *progress);
/* An answer of this term has come. */
void progress_heard(struct progress *progress, uint64_t now_ms);

/* True if another append may leave now. */
bool progress_may_send(const struct progress *progress, uint64_t bytes_max);
/* An append with entries up to `last_index` (next - 1: without entries) has left. */
void progress_sent(struct progress *progress, uint64_t last_index, uint64_t bytes, uint64_t now_ms);
/* It acknowledged up to `index`. True if that was news. */
bool progress_acknowledged(struct progress *progress, uint64_t index, uint64_t now_ms);
/* It refused an append after `refused_index`. False if that is an old answer; otherwise the next
 * append probes after `next_index - 1`. Never below what it acknowledged: refusals there, one probe
 * after the other, mark it as regressed. */
bool progress_refused(struct progress *progress, uint64_t refused_index, uint64_t next_index);
/* Forget what is under way and probe from the last known match. */
void progress_restart(struct progress *progress);
/* The log starts behind what it needs. */
void progress_needs_snapshot(struct progress *progress);
/* The snapshot is over: appends go on behind `index`, once a probe has met the log there. What
 * follows is kept until progress_caught_up. */
void progress_left_snapshot(struct progress *progress, uint64_t index);
void progress_caught_up(struct progress *progress);
/* Begins or ends rounds of catching up; `last_index` is the log's end. */
void progress_round(struct progress *progress, uint64_t last_index, uint64_t now_ms);
/* True if an answer is outstanding, since sent_ms. */
bool progress_is_waiting(const struct progress *progress);

void progress_check_invariants(const struct progress *progress);

#endif
