/* SPDX-License-Identifier: Apache-2.0 */
/* One operation of etcd's API: one request of a client, wherever it came from: a call of ours
 * (etcd_call.c), a question of a stream (etcd_keep_alive.c), or a batch that another member passes
 * on (etcd_relay.c). The router (etcd_route.c) gathers the operations of a turn of the loop, and
 * brings them before it sleeps, each kind together: writes as one log entry, reads behind one
 * confirmation of leadership and in one visit of the apply thread, what is the leader's in one
 * message to it.
 *
 *   call ──┐            ┌─ leader ── writes: one entry ──────────── applied ──┐
 *          ├─ operation ┤           reads: one confirmation ─ one query ──────┼─ done
 *   batch ─┘            ├─ follower  writes: one message to the leader ───────┤
 *                       │            reads: its index from the leader, ─ query┤
 *                       └─ no leader: waits for one, until its deadline ──────┘
 *
 * Who calls whom, downwards only: entrances (call, relay, keep_alive) → route → carriers (reads,
 * writes, forward; lease) → propose, visit → op. What a carrier could not bring it puts into the
 * state RETURNED or WAITING; the router finds it there. */
#ifndef INDABA_ETCD_ETCD_OP_H
#define INDABA_ETCD_ETCD_OP_H

#include "api/front.h"
#include "etcd/api/etcdserverpb/rpc.pb-c.h"
#include "etcd/etcd_error.h"
#include "etcd/etcd_reply.h"
#include "node/node_port.h"
#include "wire/arena.h"

#include <stdatomic.h>
#include <sys/queue.h>

enum {
    ETCD_OPS_MAX = 20000, /* in flight on a member; beyond it TOO_MANY */
    ETCD_REQUEST_BYTES_MAX = 1536 * 1024,
    ETCD_REPLY_BYTES_MAX = 32 * 1024 * 1024,
    ETCD_BATCH_BYTES_MAX = 1024 * 1024, /* of a log entry or message; one operation always fits */
    ETCD_BATCH_OPS_MAX = KV_BATCH_OPS_MAX / 2, /* each may name its actor */
    ETCD_TIMEOUT_MS = 7000, /* of an operation whose client sets none, or a longer one */
    ETCD_READS_IN_FLIGHT_MAX = 2,
    /* Rows that reads look at in one visit of the apply thread: some ten milliseconds. A reply that
     * grows by ETCD_ROW_BYTES counts as a row more. */
    ETCD_VISIT_ROWS = 10000,
    ETCD_ROW_BYTES = 256,
};

/* Where an operation is. Of each state but NEW, CARRIED and DONE there is a queue.
 *
 *   NEW ──────┐            ┌─► LOCAL ───────────────────┐
 *             │            ├─► READ ────┐               │
 *             ▼            ├─► INDEX ───┤               ▼           ┌─► SHOWING ─┐
 *         [ route ] ───────┼─► WRITE ───┼──────────► CARRIED ───────┤            ▼
 *             ▲            ├─► FORWARD ─┤               │           └─────────► DONE
 *             │            ├─► WAITING ─┤ leader        ├─► CROWDED ─► CARRIED    ▲
 *             │            │            ▼ changed, time │                        │
 *         RETURNED ◄───────┼────────────┴───────────────┘                        │
 *                          └─► MISLED, MEMBER ───────────────────────────────────┘
 *
 * A carrier that finds no leader puts what it had into WAITING. Whatever waits may end: its time is
 * over, or the member drains. */
enum etcd_op_state {
    ETCD_OP_NEW,
    ETCD_OP_RETURNED, /* to be routed again: surely without effect so far */
    ETCD_OP_WAITING,  /* for a leader, or to be tried again a little later */
    ETCD_OP_LOCAL,    /* is answered from what is applied here */
    ETCD_OP_READ,     /* the leader's: wants a confirmation */
    ETCD_OP_INDEX,    /* a follower's read: wants the leader's index */
    ETCD_OP_WRITE,
    ETCD_OP_CROWDED, /* a write that found no place in the entry that brought it */
    ETCD_OP_FORWARD, /* goes to the leader */
    ETCD_OP_MISLED,  /* was passed on to us, who do not lead */
    ETCD_OP_MEMBER,  /* for the asked member itself */
    ETCD_OP_CARRIED, /* in a carrier's hands: proposed, read, or sent */
    ETCD_OP_SHOWING, /* done by the leader, and not applied here yet */
    ETCD_OP_DONE,    /* its owner's again */
    ETCD_OP_STATES
};

/* "waiting". Never NULL. */
const char *etcd_op_state_name(enum etcd_op_state state);

