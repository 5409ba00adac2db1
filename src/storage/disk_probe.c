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

enum error disk_probe_run(struct disk_probe *probe, const struct disk *disk, const char *folder)
{
    static const uint8_t zeros[PROBE_BYTES];
    if (!probe->is_open) {
        enum error error = open_file(disk, folder, &probe->file);
        if (error != ERR_OK) {
            return error == ERR_NO_SPACE || error == ERR_EXHAUSTED ? ERR_OK : error;
        }
        probe->is_open = true;
    }
    enum error error = disk->write(disk->ctx, probe->file, zeros, sizeof(zeros), 0);
    if (error == ERR_OK) {
        error = disk->sync(disk->ctx, probe->file);
    }
    return error == ERR_NO_SPACE ? ERR_OK : error;
}

void disk_probe_close(struct disk_probe *probe, const struct disk *disk)
{
    if (probe->is_open) {
        disk->close(disk->ctx, probe->file);
        probe->is_open = false;
    }
}

/* The same file each time: making one anew would write to the folder as well. */
static enum error open_file(const struct disk *disk, const char *folder, int *file_out)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/probe", folder);
    CHECK(len > 0 && (size_t)len < sizeof(path));
    enum error error = disk->open(disk->ctx, path, DISK_OPEN_EXISTING, file_out);
    if (error == ERR_NOT_REGULAR) {
        /* Nothing of value is ever in it. */
        error = disk->remove(disk->ctx, path);
        error = error == ERR_OK ? ERR_NOT_FOUND : error;
    }
    if (error == ERR_NOT_FOUND) {
        error = disk->open(disk->ctx, path, DISK_CREATE, file_out);
    }
    return error;
}
