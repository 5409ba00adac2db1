/* SPDX-License-Identifier: Apache-2.0 */
/* The file operations that the write-ahead log needs, behind a struct of functions, so that tests
 * and the simulator can lose, tear and refuse writes (tests/support/fault_disk.h). Blocking; one
 * thread at a time per disk unless the implementation says more (the real one: any thread).
 *
 * What durability means here: bytes are durable after `sync` of their file, names (created,
 * renamed, removed) after `sync_dir` of their folder. After a failed `sync` nothing may be assumed
 * about any byte written since the last good one, and a later good sync proves nothing (fsyncgate):
 * the caller must stop using the file. */
#ifndef INDABA_STORAGE_DISK_H
#define INDABA_STORAGE_DISK_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* What is no regular file is not opened: ERR_NOT_REGULAR. */
enum disk_open_mode {
    DISK_OPEN_EXISTING, /* read and write; ERR_NOT_FOUND if it is not there */
    DISK_OPEN_READ,     /* read only */
    DISK_OPEN_DEVICE,   /* read only; what is read is what the device holds, not an older cache */
    DISK_CREATE,        /* read and write; an existing file is emptied */
};

/* Called with each name in a folder ("." and ".." left out), in no order. */
typedef void disk_visit(const char *name, void *visit_ctx);

struct disk {
    void *ctx;
    /* `file_out` is a handle for the functions below, closed by `close`. */
    enum error (*open)(void *ctx, const char *path, enum disk_open_mode mode, int *file_out);
    void (*close)(void *ctx, int file);
    enum error (*size)(void *ctx, int file, uint64_t *size_out);
    /* Exactly `len` bytes; ERR_TRUNCATED if the file ends before. */
    enum error (*read)(void *ctx, int file, void *data, size_t len, uint64_t offset);
    /* All bytes or an error; on an error any part may have been written. */
    enum error (*write)(void *ctx, int file, const void *data, size_t len, uint64_t offset);
    enum error (*sync)(void *ctx, int file);
    /* Reserves space for [0, size) and makes the file that long; new bytes read as zero. */
    enum error (*allocate)(void *ctx, int file, uint64_t size);
    enum error (*rename)(void *ctx, const char *from, const char *to);
    enum error (*remove)(void *ctx, const char *path);
    enum error (*list)(void *ctx, const char *path, disk_visit *visit, void *visit_ctx);
    enum error (*sync_dir)(void *ctx, const char *path);
    /* Bytes an ordinary process may still write to the file system of `path`. */
    enum error (*free_bytes)(void *ctx, const char *path, uint64_t *bytes_out);
};

/* The operating system's files. Static; thread safe. */
const struct disk *disk_real(void);

#endif
