/* SPDX-License-Identifier: Apache-2.0 */
/* One file of the write-ahead log: a checked header, then records, then zeros up to its
 * preallocated size. A segment appears under its name ("0000000000000007.wal", its number in hex)
 * only after the header and all the zeros are durable, so every byte ever read back was either
 * written by us or is zero, and a damaged header is rot, never a torn write.
 *
 * The header is also how a suffix is truncated: the log goes on at the header's first index, and
 * what older segments hold at or above it is gone. So a truncation is durable before any cut can
 * rely on it. And it carries what the log must not forget when older segments are cut: the hard
 * state, the index, the number of the next batch, and the chain's last hash, which proves that the
 * segment before it ended where this one begins. */
#ifndef INDABA_STORAGE_WAL_SEGMENT_H
#define INDABA_STORAGE_WAL_SEGMENT_H

#include "base/ids.h"
#include "base/reason.h"
#include "raft/types.h"
#include "storage/disk.h"

enum {
    WAL_SEGMENT_HEADER_SIZE = 136,
    WAL_SEGMENT_VERSION = 1,
    WAL_SEGMENT_PATH_SIZE = 1024,
    /* Larger files are not ours: a segment holds at least one batch, and batches are bounded. */
    WAL_SEGMENT_BYTES_MAX = 512 * 1024 * 1024,
};

struct wal_segment_header {
    uint64_t number; /* dense, ascending */
    uint64_t seed;   /* random; of all record hashes in this segment */
    struct cluster_id cluster;
    struct member_id member;
    uint64_t first_index; /* the log goes on here: entries at or above this are gone, if any were */
    uint64_t first_batch;
    uint64_t previous; /* hash of the last record before this segment; 0 in a fresh log */
    bool fresh;        /* the log begins here: nothing older is missing (format, restart) */
    struct raft_hard_state hard_state; /* when the segment was made */
    uint64_t hash; /* of the header itself; the first record's `previous`. Set by encode. */
};

/* WAL_SEGMENT_HEADER_SIZE bytes; sets header->hash. */
void wal_segment_header_encode(struct wal_segment_header *header, struct buf *out);
/* ERR_CORRUPT (damaged or not a segment) or ERR_VERSION. */
MUST_CHECK enum error wal_segment_header_decode(struct slice bytes,
                                                struct wal_segment_header *header_out);

/* Path of segment `number` in `folder` into `path`, which holds WAL_SEGMENT_PATH_SIZE bytes. */
char *wal_segment_path(const char *folder, uint64_t number, char *path);
/* The number in a segment's file name; false if the name is not one. */
bool wal_segment_parse_name(const char *name, uint64_t *number_out);

/* The numbers of all segment files in `folder`, ascending; the array is the caller's (mem_free). */
MUST_CHECK enum error wal_segment_list(const struct disk *disk,
                                       const char *folder,
                                       uint64_t **numbers_out,
                                       size_t *count_out);

/* The one file that is being prepared (wal_spare.h): folder/"next.tmp". */
char *wal_segment_spare_path(const char *folder, char *path);

#endif
