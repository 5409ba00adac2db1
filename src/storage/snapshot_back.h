/* SPDX-License-Identifier: Apache-2.0 */
/* How far back a state can be made anew: a late snapshot may hold what is wrong with it, and an
 * earlier one, or none, with the log after it gives the same state if nothing is. */
#ifndef INDABA_STORAGE_SNAPSHOT_BACK_H
#define INDABA_STORAGE_SNAPSHOT_BACK_H

#include "base/reason.h"
#include "storage/snapshot_dir.h"

/* Finds the oldest sound snapshot after which a log that begins at `first_index` goes on (index 0
 * if that log holds everything), and removes the newer ones, durably. ERR_CORRUPT if there is none;
 * nothing is removed then. Errors of the disk. Before snapshot_dir_scan, which keeps the newest
 * only. */
MUST_CHECK enum error snapshot_back(const struct snapshot_dir *dir,
                                    uint64_t first_index,
                                    struct reason *reason,
                                    struct snapshot_info *base_out);

#endif
