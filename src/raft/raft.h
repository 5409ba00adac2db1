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
    /* Entries and payload bytes kept behind the latest snapshot, for peers that lag a little. 0:
     * 10,000 entries, 16 MiB. A peer that is being sent a snapshot holds back
     * what it will need after it, up to the size of the snapshot, within 4 and 16 times
     * log_tail_bytes. */
    uint32_t log_tail_entries;
    uint32_t log_tail_bytes;
    uint32_t snapshot_chunk_bytes; /* 0: 512 KiB; at most RAFT_SNAPSHOT_CHUNK_MAX */
    uint64_t snapshot_bytes_per_s; /* to all peers together. 0: 32 MiB */
    /* One readable line per transition, for golden tests and debug logs; NULL for none. */
    void (*trace)(const char *line, void *ctx);
    void *trace_ctx;
};

/* What recovery found. The core takes its own payload references. Entries are contiguous and
 * ascending, and begin at or before snapshot_index + 1, so none is missing in between. If the log
 * does not go through the snapshot (raft_log_goes_through: a crash in the middle of an install) the
 * core starts from the snapshot and its first update restarts the log (struct raft_write);
 * applied_index is then snapshot_index. */
struct raft_recovered {
    struct raft_hard_state hard_state;
    const struct raft_entry *entries;
    uint64_t entries_count;
    /* What the state machine durably holds without the log: a snapshot file, or the store itself;
     * 0: nothing. */
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint64_t snapshot_size; /* bytes of the file at exactly snapshot_index; 0: no such file */
    /* At the snapshot, or the founding one. Empty for a member that joins: it neither campaigns nor
     * knows a leader until a log or a snapshot tells it who the members are. */
    struct raft_configuration configuration;
    uint64_t applied_index; /* already in the store; committed by definition; >= snapshot_index */
    /* The file under construction, of an install that a crash interrupted; 0: none. */
    uint64_t partial_index;
    uint64_t partial_term;
    uint64_t partial_bytes;
};

/* A log as recovery found it. */
struct raft_log_span {
    uint64_t first_index; /* of the first entry; of the next one if there is none */
    const struct raft_entry *entries;
    uint64_t entries_count;
};

/* Whether the log goes through the state at (index, term): it holds that entry, or begins behind
 * it. One that does not is behind or beside that state, by an install that was cut short: what is
 * in it is not needed, and raft_new begins anew after the snapshot. */
bool raft_log_goes_through(const struct raft_log_span *log, uint64_t index, uint64_t term);

/* A core that is a follower of nobody at `now_ms`. Defaults fill options that are 0: heartbeat 50,
 * election 500, 256 messages, 4 MiB, 256 KiB. */
struct raft *raft_new(const struct raft_options *options,
                      const struct raft_recovered *recovered,
                      uint64_t now_ms);
void raft_free(struct raft *raft);

/* One step. `update_out` is overwritten. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_update *update_out);

/* Whether this member may stand for election from now on (at first it may): one that may not still
 * appends and votes. It must not be leading. */
void raft_set_may_lead(struct raft *raft, bool may_lead);

/* The entry at `index`, borrowed until the next step; NULL if it is not in the log (any more). */
const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index);

/* The configuration in force at `index`, which must be in the log or its base (status.first_index
 * - 1): what a snapshot taken at `index` carries. */
const struct raft_configuration *raft_configuration_at(const struct raft *raft, uint64_t index);

/* What is wrong and what to do, one sentence; never NULL. */
const char *raft_change_refusal_text(enum raft_change_refusal refusal);

/* Leader: no quorum has answered for a second, or for three heartbeats if those are longer. It may
 * be the leader still, but what it hears of the world says little. */
bool raft_is_out_of_touch(const struct raft *raft, uint64_t now_ms);

/* Figures for status pages, metrics and tests. */
enum raft_peer_state {
    RAFT_PEER_PROBE,     /* finding where the logs meet */
    RAFT_PEER_REPLICATE, /* streaming */
    RAFT_PEER_SNAPSHOT,  /* it needs entries that the log has no more */
};

struct raft_peer_status {
    struct member_id id;
    uint64_t match_index;
    uint64_t next_index;
    bool voter;
    bool active; /* heard from within an election timeout (leader's view) */
    /* It answered this leader within an election timeout, and nothing says that it died since: what
     * a change of the members counts on. */
    bool heard;
    /* It answers, and has made nothing durable for an election timeout of what it was sent. */
    bool stalled;
    bool unknown; /* this leader is new and has had no answer of it yet */
    /* On the core's clock: its last answer, or when this leader began to speak to it. */
    uint64_t heard_ms;
    uint64_t applied_index;
    uint64_t state_hash;
    enum raft_peer_state state;
    bool caught_up;          /* could become a voter now */
    bool regressed;          /* see raft_update.peer_regressed */
    uint64_t snapshot_index; /* SNAPSHOT: what it is sent, 0 if there is none yet */
    uint64_t snapshot_size;
    uint64_t snapshot_acked; /* bytes */
};

struct raft_status {
    enum raft_role role;
    uint64_t term;
    struct member_id leader;
    struct member_id vote;
    uint64_t first_index; /* of the entries held; last_index + 1 if none is */
    uint64_t last_index;
    uint64_t durable_index;
    uint64_t commit;
    uint64_t applied;
    uint64_t log_bytes;            /* payloads and a fixed overhead of the entries held */
    struct raft_snapshot snapshot; /* the latest local one */
    /* A living peer is being sent the one before and holds the log back behind it: another one
     * would let nothing be forgotten, and cost that peer its file. */
    bool snapshot_held;
    uint64_t receiving_index; /* the snapshot that is being received or installed; 0: none */
    uint64_t receiving_bytes;
    struct raft_configuration configuration; /* in force, from configuration_index on */
    uint64_t configuration_index;
    bool configuration_committed; /* as far as this member knows */
    bool member;                  /* we are in it, as voter or learner */
    struct member_id transfer_to; /* leadership is being handed to it; none: it is not */
    uint32_t heartbeat_ms;        /* timers in force */
    uint32_t election_ms;
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
