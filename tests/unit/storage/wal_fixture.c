/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_fixture.h. */
#include "tests/unit/storage/wal_fixture.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storage/wal_segment.h"
#include "tests/unit/storage/storage_test.h"

#include <string.h>

static struct blob *payload_of(uint64_t index, uint64_t term, uint32_t len);

void wal_fixture_init(struct wal_fixture *fixture, uint64_t seed, uint64_t segment_bytes)
{
    *fixture = (struct wal_fixture){.disk = fault_disk_new(seed)};
    fixture->options = (struct wal_options){
        .disk = fault_disk_ops(fixture->disk),
        .path = "wal",
        .cluster = {.hi = 1, .lo = 2},
        .member = {.hi = 3, .lo = 4},
        .segment_bytes = segment_bytes,
        .seed = seed + 1,
    };
    assert_int_equal(wal_format(&fixture->options, &fixture->reason), ERR_OK);
    assert_int_equal(wal_fixture_open(fixture), ERR_OK);
}

void wal_fixture_deinit(struct wal_fixture *fixture)
{
    wal_fixture_close(fixture);
    fault_disk_free(fixture->disk);
}

enum error wal_fixture_open(struct wal_fixture *fixture)
{
    CHECK(fixture->wal == NULL);
    return wal_open(&fixture->options, &fixture->reason, &fixture->recovered, &fixture->wal);
}

void wal_fixture_close(struct wal_fixture *fixture)
{
    if (fixture->wal != NULL) {
        wal_close(fixture->wal);
        fixture->wal = NULL;
    }
    wal_recovered_deinit(&fixture->recovered);
}

void wal_fixture_crash_and_open(struct wal_fixture *fixture)
{
    wal_fixture_close(fixture);
    fault_disk_crash(fixture->disk);
    if (wal_fixture_open(fixture) != ERR_OK) {
        fail_msg("%s", fixture->reason.text);
    }
}

struct raft_write
wal_fixture_write(uint64_t first, uint32_t count, uint64_t term, uint32_t payload_len)
{
    struct raft_write write = {
        .seq = first,
        .entries = mem_new_array(count, sizeof(struct raft_entry)),
        .entries_count = count,
    };
    for (uint32_t i = 0; i < count; i++) {
        write.entries[i] = (struct raft_entry){
            .term = term,
            .index = first + i,
            .kind = RAFT_ENTRY_COMMAND,
            .payload = payload_of(first + i, term, payload_len),
        };
    }
    return write;
}

void wal_fixture_free_write(struct raft_write *write)
{
    for (uint32_t i = 0; i < write->entries_count; i++) {
        blob_unref(write->entries[i].payload);
    }
    mem_free(write->entries);
    *write = (struct raft_write){0};
}

enum error
wal_fixture_append(struct wal_fixture *fixture, uint64_t first, uint32_t count, uint64_t term)
{
    struct raft_write write = wal_fixture_write(first, count, term, 20);
    enum error error = wal_append(fixture->wal, &write, 1);
    wal_fixture_free_write(&write);
    return error;
}

static void keep_last(const char *name, void *visit_ctx)
{
    uint64_t number;
    uint64_t *last = visit_ctx;
    if (wal_segment_parse_name(name, &number) && number > *last) {
        *last = number;
    }
}

const char *wal_fixture_last_segment(struct wal_fixture *fixture)
{
    static char path[WAL_SEGMENT_PATH_SIZE];
    uint64_t last = 0;
    const struct disk *disk = fixture->options.disk;
    assert_int_equal(disk->list(disk->ctx, fixture->options.path, keep_last, &last), ERR_OK);
    return wal_segment_path(fixture->options.path, last, path);
}

void wal_fixture_expect(const struct wal_fixture *fixture, uint64_t first, uint64_t last)
{
    const struct wal_recovered *recovered = &fixture->recovered;
    assert_int_equal(recovered->first_index, first);
    assert_int_equal(recovered->entries_count, last + 1 - first);
    for (uint64_t i = 0; i < recovered->entries_count; i++) {
        const struct raft_entry *entry = &recovered->entries[i];
        assert_int_equal(entry->index, first + i);
        assert_int_equal(entry->kind, RAFT_ENTRY_COMMAND);
        struct blob *expected = payload_of(entry->index, entry->term, entry->payload->len);
        assert_true(slice_equal(blob_view(entry->payload), blob_view(expected)));
        blob_unref(expected);
    }
}

static struct blob *payload_of(uint64_t index, uint64_t term, uint32_t len)
{
    uint8_t *bytes = mem_new(len);
    for (uint32_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)hash_xxh3(&index, sizeof(index), term + i);
    }
    struct blob *blob = blob_new(slice_of(bytes, len));
    mem_free(bytes);
    return blob;
}
