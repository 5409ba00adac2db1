/* SPDX-License-Identifier: Apache-2.0 */
/* A log whose files were changed anywhere, opened as at the start of a member: it is refused, or
 * what it gives back is a beginning of what was written, and it goes on from there. The input is a
 * list of changes: file, offset (two bytes), what is put there. */
#include "base/check.h"
#include "base/mem.h"
#include "storage/wal.h"
#include "storage/wal_segment.h"
#include "tests/support/fault_disk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SEED = 7,
    SEGMENT_BYTES = 1024,
    ENTRIES = 12,
    SEGMENTS_MAX = 8,
    CHANGE_BYTES = 4
};

static const struct wal_options base_options = {
    .path = "wal",
    .cluster = {.hi = 1, .lo = 2},
    .member = {.hi = 3, .lo = 4},
    .segment_bytes = SEGMENT_BYTES,
    .seed = SEED,
};

static struct blob *payload_of(uint64_t index)
{
    char text[100];
    memset(text, (int)('a' + index % 26), sizeof(text));
    return blob_new(slice_of(text, sizeof(text)));
}

static void append(struct wal *wal, uint64_t index)
{
    struct raft_entry entry = {
        .term = 1 + index / 5,
        .index = index,
        .kind = RAFT_ENTRY_COMMAND,
        .payload = payload_of(index),
    };
    struct raft_write write = {
        .seq = index,
        .has_hard_state = true,
        .hard_state = {.term = entry.term, .vote = {.hi = 9, .lo = index}},
        .entries = &entry,
        .entries_count = 1,
    };
    CHECK(wal_append(wal, &write, 1) == ERR_OK);
    blob_unref(entry.payload);
}

static void write_log(const struct wal_options *options)
{
    struct reason reason;
    struct wal_recovered recovered = {0};
    struct wal *wal;
    CHECK(wal_format(options, &reason) == ERR_OK);
    CHECK(wal_open(options, &reason, &recovered, &wal) == ERR_OK);
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        append(wal, index);
    }
    wal_recovered_deinit(&recovered);
    wal_close(wal);
}

static void
change(const struct wal_options *options, struct fault_disk *disk, const uint8_t *data, size_t size)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    CHECK(wal_segment_list(options->disk, options->path, &numbers, &count) == ERR_OK);
    CHECK(count > 1 && count <= SEGMENTS_MAX);
    for (size_t at = 0; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        char path[WAL_SEGMENT_PATH_SIZE];
        wal_segment_path(options->path, numbers[data[at] % count], path);
        uint64_t offset = (uint64_t)(data[at + 1] << 8 | data[at + 2]);
        offset %= fault_disk_view(disk, path).len;
        fault_disk_flip(disk, path, offset, data[at + 3]);
    }
    mem_free(numbers);
}

static void expect_beginning(const struct wal_recovered *recovered)
{
    CHECK(recovered->first_index == 1);
    CHECK(recovered->entries_count <= ENTRIES);
    for (uint64_t i = 0; i < recovered->entries_count; i++) {
        const struct raft_entry *entry = &recovered->entries[i];
        struct blob *expected = payload_of(i + 1);
        CHECK(entry->index == i + 1 && entry->term == 1 + (i + 1) / 5);
        CHECK(slice_equal(blob_view(entry->payload), blob_view(expected)));
        blob_unref(expected);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault_disk *disk = fault_disk_new(SEED);
    struct wal_options options = base_options;
    options.disk = fault_disk_ops(disk);
    write_log(&options);
    change(&options, disk, data, size);

    struct reason reason = {0};
    struct wal_recovered recovered = {0};
    struct wal *wal;
    enum error error = wal_open(&options, &reason, &recovered, &wal);
    if (error == ERR_OK) {
        expect_beginning(&recovered);
        append(wal, recovered.entries_count + 1);
        CHECK(wal_last_index(wal) == recovered.entries_count + 1);
        wal_recovered_deinit(&recovered);
        wal_close(wal);
    } else {
        CHECK(reason.text[0] != '\0');
    }
    fault_disk_free(disk);
    return 0;
}
