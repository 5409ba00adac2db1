/* SPDX-License-Identifier: Apache-2.0 */
/* See plain_file.h. */
#include "base/plain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 4096
};

static enum error read_all(int fd, size_t bytes_max, struct buf *out);

enum error plain_file_open(const char *path, int flags, mode_t mode, int *fd_out)
{
    struct stat about;
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
    if (fd < 0) {
        /* ENXIO: a pipe that nobody reads, opened for writing; a socket. */
        return errno == ENXIO ? ERR_NOT_REGULAR : error_from_errno(errno);
    }
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        (void)close(fd);
        errno = EINVAL;
        return ERR_NOT_REGULAR;
    }
    *fd_out = fd;
    return ERR_OK;
}

enum error plain_file_read(const char *path, size_t bytes_max, struct buf *out)
{
    int fd = -1;
    TRY(plain_file_open(path, O_RDONLY, 0, &fd));
    size_t before = out->len;
    enum error error = read_all(fd, bytes_max, out);
    if (error != ERR_OK) {
        out->len = before;
    }
    (void)close(fd);
    return error;
}

static enum error read_all(int fd, size_t bytes_max, struct buf *out)
{
    size_t before = out->len;
    for (;;) {
        uint8_t chunk[CHUNK];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_from_errno(errno);
        }
        if (got == 0) {
            return ERR_OK;
        }
        if (out->len - before + (size_t)got > bytes_max) {
            return ERR_LIMIT;
        }
        buf_append(out, chunk, (size_t)got);
    }
}
