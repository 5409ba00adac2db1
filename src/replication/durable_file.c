/* SPDX-License-Identifier: Apache-2.0 */
/* See durable_file.h. A temporary file left by a crash is overwritten by the next write. */
#include "replication/durable_file.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/plain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error
write_beside(const char *path, const void *data, size_t len, const struct durable_owner *owner);
static enum error write_all(int fd, const uint8_t *data, size_t len);

enum error durable_file_write(const char *path,
                              const void *data,
                              size_t len,
                              const struct durable_owner *owner)
{
    char beside[PATH_MAX];
    char dir[PATH_MAX];

    int written = snprintf(beside, sizeof(beside), "%s.new", path);
    if (written < 0 || (size_t)written >= sizeof(beside)) {
        return ERR_RANGE;
    }
    TRY(write_beside(beside, data, len, owner));
    FAILPOINT("durable.rename.before");
    if (rename(beside, path) != 0) {
        return error_from_errno(errno);
    }
    FAILPOINT("durable.rename.after");
    const char *slash = strrchr(path, '/');
    CHECK(slash != NULL);
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    return durable_file_sync_dir(dir[0] == '\0' ? "/" : dir);
}

enum error durable_file_read(const char *path, void *data, size_t size, size_t *len_out)
{
    int fd = -1;
    enum error error = plain_file_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd);
    if (error != ERR_OK) {
        return error == ERR_NOT_REGULAR ? ERR_CORRUPT : error;
    }
    size_t len = 0;
    for (;;) {
        uint8_t extra = 0;
        bool full = len == size;
        ssize_t got = full ? read(fd, &extra, 1) : read(fd, (uint8_t *)data + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            error = error_from_errno(errno);
        } else if (got > 0 && full) {
            error = ERR_LIMIT;
        }
        if (got <= 0 || full) {
            break;
        }
        len += (size_t)got;
    }
    (void)close(fd);
    if (error == ERR_OK) {
        *len_out = len;
    }
    return error;
}

enum error durable_file_open_log(const char *path, int *fd_out)
{
    static const int FLAGS = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW;
    enum error error = plain_file_open(path, FLAGS, 0640, fd_out);
    if (error == ERR_NOT_REGULAR && unlink(path) == 0) {
        error = plain_file_open(path, FLAGS, 0640, fd_out);
    }
    return error;
}

enum error durable_file_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    enum error error = fsync(fd) == 0 ? ERR_OK : error_from_errno(errno);
    (void)close(fd);
    return error;
}

static enum error
write_beside(const char *path, const void *data, size_t len, const struct durable_owner *owner)
{
    mode_t mode = owner != NULL ? owner->mode : 0600;

    /* The folder may belong to another user: a link planted there must not be followed. */
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    enum error error = ERR_OK;
    if (fchmod(fd, mode) != 0 || (owner != NULL && fchown(fd, owner->uid, owner->gid) != 0)) {
        error = error_from_errno(errno);
    }
    if (error == ERR_OK) {
        error = write_all(fd, data, len);
    }
    if (error == ERR_OK && fsync(fd) != 0) {
        error = error_from_errno(errno);
    }
    if (close(fd) != 0 && error == ERR_OK) {
        error = error_from_errno(errno);
    }
    return error;
}

static enum error write_all(int fd, const uint8_t *data, size_t len)
{
    size_t offset = 0;

    while (offset < len) {
        ssize_t written = write(fd, data + offset, len - offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return error_from_errno(errno);
        }
        offset += (size_t)written;
    }
    return ERR_OK;
}
