/* SPDX-License-Identifier: Apache-2.0 */
/* The next segment of a log in the making: the file "next.tmp", filled with durable zeros in small
 * steps, so that the append thread can do it between batches without making anybody wait long, and
 * then given a header and a name. The order of syncs here is what recovery relies on: zeros, then
 * header, then name, then folder. */
#ifndef INDABA_STORAGE_WAL_SPARE_H
#define INDABA_STORAGE_WAL_SPARE_H

#include "storage/wal_segment.h"

enum {
    WAL_SPARE_STEP_BYTES = 1024 * 1024
};

/* Zero is "none". */
struct wal_spare {
    int file;
    uint64_t bytes;  /* its size when done; 0: there is none */
    uint64_t filled; /* bytes that are durable zeros */
};

/* One step towards a spare of `bytes`: creates the file, or fills and syncs the next part of it.
 * After an error there is none: the file is removed as far as the disk lets us. */
MUST_CHECK enum error wal_spare_step(struct wal_spare *spare,
                                     const struct disk *disk,
                                     const char *folder,
                                     uint64_t bytes);
bool wal_spare_is_done(const struct wal_spare *spare);

/* All remaining steps; a spare smaller than `bytes` is discarded and made anew. */
MUST_CHECK enum error wal_spare_finish(struct wal_spare *spare,
                                       const struct disk *disk,
                                       const char *folder,
                                       uint64_t bytes);

/* Turns the spare, which is done, into the segment of `header` (whose hash it sets): header written
 * and synced, renamed, folder synced. The open file is the caller's; there is no spare any more. */
MUST_CHECK enum error wal_spare_use(struct wal_spare *spare,
                                    const struct disk *disk,
                                    const char *folder,
                                    struct wal_segment_header *header,
                                    int *file_out);

/* Closes and removes it. */
void wal_spare_discard(struct wal_spare *spare, const struct disk *disk, const char *folder);

#endif
