/* SPDX-License-Identifier: Apache-2.0 */
/* The platter, the writes under way, and what a loss of power leaves of them. */
#include "tests/support/sim_disk.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

static void apply(struct sim_disk *disk, const struct raft_write *write, uint32_t entries_count);
static void restart(struct sim_disk *disk, uint64_t index);
static void drop_first(struct sim_disk *disk);
static uint64_t flush_end(struct sim_disk *disk, uint64_t now);
static void release(struct raft_write *write);

void sim_disk_init(struct sim_disk *disk, uint64_t seed, uint64_t delay_min, uint64_t delay_max)
{
    CHECK(delay_min <= delay_max);
    *disk = (struct sim_disk){.delay_min = delay_min, .delay_max = delay_max};
    prng_init_stream(&disk->prng, seed, "disk");
}

void sim_disk_deinit(struct sim_disk *disk)
{
    while (disk->writes_count > 0) {
        drop_first(disk);
    }
    for (uint64_t i = 0; i < disk->count; i++) {
        blob_unref(disk->entries[i].payload);
    }
    mem_free(disk->entries);
    mem_free(disk->writes);
    *disk = (struct sim_disk){0};
}

uint64_t sim_disk_write(struct sim_disk *disk, const struct raft_write *write, uint64_t now)
{
    if (disk->writes_count == disk->writes_cap) {
        disk->writes_cap = disk->writes_cap == 0 ? 16 : disk->writes_cap * 2;
        disk->writes = mem_resize(disk->writes, disk->writes_cap * sizeof(*disk->writes));
    }
    struct raft_write *copy = &disk->writes[disk->writes_count];
    disk->writes_count++;
    *copy = *write;
    copy->entries = mem_new_array(write->entries_count, sizeof(*copy->entries));
    for (uint32_t i = 0; i < write->entries_count; i++) {
        copy->entries[i] = write->entries[i];
        blob_ref(copy->entries[i].payload);
    }
    return flush_end(disk, now);
}

void sim_disk_stall(struct sim_disk *disk, uint64_t now, uint64_t ms)
{
    uint64_t until = disk->queued_until != 0 ? disk->queued_until : disk->flushing_until;
    disk->flushing_until = until > now + ms ? until : now + ms;
    disk->queued_until = 0;
}

void sim_disk_complete(struct sim_disk *disk, uint64_t seq)
{
    while (disk->writes_count > 0 && disk->writes[0].seq <= seq) {
        apply(disk, &disk->writes[0], disk->writes[0].entries_count);
        drop_first(disk);
    }
}

void sim_disk_crash(struct sim_disk *disk, bool torn)
{
    uint64_t whole = torn ? prng_below(&disk->prng, (uint64_t)disk->writes_count + 1) : 0;
    for (; whole > 0; whole--) {
        apply(disk, &disk->writes[0], disk->writes[0].entries_count);
        drop_first(disk);
    }
    if (torn && disk->writes_count > 0 && prng_chance(&disk->prng, 500)) {
        const struct raft_write *write = &disk->writes[0];
        uint64_t kept = prng_below(&disk->prng, (uint64_t)write->entries_count + 1);
        apply(disk, write, (uint32_t)kept);
    }
    while (disk->writes_count > 0) {
        drop_first(disk);
    }
    disk->flushing_until = 0;
    disk->queued_until = 0;
}

struct raft_recovered sim_disk_recover(const struct sim_disk *disk,
                                       const struct raft_configuration *founding)
{
    return (struct raft_recovered){
        .hard_state = disk->hard_state,
        .entries = disk->entries,
        .entries_count = disk->count,
        .snapshot_index = disk->snapshot.index,
        .snapshot_term = disk->snapshot.term,
        .snapshot_size = disk->snapshot.size,
        .configuration = disk->snapshot.index == 0 ? *founding : disk->snapshot_configuration,
        .applied_index = disk->snapshot.index,
    };
}

bool sim_disk_has(const struct sim_disk *disk, uint64_t index, uint64_t term)
{
    if (index <= disk->snapshot.index) {
        return index >= 1;
    }
    return index > disk->base && index <= disk->base + disk->count &&
           disk->entries[index - disk->base - 1].term == term;
}

void sim_disk_keep_snapshot(struct sim_disk *disk,
                            struct raft_snapshot snapshot,
                            const struct raft_configuration *configuration)
{
    CHECK(snapshot.index >= disk->snapshot.index);
    disk->snapshot = snapshot;
    disk->snapshot_configuration = *configuration;
}

void sim_disk_cut(struct sim_disk *disk, uint64_t index)
{
    uint64_t gone = 0;
    while (gone < disk->count && disk->base + gone < index) {
        blob_unref(disk->entries[gone].payload);
        gone++;
    }
    disk->base += gone;
    disk->count -= gone;
    if (disk->count > 0 && gone > 0) {
        memmove(disk->entries, disk->entries + gone, disk->count * sizeof(*disk->entries));
    }
}

static void restart(struct sim_disk *disk, uint64_t index)
{
    sim_disk_cut(disk, disk->base + disk->count);
    disk->base = index;
}

static void apply(struct sim_disk *disk, const struct raft_write *write, uint32_t entries_count)
{
    if (write->restart_index != 0) {
        restart(disk, write->restart_index);
    }
    while (write->truncate_from != 0 && disk->count > 0 &&
           disk->base + disk->count >= write->truncate_from) {
        disk->count--;
        blob_unref(disk->entries[disk->count].payload);
    }
    if (write->has_hard_state) {
        CHECK(write->hard_state.term >= disk->hard_state.term);
        disk->hard_state = write->hard_state;
    }
    for (uint32_t i = 0; i < entries_count; i++) {
        CHECK(write->entries[i].index == disk->base + disk->count + 1);
        if (disk->count == disk->cap) {
            disk->cap = disk->cap == 0 ? 64 : disk->cap * 2;
            disk->entries = mem_resize(disk->entries, disk->cap * sizeof(*disk->entries));
        }
        disk->entries[disk->count] = write->entries[i];
        blob_ref(disk->entries[disk->count].payload);
        disk->count++;
    }
}

static void drop_first(struct sim_disk *disk)
{
    release(&disk->writes[0]);
    disk->writes_count--;
    memmove(disk->writes, disk->writes + 1, disk->writes_count * sizeof(*disk->writes));
}

static void release(struct raft_write *write)
{
    for (uint32_t i = 0; i < write->entries_count; i++) {
        blob_unref(write->entries[i].payload);
    }
    mem_free(write->entries);
}

static uint64_t flush_end(struct sim_disk *disk, uint64_t now)
{
    uint64_t delay = prng_between(&disk->prng, disk->delay_min, disk->delay_max);
    if (now >= disk->flushing_until && disk->queued_until != 0) {
        disk->flushing_until = disk->queued_until;
        disk->queued_until = 0;
    }
    if (now >= disk->flushing_until) {
        disk->flushing_until = now + delay;
        return disk->flushing_until;
    }
    if (disk->queued_until == 0) {
        disk->queued_until = disk->flushing_until + delay;
    }
    return disk->queued_until;
}
