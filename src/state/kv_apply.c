/* SPDX-License-Identifier: Apache-2.0 */
/* See state/kv_apply.h. */
#include "state/kv_apply.h"

#include "base/check.h"
#include "state/kv_write.h"

enum {
    /* Rows that a compaction in progress removes with each entry: with every write two, so that it
     * keeps ahead of writes, and some more. A row takes about 5 us: an entry stays below 20 ms. */
    SWEEP_ROWS_PER_OP = 2,
    SWEEP_ROWS_MIN = 64,
    SWEEP_ROWS_WHEN_ASKED = 2000
};

static enum error count_ops(struct slice batch, uint32_t *ops_out, uint32_t *sweep_rows_out);
static void run_op(struct kv_writer *writer, const struct kv_op *op, struct buf *replies);
static enum kv_error
run_kind(struct kv_writer *writer, const struct kv_op *op, struct kv_reply *reply, struct buf *out);
static bool position_equal(const struct kv_position *a, const struct kv_position *b);

enum error
kv_apply(struct change *change, struct slice batch, struct buf *replies, uint32_t *ops_out)
{
    uint32_t ops;
    uint32_t sweep_rows;
    TRY(count_ops(batch, &ops, &sweep_rows));
    struct kv_writer writer = {
        .change = change,
        .tables = change->tables,
        .left = {KV_ROWS_MAX, KV_ANSWER_BYTES_MAX, KV_DELETE_KEYS_MAX},
    };
    kv_position(change->tables, &writer.position);
    struct kv_position before = writer.position;
    /* First: what this entry compacts stays a while longer, for watches that are about to read it.
     */
    kv_sweep(&writer, sweep_rows);
    struct reader reader = reader_of(batch);
    struct kv_op op;
    while (kv_op_next(&reader, &op)) {
        if (op.kind != KV_OP_ACTOR) {
            run_op(&writer, &op, replies);
        }
    }
    if (!position_equal(&writer.position, &before)) {
        kv_position_put(change, &writer.position);
    }
    buf_deinit(&writer.row);
    buf_deinit(&writer.doomed);
    buf_deinit(&writer.value);
    *ops_out = ops;
    return ERR_OK;
}

/* All or nothing: a batch is read to its end before its first operation is done. */
static enum error count_ops(struct slice batch, uint32_t *ops_out, uint32_t *sweep_rows_out)
{
    struct reader reader = reader_of(batch);
    struct kv_op op;
    uint32_t ops = 0;
    bool asked = false;
    while (kv_op_next(&reader, &op)) {
        ops += op.kind != KV_OP_ACTOR;
        asked = asked || op.kind == KV_OP_SWEEP;
        if (ops > KV_BATCH_OPS_MAX) {
            return ERR_PROTOCOL;
        }
    }
    if (reader_finish(&reader) != ERR_OK || ops == 0) {
        return ERR_PROTOCOL;
    }
    *ops_out = ops;
    *sweep_rows_out = asked ? SWEEP_ROWS_WHEN_ASKED : SWEEP_ROWS_MIN + SWEEP_ROWS_PER_OP * ops;
    return ERR_OK;
}

static void run_op(struct kv_writer *writer, const struct kv_op *op, struct buf *replies)
{
    struct kv_reply reply = {.kind = op->kind};
    struct buf nested = {0};
    struct kv_budget before = writer->left;
    reply.error = kv_op_check(op);
    if (reply.error == KV_OK) {
        reply.error = run_kind(writer, op, &reply, &nested);
    }
    CHECK(reply.error == KV_OK || writer->subs == 0);
    if (reply.error != KV_OK) {
        /* Nothing was answered or deleted; but rows were looked at. */
        writer->left.bytes = before.bytes;
        writer->left.deletes = before.deletes;
    }
    reply.revision = kv_writer_header(writer);
    kv_writer_finish_op(writer);
    if (replies != NULL) {
        kv_reply_encode(replies, &reply);
    }
    buf_deinit(&nested);
}

static enum kv_error
run_kind(struct kv_writer *writer, const struct kv_op *op, struct kv_reply *reply, struct buf *out)
{
    enum kv_error error = KV_OK;
    switch (op->kind) {
    case KV_OP_PUT:
        error = kv_put_check(writer, &op->put);
        if (error == KV_OK) {
            kv_put_run(writer, &op->put, out);
            reply->pairs = buf_view(out);
        }
        return error;
    case KV_OP_DELETE:
        error = kv_delete_check(writer, &op->del);
        if (error == KV_OK) {
            reply->count = kv_delete_run(writer, &op->del, out);
            reply->pairs = buf_view(out);
        }
        return error;
    case KV_OP_TXN:
        return kv_txn_run(writer, &op->txn, reply, out);
    case KV_OP_COMPACT:
        return kv_compact(writer, op->compact_revision);
    case KV_OP_LEASE_GRANT:
        return kv_lease_grant(writer, op->lease.id, op->lease.ttl, reply);
    case KV_OP_LEASE_REVOKE:
        reply->lease_id = op->lease.id;
        return kv_lease_revoke(writer, op->lease.id);
    case KV_OP_SWEEP:
        return KV_OK; /* done at the end of the batch */
    case KV_OP_RANGE:
    case KV_OP_ACTOR:
        break;
    }
    UNREACHABLE("kv_op_check refuses other kinds");
}

static bool position_equal(const struct kv_position *a, const struct kv_position *b)
{
    return a->revision == b->revision && a->compacted == b->compacted && a->swept == b->swept &&
           a->swept_sub == b->swept_sub;
}
