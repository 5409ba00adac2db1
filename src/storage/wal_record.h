/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the write-ahead log, as bytes. Little-endian, 8-byte aligned, self-checking:
 *
 *   hash u64 | previous u64 | length u32 | type u8 | kind u8 | flags u8 | 0 u8
 *   batch u64 | index u64 | term u64 | payload, padded with zeros to a multiple of 8
 *
 * `hash` is XXH3 of everything after itself, seeded by the segment's seed, and `previous` is the
 * hash of the record before (of the segment's header for the first one). So a record can be
 * recognised alone anywhere in its segment, and its place in the order can be proven by the chain.
 * Records of other segments, or of an earlier life of the same disk blocks, have another seed and
 * never match. Pure. */
#ifndef INDABA_STORAGE_WAL_RECORD_H
#define INDABA_STORAGE_WAL_RECORD_H

#include "base/buf.h"
#include "raft/types.h"

enum wal_record_type {
    WAL_ENTRY = 1,      /* a log entry: index, term, kind, payload */
    WAL_HARD_STATE = 2, /* term; payload: the vote's two words */
};

enum {
    WAL_RECORD_HEADER_SIZE = 48,
    WAL_RECORD_ALIGN = 8
};

struct wal_record {
    enum wal_record_type type;
    bool last_in_batch; /* the batch is complete with this record */
    uint8_t kind;       /* raft_entry_kind of a WAL_ENTRY, else 0 */
    uint64_t batch;     /* one batch is one sync; dense, from 1 */
    uint64_t index;
    uint64_t term;
    uint64_t previous;
    uint64_t hash;
    struct slice payload; /* borrowed */
};

/* Bytes that a record with such a payload takes, padding included. */
size_t wal_record_size(size_t payload_len);

/* Appends the record (its `hash` is computed, not read) and returns the hash. */
uint64_t wal_record_append(struct buf *out, const struct wal_record *record, uint64_t seed);

/* Reads the record that begins at bytes.data. ERR_CORRUPT if there is none that is whole,
 * well-formed and matches its hash; the chain is for the caller to check. The payload borrows from
 * `bytes`. */
MUST_CHECK enum error
wal_record_parse(struct slice bytes, uint64_t seed, struct wal_record *record_out);

/* The vote in a WAL_HARD_STATE payload, and back. */
enum {
    WAL_VOTE_SIZE = 16
};

void wal_vote_encode(struct member_id vote, struct buf *out);
struct member_id wal_vote_decode(struct slice payload);

#endif
