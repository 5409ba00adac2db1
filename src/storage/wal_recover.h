/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a write-ahead log back: headers, batches, and the verdict on what follows the last whole
 * batch — nothing, a torn tail, or rot. Used by wal_open alone; reads everything, changes only the
 * tail of the last segment. */
#ifndef INDABA_STORAGE_WAL_RECOVER_H
#define INDABA_STORAGE_WAL_RECOVER_H

#include "base/reason.h"
#include "storage/wal.h"
#include "storage/wal_segment.h"

/* Where the log ends and goes on. */
struct wal_tail {
    struct wal_segment_header *headers; /* of all live segments, ascending; owned */
    uint64_t headers_count;
    uint64_t stale_first; /* segments [stale_first, headers[0].number) are leftovers to remove */
    uint64_t stale_end;
    uint64_t segment_bytes; /* size of the last segment's file */
    uint64_t offset;        /* where the next batch goes */
    uint64_t chain;         /* hash of the last record, or of the header before the first */
    uint64_t next_batch;
};

void wal_tail_deinit(struct wal_tail *tail);

/* See wal_open for the errors. Afterwards the last segment's tail is repaired and durable, and so
 * is the folder. */
MUST_CHECK enum error wal_recover(const struct wal_options *options,
                                  struct reason *reason,
                                  struct wal_recovered *recovered_out,
                                  struct wal_tail *tail_out);

#endif
