/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails on command, for tests with real processes: preloaded (LD_PRELOAD), it stands
 * between a process and the C library for files under DISK_FAULTS_PATH. The file named by
 * DISK_FAULTS_CONTROL is shared memory; a test writes to it while the process runs:
 *
 *   byte 0  what syncs do    0 as always, 1 fail with EIO, 2 wait until this byte changes,
 *                            3 succeed without syncing (a disk that lies),
 *                            4 take as long as bytes 4 and 5 say
 *   byte 1  what writes do   0 as always, 1 fail with EIO, 2 fail with ENOSPC
 *   byte 2  syncs that met a fault, modulo 256
 *   byte 3  writes that did
 *   byte 4  milliseconds that a slow sync takes more than others, low byte first
 *   byte 5
 *
 * A file opened with O_DSYNC is synced by its writes. Without the variables nothing changes. */
#include "preload_control.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CONTROL_BYTES = 6,
    PATH_SIZE = 4096,
    LOOK_EVERY_MS = 1
};

enum sync_fault {
    SYNC_AS_ALWAYS,
    SYNC_FAILS,
    SYNC_WAITS,
    SYNC_LIES,
    SYNC_IS_SLOW
};

enum write_fault {
    WRITE_AS_ALWAYS,
    WRITE_FAILS,
    WRITE_HAS_NO_SPACE
};

struct control {
    _Atomic uint8_t sync;
    _Atomic uint8_t write;
    _Atomic uint8_t syncs_met;
    _Atomic uint8_t writes_met;
    _Atomic uint8_t slow_ms[2];
};

static struct control *control;
static char prefix[PATH_SIZE];

__attribute__((constructor)) static void attach(void)
{
    _Static_assert(sizeof(struct control) == CONTROL_BYTES, "the tests write these bytes");
    /* Before main: there is one thread. */
    const char *path = getenv("DISK_FAULTS_CONTROL"); /* NOLINT(concurrency-mt-unsafe) */
    const char *below = getenv("DISK_FAULTS_PATH");   /* NOLINT(concurrency-mt-unsafe) */
    if (path == NULL || below == NULL) {
        return;
    }
    /* PostgreSQL writes its titles over its environment. */
    (void)snprintf(prefix, sizeof(prefix), "%s", below);
    control = preload_control(path, CONTROL_BYTES);
}

static bool is_ours(int file)
{
    char link[64];
    char path[PATH_SIZE];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t len = readlink(link, path, sizeof(path));
    size_t wanted = strlen(prefix);
    return len >= (ssize_t)wanted && memcmp(path, prefix, wanted) == 0;
}

/* 0: go on; 1: succeed without doing it; -1: fail with errno. */
static int meet_sync_fault(int file)
{
    if (control == NULL || atomic_load(&control->sync) == SYNC_AS_ALWAYS || !is_ours(file)) {
        return 0;
    }
    (void)atomic_fetch_add(&control->syncs_met, 1);
    while (atomic_load(&control->sync) == SYNC_WAITS) {
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    switch (atomic_load(&control->sync)) {
    case SYNC_FAILS:
        errno = EIO;
        return -1;
    case SYNC_LIES:
        return 1;
    case SYNC_IS_SLOW:
        (void)poll(
            NULL, 0, atomic_load(&control->slow_ms[0]) + 256 * atomic_load(&control->slow_ms[1]));
        return 0;
    default:
        return 0;
    }
}

static bool write_fails(int file)
{
    uint8_t fault = control == NULL ? WRITE_AS_ALWAYS : atomic_load(&control->write);
    if (fault == WRITE_AS_ALWAYS || !is_ours(file)) {
        return false;
    }
    (void)atomic_fetch_add(&control->writes_met, 1);
    errno = fault == WRITE_HAS_NO_SPACE ? ENOSPC : EIO;
    return true;
}

static bool syncing_write_fails(int file)
{
    if (write_fails(file)) {
        return true;
    }
    if (control == NULL || atomic_load(&control->sync) == SYNC_AS_ALWAYS) {
        return false;
    }
    return (fcntl(file, F_GETFL) & O_DSYNC) != 0 && meet_sync_fault(file) < 0;
}

/* The next definition of a function, the C library's. */
static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        abort();
    }
    return function;
}

#define REAL(name) ((__typeof__(&name))real(#name))

int fsync(int file)
{
    int met = meet_sync_fault(file);
    return met == 0 ? REAL(fsync)(file) : met < 0 ? -1 : 0;
}

int fdatasync(int file)
{
    int met = meet_sync_fault(file);
    return met == 0 ? REAL(fdatasync)(file) : met < 0 ? -1 : 0;
}

ssize_t pwrite(int file, const void *data, size_t len, off_t offset)
{
    return syncing_write_fails(file) ? -1 : REAL(pwrite)(file, data, len, offset);
}

ssize_t pwrite64(int file, const void *data, size_t len, off64_t offset)
{
    return syncing_write_fails(file) ? -1 : REAL(pwrite64)(file, data, len, offset);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset)
{
    return syncing_write_fails(file) ? -1 : REAL(pwritev)(file, parts, count, offset);
}

int fallocate(int file, int mode, off_t offset, off_t len)
{
    return write_fails(file) ? -1 : REAL(fallocate)(file, mode, offset, len);
}

int fallocate64(int file, int mode, off64_t offset, off64_t len)
{
    return write_fails(file) ? -1 : REAL(fallocate64)(file, mode, offset, len);
}
