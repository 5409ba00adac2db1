/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of node share: node.c (life), node_recover.c (start), node_step.c (one event of
 * the core), node_disk.c (the append thread), node_requests.c (who wants what), node_watch.c
 * (stalls, space, states), node_transfer.c (leadership handed over), node_quarantine.c (a wrong
 * state of ours), node_snapshot.c (snapshots), node_snapshot_when.c (their pace, their room),
 * node_office.c (controller and leadership),
 * node_members.c (who the members are), node_voices.c (who may speak),
 * node_vouched.c (a person's word on that). */
#ifndef INDABA_NODE_NODE_INTERNAL_H
#define INDABA_NODE_NODE_INTERNAL_H

#include "base/reason.h"
#include "node/divergence.h"
#include "node/membership_plan.h"
#include "node/node.h"
#include "rpc/net.h"
#include "storage/member_dir.h"
#include "storage/quarantine_mark.h"
#include "storage/space.h"
#include "storage/vouch_file.h"
#include "storage/wal_writer.h"

#include <stdatomic.h>
#include <uv.h>

enum {
    NODE_DISK_TIMES = 256
};

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

/* When recent writes were handed over, for the histogram of their latency. */
struct node_disk_times {
    uint64_t seq[NODE_DISK_TIMES];
    uint64_t at_ns[NODE_DISK_TIMES];
    uint32_t next;
};

/* What the loop knows of its disk (node_watch.c). */
struct node_watch {
    uint64_t progress;    /* wal_writer_progress when it last changed */
    uint64_t progress_ms; /* when that was, or when there was last nothing to do */
    uint64_t looked_ms;   /* the last wal_writer_look */
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

struct snapshot_work;

/* Snapshots: node_snapshot.c. */
struct node_snapshots {
    struct snapshot_dir dir;
    char path[SNAPSHOT_PATH_SIZE];
    char store_path[SNAPSHOT_PATH_SIZE];
    struct snapshot_info newest;
    bool taking;
    bool taking_file; /* a thread has a reader of the store open, and posts `taken` after it */
    uv_sem_t taken;
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
    struct snapshot_work *held;      /* a received chunk that waits for room */
    uint64_t needs[NODE_ROOM_KINDS]; /* free bytes that this waits for; 0: it does not wait */
};

/* Who the members are: node_members.c. */
struct node_membership {
    struct applier_topology topology; /* the cluster's record; members_count 0: none yet */
    struct membership_preference preference;
    enum raft_change_refusal refusal; /* the last one, told once */
    uint32_t commit_regions_cap; /* lower than the record, which cannot commit as it is; 0: none */
    bool proposing;
    bool speaks;    /* the peers were told who the members are */
    bool set_again; /* the core's configuration has changed since */
};

/* node_quarantine.c. Zeros: there is none. */
struct node_quarantine {
    bool active;
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
    struct node_vouch_progress progress[VOUCHES_MAX];
    struct node_vouch_heard heard[VOUCHES_MAX]; /* a ring */
    uint32_t heard_next;
};

struct node {
    struct node_options options;
    const struct member_config *config;
    struct member_dir *dir;
    struct wal_writer *writer;
    struct space *space;
    struct node_watch watch;
    struct divergence divergence;
    struct node_membership membership;
    struct node_quarantine quarantine;
    struct node_vouched vouched;
    struct applier *applier;
    struct peers *peers;
    struct raft *raft;
    struct controller *controller;
    struct proposals *proposals;
    struct node_sessions sessions;
    TAILQ_HEAD(, node_observer) observers;
    LIST_HEAD(, node_port_end) port_ends; /* node_port_core.c */
    struct slice replies;                 /* of the entry whose waiter is being called */

    struct net_sleeper sleeper; /* flush of requests */
    uv_timer_t timer;           /* the core's next deadline */
    uv_timer_t tick;            /* the controller's, while leader */
    uv_async_t durable;         /* from the append thread */
    uint32_t handles_open;
    bool closing;
    bool stepping;
    bool pumping;

    _Atomic uint64_t durable_seq;
    uint64_t persisted_seq; /* told to the core */
    struct node_backlog backlog;
    struct node_snapshots snapshots;
    struct node_disk_times disk_times;

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
    char vouch_hint[TEXT_SIZE + CONFIG_PATH_SIZE];
};

/* Recovery. Fills dir, writer, applier, raft, applied, submitted. */
MUST_CHECK enum error node_recover(struct node *node, struct reason *reason);

/* One event; does everything the update asks for. */
void node_step(struct node *node, const struct raft_event *event, struct raft_update *update_out);
void node_on_timer(uv_timer_t *timer);

/* The append thread. */
void node_disk_register_metrics(void);
void node_disk_submit(struct node *node, const struct raft_write *write);
void node_disk_on_durable(uint64_t seq, uint64_t durable_index, void *ctx);
void node_disk_on_fatal(enum error error, const struct reason *reason, void *ctx);
void node_disk_on_async(uv_async_t *async);
void node_disk_deinit(struct node *node);
/* Ends the process after shutting every socket down. Any thread. */
__attribute__((noreturn)) void node_die(const char *event, enum error error, const char *reason);

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

/* Snapshots. */
void node_snapshot_start(struct node *node, const struct snapshot_info *newest);
void node_snapshot_update(struct node *node, const struct raft_update *update);
void node_snapshot_tick(struct node *node);
/* Before the applier is stopped. */
void node_snapshot_stop(struct node *node);

/* Pace of them, and room for them (node_snapshot_when.c). */
MUST_CHECK bool node_snapshot_is_due(struct node *node, const struct raft_status *status);
/* The next rests for a while after one begun at `began_ms`; longer after a failure. */
void node_snapshot_rest(struct node *node, uint64_t began_ms, bool failed);
/* Whether the disk has so many bytes beside what the member keeps free for itself; said on the log
 * when it changes. */
bool node_snapshot_has_room(struct node *node, enum node_room kind, uint64_t bytes);
/* The most that anything waits for, 0 if nothing does. */
uint64_t node_snapshot_waits_for(const struct node *node);
/* One handle or work less holds the node's memory. */
void node_release(struct node *node);

/* Requests. */
/* For net_before_sleep; the ctx is the node. */
bool node_requests_flush(void *ctx);
void node_requests_reads_ready(struct node *node, const struct raft_update *update);
/* True if a read was finished. */
bool node_requests_submitted(struct node *node);
void node_requests_deinit(struct node *node);

/* Ports: what is left of them, closed or not. */
void node_port_ends_deinit(struct node *node);

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

/* Voices. */
void node_voices_register_metrics(void);
/* Whether the id was removed is looked for, and told to the peers. */
void node_voices_look_up(struct node *node, struct member_id id);
/* Appends to `all` (PEERS_MAX) whom the log makes servers and is not among its `count`; returns how
 * many there are then. */
uint32_t node_voices_appended(const struct node *node, struct member *all, uint32_t count);
/* A message of a member, before the core has it. */
void node_voices_heard(struct node *node, const struct raft_message *message);

/* Tells the leader for whom a person vouched here; on each tick of every member. */
void node_vouched_tick(struct node *node);
/* A member told; a leader in office puts it on the ledger. */
void node_vouched_heard(struct node *node, const struct command_member_vouched *vouched);

/* Office. */
void node_office_register_metrics(void);
void node_office_load(struct node *node);
void node_office_changed(struct node *node, const struct raft_update *update);
/* node_observers.c */
void node_tell_leader_changed(struct node *node);
void node_tell_loaded(struct node *node, const struct kv_position *kv);
void node_tell_batch(struct node *node, const struct applier_batch *batch);
void node_office_on_batch(const struct applier_batch *batch, void *ctx);
void node_office_on_tick(uv_timer_t *timer);

#endif
