/* SPDX-License-Identifier: Apache-2.0 */
/* The words of consensus: entry, configuration, message, event, update. Plain data; who owns what
 * is said at each type. Terms and indexes are those of the Raft paper (Ongaro and Ousterhout,
 * 2014); index 0 is "before the first entry". */
#ifndef INDABA_RAFT_TYPES_H
#define INDABA_RAFT_TYPES_H

#include "base/buf.h"
#include "base/ids.h"

enum {
    RAFT_SERVERS_MAX = 16,
    /* An entry's payload; larger commands are refused when they are proposed. */
    RAFT_PAYLOAD_MAX = 2 * 1024 * 1024,
    /* Bytes of a snapshot file in one message. */
    RAFT_SNAPSHOT_CHUNK_MAX = 1024 * 1024,
};

/* Terms grow one by one, and 2^40 elections take longer than anything: no honest term gets here.
 * A message with a later one is nobody's. */
#define RAFT_TERM_MAX (UINT64_C(1) << 40)

enum raft_entry_kind {
    RAFT_ENTRY_NOOP = 1, /* a new leader's first entry; a test of the others' disks */
    RAFT_ENTRY_COMMAND = 2,
    RAFT_ENTRY_CONFIGURATION = 3, /* payload: an encoded raft_configuration */
};

struct raft_entry {
    uint64_t term;
    uint64_t index;
    enum raft_entry_kind kind;
    struct blob *payload; /* never NULL; one reference per holder of the entry */
};

/* What must survive a crash besides the log: section 5.1, "persistent state". */
struct raft_hard_state {
    uint64_t term;
    struct member_id vote; /* none if no vote was given in this term */
};

/* Joint consensus (section 6): a server is in the new set, the old set, or both. Outside a change
 * the old set is empty. Learners receive the log and count for nothing. */
struct raft_server {
    struct member_id id;
    bool voter;      /* in the current (new) set */
    bool voter_old;  /* in the outgoing set, while a change is under way */
    bool promote;    /* a learner that becomes a voter, by the leader's doing, once it caught up */
    bool demoted;    /* voter_old only: it stays as a learner when the change ends */
    uint32_t region; /* region_id value, for region-aware rules; 0 if unknown */
};

/* What all members do alike, replicated with the configuration and in force with it. */
struct raft_rules {
    /* Timers; both 0: each member's own options. */
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    /* An entry commits only when voters of this many regions hold it durably, besides a majority; 0
     * or 1: a majority is enough. Price: while fewer regions than that are reachable nothing
     * commits, although a majority lives; a change that lowers the rule and nothing else is taken
     * at any time, is in force at once and ends that. Votes and reads do not ask for regions. */
    uint32_t commit_regions_min;
};

struct raft_configuration {
    struct raft_server servers[RAFT_SERVERS_MAX]; /* ascending by id */
    uint32_t count;
    struct raft_rules rules;
};

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

enum raft_message_type {
    RAFT_REQUEST_VOTE = 1, /* pre-vote too, by its flag */
    RAFT_REQUEST_VOTE_RESULT,
    RAFT_APPEND, /* AppendEntries with entries, or to probe a log */
    RAFT_APPEND_RESULT,
    RAFT_HEARTBEAT, /* on a connection of its own; carries commit and the read probe */
    RAFT_HEARTBEAT_RESULT,
    RAFT_INSTALL_SNAPSHOT,
    RAFT_INSTALL_SNAPSHOT_RESULT,
    RAFT_TIMEOUT_NOW, /* leadership transfer, thesis 3.10 */
};

struct raft_request_vote {
    uint64_t last_index; /* durable entries only */
    uint64_t last_term;
    bool pre_vote;
    bool disrupt; /* by leadership transfer: stickiness does not apply */
};

struct raft_request_vote_result {
    bool granted;
    bool pre_vote;
};

struct raft_append {
    uint64_t prev_index;
    uint64_t prev_term;
    uint64_t commit;
    struct raft_entry *entries; /* owned by the message */
    uint32_t entries_count;
};

