/* SPDX-License-Identifier: Apache-2.0 */
/* The side of a fault_disk that tests hold: make it, crash it, make it fail, damage it. */
#include "tests/support/fault_disk_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    SECTOR_SIZE = 512
};

static void void_handles(struct fault_disk *fault);
static void survive(struct fault_disk *fault, struct buf *durable, const struct dirty_write *dirty);

struct fault_disk *fault_disk_new(uint64_t seed)
{
    struct fault_disk *fault = mem_new(sizeof(*fault));
    fault->capacity = UINT64_MAX / 2;
    prng_init_stream(&fault->prng, seed, "disk");
    fault->ops = fault_disk_table();
    fault->ops.ctx = fault;
    return fault;
}

void fault_disk_free(struct fault_disk *fault)
{
    for (int i = 0; i < fault->inodes_count; i++) {
        fault_disk_clear_dirty(&fault->inodes[i]);
        mem_free(fault->inodes[i].dirty);
        buf_deinit(&fault->inodes[i].seen);
        buf_deinit(&fault->inodes[i].durable);
    }
    mem_free(fault);
}

const struct disk *fault_disk_ops(struct fault_disk *fault)
{
    return &fault->ops;
}

void fault_disk_crash(struct fault_disk *fault)
{
    for (int i = 0; i < fault->inodes_count; i++) {
        struct inode *inode = &fault->inodes[i];
        for (size_t w = 0; w < inode->dirty_count; w++) {
            struct dirty_write *dirty = &inode->dirty[w];
            survive(fault, &inode->durable, dirty);
        }
        fault_disk_clear_dirty(inode);
        buf_clear(&inode->seen);
        buf_append(&inode->seen, inode->durable.data, inode->durable.len);
    }
    int kept = (int)prng_below(&fault->prng, (uint64_t)fault->changes_count + 1);
    while (kept > 0 && kept < fault->changes_count &&
           fault->changes[kept].group == fault->changes[kept - 1].group) {
        kept--;
    }
    for (int i = 0; i < kept; i++) {
        const struct name_change *change = &fault->changes[i];
        fault_disk_set_name(
            fault->durable_names, &fault->durable_names_count, change->path, change->inode);
    }
    memcpy(fault->names,
           fault->durable_names,
           (size_t)fault->durable_names_count * sizeof(fault->names[0]));
    fault->names_count = fault->durable_names_count;
    fault->changes_count = 0;
    void_handles(fault);
    fault_disk_reclaim(fault);
}

void fault_disk_kill(struct fault_disk *fault)
{
    void_handles(fault);
}

void fault_disk_fail_nth(struct fault_disk *fault, uint64_t nth, enum error error)
{
    fault->fail_in = nth;
    fault->fail_error = error;
}

void fault_disk_fail_nth_sync(struct fault_disk *fault, uint64_t nth, enum error error)
{
    fault->fail_sync_in = nth;
    fault->fail_sync_error = error;
}

void fault_disk_set_capacity(struct fault_disk *fault, uint64_t bytes)
{
    fault->capacity = bytes;
}

void fault_disk_on_sync(struct fault_disk *fault, void (*hook)(void *hook_ctx), void *hook_ctx)
{
    fault->hook = hook;
    fault->hook_ctx = hook_ctx;
}

uint64_t fault_disk_changes(const struct fault_disk *fault)
{
    return fault->calls;
}

uint64_t fault_disk_syncs(const struct fault_disk *fault)
{
    return fault->syncs;
}

struct slice fault_disk_view(const struct fault_disk *fault, const char *path)
{
    int at = fault_disk_find(fault->names, fault->names_count, path);
    CHECK(at >= 0);
    return buf_view(&fault->inodes[fault->names[at].inode].seen);
}

void fault_disk_flip(struct fault_disk *fault, const char *path, uint64_t offset, uint8_t mask)
{
    int at = fault_disk_find(fault->names, fault->names_count, path);
    CHECK(at >= 0);
    struct inode *inode = &fault->inodes[fault->names[at].inode];
    CHECK(offset < inode->seen.len && inode->dirty_count == 0);
    inode->seen.data[offset] ^= mask;
    inode->durable.data[offset] ^= mask;
}

void fault_disk_put(struct fault_disk *fault, const char *path, struct slice bytes)
{
    int number = fault_disk_new_inode(fault);
    struct inode *inode = &fault->inodes[number];
    buf_append(&inode->seen, bytes.data, bytes.len);
    buf_append(&inode->durable, bytes.data, bytes.len);
    fault_disk_set_name(fault->names, &fault->names_count, path, number);
    fault_disk_set_name(fault->durable_names, &fault->durable_names_count, path, number);
}

int fault_disk_new_inode(struct fault_disk *fault)
{
    for (int i = 0; i < fault->inodes_count; i++) {
        if (fault->inodes[i].free) {
            fault->inodes[i].free = false;
            return i;
        }
    }
    CHECK(fault->inodes_count < INODES_MAX);
    return fault->inodes_count++;
}

void fault_disk_reclaim(struct fault_disk *fault)
{
    bool led_to[INODES_MAX];

    memset(led_to, 0, (size_t)fault->inodes_count * sizeof(led_to[0]));
    for (int i = 0; i < fault->names_count; i++) {
        led_to[fault->names[i].inode] = true;
    }
    for (int i = 0; i < fault->durable_names_count; i++) {
        led_to[fault->durable_names[i].inode] = true;
    }
    for (int i = 0; i < fault->changes_count; i++) {
        if (fault->changes[i].inode >= 0) {
            led_to[fault->changes[i].inode] = true;
        }
    }
    for (int i = 0; i < fault->inodes_count; i++) {
        struct inode *inode = &fault->inodes[i];
        if (!led_to[i] && inode->opens == 0 && !inode->free) {
            fault_disk_clear_dirty(inode);
            mem_free(inode->dirty);
            buf_deinit(&inode->seen);
            buf_deinit(&inode->durable);
            *inode = (struct inode){.free = true};
        }
    }
}

static void void_handles(struct fault_disk *fault)
{
    for (int i = 0; i < fault->inodes_count; i++) {
        fault->inodes[i].opens = 0;
    }
    fault->fail_in = 0;
    fault->fail_sync_in = 0;
}

/* Whole, lost, torn after any byte, or each sector for itself. */
static void survive(struct fault_disk *fault, struct buf *durable, const struct dirty_write *dirty)
{
    size_t len = dirty->bytes.len;
    uint64_t fate = prng_below(&fault->prng, 4);
    if (fate < 3) {
        size_t kept = fate == 0 ? 0 : len;
        kept = fate == 2 ? (size_t)prng_below(&fault->prng, len + 1) : kept;
        fault_disk_write_bytes(durable, dirty->offset, dirty->bytes.data, kept);
        return;
    }
    for (size_t at = 0; at < len;) {
        size_t sector = SECTOR_SIZE - (size_t)((dirty->offset + at) % SECTOR_SIZE);
        size_t part = sector < len - at ? sector : len - at;
        if (prng_chance(&fault->prng, 500)) {
            fault_disk_write_bytes(durable, dirty->offset + at, dirty->bytes.data + at, part);
        }
        at += part;
    }
}
