/* SPDX-License-Identifier: Apache-2.0 */
/* See state/kv_op.h. One byte of kind, the fields of that kind, flags in one byte. */
#include "state/kv_op.h"

#include "base/check.h"

enum {
    FLAG_PREV_KV = 1,
    FLAG_IGNORE_VALUE = 2,
    FLAG_IGNORE_LEASE = 4,
    FLAG_KEYS_ONLY = 1,
    FLAG_COUNT_ONLY = 2,
    FLAG_BOUNDS = 4 /* any of the four bounds on revisions is set */
};

static void encode_put(struct buf *out, const struct kv_op_put *put);
static void encode_range(struct buf *out, const struct kv_op_range *range);
static void decode_put(struct reader *reader, struct kv_op_put *put);
static void decode_range(struct reader *reader, struct kv_op_range *range);
static struct kv_range read_keys(struct reader *reader);
static uint8_t read_flags(struct reader *reader, uint8_t known);
static void decode(struct reader *reader, struct kv_op *op);

void kv_op_encode(struct buf *out, const struct kv_op *op)
{
    buf_put_u8(out, (uint8_t)op->kind);
    switch (op->kind) {
    case KV_OP_PUT:
        encode_put(out, &op->put);
        return;
    case KV_OP_DELETE:
        buf_put_u8(out, op->del.prev_kv ? FLAG_PREV_KV : 0);
        buf_put_bytes(out, op->del.range.key);
        buf_put_bytes(out, op->del.range.end);
        return;
    case KV_OP_RANGE:
        encode_range(out, &op->range);
        return;
    case KV_OP_TXN:
        buf_put_bytes(out, op->txn.compares);
        buf_put_bytes(out, op->txn.success);
        buf_put_bytes(out, op->txn.failure);
        return;
    case KV_OP_COMPACT:
        buf_put_u64(out, (uint64_t)op->compact_revision);
        return;
    case KV_OP_LEASE_GRANT:
        buf_put_u64(out, (uint64_t)op->lease.id);
        buf_put_u64(out, (uint64_t)op->lease.ttl);
        return;
    case KV_OP_LEASE_REVOKE:
        buf_put_u64(out, (uint64_t)op->lease.id);
        return;
    case KV_OP_ACTOR:
        buf_put_bytes(out, op->actor);
        return;
    case KV_OP_SWEEP:
        return;
    }
    UNREACHABLE("the proposer encodes operations of the kinds above");
}

void kv_compare_encode(struct buf *out, const struct kv_compare *compare)
{
    buf_put_u8(out, (uint8_t)compare->target);
    buf_put_u8(out, (uint8_t)compare->result);
    buf_put_bytes(out, compare->range.key);
    buf_put_bytes(out, compare->range.end);
    if (compare->target == KV_TARGET_VALUE) {
        buf_put_bytes(out, compare->value);
    } else {
        buf_put_u64(out, (uint64_t)compare->number);
    }
}

bool kv_op_next(struct reader *reader, struct kv_op *op_out)
{
    if (reader->failed || reader->offset == reader->len) {
        return false;
    }
    struct kv_op op = {.kind = (enum kv_op_kind)reader_u8(reader)};
    decode(reader, &op);
    if (reader->failed) {
        return false;
    }
    *op_out = op;
    return true;
}

bool kv_compare_next(struct reader *reader, struct kv_compare *compare_out)
{
    if (reader->failed || reader->offset == reader->len) {
        return false;
    }
    struct kv_compare compare = {.target = (enum kv_target)reader_u8(reader)};
    compare.result = (enum kv_compare_result)reader_u8(reader);
    compare.range = read_keys(reader);
    if (compare.target == KV_TARGET_VALUE) {
        compare.value = reader_bytes(reader);
    } else {
        compare.number = (int64_t)reader_u64(reader);
    }
    if (reader->failed) {
        return false;
    }
    *compare_out = compare;
    return true;
}

static void encode_put(struct buf *out, const struct kv_op_put *put)
{
    uint8_t flags = 0;
    flags |= put->prev_kv ? FLAG_PREV_KV : 0;
    flags |= put->ignore_value ? FLAG_IGNORE_VALUE : 0;
    flags |= put->ignore_lease ? FLAG_IGNORE_LEASE : 0;
    buf_put_u8(out, flags);
    buf_put_u64(out, (uint64_t)put->lease);
    buf_put_bytes(out, put->key);
    buf_put_bytes(out, put->value);
}

