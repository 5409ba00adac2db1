/* SPDX-License-Identifier: Apache-2.0 */
/* A store as a whole: read at one instant beside the apply thread, and replaced by a snapshot. */
#ifndef INDABA_STORAGE_STORE_COPY_H
#define INDABA_STORAGE_STORE_COPY_H

#include "base/reason.h"
#include "storage/snapshot_file.h"
#include "storage/store.h"

struct store_reader;

/* The state of the last commit, unchanging, for one thread beside the apply thread. While it lives
 * LMDB cannot reuse pages: keep it for the copy of a file, not longer. End it before store_close.
 * Called on the store's thread. ERR_IO, ERR_EXHAUSTED. */
MUST_CHECK enum error store_reader_begin(struct store *store, struct store_reader **reader_out);
/* Only get and scan may be called. */
const struct tables *store_reader_tables(struct store_reader *reader);
/* Any thread, once nobody reads any more. */
void store_reader_end(struct store_reader *reader);

/* Makes the snapshot at `snapshot_path` the content of the store folder `path`, which nobody has
 * open. Built beside (PATH.new), synced, then exchanged: after a crash at any point the folder
 * holds either the old state or the new one, whole (store_settle). `header_out` says what it holds
 * now. */
MUST_CHECK enum error store_install(const struct disk *disk,
                                    const char *snapshot_path,
                                    const char *path,
                                    struct reason *reason,
                                    struct snapshot_header *header_out);

/* Makes the folder `path`, which nobody has open, an empty store, as atomically. */
MUST_CHECK enum error store_clear(const char *path, struct reason *reason);

/* Removes what an install that was cut short left beside `path`, or ends it. Before store_open. */
MUST_CHECK enum error store_settle(const char *path, struct reason *reason);

#endif
