/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the etcd API share.
 *
 * An operation is one request of a client, wherever it came from: a call of ours (etcd_call.c), or
 * a batch that another member passes on (etcd_forward.c). The router (etcd_route.c) gathers the
 * operations of a turn of the loop, and brings them before it sleeps, each kind together: writes as
 * one log entry, reads behind one confirmation of leadership and in one visit of the apply thread,
 * what is the leader's in one message to it.
 *
 *   call ──┐            ┌─ leader ── writes: one entry ──────────── applied ──┐
 *          ├─ operation ┤           reads: one confirmation ─ one query ──────┼─ done
 *   batch ─┘            ├─ follower  writes: one message to the leader ───────┤
 *                       │            reads: its index from the leader, ─ query┤
 *                       └─ no leader: waits for one, until its deadline ──────┘ */
#ifndef INDABA_ETCD_ETCD_INTERNAL_H
#define INDABA_ETCD_ETCD_INTERNAL_H

#include "etcd/api/etcdserverpb/rpc.pb-c.h"
#include "etcd/etcd.h"
#include "etcd/etcd_error.h"
#include "etcd/etcd_reply.h"
#include "node/node_port.h"
#include "rpc/net.h"
#include "wire/arena.h"

#include <stdatomic.h>
#include <uv.h>

enum {
    ETCD_OPS_MAX = 20000, /* in flight on a member; beyond it TOO_MANY */
    ETCD_REQUEST_BYTES_MAX = 1536 * 1024,
    ETCD_REPLY_BYTES_MAX = 32 * 1024 * 1024,
    ETCD_LEASE_TTL_MIN = 1,
    ETCD_BATCH_BYTES_MAX = 1024 * 1024, /* of a log entry or message; one operation always fits */
    ETCD_BATCH_OPS_MAX = KV_BATCH_OPS_MAX / 2, /* each may name its actor */
    ETCD_TIMEOUT_MS = 7000, /* of an operation whose client sets none, or a longer one */
    ETCD_READS_IN_FLIGHT_MAX = 2,
    ETCD_FORWARDS_IN_FLIGHT_MAX = 4,
    ETCD_TICK_MS = 100,
    ETCD_PROGRESS_MS = 60000,
    /* After so many election timeouts without a leader, streams that need one end: to open them
     * again costs more than to wait for an election that goes well. */
    ETCD_NO_LEADER_ELECTIONS = 3,
    ETCD_STREAMS_MAX = 8, /* methods that are not unary, and those between members */
    ETCD_SHOW_MS = 1000,  /* a write that the leader has done waits so long to be shown here */
    ETCD_RETRY_MS = 20,   /* until what found no leader is tried again */
    /* Rows that reads look at in one visit of the apply thread: some ten milliseconds. A reply that
     * grows by ETCD_ROW_BYTES counts as a row more. */
    ETCD_VISIT_ROWS = 10000,
    ETCD_ROW_BYTES = 256,
};

#define ETCD_KEEP_ALIVE       "/etcdserverpb.Lease/LeaseKeepAlive"
#define ETCD_RELAY_DO         "/indaba.internal.EtcdRelay/Relay"
#define ETCD_RELAY_READ_INDEX "/indaba.internal.EtcdRelay/ReadIndex"

struct etcd_op;

enum etcd_kind {
    ETCD_READ,   /* a query; linearizable unless the request says serializable */
    ETCD_WRITE,  /* goes through the log */
    ETCD_LEADER, /* answered from the memory of the leader, behind a confirmation that it leads */
    ETCD_MEMBER  /* answered by the asked member, at once */
};

/* What a request is. The number travels between members: never reuse one. */
struct etcd_method {
    uint32_t code;
    const char *path;
    enum etcd_kind kind;
    bool of_operators; /* and members; clients may not */
    const ProtobufCMessageDescriptor *request;
    /* What must hold of the request alone; WRITE: it also encodes it for the store. May be NULL. */
    enum etcd_error (*take)(struct etcd_op *op);
    /* READ: is it answered from what this member has applied? May be NULL: no. */
    bool (*is_local)(const struct etcd_op *op);
    /* READ: on the apply thread, appends the response to op->reply, or a part of it: op->part says
     * how much it may do, and how far it is. */
    void (*query)(struct etcd_op *op, const struct tables *tables);
    /* LEADER and MEMBER: on the loop. It ends the operation. */
    void (*answer)(struct etcd_op *op);
};