struct raft_append_result {
    bool success;
    /* success: the last index known to match and to be durable here.
     * failure: the prev_index that was refused. */
    uint64_t index;
    /* failure: where the leader should look next (fast backtracking, section 5.3, end). */
    uint64_t hint_index;
    uint64_t hint_term;
};

struct raft_heartbeat {
    uint64_t commit; /* the sender's; the receiver follows as far as it knows its log to match */
    uint64_t probe;  /* echoed; confirms leadership for all reads up to it (section 8) */
    /* Not the core's: the state's hash after that index, as a majority of the voters holds it; 0:
     * nothing is said. Filled in by the sender's shell, looked at by the receiver's. */
    uint64_t agreed_index;
    uint64_t agreed_hash;
};

struct raft_heartbeat_result {
    uint64_t probe;
    uint64_t applied_index;
    uint64_t state_hash; /* rolling state hash at applied_index, 0 if unknown */
};

/* A chunk of a snapshot file; offsets are bytes. With an empty chunk at the end of the file it only
 * asks how far the receiver is. */
struct raft_install_snapshot {
    uint64_t last_index; /* the snapshot holds all up to here */
    uint64_t last_term;
    struct raft_configuration configuration; /* committed, in force at last_index */
    uint64_t size;                           /* of the whole file */
    uint64_t offset;
    bool last;          /* the file ends with this chunk */
    struct blob *chunk; /* owned by the message */
};

struct raft_install_snapshot_result {
    uint64_t last_index;
    uint64_t offset; /* bytes held so far, without a hole */
    bool done;       /* needs nothing of this snapshot (any more): append after last_index */
};

struct raft_message {
    enum raft_message_type type;
    struct member_id from;
    struct member_id to;
    uint64_t term;

    union {
        struct raft_request_vote request_vote;
        struct raft_request_vote_result request_vote_result;
        struct raft_append append;
        struct raft_append_result append_result;
        struct raft_heartbeat heartbeat;
        struct raft_heartbeat_result heartbeat_result;
        struct raft_install_snapshot install_snapshot;
        struct raft_install_snapshot_result install_snapshot_result;
    };
};

/* Releases what the message owns (entries with their payload references, a chunk). */
void raft_message_deinit(struct raft_message *message);

/* One ordered unit of durable work. The disk does, in this order: drop all entries and begin anew
 * after `restart_index` (if not 0), drop every entry at or above `truncate_from` (if not 0), write
 * the hard state (if has_hard_state), append the entries; then makes all of it durable and reports
 * `seq` back. Writes complete in the order they were issued;
 * `seq` is never reused, so a late completion cannot stand for a rewritten entry (ABA). */
struct raft_write {
    uint64_t seq; /* 0: nothing to write */
    bool has_hard_state;
    struct raft_hard_state hard_state;
    uint64_t restart_index; /* the state up to here is durable elsewhere: an installed snapshot */
    uint64_t restart_term;
    uint64_t truncate_from;
    struct raft_entry *entries; /* in an update: the core's, see struct raft_update */
    uint32_t entries_count;
};

enum raft_event_type {
    RAFT_EVENT_TICK = 1,   /* only time has passed */
    RAFT_EVENT_RECEIVE,    /* a message from a peer */
    RAFT_EVENT_PERSISTED,  /* the write with this seq, and all before it, is durable */
    RAFT_EVENT_PROPOSE,    /* append these payloads, leader only */
    RAFT_EVENT_READ,       /* a linearizable read wants an index, leader only */
    RAFT_EVENT_APPLIED,    /* the state machine has applied up to here */
    RAFT_EVENT_PEER_DEAD,  /* evidence of death of a peer (safety.md 6): refused redial or new
                              incarnation */
    RAFT_EVENT_PEER_ALIVE, /* a link to it stands (again): withdraws such evidence */
    RAFT_EVENT_TRANSFER,   /* hand leadership to `peer`, or to the best voter if none is named */
    RAFT_EVENT_CHANGE,     /* make `target` the configuration, leader only */
    RAFT_EVENT_SNAPSHOT_TAKEN,     /* a durable local snapshot file exists */
    RAFT_EVENT_SNAPSHOT_READ,      /* answers one raft_snapshot_read */
    RAFT_EVENT_SNAPSHOT_WRITTEN,   /* answers one raft_snapshot_write */
    RAFT_EVENT_SNAPSHOT_INSTALLED, /* answers one raft_snapshot_install */
};

