/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of a member's folder that are replaced as a whole: written beside (NAME.tmp), synced,
 * renamed. Blocking; one thread at a time for each file. */
#ifndef INDABA_STORAGE_SMALL_FILE_H
#define INDABA_STORAGE_SMALL_FILE_H

#include "base/buf.h"
#include "storage/disk.h"

enum {
    SMALL_FILE_PATH_SIZE = 1024
};

/* "FOLDER/NAME"; returns `path`, which holds SMALL_FILE_PATH_SIZE bytes. */
char *small_file_path(const char *folder, const char *name, char *path);
/* ERR_NOT_FOUND; ERR_CORRUPT for one of more than `size_max` bytes; errors of the disk. */
MUST_CHECK enum error
small_file_read(const struct disk *disk, const char *path, size_t size_max, struct buf *bytes_out);
/* Whole and durable when it returns ERR_OK; else the old content or the new is there. */
MUST_CHECK enum error small_file_replace(const struct disk *disk,
                                         const char *folder,
                                         const char *name,
                                         struct slice bytes);

#endif