/* Of a READ: what one visit of the apply thread does, and leaves for the next. */
struct etcd_part {
    struct kv_cursor cursor; /* cursor.rows: what may be looked at */
    int64_t lease_after;     /* LeaseLeases: the last one that is in the reply */
    bool done;
};

struct etcd_op {
    struct etcd_op *next; /* in the one list that has it */
    struct etcd *etcd;
    const struct etcd_method *method;
    struct wire_arena arena; /* of `message` */
    ProtobufCMessage *message;
    struct slice bytes; /* the request as it came; in the arena */
    struct buf encoded; /* WRITE: the operation of the store */
    struct buf reply;   /* protobuf; WRITE that was passed on: the store's reply */
    const char *actor;  /* who asked; in the arena */
    struct etcd_identity identity;
    uint64_t deadline_ms;
    enum etcd_error error;
    struct etcd_part part;
    atomic_bool cancelled; /* nobody waits for it: the apply thread need not do it */
    uint64_t
        shown_index; /* a WRITE that was passed on is done, and shows here from this entry on */
    uint64_t shown_by_ms; /* when that is waited for no longer */
    bool passed_on;       /* by another member: not passed on again */
    void *owner;
    void (*done)(struct etcd_op *op); /* owns the operation from then on */
};

struct etcd_ops {
    struct etcd_op *first;
    struct etcd_op *last;
    uint32_t count;
};

/* Visits of the apply thread that wait for their turn: etcd_visit.c. */
struct etcd_visit;

struct etcd_visits {
    struct etcd_visit *first;
    struct etcd_visit *last;
    uint32_t in_flight;
};

struct watch_hub;
struct keep_alive;
struct etcd_leases;

struct etcd_binding {
    struct etcd *etcd;
    const struct etcd_method *method;
};

struct etcd {
    struct front *front;
    struct node_port *port;
    struct node_port_observer observer;
    struct server *bench; /* NULL unless configured */
    struct server_method *methods;
    size_t methods_count;
    struct etcd_binding *bindings;
    uint64_t cluster_id; /* etcd has 64 bits for each */
    uint64_t member_id;
    uint64_t revision; /* of the keys, as applied here */
    uint64_t compacted;
    uint64_t applied; /* index of the last entry that these two show */
    uint32_t ops;     /* in flight */
    bool draining;
    struct net_sleeper sleeper;
    uv_timer_t timer; /* deadlines of what waits */
    uv_timer_t tick;  /* what happens by the passing of time */
    bool sweep_pending;
    bool sweeping;
    bool commit_unsaid; /* a member was answered, and may not know yet that it is committed */
    uint32_t handles_open;

    struct watch_hub *watches;
    struct keep_alive *keep_alives; /* all that are open */
    struct etcd_leases *leases;
    uint64_t leader_seen_ms;
    uint64_t progress_ms;

    struct etcd_ops homeless; /* wait for a leader, or to try again */
    struct etcd_ops local;    /* these wait for the flush */
    struct etcd_ops reads;
    struct etcd_ops writes;
    struct etcd_ops crowded; /* writes that found no place in the entry that brought them */
    struct etcd_ops forwards;
    struct etcd_ops indexed; /* a follower's reads: want the leader's index */
    struct etcd_ops unshown; /* done by the leader, and not applied here yet */
    struct etcd_ops misled;  /* passed on to us, who do not lead */
    struct etcd_ops simple;  /* for the asked member itself */
    uint32_t reads_in_flight;
    uint32_t forwards_in_flight;
    uint32_t indexes_in_flight;
    bool crowded_in_flight;
    struct etcd_visits visits;
};