/* Why a change of the configuration was refused; texts: raft_change_refusal_text. */
enum raft_change_refusal {
    RAFT_CHANGE_OK,
    RAFT_CHANGE_NOT_LEADER,
    RAFT_CHANGE_HANDING_OVER, /* a transfer of leadership is under way */
    RAFT_CHANGE_TOO_EARLY,    /* the leader has not committed an entry of its own term yet */
    RAFT_CHANGE_UNDER_WAY,    /* the change before this one has not ended */
    RAFT_CHANGE_INVALID,      /* ids not ascending, a flag that only the core sets, no such rule */
    RAFT_CHANGE_NO_VOTER,
    RAFT_CHANGE_TOO_MANY,       /* old and new servers together exceed RAFT_SERVERS_MAX */
    RAFT_CHANGE_NOT_CAUGHT_UP,  /* a new voter must first be a learner, and caught up */
    RAFT_CHANGE_REGION_MOVED,   /* a server keeps its region for life */
    RAFT_CHANGE_REGION_UNKNOWN, /* commit_regions_min needs the region of each voter */
    RAFT_CHANGE_TOO_FEW_REGIONS,
    RAFT_CHANGE_BAD_TIMERS,
    RAFT_CHANGE_NOTHING,  /* it is the configuration already */
    RAFT_CHANGE_UNHEARD,  /* those that answer could not commit through it, and after it */
    RAFT_CHANGE_PROVING,  /* the disks that it would need are being asked (proof.h): ask again */
    RAFT_CHANGE_UNPROVEN, /* and they have not followed for too long: ask again */
};

/* A snapshot file. Its bytes must be a function of the state at `index` alone, so that a transfer
 * that one leader began can be resumed by another. */
struct raft_snapshot {
    uint64_t index; /* 0: there is none */
    uint64_t term;
    uint64_t size; /* bytes, > 0 */
};

struct raft_proposal {
    enum raft_entry_kind kind;
    struct blob *payload; /* borrowed for the call; the core takes its own reference */
};

struct raft_event {
    enum raft_event_type type;
    uint64_t now_ms; /* CLOCK_MONOTONIC, or virtual */

    union {
        const struct raft_message *message; /* RECEIVE: borrowed for the call */
        uint64_t persisted_seq;             /* PERSISTED */

        struct {
            const struct raft_proposal *proposals;
            uint32_t count;
        } propose; /* PROPOSE */

        uint64_t read_id; /* READ: chosen by the caller, comes back in the update */

        struct {
            uint64_t index;
            uint64_t state_hash;
        } applied;             /* APPLIED */
        struct member_id peer; /* PEER_DEAD, PEER_ALIVE, TRANSFER */
        /* CHANGE: borrowed for the call. The whole set as it shall be in the end: voters, learners,
         * learners to be promoted, and the rules; voter_old and demoted must be false. */
        const struct raft_configuration *target;
        struct raft_snapshot snapshot_taken; /* SNAPSHOT_TAKEN: index <= applied */

        struct {
            struct member_id peer;
            uint64_t index;
            uint64_t offset;
            struct blob *chunk; /* borrowed for the call; NULL on error */
            /* ERR_NOT_FOUND, ERR_CORRUPT: the file is gone or bad, another snapshot will be sent
             * (the same one, if it is told as taken again). Any other error passes, perhaps: the
             * bytes are asked for again an election timeout later, unless there is a newer one. */
            enum error error;
        } snapshot_read; /* SNAPSHOT_READ */

