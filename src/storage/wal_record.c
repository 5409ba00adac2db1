/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_record.h for the layout. */
#include "storage/wal_record.h"

#include "base/check.h"
#include "base/hash.h"

#include <string.h>

enum {
    HASH_SIZE = 8,
    FLAG_LAST_IN_BATCH = 1,
};

static bool record_is_well_formed(const struct wal_record *record);

size_t wal_record_size(size_t payload_len)
{
    CHECK(payload_len <= RAFT_PAYLOAD_MAX);
    const size_t mask = WAL_RECORD_ALIGN - 1;
    return WAL_RECORD_HEADER_SIZE + ((payload_len + mask) & ~mask);
}

uint64_t wal_record_append(struct buf *out, const struct wal_record *record, uint64_t seed)
{
    static const uint8_t padding[WAL_RECORD_ALIGN];
    CHECK(out->len % WAL_RECORD_ALIGN == 0);
    CHECK(record_is_well_formed(record));

    size_t start = out->len;
    size_t size = wal_record_size(record->payload.len);
    buf_put_u64(out, 0);
    buf_put_u64(out, record->previous);
    buf_put_u32(out, (uint32_t)record->payload.len);
    buf_put_u8(out, (uint8_t)record->type);
    buf_put_u8(out, record->kind);
    buf_put_u8(out, record->last_in_batch ? FLAG_LAST_IN_BATCH : 0);
    buf_put_u8(out, 0);
    buf_put_u64(out, record->batch);
    buf_put_u64(out, record->index);
    buf_put_u64(out, record->term);
    if (record->payload.len > 0) {
        buf_append(out, record->payload.data, record->payload.len);
    }
    buf_append(out, padding, start + size - out->len);

    uint64_t hash = hash_xxh3(out->data + start + HASH_SIZE, size - HASH_SIZE, seed);
    for (size_t byte = 0; byte < HASH_SIZE; byte++) {
        out->data[start + byte] = (uint8_t)(hash >> (8 * byte));
    }
    return hash;
}

enum error wal_record_parse(struct slice bytes, uint64_t seed, struct wal_record *record_out)
{
    struct reader reader = reader_of(bytes);
    struct wal_record record = {0};
    record.hash = reader_u64(&reader);
    record.previous = reader_u64(&reader);
    uint32_t length = reader_u32(&reader);
    uint8_t type = reader_u8(&reader);
    record.kind = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    uint8_t zero = reader_u8(&reader);
    record.batch = reader_u64(&reader);
    record.index = reader_u64(&reader);
    record.term = reader_u64(&reader);
    if (reader.failed || length > RAFT_PAYLOAD_MAX || wal_record_size(length) > bytes.len) {
        return ERR_CORRUPT;
    }
    if (type < WAL_ENTRY || type > WAL_HARD_STATE || flags > FLAG_LAST_IN_BATCH || zero != 0) {
        return ERR_CORRUPT;
    }
    record.type = (enum wal_record_type)type;
    record.last_in_batch = flags == FLAG_LAST_IN_BATCH;
    record.payload = slice_of(bytes.data + WAL_RECORD_HEADER_SIZE, length);
    size_t hashed = wal_record_size(length) - HASH_SIZE;
    if (hash_xxh3(bytes.data + HASH_SIZE, hashed, seed) != record.hash ||
        !record_is_well_formed(&record)) {
        return ERR_CORRUPT;
    }
    *record_out = record;
    return ERR_OK;
}

void wal_vote_encode(struct member_id vote, struct buf *out)
{
    buf_put_u64(out, vote.hi);
    buf_put_u64(out, vote.lo);
}

struct member_id wal_vote_decode(struct slice payload)
{
    CHECK(payload.len == WAL_VOTE_SIZE);
    struct reader reader = reader_of(payload);
    struct member_id vote = {.hi = reader_u64(&reader)};
    vote.lo = reader_u64(&reader);
    return vote;
}

static bool record_is_well_formed(const struct wal_record *record)
{
    if (record->batch == 0 || record->payload.len > RAFT_PAYLOAD_MAX) {
        return false;
    }
    switch (record->type) {
    case WAL_ENTRY:
        return record->index > 0 && record->term > 0 && record->kind >= RAFT_ENTRY_NOOP &&
               record->kind <= RAFT_ENTRY_CONFIGURATION;
    case WAL_HARD_STATE:
        return record->index == 0 && record->kind == 0 && record->payload.len == WAL_VOTE_SIZE;
    }
    return false;
}