/* etcd_op.c */
struct etcd_op *etcd_op_new(struct etcd *etcd, const struct etcd_method *method);
void etcd_op_free(struct etcd_op *op);
/* Copies and decodes the request of a client, and checks it. On an error op->error is set. */
bool etcd_op_take(struct etcd_op *op, const char *actor, struct slice request);
/* The same for one that another member passes on: of a WRITE, that is the encoded operation. */
bool etcd_op_take_relayed(struct etcd_op *op, const char *actor, struct slice request);
/* What of it goes to another member. */
struct slice etcd_op_relayed(const struct etcd_op *op);
void etcd_ops_push(struct etcd_ops *ops, struct etcd_op *op);
struct etcd_op *etcd_ops_pop(struct etcd_ops *ops);
/* Moves from the front as many as a batch may have. */
void etcd_ops_take_batch(struct etcd_ops *from, struct etcd_ops *batch_out);
/* Ends one, or all, with an error. */
void etcd_op_fail(struct etcd_op *op, enum etcd_error error);
void etcd_ops_fail(struct etcd_ops *ops, enum etcd_error error);
void etcd_ops_done(struct etcd_ops *ops);

/* On the loop: the header of a response, in the operation's arena. */
Etcdserverpb__ResponseHeader *etcd_header(struct etcd_op *op);
/* Packs the response and ends the operation. */
void etcd_op_answer(struct etcd_op *op, const ProtobufCMessage *response);
/* Bytes as protobuf-c wants them, and back; it never writes through them. */
ProtobufCBinaryData etcd_bytes(struct slice bytes);
struct slice etcd_slice(ProtobufCBinaryData bytes);
/* Who answers, in this term. */
struct etcd_identity etcd_identity(const struct etcd *etcd, uint64_t term);

/* etcd_route.c */
/* Owns the operation until op->done. Never calls it from inside. */
void etcd_route(struct etcd_op *op);
/* Again at once, or a little later, after it surely had no effect. */
void etcd_route_again(struct etcd_ops *ops);
void etcd_route_later(struct etcd *etcd, struct etcd_ops *ops);
/* The known leader is another one, or none, or this member. */
void etcd_route_leader_changed(struct etcd *etcd);
/* Brings what waits; true if there was anything. */
bool etcd_route_flush(struct etcd *etcd);
/* Tries again what waits for a leader, and ends what has waited too long. */
void etcd_route_on_timer(struct etcd *etcd);

/* Bring what waits: etcd_writes.c, etcd_reads.c, etcd_forward.c. */
void etcd_writes_flush(struct etcd *etcd);
void etcd_reads_flush(struct etcd *etcd);
void etcd_forward_flush(struct etcd *etcd);
/* Ends what waited for an entry that is applied now, or has waited for too long. */
void etcd_forward_show(struct etcd *etcd);
/* The leader's side: whom it answered learns of the commit with the next entry, or by this. */
bool etcd_relay_flush(struct etcd *etcd);
/* Reads that are answered once this member has applied `index`. */
void etcd_reads_at(struct etcd *etcd, struct etcd_ops *ops, uint64_t index);

/* etcd_visit.c: `run_fn` on the apply thread, when it is its turn, then `done` here. What it saw
 * includes the entries up to `seen_index`. */
typedef void (*etcd_visited_fn)(void *ctx, uint64_t seen_index);
void etcd_visit(struct etcd *etcd,
                void (*run_fn)(const struct tables *tables, void *ctx),
                etcd_visited_fn done,
                void *ctx);
/* Whether others wait for their turn: what comes now had better wait to go together. */
bool etcd_visits_wait(const struct etcd *etcd);
void etcd_visits_deinit(struct etcd *etcd);

/* etcd_relay.c: the leader's side of passing on. */
void etcd_relay_add_methods(struct etcd *etcd, struct server_method *methods, size_t *count);
/* etcd_call.c: unary methods, as server.h wants them; the ctx is an etcd_binding. */
void etcd_call_on_message(struct server_call *call, struct slice message, void *ctx);
/* Ends the call with an error if it may not use this API, or wants a leader while none is known. */
bool etcd_call_may_begin(struct etcd *etcd, struct server_call *call);
/* Its client said `hasleader: true`: what it asks for is refused, and what it watches ends, while
 * this member knows no leader. */
