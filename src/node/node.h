/* SPDX-License-Identifier: Apache-2.0 */
/* A member of the cluster: the main drawing of this system. It feeds events to the consensus core,
 * hands its writes to the append thread, its messages to the peers, committed entries to the apply
 * thread, and what was applied to the controller and to whoever waits.
 *
 * One loop thread owns it and never blocks. Requests made of it (propose, read) are gathered and go
 * to the core together before the loop sleeps; no callback comes from inside a call, and the core
 * is stepped in one place alone (node_step.c). Nothing is applied above min(commit, locally
 * durable). A failed disk ends the process, sockets first. */
#ifndef INDABA_NODE_NODE_H
#define INDABA_NODE_NODE_H

#include "base/reason.h"
#include "config/member_config.h"
#include "decide/controller.h"
#include "node/applier_batch.h"
#include "node/membership_check.h"
#include "node/node_office.h"
#include "node/proposals.h"
#include "peers/peers.h"
#include "raft/raft.h"

#include <sys/queue.h>

struct node;

struct node_options {
    struct net *net;
    struct tls *tls;
    const struct member_config *config; /* outlives the node */
};

/* Takes the data folder, recovers log and state, checks that they belong together, and begins to
 * talk to the peers. `reason` says what, where, what to do. */
MUST_CHECK enum error
node_open(const struct node_options *options, struct reason *reason, struct node **node_out);

/* Once per process: the node's own histograms. */
void node_register_metrics(void);

/* Leader: what a command about members or settings would come to, by what it hears now.
 * ERR_PRECONDITION or ERR_UNAVAILABLE with why not. */
MUST_CHECK enum error node_members_check(const struct node *node,
                                         const struct command *command,
                                         struct membership_forecast *forecast_out);
/* Leader: why it makes no step towards the record now, for lack of those that answer; "": it does.
 */
const char *node_members_held(const struct node *node);

/* Hands leadership over, if this member has it. ERR_OK when that has begun, with whom; it may still
 * fail, and then this member leads on. No target means the voter that is furthest. ERR_NOT_LEADER;
 * ERR_PRECONDITION with why not. */
MUST_CHECK enum error node_hand_over(struct node *node,
                                     struct member_id target,
                                     char why[TEXT_SIZE],
                                     struct member_id *target_out);
/* The same by this member's own will, to the voter that is furthest: tried, and logged; that it
 * stays, with level `stays`. */
void node_transfer(struct node *node, enum log_level stays);
/* Has it read anew whom a person vouched for in the folder; a thread does. */
void node_load_vouched(struct node *node);
/* Stops the threads (what is queued for the disk is finished) and lets go of everything; memory
 * goes when the loop has run its close callbacks. Waiters are not called any more. */
void node_close(struct node *node);

/* Appends the command if this member leads; the leader's wall clock is stamped here. The waiter is
 * called exactly once (proposals.h). The command is copied. ERR_NO_SPACE for a command that makes
 * the state grow, while the member has little room; node_space_text says what to tell the caller.
 * ERR_VERSION for one that some member cannot apply yet.
 */
void node_propose(struct node *node, const struct command *command, struct proposals_waiter waiter);

enum {
    NODE_SPACE_TEXT_SIZE = 1024
};

/* Whether the member has little room, so that what makes the state grow must be refused. */
bool node_space_is_low(const struct node *node);
/* Where there is no room, how much, and what to do; returns `text`. */
char *node_space_text(const struct node *node, char text[NODE_SPACE_TEXT_SIZE]);

enum {
    NODE_QUARANTINE_TEXT_SIZE = 512,
    /* Exit code of a member that found its state to be another than the majority's: to be started
     * again (<sysexits.h>: EX_TEMPFAIL). */
    NODE_EXIT_QUARANTINE = 75,
    /* … that a peer refuses for good: to be started again in vain, with the same words. */
    NODE_EXIT_REFUSED = 1
};

/* Whether a majority contradicts, or did contradict, this member's state. */
bool node_is_quarantined(const struct node *node);
/* Leader: whether that member's state was last seen to be another than ours, and ours is not the
 * wrong one. */
bool node_contradicts(const struct node *node, struct member_id peer);
/* Why a member in quarantine serves nothing; returns `text`. */
char *node_quarantine_text(const struct node *node, char text[NODE_QUARANTINE_TEXT_SIZE]);

/* A linearizable read: ERR_OK when a query made inside the callback sees everything that was
 * acknowledged before this call; ERR_NOT_LEADER otherwise. `index` is how far that goes: a query
 * made before the callback, but after this call, sees the same if node_submitted was as far. */
