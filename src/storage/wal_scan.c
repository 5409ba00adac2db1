/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_scan.h. */
#include "storage/wal_scan.h"

#include "base/check.h"

static struct slice bytes_from(const struct wal_scan *scan, uint64_t offset);
static bool
record_continues(const struct wal_scan *scan, uint64_t chain, const struct wal_record *record);
static uint64_t find_hole(const struct wal_scan *scan);
static uint64_t find_dirty_end(const struct wal_scan *scan);

enum error wal_scan_next(struct wal_scan *scan, struct wal_scan_batch *batch_out)
{
    CHECK(scan->offset % WAL_RECORD_ALIGN == 0);

    uint64_t offset = scan->offset;
    uint64_t chain = scan->chain;
    struct wal_record record;
    do {
        if (wal_record_parse(bytes_from(scan, offset), scan->seed, &record) != ERR_OK ||
            !record_continues(scan, chain, &record)) {
            return ERR_NOT_FOUND;
        }
        offset += wal_record_size(record.payload.len);
        chain = record.hash;
    } while (!record.last_in_batch);

    *batch_out = (struct wal_scan_batch){.start = scan->offset, .end = offset};
    scan->offset = offset;
    scan->chain = chain;
    scan->batch++;
    return ERR_OK;
}

enum wal_scan_rest
wal_scan_rest(const struct wal_scan *scan, uint64_t *hole_out, uint64_t *dirty_end_out)
{
    uint64_t dirty_end = find_dirty_end(scan);
    uint64_t hole = find_hole(scan);
    enum wal_scan_rest verdict = dirty_end > scan->offset ? WAL_REST_TORN : WAL_REST_CLEAN;

    /* A valid record stands for itself wherever it is found, so the search does not depend on
     * lengths or hashes inside the damage. */
    for (uint64_t offset = scan->offset; offset < dirty_end; offset += WAL_RECORD_ALIGN) {
        struct wal_record record;
        if (wal_record_parse(bytes_from(scan, offset), scan->seed, &record) == ERR_OK &&
            record.batch != scan->batch) {
            verdict = WAL_REST_ROT;
            break;
        }
    }
    *hole_out = hole;
    *dirty_end_out = dirty_end;
    return verdict;
}

static struct slice bytes_from(const struct wal_scan *scan, uint64_t offset)
{
    if (offset >= scan->segment.len) {
        return (struct slice){0};
    }
    return slice_of(scan->segment.data + offset, scan->segment.len - (size_t)offset);
}

static bool
record_continues(const struct wal_scan *scan, uint64_t chain, const struct wal_record *record)
{
    return record->previous == chain && record->batch == scan->batch;
}

/* The first byte after the valid records of the unfinished batch. */
static uint64_t find_hole(const struct wal_scan *scan)
{
    uint64_t offset = scan->offset;
    uint64_t chain = scan->chain;
    struct wal_record record;
    while (wal_record_parse(bytes_from(scan, offset), scan->seed, &record) == ERR_OK &&
           record_continues(scan, chain, &record)) {
        offset += wal_record_size(record.payload.len);
        chain = record.hash;
    }
    return offset;
}

static uint64_t find_dirty_end(const struct wal_scan *scan)
{
    size_t end = scan->segment.len;
    while (end > scan->offset && scan->segment.data[end - 1] == 0) {
        end--;
    }
    return end;
}
