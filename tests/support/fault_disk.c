/* SPDX-License-Identifier: Apache-2.0 */
/* See fault_disk.h. A file is an inode with two images: `seen` is what a process reads, `durable`
 * is what survives; the writes between them are listed. Names are two lists likewise. */
#include "tests/support/fault_disk_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static struct inode *inode_of(struct fault_disk *fault, int file);
static void write_back(struct fault_disk *fault);
static void note_change(struct fault_disk *fault, const char *path, int inode);
static void resize(struct buf *buf, size_t len);
static bool fails(struct fault_disk *fault);

static enum error fault_open(void *ctx, const char *path, enum disk_open_mode mode, int *file_out)
{
    struct fault_disk *fault = ctx;
    int at = fault_disk_find(fault->names, fault->names_count, path);
    if (mode != DISK_CREATE) {
        if (at < 0) {
            return ERR_NOT_FOUND;
        }
        *file_out = fault->names[at].inode;
        inode_of(fault, *file_out)->opens++;
        return ERR_OK;
    }
    if (fails(fault)) {
        return fault->fail_error;
    }
    int inode = fault_disk_new_inode(fault);
    inode_of(fault, inode)->opens++;
    fault->changes_group++;
    note_change(fault, path, inode);
    fault_disk_set_name(fault->names, &fault->names_count, path, inode);
    *file_out = inode;
    return ERR_OK;
}

static void fault_close(void *ctx, int file)
{
    struct inode *inode = inode_of(ctx, file);
    /* A handle of before a crash is closed twice: then, and when its owner gives it up. */
    inode->opens -= inode->opens > 0;
}

static enum error fault_size(void *ctx, int file, uint64_t *size_out)
{
    *size_out = inode_of(ctx, file)->seen.len;
    return ERR_OK;
}

static enum error fault_read(void *ctx, int file, void *data, size_t len, uint64_t offset)
{
    const struct inode *inode = inode_of(ctx, file);
    if (offset + len > inode->seen.len) {
        return ERR_TRUNCATED;
    }
    if (len > 0) {
        memcpy(data, inode->seen.data + offset, len);
    }
    return ERR_OK;
}

static uint64_t used(const struct fault_disk *fault)
{
    uint64_t bytes = 0;
    for (int i = 0; i < fault->names_count; i++) {
        bytes += fault->inodes[fault->names[i].inode].seen.len;
    }
    return bytes;
}

static bool has_room(struct fault_disk *fault, const struct inode *inode, uint64_t end)
{
    return end <= inode->seen.len || used(fault) + end - inode->seen.len <= fault->capacity;
}

static void dirty_write(struct inode *inode, uint64_t offset, const uint8_t *data, size_t len)
{
    fault_disk_write_bytes(&inode->seen, offset, data, len);
    if (inode->dirty_count == inode->dirty_cap) {
        inode->dirty_cap = inode->dirty_cap == 0 ? 4 : inode->dirty_cap * 2;
        inode->dirty = mem_resize(inode->dirty, inode->dirty_cap * sizeof(*inode->dirty));
    }
    struct dirty_write *dirty = &inode->dirty[inode->dirty_count++];
    *dirty = (struct dirty_write){.offset = offset};
    buf_append(&dirty->bytes, data, len);
}

static enum error fault_write(void *ctx, int file, const void *data, size_t len, uint64_t offset)
{
    struct fault_disk *fault = ctx;
    struct inode *inode = inode_of(fault, file);
    enum error error = ERR_OK;
    if (fails(fault)) {
        error = fault->fail_error;
    } else if (!has_room(fault, inode, offset + len)) {
        error = ERR_NO_SPACE;
    }
    if (error != ERR_OK) {
        len = has_room(fault, inode, offset + len) ? (size_t)prng_below(&fault->prng, len + 1) : 0;
    }
    if (len > 0) {
        dirty_write(inode, offset, data, len);
    }
    return error;
}

static enum error fault_sync(void *ctx, int file)
{
    struct fault_disk *fault = ctx;
    struct inode *inode = inode_of(fault, file);
    if (fault->hook != NULL) {
        fault->hook(fault->hook_ctx);
    }
    fault->syncs++;
    bool sync_fails = fault->fail_sync_in > 0 && --fault->fail_sync_in == 0;
    if (fails(fault) || sync_fails) {
        /* Some pages were written, the others are now clean: seen, and never to be written. */
        for (size_t i = 0; i < inode->dirty_count; i++) {
            struct dirty_write *dirty = &inode->dirty[i];
            size_t len = (size_t)prng_below(&fault->prng, dirty->bytes.len + 1);
            fault_disk_write_bytes(&inode->durable, dirty->offset, dirty->bytes.data, len);
        }
        fault_disk_clear_dirty(inode);
        return sync_fails ? fault->fail_sync_error : fault->fail_error;
    }
    for (size_t i = 0; i < inode->dirty_count; i++) {
        struct dirty_write *dirty = &inode->dirty[i];
        fault_disk_write_bytes(&inode->durable, dirty->offset, dirty->bytes.data, dirty->bytes.len);
    }
    if (inode->durable.len < inode->seen.len) {
        resize(&inode->durable, inode->seen.len);
    }
    fault_disk_clear_dirty(inode);
    return ERR_OK;
}

static enum error fault_allocate(void *ctx, int file, uint64_t size)
{
    struct fault_disk *fault = ctx;
    struct inode *inode = inode_of(fault, file);
    if (fails(fault)) {
        return fault->fail_error;
    }
    if (!has_room(fault, inode, size)) {
        return ERR_NO_SPACE;
    }
    if (inode->seen.len < size) {
        resize(&inode->seen, (size_t)size);
    }
    return ERR_OK;
}

