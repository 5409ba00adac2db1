/* SPDX-License-Identifier: Apache-2.0 */
/* What fault_disk.c (the operations) and fault_disk_control.c (crashes, failures, rot) share: the
 * images and the lists of what is not durable yet. Nobody else includes this. */
#ifndef INDABA_TESTS_FAULT_DISK_INTERNAL_H
#define INDABA_TESTS_FAULT_DISK_INTERNAL_H

#include "tests/support/fault_disk.h"

enum {
    INODES_MAX = 4096,
    NAMES_MAX = 256,
    CHANGES_MAX = 512,
    PATH_SIZE = 256
};

struct dirty_write {
    uint64_t offset;
    struct buf bytes;
};

struct inode {
    struct buf seen;
    struct buf durable;
    struct dirty_write *dirty;
    size_t dirty_count;
    size_t dirty_cap;
    int opens; /* handles that are not closed */
    bool free; /* to be used again: nothing has a name for it, nor a handle */
};

struct name {
    char path[PATH_SIZE];
    int inode;
};

/* One folder change that is not synced: `path` now means `inode` (-1: nothing). */
struct name_change {
    char path[PATH_SIZE];
    int inode;
    int group; /* changes of one rename survive or vanish together */
};

struct fault_disk {
    struct disk ops;
    struct prng prng;
    struct inode inodes[INODES_MAX];
    int inodes_count;
    struct name names[NAMES_MAX]; /* as seen */
    int names_count;
    struct name durable_names[NAMES_MAX];
    int durable_names_count;
    struct name_change changes[CHANGES_MAX];
    int changes_count;
    int changes_group;
    uint64_t capacity;
    uint64_t fail_in;
    uint64_t fail_sync_in;
    enum error fail_error;
    enum error fail_sync_error;
    void (*hook)(void *hook_ctx);
    void *hook_ctx;
    uint64_t calls;
    uint64_t syncs;
};

/* The operations, with `ctx` still to be set. */
struct disk fault_disk_table(void);

/* -1 if there is none. */
int fault_disk_find(const struct name *names, int count, const char *path);
/* inode -1 removes. */
void fault_disk_set_name(struct name *names, int *count, const char *path, int inode);
void fault_disk_write_bytes(struct buf *image, uint64_t offset, const uint8_t *data, size_t len);
/* A new inode, or one whose file is gone. */
int fault_disk_new_inode(struct fault_disk *fault);
/* Frees what no name, durable or seen, and no handle leads to. */
void fault_disk_reclaim(struct fault_disk *fault);
/* Forgets the list of unsynced writes. */
void fault_disk_clear_dirty(struct inode *inode);

#endif
