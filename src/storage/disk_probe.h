/* SPDX-License-Identifier: Apache-2.0 */
/* One small write that is synced, to learn whether a disk still takes them while nothing else is
 * written. It goes to a file of its own, `probe`, so that the log does not grow by it; the file
 * stays open, so that a process that has run out of descriptors is not taken for a dead disk. */
#ifndef INDABA_STORAGE_DISK_PROBE_H
#define INDABA_STORAGE_DISK_PROBE_H

#include "storage/disk.h"

#include <stdbool.h>

/* Zero is one that was never run. */
struct disk_probe {
    int file;
    bool is_open;
};

/* Blocks as long as the disk does. No space for the file, or no descriptor, is no error: that is
 * not what is asked. Any other error is the disk's. */
MUST_CHECK enum error
disk_probe_run(struct disk_probe *probe, const struct disk *disk, const char *folder);
void disk_probe_close(struct disk_probe *probe, const struct disk *disk);

#endif
