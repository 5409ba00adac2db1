/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated key-value store behind etcd's v3 API: every change makes a new revision, old ones
 * can be read and watched until they are compacted. This header is what the services need: errors,
 * reads, and where it stands. Writes are COMMAND_KV (kv_op.h); what came of them is a list of
 * replies (kv_reply.h).
 *
 * Queries run where the tables may be read (state/query.h). What they hand out is borrowed from the
 * tables, and holds until they change. */
#ifndef INDABA_STATE_KV_H
#define INDABA_STATE_KV_H

#include "state/kv_op.h"
#include "state/tables.h"

/* What an operation can be refused with; nothing of it is done then. The numbers are in replies,
 * which pass between members. */
enum kv_error {
    KV_OK = 0,
    KV_EMPTY_KEY = 1,
    KV_KEY_NOT_FOUND = 2,  /* ignore_value or ignore_lease of a key that is not there */
    KV_VALUE_PROVIDED = 3, /* beside ignore_value */
    KV_LEASE_PROVIDED = 4, /* beside ignore_lease */
    KV_TOO_MANY_OPS =
        5, /* also: nested too deep, or a deletion or a lease above KV_DELETE_KEYS_MAX */
    KV_DUPLICATE_KEY = 6,   /* a transaction would write a key twice */
    KV_COMPACTED = 7,       /* the revision is gone */
    KV_FUTURE_REVISION = 8, /* the revision is not there yet */
    KV_LEASE_NOT_FOUND = 9,
    KV_LEASE_EXISTS = 10,
    KV_LEASE_TTL = 11,     /* above KV_LEASE_TTL_MAX */
    KV_KEY_TOO_LONG = 12,  /* above KV_KEY_MAX */
    KV_INVALID = 13,       /* an enum out of range, a limit below zero, RANGE outside a TXN … */
    KV_TOO_MANY_ROWS = 14, /* a range, or a sort, above KV_ROWS_MAX */
    KV_ANSWER_TOO_LARGE = 15, /* above KV_ANSWER_BYTES_MAX */
    /* What its batch may take is taken by those before it. Brought again as the first of a batch it
     * passes, unless it is too much by itself. */
    KV_BATCH_FULL = 16,
    KV_ERROR_COUNT
};

/* Where the store stands. An empty one is at revision 1. */
struct kv_position {
    int64_t revision;  /* of the last change */
    int64_t compacted; /* revisions below it cannot be read any more; 0: none was compacted */
    /* Where the physical part of a compaction goes on: what is superseded before it is gone. */
    int64_t swept;
    uint32_t swept_sub;
};

void kv_position(const struct tables *tables, struct kv_position *position_out);
/* Whether a compaction still has rows to remove. Each KV entry removes some; a leader without
 * writes proposes KV_OP_SWEEP until this is false. */
bool kv_sweep_pending(const struct tables *tables);

/* What must hold of one operation whatever the state is: the proposer asks before it proposes, and
 * apply asks again. Bounded work; a transaction is checked with all it nests. */
MUST_CHECK enum kv_error kv_op_check(const struct kv_op *op);
/* The same for a read. */
MUST_CHECK enum kv_error kv_range_check(const struct kv_op_range *request);

/* Whether it can add to what the store holds for good, as a transaction with a put in any branch
 * can. Of what passed kv_op_check. */
bool kv_op_grows(const struct kv_op *op);

/* Whether the key is in the range. */
bool kv_range_has(const struct kv_range *range, struct slice key);

/* One key as of some revision (etcd's mvccpb.KeyValue). */
struct kv_pair {
    struct slice key;
    struct slice value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
};

/* Return true to go on, false to stop. */
typedef bool (*kv_visit)(const struct kv_pair *pair, void *visit_ctx);

struct kv_range_result {
    int64_t revision; /* of the store at the start: what a response's header says */
    int64_t count;    /* keys in the range, whatever limit and filters are; less if stopped */
    bool more;        /* the limit cut something off */
};

/* A read in parts, so that a long one keeps its thread from nothing else: all parts read at the
 * revision of the first. Zeroed to begin with; `rows` is set before each part. */
struct kv_cursor {
    uint64_t rows; /* that the part may look at, counted down; a visitor may take from it too */
    bool cut;      /* rows ran out: there is another part */
    bool begun;
    int64_t revision;
    int64_t visited;
    struct kv_range_result result; /* complete once it is not cut */
    struct buf next;               /* the key to go on with */
};

void kv_cursor_deinit(struct kv_cursor *cursor);

/* Answers a RangeRequest, or a part of it: visits the pairs in the order of the response. What is
 * sorted otherwise than by key, upwards, is done in one part of KV_ROWS_MAX rows whatever the
 * cursor says, or KV_TOO_MANY_ROWS. KV_COMPACTED (later parts too), KV_FUTURE_REVISION, and what
 * kv_range_check finds. */
MUST_CHECK enum kv_error kv_range(const struct tables *tables,
                                  const struct kv_op_range *request,
                                  struct kv_cursor *cursor,
                                  kv_visit visit,
                                  void *visit_ctx);

/* The key as it was at `revision`: what a watch with prev_kv wants, at the event's revision - 1.
 * ERR_NOT_FOUND also if that is compacted away. */
MUST_CHECK enum error
kv_get(const struct tables *tables, struct slice key, int64_t revision, struct kv_pair *pair_out);

/* One change in the history. Of a deletion only key and mod_revision are set. */
struct kv_event {
    bool deleted;
    uint32_t sub; /* the place within its revision, from 0 */
    struct kv_pair pair;
};

/* Return true to go on, false to stop. */
typedef bool (*kv_event_visit)(const struct kv_event *event, void *visit_ctx);

/* Visits the changes from `revision` on, oldest first, of all keys. The events of one revision are
 * neighbours: a visitor stops between revisions, when it has seen enough. KV_COMPACTED below
 * position.compacted. */
MUST_CHECK enum kv_error
kv_events(const struct tables *tables, int64_t revision, kv_event_visit visit, void *visit_ctx);
/* The same for one who has had all before `revision` and goes on from there: a compaction does not
 * matter to him while none of these changes is removed. KV_COMPACTED if one may be. */
MUST_CHECK enum kv_error kv_events_unswept(const struct tables *tables,
                                           int64_t revision,
                                           kv_event_visit visit,
                                           void *visit_ctx);

/* Leases. Expiry is the leader's business: it counts from when it took office, or from the last
 * keep-alive since, and proposes KV_OP_LEASE_REVOKE; nothing here knows a time. */
typedef bool (*kv_lease_visit)(int64_t id, int64_t ttl, void *visit_ctx);
typedef bool (*kv_lease_key_visit)(struct slice key, void *visit_ctx);

/* In ascending order, ids above `after` (0: all). */
void kv_leases(const struct tables *tables, int64_t after, kv_lease_visit visit, void *visit_ctx);
/* The TTL as granted; ERR_NOT_FOUND. */
MUST_CHECK enum error kv_lease_get(const struct tables *tables, int64_t id, int64_t *ttl_out);
void kv_lease_keys(const struct tables *tables,
                   int64_t id,
                   kv_lease_key_visit visit,
                   void *visit_ctx);

#endif
