/* SPDX-License-Identifier: Apache-2.0 */
/* See disk_probe.h. */
#include "storage/disk_probe.h"

#include "base/check.h"

#include <limits.h>
#include <stdio.h>

enum {
    PROBE_BYTES = 512
};

static enum error open_file(const struct disk *disk, const char *folder, int *file_out);

enum error disk_probe(const struct disk *disk, const char *folder)
{
    int file;
    enum error error = open_file(disk, folder, &file);
    if (error == ERR_OK) {
        static const uint8_t zeros[PROBE_BYTES];
        error = disk->write(disk->ctx, file, zeros, sizeof(zeros), 0);
        if (error == ERR_OK) {
            error = disk->sync(disk->ctx, file);
        }
        disk->close(disk->ctx, file);
    }
    return error == ERR_NO_SPACE ? ERR_OK : error;
}

/* The same file each time: making one anew would write to the folder as well. */
static enum error open_file(const struct disk *disk, const char *folder, int *file_out)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/probe", folder);
    CHECK(len > 0 && (size_t)len < sizeof(path));
    enum error error = disk->open(disk->ctx, path, DISK_OPEN_EXISTING, file_out);
    if (error == ERR_NOT_FOUND) {
        error = disk->open(disk->ctx, path, DISK_CREATE, file_out);
    }
    return error;
}
