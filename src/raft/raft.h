/* SPDX-License-Identifier: Apache-2.0 */
/* The consensus core: one call, raft_step(raft, event, update). No I/O, no clock, no randomness
 * from outside: time, messages and completions of writes come in as events, and what to write, send
 * and apply goes out as an update. Production, unit tests and the simulator link this same object.
 * Single-threaded: the owner calls it from one thread. */
#ifndef INDABA_RAFT_RAFT_H
#define INDABA_RAFT_RAFT_H

#include "raft/types.h"

struct raft;

struct raft_options {
    struct member_id self;
    uint64_t seed; /* of the stream that randomizes election timeouts */
    uint32_t heartbeat_ms;
    uint32_t election_ms;           /* timeouts are drawn from [election_ms, 2 * election_ms) */
    uint32_t inflight_messages_max; /* appends under way per peer */
    uint32_t inflight_bytes_max;
    uint32_t append_bytes_max; /* payload bytes in one append message */
    /* Payload bytes that the leader holds appended but not committed; more are refused
     * (ERR_EXHAUSTED). 0: 64 MiB. */
    uint32_t uncommitted_bytes_max;
    uint32_t
        rank; /* place among the members after a leader's death: delays pre-vote by rank * 10 ms */
    /* One readable line per transition, for golden tests and debug logs; NULL for none. */
    void (*trace)(const char *line, void *ctx);
    void *trace_ctx;
};

/* What recovery found. Entries are contiguous, ascending from index 1 (from the snapshot's index +
 * 1 once snapshots exist); the core takes its own payload references. */
struct raft_recovered {
    struct raft_hard_state hard_state;
    const struct raft_entry *entries;
    uint64_t entries_count;
    uint64_t snapshot_index; /* 0: none */
    uint64_t snapshot_term;
    struct raft_configuration configuration; /* at the snapshot, or the founding one */
    uint64_t applied_index;                  /* already in the store; committed by definition */
};

/* A core that is a follower of nobody at `now_ms`. Defaults fill options that are 0: heartbeat 50,
 * election 500, 256 messages, 4 MiB, 256 KiB. */
struct raft *raft_new(const struct raft_options *options,
                      const struct raft_recovered *recovered,
                      uint64_t now_ms);
void raft_free(struct raft *raft);

/* One step. `update_out` is overwritten. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_update *update_out);

/* The entry at `index`, borrowed until the next step; NULL if it is not in the log. */
const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index);

/* Figures for status pages, metrics and tests. */
struct raft_peer_status {
    struct member_id id;
    uint64_t match_index;
    uint64_t next_index;
    bool voter;
    bool active; /* heard from within an election timeout (leader's view) */
    uint64_t applied_index;
    uint64_t state_hash;
};

struct raft_status {
    enum raft_role role;
    uint64_t term;
    struct member_id leader;
    struct member_id vote;
    uint64_t last_index;
    uint64_t durable_index;
    uint64_t commit;
    uint64_t applied;
    struct raft_peer_status peers[RAFT_SERVERS_MAX];
    uint32_t peers_count;
};

void raft_status(const struct raft *raft, struct raft_status *status_out);

/* Every invariant of one member's state (safety of the log, order of indexes, what a role may
 * hold); a CHECK fails otherwise. Called by raft_step on entry and exit in debug builds, by the
 * simulator after each step. */
void raft_check_invariants(const struct raft *raft);

/* Payload of a RAFT_ENTRY_CONFIGURATION, base/buf.h codec. */
void raft_configuration_encode(const struct raft_configuration *configuration, struct buf *out);
MUST_CHECK enum error raft_configuration_decode(struct slice bytes,
                                                struct raft_configuration *configuration_out);

#endif
