/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_reply.h. Field numbers are those of proto/etcd. */
#include "etcd/etcd_reply.h"

#include "base/check.h"
#include "rpc/proto_bytes.h"

enum { /* RequestOp and ResponseOp */
    OP_RANGE = 1,
    OP_PUT = 2,
    OP_DELETE = 3,
    OP_TXN = 4
};

static void put_int(struct buf *out, uint32_t field, int64_t value);
static size_t int_size(int64_t value);
static size_t varint_size(uint64_t value);
static size_t bytes_size(struct slice bytes);
static size_t pair_size(const struct kv_pair *pair);
static void put_pair_fields(struct buf *out, const struct kv_pair *pair);
static enum error put_pairs(struct buf *out, uint32_t field, struct slice pairs);
static enum error put_nested(struct buf *out, struct slice replies);
static uint32_t op_field(enum kv_op_kind kind);

void etcd_reply_put_header(struct buf *out, const struct etcd_identity *identity, int64_t revision)
{
    uint8_t bytes[48];
    struct buf header = {.data = bytes, .cap = sizeof(bytes)}; /* never grows: four varints */
    if (identity != NULL) {
        put_int(&header, 1, (int64_t)identity->cluster_id);
        put_int(&header, 2, (int64_t)identity->member_id);
    }
    put_int(&header, 3, revision);
    if (identity != NULL) {
        put_int(&header, 4, (int64_t)identity->term);
    }
    CHECK(header.data == bytes);
    proto_put_bytes(out, 1, buf_view(&header));
}

void etcd_reply_put_pair(struct buf *out, uint32_t field, const struct kv_pair *pair)
{
    buf_reserve(out, pair->key.len + pair->value.len + 80);
    proto_put_varint(out, (uint64_t)field << 3 | 2);
    proto_put_varint(out, pair_size(pair));
    put_pair_fields(out, pair);
}

void etcd_reply_put_event(struct buf *out,
                          uint32_t field,
                          const struct kv_event *event,
                          const struct kv_pair *previous)
{
    size_t pair = pair_size(&event->pair);
    size_t len = (event->deleted ? 2U : 0U) + 1 + varint_size(pair) + pair;
    size_t before = previous == NULL ? 0 : pair_size(previous);
    if (previous != NULL) {
        len += 1 + varint_size(before) + before;
    }
    proto_put_varint(out, (uint64_t)field << 3 | 2);
    proto_put_varint(out, len);
    put_int(out, 1, event->deleted ? 1 : 0);
    etcd_reply_put_pair(out, 2, &event->pair);
    if (previous != NULL) {
        etcd_reply_put_pair(out, 3, previous);
    }
}

void etcd_reply_end_range(struct buf *out,
                          const struct etcd_identity *identity,
                          const struct kv_range_result *result)
{
    etcd_reply_put_header(out, identity, result->revision);
    put_int(out, 3, result->more ? 1 : 0);
    put_int(out, 4, result->count);
}

enum error
etcd_reply_put(struct buf *out, const struct etcd_identity *identity, const struct kv_reply *reply)
{
    CHECK(reply->error == KV_OK);
    switch (reply->kind) {
    case KV_OP_PUT:
        etcd_reply_put_header(out, identity, reply->revision);
        return put_pairs(out, 2, reply->pairs);
    case KV_OP_DELETE:
        etcd_reply_put_header(out, identity, reply->revision);
        put_int(out, 2, reply->count);
        return put_pairs(out, 3, reply->pairs);
    case KV_OP_RANGE: {
        const struct kv_range_result result = {
            .revision = reply->revision, .count = reply->count, .more = reply->more};
        TRY(put_pairs(out, ETCD_RANGE_PAIR, reply->pairs));
        etcd_reply_end_range(out, identity, &result);
        return ERR_OK;
    }
    case KV_OP_TXN:
        etcd_reply_put_header(out, identity, reply->revision);
        put_int(out, 2, reply->succeeded ? 1 : 0);
        return put_nested(out, reply->replies);
    case KV_OP_LEASE_GRANT:
        etcd_reply_put_header(out, identity, reply->revision);
        put_int(out, 2, reply->lease_id);
        put_int(out, 3, reply->lease_ttl);
        return ERR_OK;
    case KV_OP_COMPACT:
    case KV_OP_LEASE_REVOKE:
        etcd_reply_put_header(out, identity, reply->revision);
        return ERR_OK;
    case KV_OP_SWEEP:
    case KV_OP_ACTOR:
        break;
    }
    return ERR_CORRUPT;
}

/* Zero is left out, as proto3 does. A negative number takes ten bytes. */
static void put_int(struct buf *out, uint32_t field, int64_t value)
{
    if (value != 0) {
        proto_put_number(out, field, (uint64_t)value);
    }
}

static size_t int_size(int64_t value)
{
    return value == 0 ? 0 : 1 + varint_size((uint64_t)value);
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

static size_t bytes_size(struct slice bytes)
{
    return bytes.len == 0 ? 0 : 1 + varint_size(bytes.len) + bytes.len;
}

static size_t pair_size(const struct kv_pair *pair)
{
    return bytes_size(pair->key) + int_size(pair->create_revision) + int_size(pair->mod_revision) +
           int_size(pair->version) + bytes_size(pair->value) + int_size(pair->lease);
}

static void put_pair_fields(struct buf *out, const struct kv_pair *pair)
{
    if (pair->key.len > 0) {
        proto_put_bytes(out, 1, pair->key);
    }
    put_int(out, 2, pair->create_revision);
    put_int(out, 3, pair->mod_revision);
    put_int(out, 4, pair->version);
    if (pair->value.len > 0) {
        proto_put_bytes(out, 5, pair->value);
    }
    put_int(out, 6, pair->lease);
}

static enum error put_pairs(struct buf *out, uint32_t field, struct slice pairs)
{
    struct reader reader = reader_of(pairs);
    struct kv_pair pair;
    while (kv_pair_next(&reader, &pair)) {
        etcd_reply_put_pair(out, field, &pair);
    }
    return reader_finish(&reader);
}

/* The depth is bounded by what apply accepted: KV_TXN_DEPTH_MAX. */
static enum error put_nested(struct buf *out, struct slice replies)
{
    struct reader reader = reader_of(replies);
    struct kv_reply reply;
    enum error error = ERR_OK;
    struct buf response = {0};
    struct buf op = {0};
    while (error == ERR_OK && kv_reply_next(&reader, &reply)) {
        buf_clear(&response);
        buf_clear(&op);
        error = reply.error == KV_OK ? etcd_reply_put(&response, NULL, &reply) : ERR_CORRUPT;
        proto_put_bytes(&op, op_field(reply.kind), buf_view(&response));
        proto_put_bytes(out, 3, buf_view(&op));
    }
    buf_deinit(&response);
    buf_deinit(&op);
    return error == ERR_OK ? reader_finish(&reader) : error;
}

static uint32_t op_field(enum kv_op_kind kind)
{
    switch (kind) {
    case KV_OP_RANGE:
        return OP_RANGE;
    case KV_OP_PUT:
        return OP_PUT;
    case KV_OP_DELETE:
        return OP_DELETE;
    case KV_OP_TXN:
    case KV_OP_COMPACT:
    case KV_OP_LEASE_GRANT:
    case KV_OP_LEASE_REVOKE:
    case KV_OP_ACTOR:
    case KV_OP_SWEEP:
        break;
    }
    return OP_TXN;
}
