/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of an operation whatever the state is (state/kv.h: kv_op_check). The sizes of
 * transactions are bounded before their keys are compared pairwise. */
#include "base/mem.h"
#include "state/kv.h"
#include "state/kv_rows.h"

struct write {
    struct kv_range range; /* of a put: its key */
    bool deletes;
};

/* What a list of operations writes, with all that it nests. */
struct writes {
    struct write *writes;
    uint32_t count;
    uint32_t cap;
};

static bool branch_grows(struct slice ops);
static enum kv_error check_key(struct slice key);
static enum kv_error check_keys(const struct kv_range *range);
static enum kv_error check_put(const struct kv_op_put *put);
static enum kv_error check_whole_txn(const struct kv_op_txn *txn);
static enum kv_error check_txn(const struct kv_op_txn *txn, uint32_t depth, uint32_t *total);
static enum kv_error check_compares(struct slice compares, uint32_t *total);
static enum kv_error check_branch(struct slice ops, uint32_t depth, uint32_t *total);
static enum kv_error check_grant(int64_t ttl);
static enum kv_error collect_branch(struct slice ops, struct writes *into);
static enum kv_error collect_txn(const struct kv_op_txn *txn, struct writes *into);
static void add(struct writes *writes, const struct kv_range *range, bool deletes);
static void append(struct writes *into, const struct writes *from);
static bool conflict(const struct writes *a, const struct writes *b);

enum kv_error kv_op_check(const struct kv_op *op)
{
    switch (op->kind) {
    case KV_OP_PUT:
        return check_put(&op->put);
    case KV_OP_DELETE:
        return check_keys(&op->del.range);
    case KV_OP_TXN:
        return check_whole_txn(&op->txn);
    case KV_OP_LEASE_GRANT:
        return op->lease.id < 0 ? KV_INVALID : check_grant(op->lease.ttl);
    case KV_OP_COMPACT:
        return op->compact_revision < 0 ? KV_INVALID : KV_OK;
    case KV_OP_LEASE_REVOKE:
    case KV_OP_ACTOR:
    case KV_OP_SWEEP:
        return KV_OK;
    case KV_OP_RANGE:
        return KV_INVALID; /* a read of its own is no entry of the log */
    }
    return KV_INVALID;
}

enum kv_error kv_range_check(const struct kv_op_range *request)
{
    if ((unsigned)request->order > KV_SORT_DESCEND || (unsigned)request->target > KV_TARGET_VALUE) {
        return KV_INVALID;
    }
    return check_keys(&request->range);
}

bool kv_op_grows(const struct kv_op *op)
{
    switch (op->kind) {
    case KV_OP_PUT:
    case KV_OP_LEASE_GRANT:
        return true;
    case KV_OP_TXN:
        return branch_grows(op->txn.success) || branch_grows(op->txn.failure);
    case KV_OP_DELETE:
    case KV_OP_RANGE:
    case KV_OP_COMPACT:
    case KV_OP_LEASE_REVOKE:
    case KV_OP_ACTOR:
    case KV_OP_SWEEP:
        break;
    }
    return false;
}

bool kv_range_has(const struct kv_range *range, struct slice key)
{
    if (range->end.len == 0) {
        return slice_equal(range->key, key);
    }
    if (slice_compare(key, range->key) < 0) {
        return false;
    }
    return (range->end.len == 1 && range->end.data[0] == 0) || slice_compare(key, range->end) < 0;
}

static bool branch_grows(struct slice ops)
{
    struct reader reader = reader_of(ops);
    struct kv_op op;
    while (kv_op_next(&reader, &op)) {
        if (kv_op_grows(&op)) {
            return true;
        }
    }
    return false;
}

static enum kv_error check_key(struct slice key)
{
    if (key.len == 0) {
        return KV_EMPTY_KEY;
    }
    return key.len > KV_KEY_MAX || kv_rows_key_size(key) > KV_KEY_MAX ? KV_KEY_TOO_LONG : KV_OK;
}

static enum kv_error check_keys(const struct kv_range *range)
{
    enum kv_error error = check_key(range->key);
    if (error != KV_OK || range->end.len == 0) {
        return error;
    }
    return check_key(range->end);
}

static enum kv_error check_put(const struct kv_op_put *put)
{
    enum kv_error error = check_key(put->key);
    if (error != KV_OK) {
        return error;
    }
    if (put->ignore_value && put->value.len > 0) {
        return KV_VALUE_PROVIDED;
    }
    if (put->ignore_lease && put->lease != 0) {
        return KV_LEASE_PROVIDED;
    }
    return put->value.len > KV_VALUE_MAX ? KV_INVALID : KV_OK;
}

static enum kv_error check_grant(int64_t ttl)
{
    return ttl > KV_LEASE_TTL_MAX ? KV_LEASE_TTL : KV_OK;
}

