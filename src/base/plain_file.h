/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what should be a file. In a folder that others can write to, or that somebody restored,
 * a name may lead to a pipe, which keeps its opener waiting for the other side, or to a device,
 * which never ends. */
#ifndef INDABA_BASE_PLAIN_FILE_H
#define INDABA_BASE_PLAIN_FILE_H

#include "base/buf.h"

#include <sys/types.h>

/* open(2) that never waits and is closed on exec; what is no regular file is refused with
 * ERR_NOT_REGULAR. `mode` matters with O_CREAT only. Other errors as of the system; errno is set.
 */
MUST_CHECK enum error plain_file_open(const char *path, int flags, mode_t mode, int *fd_out);

/* Appends all bytes of a file to `out`. ERR_NOT_REGULAR; ERR_LIMIT if there are more than
 * `bytes_max` of them, and nothing is appended; others as of the system. Blocks on the disk. */
MUST_CHECK enum error plain_file_read(const char *path, size_t bytes_max, struct buf *out);

#endif
