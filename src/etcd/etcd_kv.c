/* SPDX-License-Identifier: Apache-2.0 */
/* KV and the writes of Lease: requests into operations of the store, and ranges answered from it.
 * What transactions nest is in etcd_txn.c. */
#include "etcd/etcd_kv.h"

#include "base/check.h"

static enum etcd_error take(struct etcd_op *op, const struct kv_op *kv);
static bool visit_pair(const struct kv_pair *pair, void *ctx);
static enum kv_target target_of(Etcdserverpb__RangeRequest__SortTarget target);

enum etcd_error etcd_error_of_kv(enum kv_error error)
{
    switch (error) {
    case KV_OK:
        return ETCD_OK;
    case KV_EMPTY_KEY:
        return ETCD_EMPTY_KEY;
    case KV_KEY_NOT_FOUND:
        return ETCD_KEY_NOT_FOUND;
    case KV_VALUE_PROVIDED:
        return ETCD_VALUE_PROVIDED;
    case KV_LEASE_PROVIDED:
        return ETCD_LEASE_PROVIDED;
    case KV_TOO_MANY_OPS:
        return ETCD_TOO_MANY_OPS;
    case KV_DUPLICATE_KEY:
        return ETCD_DUPLICATE_KEY;
    case KV_COMPACTED:
        return ETCD_COMPACTED;
    case KV_FUTURE_REVISION:
        return ETCD_FUTURE_REVISION;
    case KV_LEASE_NOT_FOUND:
        return ETCD_LEASE_NOT_FOUND;
    case KV_LEASE_EXISTS:
        return ETCD_LEASE_EXISTS;
    case KV_LEASE_TTL:
        return ETCD_LEASE_TTL;
    case KV_KEY_TOO_LONG:
        return ETCD_KEY_TOO_LONG;
    case KV_TOO_MANY_ROWS:
        return ETCD_TOO_MANY_KEYS;
    case KV_ANSWER_TOO_LARGE:
        return ETCD_REPLY_TOO_LARGE;
    case KV_BATCH_FULL: /* etcd_writes.c brings it again */
        return ETCD_TOO_MANY;
    case KV_INVALID:
    case KV_ERROR_COUNT:
        break;
    }
    return ETCD_INVALID;
}

enum etcd_error etcd_kv_take_put(struct etcd_op *op)
{
    const Etcdserverpb__PutRequest *request = (const void *)op->message;
    const struct kv_op kv = {.kind = KV_OP_PUT, .put = etcd_kv_put_of(request)};
    return take(op, &kv);
}

enum etcd_error etcd_kv_take_delete(struct etcd_op *op)
{
    const Etcdserverpb__DeleteRangeRequest *request = (const void *)op->message;
    const struct kv_op kv = {.kind = KV_OP_DELETE, .del = etcd_kv_delete_of(request)};
    return take(op, &kv);
}

enum etcd_error etcd_kv_take_compact(struct etcd_op *op)
{
    const Etcdserverpb__CompactionRequest *request = (const void *)op->message;
    const struct kv_op kv = {.kind = KV_OP_COMPACT, .compact_revision = request->revision};
    return take(op, &kv);
}

enum etcd_error etcd_kv_take_grant(struct etcd_op *op)
{
    const Etcdserverpb__LeaseGrantRequest *request = (const void *)op->message;
    const struct kv_op kv = {
        .kind = KV_OP_LEASE_GRANT,
        .lease = {.id = request->id,
                  .ttl = request->ttl < ETCD_LEASE_TTL_MIN ? ETCD_LEASE_TTL_MIN : request->ttl}};
    return take(op, &kv);
}

enum etcd_error etcd_kv_take_revoke(struct etcd_op *op)
{
    const Etcdserverpb__LeaseRevokeRequest *request = (const void *)op->message;
    const struct kv_op kv = {.kind = KV_OP_LEASE_REVOKE, .lease = {.id = request->id}};
    return take(op, &kv);
}

bool etcd_kv_range_is_local(const struct etcd_op *op)
{
    const Etcdserverpb__RangeRequest *request = (const void *)op->message;
    return request->serializable;
}

