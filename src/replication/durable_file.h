/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that are replaced as a whole and survive a power cut: write beside, fsync, rename,
 * fsync of the folder. Used by the guardian too, so: no heap, no libuv. */
#ifndef INDABA_REPLICATION_DURABLE_FILE_H
#define INDABA_REPLICATION_DURABLE_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct durable_owner {
    uid_t uid;
    gid_t gid;
    mode_t mode;
};

/* `owner` NULL: ours, mode 0600. */
MUST_CHECK enum error durable_file_write(const char *path,
                                         const void *data,
                                         size_t len,
                                         const struct durable_owner *owner);

/* Reads at most `size` bytes. ERR_NOT_FOUND; ERR_LIMIT if the file is larger. */
MUST_CHECK enum error durable_file_read(const char *path, void *data, size_t size, size_t *len_out);

/* A log to append to, in a folder of ours. What is no file there, a pipe say, holds nothing and
 * gives way to one: a database does not wait for who reads its log. May be called behind fork(2).
 */
MUST_CHECK enum error durable_file_open_log(const char *path, int *fd_out);

/* Makes a rename or removal in this folder durable. */
MUST_CHECK enum error durable_file_sync_dir(const char *dir);

#endif
