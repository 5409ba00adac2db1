/* SPDX-License-Identifier: Apache-2.0 */
/* The real disk: thin wraps of system calls that finish short transfers and turn errno into the
 * project's errors. See disk.h for what each call promises. */
#include "storage/disk.h"

#include "base/check.h"
#include "base/plain_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static enum error real_open(void *ctx, const char *path, enum disk_open_mode mode, int *file_out);
static void real_close(void *ctx, int file);
static enum error real_size(void *ctx, int file, uint64_t *size_out);
static enum error real_read(void *ctx, int file, void *data, size_t len, uint64_t offset);
static enum error real_write(void *ctx, int file, const void *data, size_t len, uint64_t offset);
static enum error real_sync(void *ctx, int file);
static enum error real_allocate(void *ctx, int file, uint64_t size);
static enum error real_rename(void *ctx, const char *from, const char *to);
static enum error real_remove(void *ctx, const char *path);
static enum error real_list(void *ctx, const char *path, disk_visit *visit, void *visit_ctx);
static enum error real_sync_dir(void *ctx, const char *path);
static enum error real_free_bytes(void *ctx, const char *path, uint64_t *bytes_out);

const struct disk *disk_real(void)
{
    static const struct disk real = {
        .open = real_open,
        .close = real_close,
        .size = real_size,
        .read = real_read,
        .write = real_write,
        .sync = real_sync,
        .allocate = real_allocate,
        .rename = real_rename,
        .remove = real_remove,
        .list = real_list,
        .sync_dir = real_sync_dir,
        .free_bytes = real_free_bytes,
    };
    return &real;
}

static enum error real_open(void *ctx, const char *path, enum disk_open_mode mode, int *file_out)
{
    (void)ctx;
    int flags = 0;
    switch (mode) {
    case DISK_OPEN_EXISTING:
        flags |= O_RDWR;
        break;
    case DISK_OPEN_READ:
    case DISK_OPEN_DEVICE:
        flags |= O_RDONLY;
        break;
    case DISK_CREATE:
        flags |= O_RDWR | O_CREAT | O_TRUNC;
        break;
    }
    int file = -1;
    TRY(plain_file_open(path, flags, 0600, &file));
    if (mode == DISK_OPEN_DEVICE) {
        /* After a failed fsync the cache may show bytes that the device never took, marked clean.
         * Let clean pages go. */
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    }
    *file_out = file;
    return ERR_OK;
}

static void real_close(void *ctx, int file)
{
    (void)ctx;
    (void)close(file);
}

static enum error real_size(void *ctx, int file, uint64_t *size_out)
{
    (void)ctx;
    struct stat status;
    if (fstat(file, &status) != 0) {
        return error_from_errno(errno);
    }
    CHECK(status.st_size >= 0);
    *size_out = (uint64_t)status.st_size;
    return ERR_OK;
}

static enum error real_read(void *ctx, int file, void *data, size_t len, uint64_t offset)
{
    (void)ctx;
    uint8_t *at = data;
    while (len > 0) {
        ssize_t got = pread(file, at, len, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_from_errno(errno);
        }
        if (got == 0) {
            return ERR_TRUNCATED;
        }
        at += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return ERR_OK;
}

static enum error real_write(void *ctx, int file, const void *data, size_t len, uint64_t offset)
{
    (void)ctx;
    const uint8_t *at = data;
    while (len > 0) {
        ssize_t put = pwrite(file, at, len, (off_t)offset);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return error_from_errno(errno);
        }
        if (put == 0) {
            return ERR_IO;
        }
        at += put;
        len -= (size_t)put;
        offset += (uint64_t)put;
    }
    return ERR_OK;
}

static enum error real_sync(void *ctx, int file)
{
    (void)ctx;
    /* Never repeated, not even after EINTR: a failed call may have marked pages clean. */
    return fdatasync(file) == 0 ? ERR_OK : error_from_errno(errno);
}

static enum error real_allocate(void *ctx, int file, uint64_t size)
{
    (void)ctx;
    if (fallocate(file, 0, 0, (off_t)size) == 0) {
        return ERR_OK;
    }
    if (errno != EOPNOTSUPP) {
        return error_from_errno(errno);
    }
    return ftruncate(file, (off_t)size) == 0 ? ERR_OK : error_from_errno(errno);
}

static enum error real_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return rename(from, to) == 0 ? ERR_OK : error_from_errno(errno);
}

static enum error real_remove(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path) == 0 ? ERR_OK : error_from_errno(errno);
}

static enum error real_list(void *ctx, const char *path, disk_visit *visit, void *visit_ctx)
{
    (void)ctx;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return error_from_errno(errno);
    }
    int failure;
    for (;;) {
        errno = 0;
        /* This stream is ours alone, for which POSIX lets readdir be used from any thread. */
        /* cppcheck-suppress readdirCalled */
        const struct dirent *entry = readdir(folder); /* NOLINT(concurrency-mt-unsafe) */
        if (entry == NULL) {
            failure = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            visit(entry->d_name, visit_ctx);
        }
    }
    (void)closedir(folder);
    return failure == 0 ? ERR_OK : error_from_errno(failure);
}

static enum error real_sync_dir(void *ctx, const char *path)
{
    (void)ctx;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return error_from_errno(errno);
    }
    enum error error = fsync(folder) == 0 ? ERR_OK : error_from_errno(errno);
    (void)close(folder);
    return error;
}

static enum error real_free_bytes(void *ctx, const char *path, uint64_t *bytes_out)
{
    (void)ctx;
    struct statvfs status;
    if (statvfs(path, &status) != 0) {
        return error_from_errno(errno);
    }
    *bytes_out = (uint64_t)status.f_bavail * status.f_frsize;
    return ERR_OK;
}