static enum error fault_rename(void *ctx, const char *from, const char *to)
{
    struct fault_disk *fault = ctx;
    int at = fault_disk_find(fault->names, fault->names_count, from);
    if (at < 0) {
        return ERR_NOT_FOUND;
    }
    if (fails(fault)) {
        return fault->fail_error;
    }
    int inode = fault->names[at].inode;
    fault->changes_group++;
    note_change(fault, from, -1);
    note_change(fault, to, inode);
    fault_disk_set_name(fault->names, &fault->names_count, from, -1);
    fault_disk_set_name(fault->names, &fault->names_count, to, inode);
    return ERR_OK;
}

static enum error fault_remove(void *ctx, const char *path)
{
    struct fault_disk *fault = ctx;
    if (fault_disk_find(fault->names, fault->names_count, path) < 0) {
        return ERR_NOT_FOUND;
    }
    if (fails(fault)) {
        return fault->fail_error;
    }
    fault->changes_group++;
    note_change(fault, path, -1);
    fault_disk_set_name(fault->names, &fault->names_count, path, -1);
    return ERR_OK;
}

static enum error fault_list(void *ctx, const char *path, disk_visit *visit, void *visit_ctx)
{
    struct fault_disk *fault = ctx;
    size_t len = strlen(path);
    for (int i = 0; i < fault->names_count; i++) {
        const char *name = fault->names[i].path;
        if (strncmp(name, path, len) == 0 && name[len] == '/') {
            visit(name + len + 1, visit_ctx);
        }
    }
    return ERR_OK;
}

static enum error fault_sync_dir(void *ctx, const char *path)
{
    struct fault_disk *fault = ctx;
    (void)path;
    if (fails(fault)) {
        return fault->fail_error;
    }
    memcpy(
        fault->durable_names, fault->names, (size_t)fault->names_count * sizeof(fault->names[0]));
    fault->durable_names_count = fault->names_count;
    fault->changes_count = 0;
    fault_disk_reclaim(fault);
    return ERR_OK;
}

static enum error fault_free_bytes(void *ctx, const char *path, uint64_t *bytes_out)
{
    struct fault_disk *fault = ctx;
    (void)path;
    uint64_t bytes = used(fault);
    *bytes_out = bytes < fault->capacity ? fault->capacity - bytes : 0;
    return ERR_OK;
}

struct disk fault_disk_table(void)
{
    return (struct disk){
        .open = fault_open,
        .close = fault_close,
        .size = fault_size,
        .read = fault_read,
        .write = fault_write,
        .sync = fault_sync,
        .allocate = fault_allocate,
        .rename = fault_rename,
        .remove = fault_remove,
        .list = fault_list,
        .sync_dir = fault_sync_dir,
        .free_bytes = fault_free_bytes,
    };
}

int fault_disk_find(const struct name *names, int count, const char *path)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i].path, path) == 0) {
            return i;
        }
    }
    return -1;
}

void fault_disk_set_name(struct name *names, int *count, const char *path, int inode)
{
    int at = fault_disk_find(names, *count, path);
    if (inode < 0) {
        if (at >= 0) {
            names[at] = names[--*count];
        }
        return;
    }
    if (at < 0) {
        CHECK(*count < NAMES_MAX);
        at = (*count)++;
        int len = snprintf(names[at].path, PATH_SIZE, "%s", path);
        CHECK(len > 0 && len < PATH_SIZE);
    }
    names[at].inode = inode;
}

void fault_disk_write_bytes(struct buf *image, uint64_t offset, const uint8_t *data, size_t len)
{
    if (len == 0) {
        return;
    }
    if (image->len < offset + len) {
        resize(image, (size_t)offset + len);
    }
    memcpy(image->data + offset, data, len);
}

void fault_disk_clear_dirty(struct inode *inode)
{
    for (size_t i = 0; i < inode->dirty_count; i++) {
        buf_deinit(&inode->dirty[i].bytes);
    }
    inode->dirty_count = 0;
}

static struct inode *inode_of(struct fault_disk *fault, int file)
{
    CHECK(file >= 0 && file < fault->inodes_count);
    return &fault->inodes[file];
}

/* The operating system has written the older half of the folder's changes by itself. */
static void write_back(struct fault_disk *fault)
{
    int half = CHANGES_MAX / 2;

    while (fault->changes[half].group == fault->changes[half - 1].group) {
        half--;
        CHECK(half > 0);
    }
    for (int i = 0; i < half; i++) {
        fault_disk_set_name(fault->durable_names,
                            &fault->durable_names_count,
                            fault->changes[i].path,
                            fault->changes[i].inode);
    }
    fault->changes_count -= half;
    memmove(fault->changes,
            fault->changes + half,
            (size_t)fault->changes_count * sizeof(fault->changes[0]));
    fault_disk_reclaim(fault);
}

static void note_change(struct fault_disk *fault, const char *path, int inode)
{
    if (fault->changes_count == CHANGES_MAX) {
        write_back(fault);
    }
    struct name_change *change = &fault->changes[fault->changes_count++];
    int len = snprintf(change->path, PATH_SIZE, "%s", path);
    CHECK(len > 0 && len < PATH_SIZE);
    change->inode = inode;
    change->group = fault->changes_group;
}

static void resize(struct buf *buf, size_t len)
{
    CHECK(len >= buf->len);
    size_t more = len - buf->len;
    buf_reserve(buf, more);
    memset(buf->data + buf->len, 0, more);
    buf->len = len;
}

static bool fails(struct fault_disk *fault)
{
    fault->calls++;
    return fault->fail_in > 0 && --fault->fail_in == 0;
}