static void encode_range(struct buf *out, const struct kv_op_range *range)
{
    bool bounds = range->mod_min != 0 || range->mod_max != 0 || range->create_min != 0 ||
                  range->create_max != 0;
    uint8_t flags = 0;
    flags |= range->keys_only ? FLAG_KEYS_ONLY : 0;
    flags |= range->count_only ? FLAG_COUNT_ONLY : 0;
    flags |= bounds ? FLAG_BOUNDS : 0;
    buf_put_u8(out, flags);
    buf_put_bytes(out, range->range.key);
    buf_put_bytes(out, range->range.end);
    buf_put_u64(out, (uint64_t)range->limit);
    buf_put_u64(out, (uint64_t)range->revision);
    buf_put_u8(out, (uint8_t)range->order);
    buf_put_u8(out, (uint8_t)range->target);
    if (bounds) {
        buf_put_u64(out, (uint64_t)range->mod_min);
        buf_put_u64(out, (uint64_t)range->mod_max);
        buf_put_u64(out, (uint64_t)range->create_min);
        buf_put_u64(out, (uint64_t)range->create_max);
    }
}

static void decode(struct reader *reader, struct kv_op *op)
{
    switch (op->kind) {
    case KV_OP_PUT:
        decode_put(reader, &op->put);
        return;
    case KV_OP_DELETE:
        op->del.prev_kv = (read_flags(reader, FLAG_PREV_KV) & FLAG_PREV_KV) != 0;
        op->del.range = read_keys(reader);
        return;
    case KV_OP_RANGE:
        decode_range(reader, &op->range);
        return;
    case KV_OP_TXN:
        op->txn.compares = reader_bytes(reader);
        op->txn.success = reader_bytes(reader);
        op->txn.failure = reader_bytes(reader);
        return;
    case KV_OP_COMPACT:
        op->compact_revision = (int64_t)reader_u64(reader);
        return;
    case KV_OP_LEASE_GRANT:
        op->lease.id = (int64_t)reader_u64(reader);
        op->lease.ttl = (int64_t)reader_u64(reader);
        return;
    case KV_OP_LEASE_REVOKE:
        op->lease.id = (int64_t)reader_u64(reader);
        return;
    case KV_OP_ACTOR:
        op->actor = reader_bytes(reader);
        return;
    case KV_OP_SWEEP:
        return;
    }
    reader_fail(reader);
}

static void decode_put(struct reader *reader, struct kv_op_put *put)
{
    uint8_t flags = read_flags(reader, FLAG_PREV_KV | FLAG_IGNORE_VALUE | FLAG_IGNORE_LEASE);
    put->prev_kv = (flags & FLAG_PREV_KV) != 0;
    put->ignore_value = (flags & FLAG_IGNORE_VALUE) != 0;
    put->ignore_lease = (flags & FLAG_IGNORE_LEASE) != 0;
    put->lease = (int64_t)reader_u64(reader);
    put->key = reader_bytes(reader);
    put->value = reader_bytes(reader);
}

static void decode_range(struct reader *reader, struct kv_op_range *range)
{
    uint8_t flags = read_flags(reader, FLAG_KEYS_ONLY | FLAG_COUNT_ONLY | FLAG_BOUNDS);
    range->keys_only = (flags & FLAG_KEYS_ONLY) != 0;
    range->count_only = (flags & FLAG_COUNT_ONLY) != 0;
    range->range = read_keys(reader);
    range->limit = (int64_t)reader_u64(reader);
    range->revision = (int64_t)reader_u64(reader);
    range->order = (enum kv_sort_order)reader_u8(reader);
    range->target = (enum kv_target)reader_u8(reader);
    if ((flags & FLAG_BOUNDS) != 0) {
        range->mod_min = (int64_t)reader_u64(reader);
        range->mod_max = (int64_t)reader_u64(reader);
        range->create_min = (int64_t)reader_u64(reader);
        range->create_max = (int64_t)reader_u64(reader);
    }
}

static struct kv_range read_keys(struct reader *reader)
{
    struct kv_range range = {.key = reader_bytes(reader)};
    range.end = reader_bytes(reader);
    return range;
}

/* An unknown flag could change what an operation means: it is refused, not passed over. */
static uint8_t read_flags(struct reader *reader, uint8_t known)
{
    uint8_t flags = reader_u8(reader);
    if ((flags & ~known) != 0) {
        reader_fail(reader);
    }
    return flags;
}