typedef void (*node_read_fn)(enum error error, uint64_t index, void *ctx);
void node_read(struct node *node, node_read_fn done, void *ctx);
/* The last entry given to the apply thread; a query made now sees what it did. */
uint64_t node_submitted(const struct node *node);
/* The same on any member, for an index that the leader confirmed: ERR_OK once everything up to it
 * was given to the apply thread. */
void node_read_at(struct node *node, uint64_t index, node_read_fn done, void *ctx);

/* See applier_query. */
void node_query(struct node *node, applier_query_fn run, applier_done_fn done, void *ctx);

/* What the member holds of itself and of the others: for pages that show it. Who only wants to know
 * who leads asks node_office. */
struct node_view {
    enum raft_role role;
    uint64_t term;
    const struct member *leader; /* NULL if unknown; holds until the loop's next turn */
    uint64_t commit;
    uint64_t applied;
    uint64_t state_hash;
    uint64_t leader_heard_age_ms; /* since a message of the leader; 0 on the leader itself */
    bool loaded;                  /* the stored state was read into the controller */
    bool initialized;             /* cluster.init was applied */
    bool in_office;               /* leads, and its controller acts: sidecars are served */
    uint64_t apply_backlog;
    uint64_t store_used_bytes;
    uint64_t store_map_bytes;
    uint64_t wal_batches;
    bool wal_has_room;
    uint64_t disk_stalled_ms;    /* for so long no write came to an end, though some wait; else 0 */
    uint64_t space_free_bytes;   /* of the folder's file system, beside the reserve */
    uint64_t snapshot_waits_for; /* bytes that a snapshot waits for; 0: none does */
    bool space_is_low;           /* commands that make the state grow are refused */
    uint32_t proposals_waiting;
    bool quarantined;  /* serves nothing, never leads: node_quarantine_text */
    uint32_t diverged; /* leader: members whose state differs from ours */
};

void node_view(const struct node *node, struct node_view *view_out);
/* So many bytes came to the log since the last snapshot: at storage.snapshot_kib one is due. */
uint64_t node_snapshot_log_grown(const struct node *node);
/* "follower", "pre_candidate", "candidate", "leader". */
const char *node_role_name(enum raft_role role);
const struct member_config *node_config(const struct node *node);
/* The members as this one knows them: the cluster's own record, or those of the configuration file
 * while it has none. They hold until the loop's next turn. */
const struct member *node_members(const struct node *node, uint32_t *count_out);
/* An operator wants commits in fewer regions, and the command that says so may not commit while the
 * rule stands: this leader, in office or not (its first entry may be what cannot commit),
 * lowers the rule at once, until the record follows or its office ends. Nothing while some member
 * does not know the command. */
void node_lower_commit_regions(struct node *node, uint32_t regions);
/* The command was applied, whatever it came to, or surely was not taken: the record rules again. */
void node_restore_commit_regions(struct node *node);
/* NULL if it is not one that we know. */
const struct member *node_member(const struct node *node, struct member_id id);
const struct raft *node_raft(const struct node *node);
const struct peers *node_peers(const struct node *node);
struct controller *node_controller(struct node *node);

/* Sidecar sessions: the outputs of the controller that go to one of them, and the end of this
 * member's office (every session is over). */
struct node_sessions {
    void (*on_output)(const struct controller_output *output, void *ctx);
    void (*on_stepped_down)(void *ctx);
    void *ctx;
};

void node_set_sessions(struct node *node, const struct node_sessions *sessions);

/* Who wants to know what happens to the member. Any function may be NULL. */
struct node_observer {
    TAILQ_ENTRY(node_observer) others;
    /* The known leader is another one, or none, or this member. */
    void (*on_leader_changed)(void *ctx);
    /* What was applied: every batch on every member, in order, after its waiters were called.
     * `loaded` comes once before, with where the stored keys stand. */
    void (*on_loaded)(const struct kv_position *kv, void *ctx);
    void (*on_batch)(const struct applier_batch *batch, void *ctx);
    void *ctx;
};

/* The observer is the caller's and stays where it is until node_unobserve. Who came last is told
 * first: services stand on what was there before them. Neither from inside a call of one. */
void node_observe(struct node *node, struct node_observer *observer);
void node_unobserve(struct node *node, struct node_observer *observer);
/* The replies of the COMMAND_KV whose waiter is being called; empty at other times. */
struct slice node_replies(const struct node *node);
/* Does what the controller wants now; call it after each input given to the controller. */
void node_pump(struct node *node);

#endif