/* On the apply thread. */
void etcd_kv_range(struct etcd_op *op, const struct tables *tables)
{
    const struct kv_op_range range = etcd_kv_range_of((const void *)op->message);
    struct kv_cursor *cursor = &op->part.cursor;
    bool goes_on = cursor->begun;
    enum kv_error error = kv_range(tables, &range, cursor, visit_pair, op);
    if (error == KV_COMPACTED && goes_on && range.revision == 0) {
        /* The present that it began to read is compacted away: this one is as good. */
        uint64_t rows = cursor->rows;
        kv_cursor_deinit(cursor);
        *cursor = (struct kv_cursor){.rows = rows};
        buf_clear(&op->reply);
        error = kv_range(tables, &range, cursor, visit_pair, op);
    }
    op->error = op->error == ETCD_OK ? etcd_error_of_kv(error) : op->error;
    op->part.done = op->error != ETCD_OK || !cursor->cut;
    if (op->error == ETCD_OK && op->part.done) {
        etcd_reply_end_range(&op->reply, &op->identity, &cursor->result);
    }
}

struct kv_op_put etcd_kv_put_of(const Etcdserverpb__PutRequest *request)
{
    return (struct kv_op_put){
        .key = etcd_slice(request->key),
        .value = etcd_slice(request->value),
        .lease = request->lease,
        .prev_kv = request->prev_kv,
        .ignore_value = request->ignore_value,
        .ignore_lease = request->ignore_lease,
    };
}

struct kv_op_delete etcd_kv_delete_of(const Etcdserverpb__DeleteRangeRequest *request)
{
    return (struct kv_op_delete){
        .range = {.key = etcd_slice(request->key), .end = etcd_slice(request->range_end)},
        .prev_kv = request->prev_kv,
    };
}

/* A sort by key in ascending order is the order that there is; etcd takes a target without an order
 * for ascending. */
struct kv_op_range etcd_kv_range_of(const Etcdserverpb__RangeRequest *request)
{
    enum kv_sort_order order = (enum kv_sort_order)request->sort_order;
    if (order == KV_SORT_NONE &&
        request->sort_target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY) {
        order = KV_SORT_ASCEND;
    }
    return (struct kv_op_range){
        .range = {.key = etcd_slice(request->key), .end = etcd_slice(request->range_end)},
        .limit = request->limit < 0 ? 0 : request->limit,
        .revision = request->revision < 0 ? 0 : request->revision,
        .order = order,
        .target = target_of(request->sort_target),
        .keys_only = request->keys_only,
        .count_only = request->count_only,
        .mod_min = request->min_mod_revision,
        .mod_max = request->max_mod_revision,
        .create_min = request->min_create_revision,
        .create_max = request->max_create_revision,
    };
}

/* Checked here, by whoever was asked, and once more when it is applied. */
static enum etcd_error take(struct etcd_op *op, const struct kv_op *kv)
{
    enum etcd_error error = etcd_error_of_kv(kv_op_check(kv));
    if (error == ETCD_OK) {
        kv_op_encode(&op->encoded, kv);
    }
    return error;
}

static bool visit_pair(const struct kv_pair *pair, void *ctx)
{
    struct etcd_op *op = ctx;
    if (op->reply.len + pair->key.len + pair->value.len > ETCD_REPLY_BYTES_MAX) {
        op->error = ETCD_REPLY_TOO_LARGE;
        return false;
    }
    etcd_reply_put_pair(&op->reply, ETCD_RANGE_PAIR, pair);
    uint64_t more = (pair->key.len + pair->value.len) / ETCD_ROW_BYTES;
    struct kv_cursor *cursor = &op->part.cursor;
    cursor->rows -= more < cursor->rows ? more : cursor->rows;
    return true;
}

/* An unknown number stays unknown: the store refuses it. */
static enum kv_target target_of(Etcdserverpb__RangeRequest__SortTarget target)
{
    return (int)target < 0 || (int)target > KV_TARGET_VALUE ? KV_TARGET_LEASE
                                                            : (enum kv_target)target;
}
