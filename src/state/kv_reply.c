/* SPDX-License-Identifier: Apache-2.0 */
/* See state/kv_reply.h. A reply to a put, the frequent one, is 11 bytes. */
#include "state/kv_reply.h"

#include "base/check.h"

static void encode_body(struct buf *out, const struct kv_reply *reply);
static void decode_body(struct reader *reader, struct kv_reply *reply);
static bool read_bool(struct reader *reader);

void kv_reply_encode(struct buf *out, const struct kv_reply *reply)
{
    buf_put_u8(out, (uint8_t)reply->kind);
    buf_put_u8(out, (uint8_t)reply->error);
    buf_put_u64(out, (uint64_t)reply->revision);
    if (reply->error == KV_OK) {
        encode_body(out, reply);
    }
}

bool kv_reply_next(struct reader *reader, struct kv_reply *reply_out)
{
    if (reader->failed || reader->offset == reader->len) {
        return false;
    }
    struct kv_reply reply = {.kind = (enum kv_op_kind)reader_u8(reader)};
    reply.error = (enum kv_error)reader_u8(reader);
    reply.revision = (int64_t)reader_u64(reader);
    if (reply.error >= KV_ERROR_COUNT) {
        reader_fail(reader);
    } else if (reply.error == KV_OK) {
        decode_body(reader, &reply);
    }
    if (reader->failed) {
        return false;
    }
    *reply_out = reply;
    return true;
}

void kv_pair_encode(struct buf *out, const struct kv_pair *pair)
{
    buf_put_bytes(out, pair->key);
    buf_put_bytes(out, pair->value);
    buf_put_u64(out, (uint64_t)pair->create_revision);
    buf_put_u64(out, (uint64_t)pair->mod_revision);
    buf_put_u64(out, (uint64_t)pair->version);
    buf_put_u64(out, (uint64_t)pair->lease);
}

bool kv_pair_next(struct reader *reader, struct kv_pair *pair_out)
{
    if (reader->failed || reader->offset == reader->len) {
        return false;
    }
    struct kv_pair pair = {.key = reader_bytes(reader)};
    pair.value = reader_bytes(reader);
    pair.create_revision = (int64_t)reader_u64(reader);
    pair.mod_revision = (int64_t)reader_u64(reader);
    pair.version = (int64_t)reader_u64(reader);
    pair.lease = (int64_t)reader_u64(reader);
    if (reader->failed) {
        return false;
    }
    *pair_out = pair;
    return true;
}

static void encode_body(struct buf *out, const struct kv_reply *reply)
{
    switch (reply->kind) {
    case KV_OP_PUT:
        buf_put_u8(out, reply->pairs.len > 0);
        if (reply->pairs.len > 0) {
            buf_put_bytes(out, reply->pairs);
        }
        return;
    case KV_OP_DELETE:
    case KV_OP_RANGE:
        buf_put_u64(out, (uint64_t)reply->count);
        buf_put_u8(out, reply->more);
        buf_put_bytes(out, reply->pairs);
        return;
    case KV_OP_TXN:
        buf_put_u8(out, reply->succeeded);
        buf_put_bytes(out, reply->replies);
        return;
    case KV_OP_LEASE_GRANT:
    case KV_OP_LEASE_REVOKE:
        buf_put_u64(out, (uint64_t)reply->lease_id);
        buf_put_u64(out, (uint64_t)reply->lease_ttl);
        return;
    case KV_OP_COMPACT:
    case KV_OP_SWEEP:
        return;
    case KV_OP_ACTOR:
        break;
    }
    UNREACHABLE("operations of the kinds above have replies");
}

static void decode_body(struct reader *reader, struct kv_reply *reply)
{
    switch (reply->kind) {
    case KV_OP_PUT:
        if (read_bool(reader)) {
            reply->pairs = reader_bytes(reader);
        }
        return;
    case KV_OP_DELETE:
    case KV_OP_RANGE:
        reply->count = (int64_t)reader_u64(reader);
        reply->more = read_bool(reader);
        reply->pairs = reader_bytes(reader);
        return;
    case KV_OP_TXN:
        reply->succeeded = read_bool(reader);
        reply->replies = reader_bytes(reader);
        return;
    case KV_OP_LEASE_GRANT:
    case KV_OP_LEASE_REVOKE:
        reply->lease_id = (int64_t)reader_u64(reader);
        reply->lease_ttl = (int64_t)reader_u64(reader);
        return;
    case KV_OP_COMPACT:
    case KV_OP_SWEEP:
        return;
    case KV_OP_ACTOR:
        break;
    }
    reader_fail(reader);
}

static bool read_bool(struct reader *reader)
{
    uint8_t value = reader_u8(reader);
    if (value > 1) {
        reader_fail(reader);
    }
    return value == 1;
}
