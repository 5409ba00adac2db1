/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a node's core share: node.c (life), node_recover.c (start), node_step.c (what
 * the core is told, and asks for), node_events.c (what waits for it), node_disk.c (writes),
 * node_file.c (small files), node_requests.c (who wants what), node_watch.c (stalls, space,
 * states), node_transfer.c (leadership handed over), node_quarantine.c (a wrong state of ours),
 * node_snapshot.c (snapshots), node_snapshot_when.c (their pace, their room), node_office.c
 * (controller and leadership), node_members.c (who the members are), node_voices.c (who may speak),
 * node_vouched.c (a person's word on that), node_links.c (the links to the others). The outside is
 * struct node_io. */
#ifndef INDABA_NODE_NODE_INTERNAL_H
#define INDABA_NODE_NODE_INTERNAL_H

#include "base/reason.h"
#include "node/divergence.h"
#include "node/membership_plan.h"
#include "node/node_events.h"
#include "node/node_io.h"
#include "storage/quarantine_mark.h"
#include "storage/vouch_file.h"

/* A command that waits for the next flush. */
struct node_proposal {
    struct blob *payload; /* NULL: to be refused, with `refusal` */
    enum error refusal;
    struct proposals_waiter waiter;
};

/* A read: of a caller (done) or of the controller (done NULL, its own id). */
struct node_read_request {
    uint64_t read_id; /* ours, given at the flush */
    uint64_t index;   /* once confirmed */
    uint64_t controller_read_id;
    node_read_fn done;
    void *ctx;
};

struct node_reads {
    struct node_read_request *items;
    uint32_t count;
    uint32_t cap;
};

/* What the loop knows of its disk (node_watch.c). */
struct node_watch {
    uint64_t progress;    /* of the disk, when it last changed */
    uint64_t progress_ms; /* when that was, or when there was last nothing to do */
    uint64_t looked_ms;   /* the last probe */
    uint64_t stalled_ms;
    bool stalls; /* for an election timeout, or longer */
    bool space_was_low;
    uint64_t handed_over_ms;    /* the last try for a wrong state of ours */
    struct member_id handed_to; /* in this office, last, for any reason */
    bool timers_are_short;      /* for the round trips between members, as was logged */
    uint64_t timers_told_ms;
    bool state_is_disputed; /* no majority holds one state */
    bool state_is_ours;     /* the leader found the wrong state to be its own */
};

/* What a snapshot needs room for. */
enum node_room {
    NODE_ROOM_TAKE,
    NODE_ROOM_RECEIVE,
    NODE_ROOM_INSTALL,
    NODE_ROOM_KINDS
};

/* Snapshots: node_snapshot.c. */
struct node_snapshots {
    struct snapshot_info newest;
    bool taking;
    bool wanted; /* by the core, for a peer */
    struct raft_snapshot_install install;
    bool installing;
    uint64_t log_bytes_base; /* of the core's log, after the newest was taken */
    uint64_t due_index;      /* the entry that made the next one due, which holds it; 0: none */
    uint64_t began_ms;
    uint64_t rest_until_ms;   /* until then the next one has to be worth its size */
    uint64_t failed_until_ms; /* until then none is tried: the last one failed, or was offered */
    uint64_t install_at_ms;   /* not before: the last try failed */
    uint64_t cut_index;
    struct node_file_job *held;      /* a received chunk that waits for room */
    uint64_t needs[NODE_ROOM_KINDS]; /* free bytes that this waits for; 0: it does not wait */
};

/* Who the members are: node_members.c. */
struct node_membership {
    struct applier_topology topology; /* the cluster's record; members_count 0: none yet */
    struct membership_preference preference;
    enum raft_change_refusal refusal; /* the last one, told once */
    char held[TEXT_SIZE];             /* what a change waits for, for people; "": nothing */
    uint32_t commit_regions_cap; /* lower than the record, which cannot commit as it is; 0: none */
    bool proposing;
    bool speaks;    /* the peers were told who the members are */
    bool set_again; /* the core's configuration has changed since */
};

/* node_quarantine.c. Zeros: there is none. */
struct node_quarantine {
    bool active;
    bool leaving;      /* its mark is being removed; until then it is in force */
    bool contradicted; /* the state was made anew and still differs */
    struct quarantine_mark mark;
};

/* Writes that the append thread's queue had no room for. */
struct node_backlog {
    struct raft_write *writes;
    uint32_t count;
    uint32_t cap;
};

/* How far one vouch has got. */
struct node_vouch_progress {
    bool looked; /* whether the record knew it when it was read */
    uint32_t told;
    uint64_t again_ms;
};

/* What a leader has written of what members told it. */
struct node_vouch_heard {
    struct member_id by;
    struct member_id id;
    uint64_t said_wall_ms;
};

/* node_vouched.c */
struct node_vouched {
    struct vouches said;
    bool reading; /* on a thread */
    bool again;   /* asked for while it reads: what it has may be older than that */
    struct node_vouch_progress progress[VOUCHES_MAX];
    struct node_vouch_heard heard[VOUCHES_MAX]; /* a ring */
    uint32_t heard_next;
};

struct node {
    struct node_core core;
    const struct node_io *io;
    void *ctx; /* of every function of `io` */
    const struct member_config *config;
    struct peers *peers;
    struct node_watch watch;
    struct divergence divergence;
    struct node_membership membership;
    struct node_quarantine quarantine;
    struct node_vouched vouched;
    struct raft *raft;
    struct controller *controller;
    struct proposals *proposals;
    struct node_sessions sessions;
    LIST_HEAD(node_ticket_list, node_ticket) tickets; /* node_office.c */
    TAILQ_HEAD(node_observer_list, node_observer) observers;
    LIST_HEAD(node_port_end_list, node_port_end) port_ends; /* node_port_core.c */
    struct slice replies; /* of the entry whose waiter is being called */

    bool closing;
    struct node_events events; /* for the core */
    bool running;              /* node_run takes them */
    bool pumping;

    uint64_t persisted_seq; /* told to the core */
    struct node_backlog backlog;
    struct node_snapshots snapshots;

    enum raft_role role;
    uint64_t term;
    struct member_id leader;
    uint64_t leader_heard_ms;
    uint64_t commit;
    uint64_t submitted; /* last index given to the applier */
    uint64_t applied;
    uint64_t applied_term; /* of the last applied entry */
    uint64_t state_hash;
    uint64_t store_used_bytes;
    uint64_t store_map_bytes;

    struct node_proposal *proposals_new;
    uint32_t proposals_new_count;
    uint32_t proposals_new_cap;
    struct node_reads reads_new;       /* wait for the flush */
    struct node_reads reads_asked;     /* wait for the core */
    struct node_reads reads_confirmed; /* wait until their index was given to the applier */
    uint64_t last_read_id;

    bool loaded;
    bool initialized;
    bool in_office; /* leads, and has applied an entry of its own term */
    bool init_proposed;
    uint64_t leap_told_ms;
};

/* What waits for the core, one event after the other, and for each everything that its update asks
 * for. Whatever comes in from outside (a message, a completion, a timer) ends with this; what is
 * asked for meanwhile is posted, and taken by the round that is under way. */
void node_run(struct node *node);
/* For the next round. Takes what the event owns. */
void node_post(struct node *node, const struct node_event *event);
/* An event that is nothing but its type. */
void node_post_type(struct node *node, enum raft_event_type type);

/* Writes. */
void node_disk_submit(struct node *node, const struct raft_write *write);
void node_disk_deinit(struct node *node);
/* The outside ends us; if that comes back, nothing more is done. */
void node_end(struct node *node, int exit_code);
uint64_t node_now_ms(const struct node *node);
struct node_disk_look node_look_at_disk(const struct node *node);

/* Looks after disk, space and the members' states; each tick. */
void node_watch_tick(struct node *node);
/* Whether our disk has little space or hangs: others should rather lead. */
bool node_watch_is_reluctant(const struct node *node);
/* Whether this command must be refused now for want of space. */
bool node_watch_refuses(const struct node *node, enum command_kind kind);

/* Reads the mark, and makes the store anew if that has not been done. Before snapshots are looked
 * at and the store is opened. */
MUST_CHECK enum error
node_quarantine_start(struct node *node, const struct wal_recovered *log, struct reason *reason);
/* What a message says of the majority's state, after the core has taken it. */
void node_quarantine_heard(struct node *node, const struct raft_message *message);
/* Its mark was removed, or could not be. */
void node_quarantine_unmarked(struct node *node, const struct node_file_job *job);

/* Snapshots. */
void node_snapshot_start(struct node *node, const struct snapshot_info *newest);
void node_snapshot_update(struct node *node, const struct raft_update *update);
void node_snapshot_tick(struct node *node);
void node_snapshot_stop(struct node *node);
/* One was taken, or a chunk read or written. */
void node_snapshot_file_done(struct node *node, struct node_file_job *job);

/* Pace of them, and room for them (node_snapshot_when.c). */
MUST_CHECK bool node_snapshot_is_due(struct node *node, const struct raft_status *status);
/* The next rests for a while after one begun at `began_ms`; longer after a failure. */
void node_snapshot_rest(struct node *node, uint64_t began_ms, bool failed);
/* Whether the disk has so many bytes beside what the member keeps free for itself; said on the log
 * when it changes. */
bool node_snapshot_has_room(struct node *node, enum node_room kind, uint64_t bytes);
/* The most that anything waits for, 0 if nothing does. */
uint64_t node_snapshot_waits_for(const struct node *node);

/* Requests. */
void node_requests_reads_ready(struct node *node, const struct raft_update *update);
/* True if a read was finished. */
bool node_requests_submitted(struct node *node);
void node_requests_deinit(struct node *node);

/* Posts a hand-over, if there is somebody fit; see node_hand_over. */
MUST_CHECK enum error node_transfer_begin(struct node *node,
                                          struct member_id target,
                                          char why[TEXT_SIZE],
                                          struct member_id *target_out);

/* Members. */
void node_members_start(struct node *node);
/* The cluster's record of itself, as it is now. */
void node_members_take(struct node *node, const struct applier_topology *topology);
/* With what is applied now: speaks to the others, once it is clear who they are. */
void node_members_applied(struct node *node);
/* On each tick of every member. */
void node_members_watch(struct node *node);
/* In office: what comes next so that the core follows the record. */
void node_members_tick(struct node *node);
void node_members_office_ended(struct node *node);
/* ERR_VERSION for a kind of command that some member cannot apply yet. */
MUST_CHECK enum error node_members_check_kind(const struct node *node, enum command_kind kind);
/* What the record wants of the core. */
struct membership_wish node_members_wish(const struct node *node);

/* Links. */
void node_links_start(struct node *node);
/* Takes what the message owns. */
void node_receive(struct node *node, struct raft_message *message);
void node_peer_is(struct node *node, struct member_id peer, bool alive);
void node_stranger_spoke(struct node *node, struct member_id id);
void node_was_told_vouched(struct node *node, const struct command_member_vouched *vouched);

/* Voices. */
void node_voices_register_metrics(void);
/* Appends to `all` (PEERS_MAX) whom the log makes servers and is not among its `count`; returns how
 * many there are then. */
uint32_t node_voices_appended(const struct node *node, struct member *all, uint32_t count);
/* A message of a member, before the core has it. */
void node_voices_heard(struct node *node, const struct raft_message *message);

/* Reads whom a person vouched for, before anybody is spoken with. */
void node_vouched_start(struct node *node);
void node_vouched_read(struct node *node, const struct node_file_job *job);
/* Tells the leader for whom a person vouched here; on each tick of every member. */
void node_vouched_tick(struct node *node);

/* Office. */
void node_results_register_metrics(void);
/* node_results.c */
void node_results_tell(const struct applier_batch *batch);
void node_office_deinit(struct node *node);
void node_office_load(struct node *node);
void node_office_changed(struct node *node, const struct raft_update *update);
/* Ports: what is left of them, closed or not. */
void node_ports_deinit(struct node *node);
/* node_observers.c */
void node_tell_leader_changed(struct node *node);
void node_tell_loaded(struct node *node, const struct kv_position *kv);
void node_tell_batch(struct node *node, const struct applier_batch *batch);

#endif