bool etcd_call_needs_leader(const struct server_call *call);
void etcd_call_fail(struct server_call *call, enum etcd_error error);

/* etcd_writes.c: makes the response of a write from the store's reply. False: no such reply. */
bool etcd_write_finish(struct etcd_op *op, struct slice bytes);
/* Puts the store's reply into the operation, for whoever asked. */
void etcd_write_deal(struct etcd_op *op, struct slice bytes);
/* etcd_delete.c: owns an operation that the store refused for its size; false: not of this kind. */
bool etcd_delete_in_parts(struct etcd_op *op);
/* Proposes a batch of operations of the store, for this term of ours alone, and not later than
 * `expires_ms`. */
void etcd_propose(struct etcd *etcd,
                  struct slice ops,
                  uint64_t expires_ms,
                  struct node_port_waiter waiter);

/* etcd_kv.c, etcd_txn.c: the `take` and `query` of methods, and what a transaction nests. */
enum etcd_error etcd_error_of_kv(enum kv_error error);
enum etcd_error etcd_kv_take_put(struct etcd_op *op);
enum etcd_error etcd_kv_take_delete(struct etcd_op *op);
enum etcd_error etcd_kv_take_compact(struct etcd_op *op);
enum etcd_error etcd_kv_take_grant(struct etcd_op *op);
enum etcd_error etcd_kv_take_revoke(struct etcd_op *op);
enum etcd_error etcd_txn_take(struct etcd_op *op);
bool etcd_kv_range_is_local(const struct etcd_op *op);
void etcd_kv_range(struct etcd_op *op, const struct tables *tables);
struct kv_op_put etcd_kv_put_of(const Etcdserverpb__PutRequest *request);
struct kv_op_delete etcd_kv_delete_of(const Etcdserverpb__DeleteRangeRequest *request);
struct kv_op_range etcd_kv_range_of(const Etcdserverpb__RangeRequest *request);

/* etcd_members.c: the `answer` of methods. */
void etcd_members_list(struct etcd_op *op);
void etcd_members_status(struct etcd_op *op);
void etcd_members_alarm(struct etcd_op *op);
void etcd_members_defragment(struct etcd_op *op);
void etcd_members_hash(struct etcd_op *op);
void etcd_members_move_leader(struct etcd_op *op);

/* etcd_watch.c */
void etcd_watch_init(struct etcd *etcd, struct server_method *methods, size_t *count);
void etcd_watch_deinit(struct etcd *etcd);
/* etcd->revision has grown. */
void etcd_watch_advance(struct etcd *etcd);
/* A word to those watchers that asked for one now and then. */
void etcd_watch_progress(struct etcd *etcd);
/* Ends all streams, or those whose clients want a leader. */
void etcd_watch_end_all(struct etcd *etcd, enum etcd_error error, bool only_needing_leader);
uint32_t etcd_watch_count(const struct etcd *etcd);

/* etcd_lease.c, etcd_keep_alive.c: leases, as the leader counts them. */
void etcd_lease_init(struct etcd *etcd);
void etcd_lease_deinit(struct etcd *etcd);
void etcd_lease_leader_changed(struct etcd *etcd);
/* What was applied, in order. */
void etcd_lease_applied(struct etcd *etcd, const struct kv_reply *reply);
void etcd_lease_tick(struct etcd *etcd);
void etcd_lease_keep_alive(struct etcd_op *op);
void etcd_lease_time_to_live(struct etcd_op *op);
void etcd_lease_list(struct etcd_op *op, const struct tables *tables);
void etcd_keep_alive_add_method(struct etcd *etcd, struct server_method *methods, size_t *count);
/* Ends the streams whose clients need a leader. */
void etcd_keep_alive_no_leader(struct etcd *etcd);

/* etcd_methods.c */
/* NULL if there is none. */
const struct etcd_method *etcd_method_of_path(const char *path);
const struct etcd_method *etcd_method_of_code(uint32_t code);
const struct etcd_method *etcd_methods(size_t *count_out);

#endif
