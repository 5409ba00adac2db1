/* SPDX-License-Identifier: Apache-2.0 */
/* See space.h. */
#include "storage/space.h"

#include "base/check.h"
#include "base/mem.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

struct space {
    const struct disk *disk;
    const char *folder;
    char path[PATH_MAX]; /* the reserve's */
    _Atomic uint64_t free_bytes;
    _Atomic bool low;
    _Atomic bool has_reserve;
};

static bool reserve_is_whole(const struct space *space);
static void make_reserve(struct space *space);
static void give_up_reserve(struct space *space);

struct space *space_new(const struct disk *disk, const char *folder)
{
    struct space *space = mem_new(sizeof(*space));
    space->disk = disk;
    space->folder = folder;
    int len = snprintf(space->path, sizeof(space->path), "%s/reserve", folder);
    CHECK(len > 0 && (size_t)len < sizeof(space->path));
    atomic_init(&space->free_bytes, UINT64_MAX);
    atomic_init(&space->has_reserve, reserve_is_whole(space));
    return space;
}

void space_free(struct space *space)
{
    mem_free(space);
}

void space_step(struct space *space)
{
    const struct disk *disk = space->disk;
    uint64_t bytes;
    if (disk->free_bytes(disk->ctx, space->folder, &bytes) != ERR_OK) {
        return;
    }
    bool had_reserve = atomic_load(&space->has_reserve);
    if (bytes < SPACE_CRITICAL_BYTES && had_reserve) {
        give_up_reserve(space);
    } else if (!had_reserve && bytes >= (uint64_t)SPACE_LOW_BYTES + SPACE_RESERVE_BYTES) {
        make_reserve(space);
        bytes -= space_has_reserve(space) ? SPACE_RESERVE_BYTES : 0;
    }
    atomic_store(&space->free_bytes, bytes);
    atomic_store(&space->low, bytes < SPACE_LOW_BYTES || !space_has_reserve(space));
}

uint64_t space_free_bytes(const struct space *space)
{
    return atomic_load(&space->free_bytes);
}

bool space_is_low(const struct space *space)
{
    return atomic_load(&space->low);
}

bool space_has_reserve(const struct space *space)
{
    return atomic_load(&space->has_reserve);
}

static bool reserve_is_whole(const struct space *space)
{
    const struct disk *disk = space->disk;
    int file;
    if (disk->open(disk->ctx, space->path, DISK_OPEN_READ, &file) != ERR_OK) {
        return false;
    }
    uint64_t size = 0;
    bool whole =
        disk->size(disk->ctx, file, &size) == ERR_OK && size == (uint64_t)SPACE_RESERVE_BYTES;
    disk->close(disk->ctx, file);
    return whole;
}

/* Not synced: a reserve that a crash takes away is made again. */
static void make_reserve(struct space *space)
{
    const struct disk *disk = space->disk;
    int file;
    if (disk->open(disk->ctx, space->path, DISK_CREATE, &file) != ERR_OK) {
        return;
    }
    enum error error = disk->allocate(disk->ctx, file, SPACE_RESERVE_BYTES);
    disk->close(disk->ctx, file);
    if (error == ERR_OK) {
        atomic_store(&space->has_reserve, true);
    } else {
        give_up_reserve(space);
    }
}

static void give_up_reserve(struct space *space)
{
    (void)space->disk->remove(space->disk->ctx, space->path);
    atomic_store(&space->has_reserve, false);
}
