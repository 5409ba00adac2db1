/* SPDX-License-Identifier: Apache-2.0 */
/* One small write that is synced, to learn whether a disk still takes them while nothing else is
 * written. It goes to a file of its own, `probe`, so that the log does not grow by it. */
#ifndef INDABA_STORAGE_DISK_PROBE_H
#define INDABA_STORAGE_DISK_PROBE_H

#include "storage/disk.h"

/* Blocks as long as the disk does. No space for the file is no error: that is not what is asked.
 * Any other error is the disk's. */
MUST_CHECK enum error disk_probe(const struct disk *disk, const char *folder);

#endif
