/* SPDX-License-Identifier: Apache-2.0 */
/* The write-ahead log of a member: Raft's entries, term and vote, durable. A folder of preallocated
 * segments (wal_segment.h) of chained records (wal_record.h); each batch of writes is one
 * contiguous write and one sync, and is recovered whole or not at all.
 *
 * Invariants: batches are numbered densely, and batch n is durable before n + 1 is begun, so a hole
 * before the last batch is rot and never a torn write. A truncation of the suffix always begins a
 * new segment, so that no stale record can come back. After the first failed write or sync the log
 * is dead: a sync is never repeated (the kernel forgets the dirty pages of a failed one); the owner
 * shuts its sockets down and aborts (safety.md 6).
 *
 * Not thread safe: one owner at a time (in a member the append thread, wal_writer.h). */
#ifndef INDABA_STORAGE_WAL_H
#define INDABA_STORAGE_WAL_H

#include "base/reason.h"
#include "raft/types.h"
#include "storage/disk.h"

struct wal;

enum {
    WAL_SEGMENT_BYTES_DEFAULT = 16 * 1024 * 1024,
    /* Writes are grouped into one batch up to this size; one larger write is a batch of its own. */
    WAL_BATCH_BYTES_MAX = 4 * 1024 * 1024,
};

struct wal_options {
    const struct disk *disk;
    const char *path; /* an existing folder; borrowed for the life of the log */
    struct cluster_id cluster;
    struct member_id member;
    uint64_t segment_bytes; /* 0: the default; a multiple of 8; small ones are for tests */
    uint64_t seed;          /* of segment seeds; 0: from the kernel. Not 0 only in simulations */
};

/* What a log holds. Entries are contiguous from first_index, each with one payload reference. */
struct wal_recovered {
    struct raft_hard_state hard_state;
    uint64_t first_index; /* 1, unless older segments were cut or the log was restarted */
    struct raft_entry *entries;
    uint64_t entries_count;
    uint64_t entries_cap;
};

/* Releases entries and payload references; the struct is empty again. */
void wal_recovered_deinit(struct wal_recovered *recovered);

/* Makes the first segment in an empty folder. ERR_EXISTS if there is a log already. */
MUST_CHECK enum error wal_format(const struct wal_options *options, struct reason *reason);

/* Recovers the log and opens it for appending. A torn tail (an unfinished last batch) is cut off;
 * the last whole batch is rewritten and synced, so that all that is returned is durable. Errors,
 * each with a reason naming file, place and remedy: ERR_NOT_FOUND no log here; ERR_CORRUPT rot;
 * ERR_VERSION; ERR_WRONG_CLUSTER, ERR_WRONG_MEMBER; ERR_IO, ERR_NO_SPACE … of the disk. On an error
 * nothing has been changed, save that the tail may be partly repaired. */
MUST_CHECK enum error wal_open(const struct wal_options *options,
                               struct reason *reason,
                               struct wal_recovered *recovered_out,
                               struct wal **wal_out);
void wal_close(struct wal *wal);

/* Makes `count` writes durable, in order, with as few syncs as may be (one, unless a truncation or
 * the batch limit lies between them). A crash may leave of a
 * write that truncates or restarts the truncation or restart alone.
 * Entries must follow each other; payloads are borrowed for the call. Any error is final: the log
 * is dead, later calls return ERR_CLOSED, and which of the writes are durable is unknown until the
 * next wal_open. */
MUST_CHECK enum error wal_append(struct wal *wal, const struct raft_write *writes, uint32_t count);

/* Removes segments that hold only entries below `index`. The caller has a synced snapshot of all of
 * them. Entries below index may remain. Errors are final as in wal_append. */
MUST_CHECK enum error wal_cut(struct wal *wal, uint64_t index);

/* Begins the log anew after `index`: all entries are dropped, the hard state is kept. For a member
 * whose store is ahead of its log, or that has installed a snapshot. Errors are final. */
MUST_CHECK enum error wal_restart(struct wal *wal, uint64_t index);

/* One short step (at most a mebibyte written and synced) towards having the next segment ready, so
 * that an append need not wait for it. Does nothing when wal_is_prepared. A failure (ERR_NO_SPACE)
 * is not final: the step may be tried again later. */
MUST_CHECK enum error wal_prepare(struct wal *wal);
bool wal_is_prepared(const struct wal *wal);

/* Writes and syncs something beside the log, to learn whether its disk still does; an error is
 * final as one of wal_append. */
MUST_CHECK enum error wal_probe(struct wal *wal);

/* The index below which nothing is held, and that of the last entry (first - 1 if there is none).
 */
uint64_t wal_first_index(const struct wal *wal);
uint64_t wal_last_index(const struct wal *wal);
/* Segments on disk, and syncs since open; for tests and metrics. */
uint64_t wal_segments_count(const struct wal *wal);
uint64_t wal_syncs_count(const struct wal *wal);
/* Why the log is dead; empty if it is not. */
const struct reason *wal_reason(const struct wal *wal);

#endif
