/* SPDX-License-Identifier: Apache-2.0 */
/* See config_file.h. Opened without blocking: a named pipe in its place must not hold a start up.
 */
#include "config/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 4096
};

static enum error read_all(int fd, struct buf *out);

enum error config_file_read(const char *path, struct reason *reason, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        enum error error = error_from_errno(errno);
        reason_say(reason, "%s: %s", path, strerrordesc_np(errno));
        return error;
    }
    struct stat about;
    enum error error = ERR_OK;
    if (fstat(fd, &about) != 0) {
        error = error_from_errno(errno);
        reason_say(reason, "%s: %s", path, strerrordesc_np(errno));
    } else if (!S_ISREG(about.st_mode)) {
        error = ERR_CONFIG;
        reason_say(reason, "%s: not a regular file", path);
    } else {
        size_t before = out->len;
        error = read_all(fd, out);
        if (error == ERR_OK && out->len == before) {
            error = ERR_TRUNCATED;
        }
        if (error == ERR_LIMIT) {
            reason_say(reason,
                       "%s: larger than %d KiB, which no configuration is: correct the path",
                       path,
                       CONFIG_FILE_MAX / 1024);
        } else if (error == ERR_TRUNCATED) {
            /* The YAML library ends the process over it. */
            error = ERR_CONFIG;
            reason_say(reason, "%s: the file is empty", path);
        } else if (error != ERR_OK) {
            reason_say(reason, "%s: %s", path, error_text(error));
        }
    }
    (void)close(fd);
    return error;
}

static enum error read_all(int fd, struct buf *out)
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
        if (out->len - before + (size_t)got > CONFIG_FILE_MAX) {
            return ERR_LIMIT;
        }
        buf_append(out, chunk, (size_t)got);
    }
}
