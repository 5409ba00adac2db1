/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a snapshot file: refused with a reason, or its rows, written again, give a file that
 * reads the same; a changed file is never taken for the one it was. The first byte chooses: changes
 * to a sound file (offset two bytes, mask), or blocks (kind, length two bytes, payload) that are
 * sealed as the format asks, behind a header of ours or not, so that what is inside is reached. */
#include "base/check.h"
#include "base/hash.h"
#include "state/tables_memory.h"
#include "storage/snapshot_file.h"
#include "tests/support/fault_disk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SEED = 11,
    ROWS = 20,
    CHANGE_BYTES = 3,
    BLOCK_BYTES = 3,
};

static const char *const PATH = "given.snap";
static const char *const AGAIN = "again.snap";

static const struct snapshot_header HEADER = {
    .cluster = {.hi = 7, .lo = 9},
    .index = 42,
    .term = 3,
    .configuration = {1, 2, 3},
    .configuration_len = 3,
};

static bool take_row(enum table table, struct slice key, struct slice value, void *row_ctx)
{
    const struct tables *tables = row_ctx;
    CHECK(table >= TABLE_META && table < TABLE_COUNT && key.len > 0 && key.len <= TABLE_KEY_MAX);
    tables_put(tables, table, key, value);
    return true;
}

static void write_sound(const struct disk *disk)
{
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    for (uint8_t i = 0; i < ROWS; i++) {
        uint8_t key[] = {'k', i};
        enum table table = i % 2 == 0 ? TABLE_META : TABLE_KV_HISTORY;
        tables_put(&tables, table, slice_of(key, sizeof(key)), slice_of_string("some value"));
    }
    uint64_t size;
    CHECK(snapshot_file_write(disk, PATH, &HEADER, &tables, &size) == ERR_OK);
    tables_memory_free(memory);
}

/* Whether the file is still what it was. */
static bool change(struct fault_disk *fault, const uint8_t *data, size_t size)
{
    struct buf before = {0};
    struct slice view = fault_disk_view(fault, PATH);
    buf_append(&before, view.data, view.len);
    for (size_t at = 0; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        uint64_t offset = (uint64_t)(data[at] << 8 | data[at + 1]) % before.len;
        fault_disk_flip(fault, PATH, offset, data[at + 2]);
    }
    bool same = slice_equal(fault_disk_view(fault, PATH), buf_view(&before));
    buf_deinit(&before);
    return same;
}

static void seal(struct buf *file, uint32_t kind, struct slice payload, uint64_t *chain)
{
    size_t start = file->len;
    buf_put_u32(file, (uint32_t)payload.len);
    buf_put_u32(file, kind);
    buf_append(file, payload.data, payload.len);
    *chain = hash_xxh3(file->data + start, file->len - start, *chain);
    buf_put_u64(file, *chain);
}

/* The header block of a file that the real writer made, and its place in the chain. */
static uint64_t take_header(struct fault_disk *fault, struct buf *file)
{
    write_sound(fault_disk_ops(fault));
    struct slice sound = fault_disk_view(fault, PATH);
    struct reader reader = reader_of(sound);
    size_t len = 2 * sizeof(uint32_t) + reader_u32(&reader);
    uint64_t chain = hash_xxh3(sound.data, len, 0);
    buf_append(file, sound.data, len + sizeof(chain));
    return chain;
}

static void put_blocks(struct fault_disk *fault, bool ours, const uint8_t *data, size_t size)
{
    struct buf file = {0};
    uint64_t chain = ours ? take_header(fault, &file) : 0;
    size_t at = 0;
    while (at + BLOCK_BYTES <= size) {
        uint32_t kind = data[at];
        size_t len = (size_t)(data[at + 1] << 8 | data[at + 2]);
        at += BLOCK_BYTES;
        len = len < size - at ? len : size - at;
        seal(&file, kind, slice_of(data + at, len), &chain);
        at += len;
    }
    fault_disk_put(fault, PATH, buf_view(&file));
    buf_deinit(&file);
}

static void expect_same_again(struct fault_disk *fault,
                              const struct snapshot_header *header,
                              struct tables_memory *memory)
{
    const struct disk *disk = fault_disk_ops(fault);
    struct tables tables = tables_memory_tables(memory);
    struct tables_memory *read = tables_memory_new();
    struct tables into = tables_memory_tables(read);
    struct reason reason = {0};
    struct snapshot_header same;
    uint64_t size;
    CHECK(snapshot_file_write(disk, AGAIN, header, &tables, &size) == ERR_OK);
    CHECK(fault_disk_view(fault, AGAIN).len == size);
    const struct snapshot_taker taker = {.row = take_row, .row_ctx = &into};
    CHECK(snapshot_file_load(disk, AGAIN, &reason, &same, &taker) == ERR_OK);
    CHECK(memcmp(&same, header, sizeof(same)) == 0);
    for (int table = TABLE_META; table < TABLE_COUNT; table++) {
        CHECK(tables_memory_count(read, (enum table)table) ==
              tables_memory_count(memory, (enum table)table));
    }
    tables_memory_free(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct fault_disk *fault = fault_disk_new(SEED);
    const struct disk *disk = fault_disk_ops(fault);
    bool sound = true;
    if (data[0] % 4 == 0) {
        write_sound(disk);
        sound = change(fault, data + 1, size - 1);
    } else if (data[0] % 4 == 1) {
        fault_disk_put(fault, PATH, slice_of(data + 1, size - 1));
    } else {
        put_blocks(fault, data[0] % 4 == 2, data + 1, size - 1);
    }
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    struct snapshot_header header = {0};
    struct snapshot_header alone;
    struct reason reason = {0};
    const struct snapshot_taker taker = {.row = take_row, .row_ctx = &tables};
    enum error error = snapshot_file_load(disk, PATH, &reason, &header, &taker);
    CHECK(error != ERR_OK || sound);
    CHECK(error == ERR_OK || reason.text[0] != '\0');
    if (error == ERR_OK) {
        CHECK(snapshot_file_header(disk, PATH, &reason, &alone) == ERR_OK);
        CHECK(memcmp(&alone, &header, sizeof(alone)) == 0);
        expect_same_again(fault, &header, memory);
    }
    tables_memory_free(memory);
    fault_disk_free(fault);
    return 0;
}