        struct {
            uint64_t index;
            uint64_t offset;  /* of the end of what was written */
            enum error error; /* the file received so far is thrown away by both */
        } snapshot_written;   /* SNAPSHOT_WRITTEN */

        struct {
            uint64_t index;
            enum error error; /* it did not verify: the file is thrown away by both */
        } snapshot_installed; /* SNAPSHOT_INSTALLED: the state machine is durably at `index` */
    };
};

struct raft_read_ready {
    uint64_t read_id;
    uint64_t index; /* serve the read from a state with applied >= index */
    bool confirmed; /* false: leadership was lost, the read must be refused */
};

/* Read `length` bytes of the local snapshot `index` at `offset` and answer with SNAPSHOT_READ. */
struct raft_snapshot_read {
    struct member_id peer; /* for whom; comes back in the answer */
    uint64_t index;
    uint64_t offset;
    uint32_t length;
};

/* Write `chunk` at `offset` of the file under construction and answer with SNAPSHOT_WRITTEN; it
 * need not be durable before the install. The next write comes only after the answer. Offset 0
 * begins a new file (and ends any other). */
struct raft_snapshot_write {
    uint64_t index; /* 0: nothing to write */
    uint64_t term;
    uint64_t size; /* of the whole file, as it was announced */
    uint64_t offset;
    struct blob *chunk; /* the core's, until the next step */
};

/* The file is complete: verify it, make it the content of the state machine, atomically and
 * durably, answer with SNAPSHOT_INSTALLED. All that was handed out as committed is to be applied
 * before; no more of it comes meanwhile. The update of the SNAPSHOT_INSTALLED step then has the
 * write that restarts the log (restart_index); a crash in between is healed by raft_new. */
struct raft_snapshot_install {
    uint64_t index; /* 0: nothing to install */
    uint64_t term;
    uint64_t size; /* of the file */
    struct raft_configuration configuration;
};

/* What the caller must do after a step. Arrays belong to the core and hold until the next step;
 * what they point at (payloads) is referenced by the core meanwhile: a taker adds its own
 * reference. Order: hand `write` to the disk, then send `messages` (those that promise durability
 * are only emitted after the PERSISTED they wait for), then apply committed entries up to `commit`.
 */
struct raft_update {
    struct raft_write write;
    const struct raft_message *messages;
    uint32_t messages_count;
    uint64_t commit;         /* grows only; never above the local durable index */
    bool leadership_changed; /* role, term or known leader differ from the step before */
    enum raft_role role;
    uint64_t term;
    struct member_id leader; /* none if unknown */
    /* PROPOSE: indexes given are first_index .. first_index + count - 1 in `term`; or an error. */
    enum error propose_error;
    uint64_t propose_first_index;
    /* CHANGE: propose_error and propose_first_index as well, and on refusal why, and of whom. The
     * change has ended when raft_status says that its configuration is committed and not joint. */
    enum raft_change_refusal change_refusal;
    struct member_id change_refused;
    const struct raft_read_ready *reads;
    uint32_t reads_count;
    /* The configuration in force, or how far it is committed, differs from the step before. */
    bool configuration_changed;
    /* Entries up to here (inclusive) are needed no more: the disk may forget them. Grows only. */
    uint64_t log_cut_index;
    /* A peer needs a snapshot and there is none to send: take one soon. */
    bool snapshot_wanted;
    const struct raft_snapshot_read *snapshot_reads;
    uint32_t snapshot_reads_count;
    struct raft_snapshot_write snapshot_write;
    struct raft_snapshot_install snapshot_install;
    /* None, or a peer that has lost entries which it had acknowledged (a wiped or restored disk):
     * nothing is sent to it any more; it must come back as a new member. Told once. */
    struct member_id peer_regressed;
    /* Call again with TICK at this time at the latest; UINT64_MAX if never. */
    uint64_t next_deadline_ms;
};

#endif