enum etcd_kind {
    ETCD_READ,   /* a query; linearizable unless the request says serializable */
    ETCD_WRITE,  /* goes through the log */
    ETCD_LEADER, /* answered from the memory of the leader, behind a confirmation that it leads */
    ETCD_MEMBER  /* answered by the asked member, at once */
};

struct etcd_op;

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
    STAILQ_ENTRY(etcd_op) others; /* in the one list that has it */
    struct etcd *etcd;
    enum etcd_op_state state;
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
    uint64_t shown_index;  /* SHOWING: until this entry is applied here */
    uint64_t shown_by_ms;  /* and when that is waited for no longer */
    bool passed_on;        /* by another member: not passed on again */
    void *owner;
    void (*done)(struct etcd_op *op); /* owns the operation from then on */
};

/* Zeroed, it is empty. */
struct etcd_ops {
    STAILQ_HEAD(etcd_op_list, etcd_op) list;
    uint32_t count;
};

struct etcd_forward;
struct etcd_keep_alives;
struct etcd_leases;
struct etcd_life;
struct etcd_reads;
struct etcd_visits;
struct etcd_writes;
struct watch_hub;

/* What the operations of a member share; each of the others has a header of its own. */
struct etcd {
    struct front *front;
    struct node_port *port;
    uint64_t cluster_id; /* etcd has 64 bits for each */
    uint64_t member_id;
    uint64_t revision; /* of the keys, as applied here */
    uint64_t compacted;
    uint64_t applied; /* index of the last entry that these two show */
    uint32_t ops;     /* in flight */
    bool draining;
    bool commit_unsaid;   /* a member was answered, and may not know yet that it is committed */
    struct server *bench; /* NULL unless configured */
    struct etcd_ops queues[ETCD_OP_STATES];

    struct etcd_life *life;
    struct etcd_reads *reads;
    struct etcd_writes *writes;
    struct etcd_forward *forward;
    struct etcd_visits *visits;
    struct etcd_leases *leases;
    struct etcd_keep_alives *keep_alives;
    struct watch_hub *watches;
};

struct etcd_op *etcd_op_new(struct etcd *etcd, const struct etcd_method *method);
void etcd_op_free(struct etcd_op *op);
/* Copies and decodes the request of a client, and checks it. On an error op->error is set. */
bool etcd_op_take(struct etcd_op *op, const char *actor, struct slice request);
/* The same for one that another member passes on: of a WRITE, that is the encoded operation. */
bool etcd_op_take_relayed(struct etcd_op *op, const char *actor, struct slice request);
/* What of it goes to another member. */
struct slice etcd_op_relayed(const struct etcd_op *op);

/* The one way to another state: the edge must be in the diagram. It is in no list; if the state has
 * a queue, it joins that. */
void etcd_op_enter(struct etcd_op *op, enum etcd_op_state state);
/* Ends it, as it is or with an error: its owner has it from then on. */
void etcd_op_end(struct etcd_op *op);
void etcd_op_fail(struct etcd_op *op, enum etcd_error error);
/* Packs the response and ends the operation. */
void etcd_op_answer(struct etcd_op *op, const ProtobufCMessage *response);

void etcd_ops_push(struct etcd_ops *ops, struct etcd_op *op);
struct etcd_op *etcd_ops_pop(struct etcd_ops *ops);
struct etcd_op *etcd_ops_first(const struct etcd_ops *ops);
/* How many wait in that state. */
uint32_t etcd_ops_in(const struct etcd *etcd, enum etcd_op_state state);
/* Takes all out of a state's queue, or of its front as many as a batch may have: they are CARRIED.
 */
void etcd_ops_take(struct etcd *etcd, enum etcd_op_state state, struct etcd_ops *ops_out);
void etcd_ops_take_batch(struct etcd *etcd, enum etcd_op_state state, struct etcd_ops *ops_out);
/* All of a list enter a state, or end. */
void etcd_ops_enter(struct etcd_ops *ops, enum etcd_op_state state);
void etcd_ops_fail(struct etcd_ops *ops, enum etcd_error error);
void etcd_ops_end(struct etcd_ops *ops);

/* On the loop: the header of a response, in the operation's arena. */
Etcdserverpb__ResponseHeader *etcd_header(struct etcd_op *op);
/* Bytes as protobuf-c wants them, and back; it never writes through them. */
ProtobufCBinaryData etcd_bytes(struct slice bytes);
struct slice etcd_slice(ProtobufCBinaryData bytes);
/* Who answers, in this term. */
struct etcd_identity etcd_identity(const struct etcd *etcd, uint64_t term);

/* That each operation in a queue is in its state, and that no more are there than are in flight. */
void etcd_ops_check_invariants(const struct etcd *etcd);

#endif
