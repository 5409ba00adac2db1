/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_segment.h. */
#include "storage/wal_segment.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storage/wal_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_DIGITS = 16,
    HEADER_HASH_SIZE = 8
};

static const uint64_t MAGIC = 0x314c41574142444eULL; /* "NDBAWAL1" */

_Static_assert(WAL_SEGMENT_HEADER_SIZE % WAL_RECORD_ALIGN == 0, "records start aligned");

struct number_list {
    uint64_t *numbers;
    size_t count;
};

static void collect_number(const char *name, void *visit_ctx);
static int compare_numbers(const void *left, const void *right);

void wal_segment_header_encode(struct wal_segment_header *header, struct buf *out)
{
    CHECK(header->first_index > 0);
    CHECK(header->first_batch > 0);

    size_t start = out->len;
    buf_put_u64(out, MAGIC);
    buf_put_u32(out, WAL_SEGMENT_VERSION);
    buf_put_u32(out, header->fresh ? 1 : 0);
    buf_put_u64(out, header->number);
    buf_put_u64(out, header->seed);
    buf_put_u64(out, header->cluster.hi);
    buf_put_u64(out, header->cluster.lo);
    buf_put_u64(out, header->member.hi);
    buf_put_u64(out, header->member.lo);
    buf_put_u64(out, header->first_index);
    buf_put_u64(out, header->first_batch);
    buf_put_u64(out, header->previous);
    buf_put_u64(out, header->hard_state.term);
    buf_put_u64(out, header->hard_state.vote.hi);
    buf_put_u64(out, header->hard_state.vote.lo);
    buf_put_u64(out, 0); /* reserved: key id of an encrypted segment */
    buf_put_u64(out, 0); /* reserved */
    header->hash = hash_xxh3(out->data + start, out->len - start, header->seed);
    buf_put_u64(out, header->hash);
    CHECK(out->len - start == WAL_SEGMENT_HEADER_SIZE);
}

enum error wal_segment_header_decode(struct slice bytes, struct wal_segment_header *header_out)
{
    if (bytes.len < WAL_SEGMENT_HEADER_SIZE) {
        return ERR_CORRUPT;
    }
    struct reader reader = reader_of(slice_of(bytes.data, WAL_SEGMENT_HEADER_SIZE));
    struct wal_segment_header header = {0};
    uint64_t magic = reader_u64(&reader);
    uint32_t version = reader_u32(&reader);
    header.fresh = reader_u32(&reader) == 1;
    header.number = reader_u64(&reader);
    header.seed = reader_u64(&reader);
    header.cluster.hi = reader_u64(&reader);
    header.cluster.lo = reader_u64(&reader);
    header.member.hi = reader_u64(&reader);
    header.member.lo = reader_u64(&reader);
    header.first_index = reader_u64(&reader);
    header.first_batch = reader_u64(&reader);
    header.previous = reader_u64(&reader);
    header.hard_state.term = reader_u64(&reader);
    header.hard_state.vote.hi = reader_u64(&reader);
    header.hard_state.vote.lo = reader_u64(&reader);
    (void)reader_u64(&reader);
    (void)reader_u64(&reader);
    header.hash = reader_u64(&reader);
    TRY(reader_finish(&reader));

    size_t hashed = WAL_SEGMENT_HEADER_SIZE - HEADER_HASH_SIZE;
    if (magic != MAGIC || hash_xxh3(bytes.data, hashed, header.seed) != header.hash) {
        return ERR_CORRUPT;
    }
    if (version != WAL_SEGMENT_VERSION) {
        return ERR_VERSION;
    }
    if (header.first_index == 0 || header.first_batch == 0) {
        return ERR_CORRUPT;
    }
    *header_out = header;
    return ERR_OK;
}

char *wal_segment_path(const char *folder, uint64_t number, char *path)
{
    int len = snprintf(path, WAL_SEGMENT_PATH_SIZE, "%s/%016" PRIx64 ".wal", folder, number);
    CHECK(len > 0 && len < WAL_SEGMENT_PATH_SIZE);
    return path;
}

bool wal_segment_parse_name(const char *name, uint64_t *number_out)
{
    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".wal") != 0) {
        return false;
    }
    uint64_t number = 0;
    for (int digit = 0; digit < NAME_DIGITS; digit++) {
        char c = name[digit];
        uint64_t value;
        if (c >= '0' && c <= '9') {
            value = (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = (uint64_t)(c - 'a') + 10;
        } else {
            return false;
        }
        number = number << 4 | value;
    }
    *number_out = number;
    return true;
}

enum error wal_segment_list(const struct disk *disk,
                            const char *folder,
                            uint64_t **numbers_out,
                            size_t *count_out)
{
    struct number_list list = {0};
    enum error error = disk->list(disk->ctx, folder, collect_number, &list);
    if (error != ERR_OK) {
        mem_free(list.numbers);
        return error;
    }
    if (list.count > 0) {
        qsort(list.numbers, list.count, sizeof(uint64_t), compare_numbers);
    }
    *numbers_out = list.numbers;
    *count_out = list.count;
    return ERR_OK;
}

char *wal_segment_spare_path(const char *folder, char *path)
{
    int len = snprintf(path, WAL_SEGMENT_PATH_SIZE, "%s/next.tmp", folder);
    CHECK(len > 0 && len < WAL_SEGMENT_PATH_SIZE);
    return path;
}

static void collect_number(const char *name, void *visit_ctx)
{
    struct number_list *list = visit_ctx;
    uint64_t number;
    if (wal_segment_parse_name(name, &number)) {
        list->numbers = mem_resize(list->numbers, (list->count + 1) * sizeof(uint64_t));
        list->numbers[list->count++] = number;
    }
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;
    return (*a > *b) - (*a < *b);
}