static enum kv_error check_whole_txn(const struct kv_op_txn *txn)
{
    uint32_t total = 0;
    enum kv_error error = check_txn(txn, 1, &total);
    if (error != KV_OK) {
        return error;
    }
    struct writes writes = {0};
    error = collect_txn(txn, &writes);
    mem_free(writes.writes);
    return error;
}

static enum kv_error check_txn(const struct kv_op_txn *txn, uint32_t depth, uint32_t *total)
{
    if (depth > KV_TXN_DEPTH_MAX) {
        return KV_TOO_MANY_OPS;
    }
    enum kv_error error = check_compares(txn->compares, total);
    if (error == KV_OK) {
        error = check_branch(txn->success, depth, total);
    }
    if (error == KV_OK) {
        error = check_branch(txn->failure, depth, total);
    }
    return error;
}

static enum kv_error check_compares(struct slice compares, uint32_t *total)
{
    struct reader reader = reader_of(compares);
    struct kv_compare compare;
    for (uint32_t count = 1; kv_compare_next(&reader, &compare); count++) {
        if (count > KV_TXN_OPS_MAX || ++*total > KV_TXN_TOTAL_MAX) {
            return KV_TOO_MANY_OPS;
        }
        enum kv_error error = check_keys(&compare.range);
        if (error != KV_OK) {
            return error;
        }
        if (compare.target == KV_TARGET_KEY || (unsigned)compare.target > KV_TARGET_LEASE ||
            (unsigned)compare.result > KV_COMPARE_NOT_EQUAL) {
            return KV_INVALID;
        }
    }
    return reader_finish(&reader) == ERR_OK ? KV_OK : KV_INVALID;
}

static enum kv_error check_branch(struct slice ops, uint32_t depth, uint32_t *total)
{
    struct reader reader = reader_of(ops);
    struct kv_op op;
    for (uint32_t count = 1; kv_op_next(&reader, &op); count++) {
        if (count > KV_TXN_OPS_MAX || ++*total > KV_TXN_TOTAL_MAX) {
            return KV_TOO_MANY_OPS;
        }
        enum kv_error error = KV_INVALID;
        if (op.kind == KV_OP_PUT) {
            error = check_put(&op.put);
        } else if (op.kind == KV_OP_DELETE) {
            error = check_keys(&op.del.range);
        } else if (op.kind == KV_OP_RANGE) {
            error = kv_range_check(&op.range);
        } else if (op.kind == KV_OP_TXN) {
            error = check_txn(&op.txn, depth + 1, total);
        }
        if (error != KV_OK) {
            return error;
        }
    }
    return reader_finish(&reader) == ERR_OK ? KV_OK : KV_INVALID;
}

/* What a list of operations writes must be disjoint, as in etcd: the order of the operations then
 * does not matter to who watches. */
static enum kv_error collect_branch(struct slice ops, struct writes *into)
{
    struct reader reader = reader_of(ops);
    struct kv_op op;
    while (kv_op_next(&reader, &op)) {
        struct writes one = {0};
        enum kv_error error = KV_OK;
        if (op.kind == KV_OP_PUT) {
            add(&one, &(struct kv_range){.key = op.put.key}, false);
        } else if (op.kind == KV_OP_DELETE) {
            add(&one, &op.del.range, true);
        } else if (op.kind == KV_OP_TXN) {
            error = collect_txn(&op.txn, &one);
        }
        if (error == KV_OK && conflict(into, &one)) {
            error = KV_DUPLICATE_KEY;
        }
        append(into, &one);
        mem_free(one.writes);
        if (error != KV_OK) {
            return error;
        }
    }
    return KV_OK;
}

/* Only one branch is taken, so both may write the same; what either writes counts outside. */
static enum kv_error collect_txn(const struct kv_op_txn *txn, struct writes *into)
{
    struct writes success = {0};
    struct writes failure = {0};
    enum kv_error error = collect_branch(txn->success, &success);
    if (error == KV_OK) {
        error = collect_branch(txn->failure, &failure);
    }
    append(into, &success);
    append(into, &failure);
    mem_free(success.writes);
    mem_free(failure.writes);
    return error;
}

static void add(struct writes *writes, const struct kv_range *range, bool deletes)
{
    if (writes->count == writes->cap) {
        writes->cap = writes->cap == 0 ? 4 : writes->cap * 2;
        writes->writes = mem_resize(writes->writes, writes->cap * sizeof(*writes->writes));
    }
    writes->writes[writes->count++] = (struct write){.range = *range, .deletes = deletes};
}

static void append(struct writes *into, const struct writes *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        add(into, &from->writes[i].range, from->writes[i].deletes);
    }
}

/* Two deletions may overlap; a put may overlap nothing. */
static bool conflict(const struct writes *a, const struct writes *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        for (uint32_t k = 0; k < b->count; k++) {
            const struct write *one = &a->writes[i];
            const struct write *other = &b->writes[k];
            if ((!one->deletes && kv_range_has(&other->range, one->range.key)) ||
                (!other->deletes && kv_range_has(&one->range, other->range.key))) {
                return true;
            }
        }
    }
    return false;
}
