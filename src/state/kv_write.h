/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: a batch under way, and the changes of single keys that everything else is made of.
 * Internal to state/kv_*. */
#ifndef INDABA_STATE_KV_WRITE_H
#define INDABA_STATE_KV_WRITE_H

#include "state/kv_reply.h"
#include "state/kv_rows.h"

/* What the operations of a batch may still take together: state/kv_op.h says of what. */
struct kv_budget {
    uint64_t rows;
    uint64_t bytes;
    uint64_t deletes;
};

struct kv_writer {
    struct change *change;
    const struct tables *tables;
    struct kv_position position; /* saved at the end of the batch */
    struct kv_budget left;
    uint32_t subs;     /* changes so far of the running operation, at revision + 1 */
    uint32_t op;       /* place of the running operation in its batch, from 0 */
    struct buf row;    /* scratch of the history's rows */
    struct buf doomed; /* scratch: keys that a deletion found */
    struct buf value;  /* scratch: the value that a put keeps */
};

/* The revision that the running operation writes at. */
int64_t kv_writer_revision(const struct kv_writer *writer);
/* For the header of a reply: that revision if anything was written, else the store's. */
int64_t kv_writer_header(const struct kv_writer *writer);
/* The running operation is over: what it wrote becomes the store's revision. */
void kv_writer_finish_op(struct kv_writer *writer);

/* Take from the budget before anything is written. The refusal is `error` for the first operation
 * of a batch, which had all of it; KV_BATCH_FULL for others. */
MUST_CHECK enum kv_error kv_take_bytes(struct kv_writer *writer, uint64_t bytes);
MUST_CHECK enum kv_error kv_refusal(const struct kv_writer *writer, enum kv_error error);
/* kv_index_walk of the present, with the rows that are left. */
MUST_CHECK enum kv_error kv_writer_walk(struct kv_writer *writer,
                                        const struct kv_range *range,
                                        kv_index_visit visit,
                                        void *visit_ctx);
/* What a pair takes of a reply, or a little more. */
uint64_t kv_pair_bytes(const struct kv_pair *pair);

/* What the state must allow: the lease is there, a key whose value or lease is kept is there. Both
 * take what the operation needs of the budget. */
MUST_CHECK enum kv_error kv_put_check(struct kv_writer *writer, const struct kv_op_put *put);
MUST_CHECK enum kv_error kv_delete_check(struct kv_writer *writer, const struct kv_op_delete *del);

/* Of checked operations. The pair before, if asked for, is appended to `pairs`. */
void kv_put_run(struct kv_writer *writer, const struct kv_op_put *put, struct buf *pairs);
/* Returns how many keys there were. */
int64_t kv_delete_run(struct kv_writer *writer, const struct kv_op_delete *del, struct buf *pairs);
/* Deletes one key, which is there in this version. */
void kv_delete_key(struct kv_writer *writer, struct slice key, const struct kv_version *version);

/* kv_lease.c: leases have at most KV_DELETE_KEYS_MAX keys (a transaction may add some above), so
 * that one operation can revoke them. */
bool kv_lease_is_full(const struct tables *tables, int64_t id);
/* Of leases that are there; 0 does nothing. */
void kv_lease_attach(struct change *change, int64_t lease, struct slice key);
void kv_lease_detach(struct change *change, int64_t lease, struct slice key);
MUST_CHECK enum kv_error
kv_lease_grant(struct kv_writer *writer, int64_t id, int64_t ttl, struct kv_reply *reply);
MUST_CHECK enum kv_error kv_lease_revoke(struct kv_writer *writer, int64_t id);

/* kv_txn.c: a transaction that passed kv_op_check. The replies of its branch go to `replies`. */
MUST_CHECK enum kv_error kv_txn_run(struct kv_writer *writer,
                                    const struct kv_op_txn *txn,
                                    struct kv_reply *reply,
                                    struct buf *replies);

/* kv_sweep.c */
MUST_CHECK enum kv_error kv_compact(struct kv_writer *writer, int64_t revision);
/* Goes on removing what was compacted away, by at most so many rows of the history. */
void kv_sweep(struct kv_writer *writer, uint32_t rows_max);

#endif
