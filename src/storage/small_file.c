/* SPDX-License-Identifier: Apache-2.0 */
/* See small_file.h. */
#include "storage/small_file.h"

#include "base/check.h"
#include "base/failpoint.h"

#include <stdio.h>

static enum error write_file(const struct disk *disk, const char *path, struct slice bytes);

char *small_file_path(const char *folder, const char *name, char *path)
{
    int len = snprintf(path, SMALL_FILE_PATH_SIZE, "%s/%s", folder, name);
    CHECK(len > 0 && len < SMALL_FILE_PATH_SIZE);
    return path;
}

enum error
small_file_read(const struct disk *disk, const char *path, size_t size_max, struct buf *bytes_out)
{
    int file;
    uint64_t size = 0;
    TRY(disk->open(disk->ctx, path, DISK_OPEN_READ, &file));
    enum error error = disk->size(disk->ctx, file, &size);
    if (error == ERR_OK && size > size_max) {
        error = ERR_CORRUPT; /* it is none of ours, however it begins */
    }
    if (error == ERR_OK) {
        buf_reserve(bytes_out, (size_t)size);
        error = disk->read(disk->ctx, file, bytes_out->data, (size_t)size, 0);
        bytes_out->len = error == ERR_OK ? (size_t)size : 0;
    }
    disk->close(disk->ctx, file);
    return error;
}

enum error small_file_replace(const struct disk *disk,
                              const char *folder,
                              const char *name,
                              struct slice bytes)
{
    char path[SMALL_FILE_PATH_SIZE];
    char draft[SMALL_FILE_PATH_SIZE];
    int len = snprintf(draft, sizeof(draft), "%s.tmp", small_file_path(folder, name, path));
    CHECK(len > 0 && (size_t)len < sizeof(draft));
    TRY(write_file(disk, draft, bytes));
    TRY(FAILPOINT_AROUND("small_file.rename", disk->rename(disk->ctx, draft, path)));
    return disk->sync_dir(disk->ctx, folder);
}

static enum error write_file(const struct disk *disk, const char *path, struct slice bytes)
{
    int file;
    TRY(disk->open(disk->ctx, path, DISK_CREATE, &file));
    enum error error = disk->write(disk->ctx, file, bytes.data, bytes.len, 0);
    if (error == ERR_OK) {
        error = disk->sync(disk->ctx, file);
    }
    disk->close(disk->ctx, file);
    return error;
}
