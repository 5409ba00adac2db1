/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_spare.h. */
#include "storage/wal_spare.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "storage/wal_record.h"

static enum error
begin(struct wal_spare *spare, const struct disk *disk, const char *folder, uint64_t bytes);
static enum error fill(struct wal_spare *spare, const struct disk *disk);
static enum error
name_it(const struct disk *disk, const char *folder, const struct wal_segment_header *header);

enum error
wal_spare_step(struct wal_spare *spare, const struct disk *disk, const char *folder, uint64_t bytes)
{
    if (spare->bytes == 0) {
        return begin(spare, disk, folder, bytes);
    }
    if (wal_spare_is_done(spare)) {
        return ERR_OK;
    }
    enum error error = fill(spare, disk);
    if (error != ERR_OK) {
        wal_spare_discard(spare, disk, folder);
    }
    return error;
}

bool wal_spare_is_done(const struct wal_spare *spare)
{
    return spare->bytes > 0 && spare->filled == spare->bytes;
}

enum error wal_spare_finish(struct wal_spare *spare,
                            const struct disk *disk,
                            const char *folder,
                            uint64_t bytes)
{
    if (spare->bytes > 0 && spare->bytes < bytes) {
        wal_spare_discard(spare, disk, folder);
    }
    while (!wal_spare_is_done(spare)) {
        TRY(wal_spare_step(spare, disk, folder, bytes));
    }
    return ERR_OK;
}

enum error wal_spare_use(struct wal_spare *spare,
                         const struct disk *disk,
                         const char *folder,
                         struct wal_segment_header *header,
                         int *file_out)
{
    CHECK(wal_spare_is_done(spare));
    struct buf bytes = {0};
    wal_segment_header_encode(header, &bytes);
    enum error error = disk->write(disk->ctx, spare->file, bytes.data, bytes.len, 0);
    buf_deinit(&bytes);
    if (error == ERR_OK) {
        error = disk->sync(disk->ctx, spare->file);
    }
    if (error == ERR_OK) {
        error = FAILPOINT_AROUND("wal.segment", name_it(disk, folder, header));
    }
    if (error == ERR_OK) {
        *file_out = spare->file;
    } else {
        disk->close(disk->ctx, spare->file);
    }
    *spare = (struct wal_spare){0};
    return error;
}

void wal_spare_discard(struct wal_spare *spare, const struct disk *disk, const char *folder)
{
    if (spare->bytes > 0) {
        char path[WAL_SEGMENT_PATH_SIZE];
        disk->close(disk->ctx, spare->file);
        /* Gives the space back; a leftover would only be overwritten by the next one. */
        (void)disk->remove(disk->ctx, wal_segment_spare_path(folder, path));
        *spare = (struct wal_spare){0};
    }
}

static enum error
begin(struct wal_spare *spare, const struct disk *disk, const char *folder, uint64_t bytes)
{
    CHECK(bytes > WAL_SEGMENT_HEADER_SIZE && bytes <= WAL_SEGMENT_BYTES_MAX);
    CHECK(bytes % WAL_RECORD_ALIGN == 0);

    char path[WAL_SEGMENT_PATH_SIZE];
    int file;
    TRY(disk->open(disk->ctx, wal_segment_spare_path(folder, path), DISK_CREATE, &file));
    *spare = (struct wal_spare){.file = file, .bytes = bytes};
    enum error error = disk->allocate(disk->ctx, file, bytes);
    if (error != ERR_OK) {
        wal_spare_discard(spare, disk, folder);
    }
    return error;
}

/* Written zeros, not only reserved blocks: a sync into unwritten extents must first convert them in
 * the file system's journal, which costs a third of the throughput of large batches. */
static enum error fill(struct wal_spare *spare, const struct disk *disk)
{
    uint64_t left = spare->bytes - spare->filled;
    size_t len = left < WAL_SPARE_STEP_BYTES ? (size_t)left : WAL_SPARE_STEP_BYTES;
    uint8_t *zeros = mem_new(len);
    enum error error = disk->write(disk->ctx, spare->file, zeros, len, spare->filled);
    mem_free(zeros);
    if (error == ERR_OK) {
        error = disk->sync(disk->ctx, spare->file);
    }
    if (error == ERR_OK) {
        spare->filled += len;
    }
    return error;
}

static enum error
name_it(const struct disk *disk, const char *folder, const struct wal_segment_header *header)
{
    char from[WAL_SEGMENT_PATH_SIZE];
    char path[WAL_SEGMENT_PATH_SIZE];
    wal_segment_spare_path(folder, from);
    wal_segment_path(folder, header->number, path);
    TRY(disk->rename(disk->ctx, from, path));
    return disk->sync_dir(disk->ctx, folder);
}
