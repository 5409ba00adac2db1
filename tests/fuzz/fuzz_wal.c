/* SPDX-License-Identifier: Apache-2.0 */
/* Any damage to a segment: the batches before it are found, the damaged one never, and if a whole
 * batch follows the damage is called rot. The same bytes, taken as an identity file, are refused or
 * valid. The input is a list of changes: offset (two bytes), mask. */
#include "base/check.h"
#include "base/mem.h"
#include "storage/member_identity.h"
#include "storage/wal_batch.h"
#include "storage/wal_scan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BATCHES = 5,
    SEED = 12345,
    SLACK = 512
};

struct image {
    struct buf bytes;
    uint64_t starts[BATCHES + 1]; /* of each batch; the last one is where the zeros begin */
};

static void append_batch(struct image *image, uint64_t number, uint64_t *chain)
{
    struct blob *payload = blob_new(slice_of_string("some payload of some length"));
    struct raft_entry entries[2] = {
        {.term = 1, .index = number * 2, .kind = RAFT_ENTRY_COMMAND, .payload = payload},
        {.term = 1, .index = number * 2 + 1, .kind = RAFT_ENTRY_NOOP, .payload = payload},
    };
    struct raft_write write = {
        .has_hard_state = number % 2 == 0,
        .hard_state = {.term = 1},
        .entries = entries,
        .entries_count = 2,
    };
    struct wal_batch_place place = {.batch = number, .seed = SEED, .chain = *chain};
    *chain = wal_batch_encode(&write, 1, &place, &image->bytes);
    blob_unref(payload);
}

static struct image make_image(void)
{
    struct image image = {0};
    uint64_t chain = 0;
    for (uint64_t i = 0; i < BATCHES; i++) {
        image.starts[i] = image.bytes.len;
        append_batch(&image, i + 1, &chain);
    }
    image.starts[BATCHES] = image.bytes.len;
    uint8_t zeros[SLACK] = {0};
    buf_append(&image.bytes, zeros, sizeof(zeros));
    return image;
}

static bool is_whole(const struct image *image, const struct buf *damaged, uint64_t batch)
{
    uint64_t start = image->starts[batch];
    size_t len = (size_t)(image->starts[batch + 1] - start);
    return memcmp(image->bytes.data + start, damaged->data + start, len) == 0;
}

static void judge(const struct image *image, const struct buf *damaged)
{
    struct wal_scan scan = {.segment = buf_view(damaged), .seed = SEED, .batch = 1};
    struct wal_scan_batch batch;
    uint64_t found = 0;
    while (wal_scan_next(&scan, &batch) == ERR_OK) {
        found++;
    }
    uint64_t sound = 0;
    while (sound < BATCHES && is_whole(image, damaged, sound)) {
        sound++;
    }
    CHECK(found == sound);
    bool whole_one_follows = false;
    for (uint64_t i = found + 1; i < BATCHES; i++) {
        whole_one_follows = whole_one_follows || is_whole(image, damaged, i);
    }
    uint64_t hole;
    uint64_t dirty_end;
    enum wal_scan_rest rest = wal_scan_rest(&scan, &hole, &dirty_end);
    CHECK(!whole_one_follows || rest == WAL_REST_ROT);
    CHECK(found < BATCHES || rest != WAL_REST_ROT);
    CHECK(hole >= scan.offset && dirty_end >= scan.offset && dirty_end <= damaged->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image = make_image();
    struct buf damaged = {0};
    buf_append(&damaged, image.bytes.data, image.bytes.len);
    for (size_t at = 0; at + 3 <= size; at += 3) {
        size_t offset = (size_t)(data[at] << 8 | data[at + 1]) % damaged.len;
        damaged.data[offset] ^= data[at + 2];
    }
    judge(&image, &damaged);
    buf_deinit(&damaged);
    buf_deinit(&image.bytes);

    struct reason reason;
    struct member_identity identity;
    if (member_identity_decode(slice_of(data, size), &reason, &identity) == ERR_OK) {
        CHECK(member_name_is_valid(identity.name));
        member_identity_deinit(&identity);
    }
    return 0;
}
