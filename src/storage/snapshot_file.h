/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot file: all tables of the state at one index, in key order, in a chain of checked
 * blocks:
 *
 *   block   u32 length, u32 kind, payload, u64 XXH3 of all before it in the block, seeded with the
 *           hash of the block before (0 for the first): none can be lost, doubled or swapped
 *   kinds   header (first: magic, version, cluster, index, term, configuration), rows (table, key,
 *           value, …), end (last: number of rows)
 *
 * Its bytes are a function of the state alone, so that a transfer begun by one leader can be gone
 * on with by another. Blocking; one thread at a time per file. */
#ifndef INDABA_STORAGE_SNAPSHOT_FILE_H
#define INDABA_STORAGE_SNAPSHOT_FILE_H

#include "base/ids.h"
#include "base/reason.h"
#include "state/tables.h"
#include "storage/disk.h"

enum {
    SNAPSHOT_FORMAT = 2,
    SNAPSHOT_BLOCK_BYTES = 256 * 1024,          /* a block is closed beyond this … */
    SNAPSHOT_BLOCK_BYTES_MAX = 4 * 1024 * 1024, /* … and never larger than this */
    SNAPSHOT_CONFIGURATION_MAX = 1024,
};

struct snapshot_header {
    struct cluster_id cluster;
    uint64_t index;
    uint64_t term;
    uint8_t configuration[SNAPSHOT_CONFIGURATION_MAX]; /* in force at index, as raft encodes it */
    uint32_t configuration_len;
};

/* Writes and syncs the file at `path`, which is made or emptied; its name is made durable by the
 * caller. Errors of the disk; the file is then worthless. */
MUST_CHECK enum error snapshot_file_write(const struct disk *disk,
                                          const char *path,
                                          const struct snapshot_header *header,
                                          const struct tables *tables,
                                          uint64_t *size_out);

/* Called with each row in order; false to stop (the load then ends with ERR_CANCELLED). */
typedef bool (*snapshot_row)(enum table table, struct slice key, struct slice value, void *row_ctx);

/* Who gets the rows of a file. */
struct snapshot_taker {
    snapshot_row row;
    void *row_ctx;
};

/* Reads the whole file, checks every block and gives its rows to `taker` (NULL: only checks).
 * ERR_CORRUPT with the place, ERR_VERSION, errors of the disk. Rows given before an error are
 * void. */
MUST_CHECK enum error snapshot_file_load(const struct disk *disk,
                                         const char *path,
                                         struct reason *reason,
                                         struct snapshot_header *header_out,
                                         const struct snapshot_taker *taker);

/* Reads and checks the header block alone. */
MUST_CHECK enum error snapshot_file_header(const struct disk *disk,
                                           const char *path,
                                           struct reason *reason,
                                           struct snapshot_header *header_out);

#endif
