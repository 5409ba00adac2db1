/* SPDX-License-Identifier: Apache-2.0 */
/* From writes to the bytes of one batch: which writes go together, how large they are, and their
 * records. A truncation is no record: it begins a segment (wal_segment.h). Pure. */
#ifndef INDABA_STORAGE_WAL_BATCH_H
#define INDABA_STORAGE_WAL_BATCH_H

#include "storage/wal_record.h"

/* How many of the `count` writes, at least one, belong into the next batch: up to `bytes_max`, and
 * a truncation or restart always begins one. */
uint32_t wal_batch_group(const struct raft_write *writes, uint32_t count, size_t bytes_max);

/* Bytes that these writes take; 0 if they hold neither hard state nor entries. */
size_t wal_batch_size(const struct raft_write *writes, uint32_t count);

/* Where the batch goes. */
struct wal_batch_place {
    uint64_t batch; /* its number */
    uint64_t seed;  /* of the segment */
    uint64_t chain; /* the hash before it */
};

/* Appends the records of the writes, which hold at least one, to `out`; the last one is marked.
 * Returns the chain's new hash. */
uint64_t wal_batch_encode(const struct raft_write *writes,
                          uint32_t count,
                          const struct wal_batch_place *place,
                          struct buf *out);

#endif
