/* SPDX-License-Identifier: Apache-2.0 */
/* The whole state of one member's core, shared by the files of this folder and by nobody else. Each
 * part is changed by one file only; which one is said beside it. */
#ifndef INDABA_RAFT_RAFT_STATE_H
#define INDABA_RAFT_RAFT_STATE_H

#include "base/prng.h"
#include "raft/durable.h"
#include "raft/log_view.h"
#include "raft/outbox.h"
#include "raft/progress.h"
#include "raft/raft.h"
#include "raft/snapshot_receive.h"

/* A linearizable read that waits (read_index.c). */
struct raft_read_wait {
    uint64_t read_id;
    uint64_t index; /* 0 until its round has begun */
    uint64_t probe; /* the round that confirms it */
};

struct raft_read_queue {
    struct raft_read_wait *waits; /* a round's reads lie before those of later rounds */
    uint32_t count;
    uint32_t cap;
    uint32_t begun; /* the first `begun` of them are in rounds */
    struct raft_read_ready *ready;
    uint32_t ready_count;
    uint32_t ready_cap;
};

/* Evidence of a peer's death, and our term when it came (evidence.c). */
struct raft_dead_peer {
    struct member_id id;
    uint64_t term;
};

struct raft {
    struct raft_options options;
    struct prng prng;
    uint64_t now_ms;

    /* become.c */
    enum raft_role role;
    uint64_t term;
    struct member_id vote;
    struct member_id leader;
    bool hard_state_dirty; /* term or vote are not yet in a write */

    /* log_view.c, durable.c: the log and how far the disk has followed */
    struct log_view log;
    struct durable durable;

    /* append.c (follower) and replicate.c (leader). `commit` may run ahead of the local disk; what
     * leaves in an update never does. */
    uint64_t commit;
    uint64_t commit_out;
    uint64_t applied;
    uint64_t state_hash;
    /* Follower: what is known to match the log of this term's leader, how far that leader has
     * committed, and the last index that was acknowledged to it. */
    struct member_id term_leader;
    uint64_t matched;
    uint64_t leader_commit;
    uint64_t acked;

    /* election.c */
    uint64_t election_deadline_ms;
    uint64_t heard_leader_ms; /* 0: never in this term */
    struct member_id granted_by[RAFT_SERVERS_MAX];
    uint32_t granted_count;
    bool may_not_lead; /* raft_set_may_lead */
    bool disrupt;      /* this candidacy was ordered by the leader */
    bool challenge;    /* the last leader is dead by evidence, and nobody has followed it yet */
    struct member_id challenged; /* that leader */
    struct member_id vote_owed;  /* to be answered once the vote is durable */

    /* evidence.c */
    struct raft_dead_peer dead[RAFT_SERVERS_MAX];
    uint32_t dead_count;

    /* replicate.c: leader only */
    struct progress peers[RAFT_SERVERS_MAX];
    uint32_t peers_count;
    uint64_t heartbeat_deadline_ms;
    uint64_t told_ms;          /* when one was last told so */
    uint64_t tell_deadline_ms; /* a commit that some peer may not know is told then; 0: none is */
    uint64_t elected_ms;
    uint64_t term_start_index; /* the no-op of this term */
    uint64_t uncommitted_bytes;
    bool stepping_aside; /* reconfigure.c: it is no voter any more and has tried to hand over */

    /* proof.c: leader only */
    uint64_t proof_index;       /* to be made durable before the voters change; 0: none */
    uint64_t proof_ms;          /* when it was appended */
    uint64_t proof_patience_ms; /* for how long from then on it holds */
    uint64_t proof_missed_ms;   /* after so long, when asked last, it was not there */

    /* read_index.c: leader only, but the counter lives as long as the core */
    uint64_t probe;
    uint64_t probe_confirmed;
    struct raft_read_queue reads;

    /* compaction.c, and snapshot_receive.c when one is installed: the latest local snapshot */
    struct raft_snapshot snapshot;
    struct snapshot_receive receiving; /* snapshot_receive.c */
    bool write_busy;                   /* a chunk is being written, perhaps of an older transfer */

    /* snapshot_send.c: leader only */
    uint64_t snapshot_budget; /* bytes that may be sent now, as of snapshot_budget_ms */
    uint64_t snapshot_budget_ms;
    uint64_t snapshot_wait_ms; /* when a chunk that was too large for it may be tried again */
    uint32_t snapshot_turn;

    /* transfer.c: leader only */
    struct member_id transfer_to;
    uint64_t transfer_deadline_ms;

    /* abdicate.c: leader only. A majority holds what our disk did not, since then; 0: it does not.
     */
    uint64_t behind_since_ms;
    uint64_t behind_index; /* how far our disk must get to end that */

    /* outbox.c: what this step has produced so far */
    struct outbox outbox;
    enum error propose_error;
    uint64_t propose_first_index;
    enum raft_change_refusal change_refusal;
    struct member_id change_refused;
    struct member_id peer_regressed;
    struct raft_snapshot_write snapshot_write; /* with a reference to its chunk */
    struct raft_snapshot_install snapshot_install;
};

#endif
