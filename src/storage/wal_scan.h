/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on the bytes of one segment. A batch is valid when its records follow each other in
 * the hash chain, carry its number, and the last one says so. What comes after the last valid batch
 * is judged here, by one rule (safety.md 6): batch n was synced before n + 1 was begun, so a hole
 * can be an unfinished write only if no record of a later batch exists. Pure. */
#ifndef INDABA_STORAGE_WAL_SCAN_H
#define INDABA_STORAGE_WAL_SCAN_H

#include "storage/wal_record.h"

struct wal_scan {
    struct slice segment; /* the whole file */
    uint64_t seed;
    uint64_t offset; /* of the next batch */
    uint64_t chain;  /* hash that its first record must name */
    uint64_t batch;  /* its number */
};

/* A batch that was found whole: the records in segment[start, end). */
struct wal_scan_batch {
    uint64_t start;
    uint64_t end;
};

/* Advances over the next batch if it is whole and valid; otherwise ERR_NOT_FOUND, scan unchanged.
 */
MUST_CHECK enum error wal_scan_next(struct wal_scan *scan, struct wal_scan_batch *batch_out);

enum wal_scan_rest {
    WAL_REST_CLEAN, /* only zeros */
    WAL_REST_TORN,  /* remains of one unfinished batch, number scan->batch */
    WAL_REST_ROT,   /* a record of another batch follows: something durable was damaged */
};

/* Judges all bytes from scan->offset on, after wal_scan_next found nothing. `hole_out` is where
 * validity ends; `dirty_end_out` is the end of the last byte that is not zero (>= scan->offset). */
enum wal_scan_rest
wal_scan_rest(const struct wal_scan *scan, uint64_t *hole_out, uint64_t *dirty_end_out);

#endif
