/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an unfinished last batch is cut off, whatever is left of it; damage to anything older is
 * refused with its place, and changes nothing (PAR, FAST '18: truncating there loses what was
 * acknowledged). Method: every byte of a known log is torn, zeroed or flipped in turn. */
#include "tests/unit/storage/storage_test.h"

#include "base/log.h"
#include "base/mem.h"
#include "storage/wal_record.h"
#include "storage/wal_segment.h"
#include "tests/unit/storage/wal_fixture.h"

#include <stdio.h>
#include <string.h>

enum {
    ENTRIES_PER_BATCH = 2,
    PAYLOAD_SIZE = 20 /* of wal_fixture_append */
};

/* One segment with batches of two entries, as it lies on disk. */
struct fixture {
    struct wal_fixture log;
    struct buf image;
    char path[WAL_SEGMENT_PATH_SIZE];
};

static void discard(enum log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static uint64_t batch_at(uint64_t batch)
{
    return WAL_SEGMENT_HEADER_SIZE +
           (batch - 1) * ENTRIES_PER_BATCH * wal_record_size(PAYLOAD_SIZE);
}

static void append_batches(struct fixture *fixture, uint64_t count)
{
    for (uint64_t batch = 0; batch < count; batch++) {
        uint64_t first = batch * ENTRIES_PER_BATCH + 1;
        assert_int_equal(wal_fixture_append(&fixture->log, first, ENTRIES_PER_BATCH, 1), ERR_OK);
    }
    wal_fixture_close(&fixture->log);
    const char *path = wal_fixture_last_segment(&fixture->log);
    memcpy(fixture->path, path, strlen(path) + 1);
    struct slice bytes = fault_disk_view(fixture->log.disk, path);
    buf_append(&fixture->image, bytes.data, bytes.len);
}

static int setup(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    wal_fixture_init(&fixture->log, 5, FIXTURE_SEGMENT_BYTES);
    append_batches(fixture, 4);
    log_set_sink(discard, NULL);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    log_set_sink(NULL, NULL);
    wal_fixture_deinit(&fixture->log);
    buf_deinit(&fixture->image);
    mem_free(fixture);
    return 0;
}

/* The log opens with all batches but the last, its tail is clean, and it goes on. */
static void expect_torn_tail_cut(struct fixture *fixture, const struct buf *image)
{
    fault_disk_put(fixture->log.disk, fixture->path, buf_view(image));
    if (wal_fixture_open(&fixture->log) != ERR_OK) {
        fail_msg("%s", fixture->log.reason.text);
    }
    wal_fixture_expect(&fixture->log, 1, 6);
    struct slice bytes = fault_disk_view(fixture->log.disk, fixture->path);
    for (uint64_t i = batch_at(4); i < bytes.len; i++) {
        assert_int_equal(bytes.data[i], 0);
    }
    assert_int_equal(wal_fixture_append(&fixture->log, 7, 1, 2), ERR_OK);
    wal_fixture_crash_and_open(&fixture->log);
    wal_fixture_expect(&fixture->log, 1, 7);
    assert_int_equal(fixture->log.recovered.entries[6].term, 2);
    wal_fixture_close(&fixture->log);
    const char *last = wal_fixture_last_segment(&fixture->log);
    if (strcmp(last, fixture->path) != 0) {
        const struct disk *disk = fault_disk_ops(fixture->log.disk);
        assert_int_equal(disk->remove(disk->ctx, last), ERR_OK);
    }
}

/* The log is refused, the reason names the file, and not a byte is changed. */
static void expect_refused(struct fixture *fixture, const struct buf *image)
{
    fault_disk_put(fixture->log.disk, fixture->path, buf_view(image));
    if (wal_fixture_open(&fixture->log) != ERR_CORRUPT) {
        fail_msg("damage was not noticed");
    }
    assert_non_null(strstr(fixture->log.reason.text, fixture->path));
    assert_non_null(strstr(fixture->log.reason.text, "indaba member init"));
    struct slice bytes = fault_disk_view(fixture->log.disk, fixture->path);
    assert_true(slice_equal(bytes, buf_view(image)));
}

static struct buf copy_image(const struct fixture *fixture)
{
    struct buf image = {0};
    buf_append(&image, fixture->image.data, fixture->image.len);
    return image;
}

static void test_a_last_batch_torn_after_any_byte_is_cut(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t torn = batch_at(4); torn < batch_at(5); torn++) {
        struct buf image = copy_image(fixture);
        memset(image.data + torn, 0, (size_t)(batch_at(5) - torn));
        /* What is torn off may have been zero anyway: padding. */
        if (!slice_equal(buf_view(&image), buf_view(&fixture->image))) {
            expect_torn_tail_cut(fixture, &image);
        }
        buf_deinit(&image);
    }
}

static void test_a_last_batch_whose_beginning_is_missing_is_cut(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t torn = batch_at(4) + 1; torn <= batch_at(5); torn += 3) {
        struct buf image = copy_image(fixture);
        memset(image.data + batch_at(4), 0, (size_t)(torn - batch_at(4)));
        expect_torn_tail_cut(fixture, &image);
        buf_deinit(&image);
    }
}

static void test_a_last_batch_with_any_changed_byte_is_cut(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t at = batch_at(4); at < batch_at(5); at++) {
        struct buf image = copy_image(fixture);
        image.data[at] ^= 0x10;
        expect_torn_tail_cut(fixture, &image);
        buf_deinit(&image);
    }
}

static void test_a_file_that_ends_inside_the_last_batch_is_cut(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t end = batch_at(4) + 8; end < batch_at(5); end += 8) {
        struct buf image = copy_image(fixture);
        image.len = (size_t)end;
        expect_torn_tail_cut(fixture, &image);
        buf_deinit(&image);
    }
}

static void test_a_changed_byte_before_the_last_batch_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t at = 0; at < batch_at(4); at++) {
        struct buf image = copy_image(fixture);
        image.data[at] ^= (uint8_t)(1U << at % 8);
        expect_refused(fixture, &image);
        buf_deinit(&image);
    }
}

static void test_a_zeroed_stretch_before_the_last_batch_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t batch = 1; batch < 4; batch++) {
        struct buf image = copy_image(fixture);
        memset(image.data + batch_at(batch), 0, (size_t)(batch_at(batch + 1) - batch_at(batch)));
        expect_refused(fixture, &image);
        buf_deinit(&image);
    }
}

static void test_a_missing_end_of_the_batch_before_the_last_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buf image = copy_image(fixture);
    uint64_t second_half = batch_at(3) + wal_record_size(PAYLOAD_SIZE);

    memset(image.data + second_half, 0, (size_t)(batch_at(4) - second_half));

    expect_refused(fixture, &image);
    buf_deinit(&image);
}

static void test_a_refusal_names_offset_and_entry(void **state)
{
    struct fixture *fixture = *state;
    struct buf image = copy_image(fixture);
    image.data[batch_at(2) + 3] ^= 1;

    expect_refused(fixture, &image);

    char says[64];
    (void)snprintf(says, sizeof(says), "at offset %d, after entry 2", (int)batch_at(2));
    assert_non_null(strstr(fixture->log.reason.text, says));
    buf_deinit(&image);
}

static void test_records_of_another_segment_in_the_tail_are_only_debris(void **state)
{
    struct fixture *fixture = *state;
    struct wal_fixture other;
    wal_fixture_init(&other, 6, FIXTURE_SEGMENT_BYTES);
    assert_int_equal(wal_fixture_append(&other, 1, 2, 1), ERR_OK);
    struct slice bytes = fault_disk_view(other.disk, wal_fixture_last_segment(&other));
    struct buf image = copy_image(fixture);
    memcpy(image.data + batch_at(4), bytes.data + batch_at(1), (size_t)(batch_at(2) - batch_at(1)));

    expect_torn_tail_cut(fixture, &image);

    buf_deinit(&image);
    wal_fixture_deinit(&other);
}

/* As if a write had been lost and an older one of the same place had come back: each record is
 * whole, only the chain tells. */
static void test_a_batch_of_another_history_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct wal_fixture other;
    wal_fixture_init(&other, 5, FIXTURE_SEGMENT_BYTES);
    struct raft_write write = wal_fixture_write(1, ENTRIES_PER_BATCH, 1, PAYLOAD_SIZE - 1);
    assert_int_equal(wal_append(other.wal, &write, 1), ERR_OK);
    wal_fixture_free_write(&write);
    struct slice bytes = fault_disk_view(other.disk, wal_fixture_last_segment(&other));
    struct buf image = copy_image(fixture);
    memcpy(image.data + batch_at(1), bytes.data + batch_at(1), (size_t)(batch_at(2) - batch_at(1)));

    expect_refused(fixture, &image);

    buf_deinit(&image);
    wal_fixture_deinit(&other);
}

static void test_damage_at_the_end_of_a_finished_segment_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);
    for (uint64_t index = 9; index <= 100; index++) {
        assert_int_equal(wal_fixture_append(&fixture->log, index, 1, 1), ERR_OK);
    }
    wal_fixture_close(&fixture->log);
    struct slice now = fault_disk_view(fixture->log.disk, fixture->path);
    size_t end = now.len;
    while (now.data[end - 1] == 0) {
        end--;
    }
    struct buf image = {0};
    buf_append(&image, now.data, now.len);
    size_t record = wal_record_size(PAYLOAD_SIZE);

    for (size_t back = 1; back <= record; back++) {
        image.data[end - back] ^= 0x40;
        expect_refused(fixture, &image);
        image.data[end - back] ^= 0x40;
    }
    memset(image.data + end - record, 0, record);
    expect_refused(fixture, &image);
    buf_deinit(&image);
}

static void test_a_missing_segment_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);
    for (uint64_t index = 9; index <= 300; index++) {
        assert_int_equal(wal_fixture_append(&fixture->log, index, 1, 1), ERR_OK);
    }
    assert_true(wal_segments_count(fixture->log.wal) >= 4);
    wal_fixture_close(&fixture->log);
    char path[WAL_SEGMENT_PATH_SIZE];
    const struct disk *disk = fault_disk_ops(fixture->log.disk);
    wal_segment_path("wal", 2, path);
    assert_int_equal(disk->remove(disk->ctx, path), ERR_OK);

    assert_int_equal(wal_fixture_open(&fixture->log), ERR_CORRUPT);

    assert_non_null(strstr(fixture->log.reason.text, "0000000000000002.wal is missing"));
}

static void test_a_segment_under_another_name_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct disk *disk = fault_disk_ops(fixture->log.disk);
    char path[WAL_SEGMENT_PATH_SIZE];
    wal_segment_path("wal", 2, path);
    fault_disk_put(fixture->log.disk, path, buf_view(&fixture->image));
    assert_int_equal(disk->remove(disk->ctx, fixture->path), ERR_OK);

    assert_int_equal(wal_fixture_open(&fixture->log), ERR_CORRUPT);

    assert_non_null(strstr(fixture->log.reason.text, "another segment's file"));
}

static void test_a_torn_tail_after_a_truncation_brings_nothing_back(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);
    struct raft_write write = wal_fixture_write(3, 1, 2, PAYLOAD_SIZE);
    write.truncate_from = 3;
    assert_int_equal(wal_append(fixture->log.wal, &write, 1), ERR_OK);
    wal_fixture_free_write(&write);
    assert_int_equal(wal_fixture_append(&fixture->log, 4, 1, 2), ERR_OK);
    wal_fixture_close(&fixture->log);
    const char *path = wal_fixture_last_segment(&fixture->log);
    size_t second = WAL_SEGMENT_HEADER_SIZE + wal_record_size(PAYLOAD_SIZE);

    fault_disk_flip(fixture->log.disk, path, second + 9, 1);
    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);

    wal_fixture_expect(&fixture->log, 1, 3);
    assert_int_equal(fixture->log.recovered.entries[2].term, 2);
}

int main(void)
{
#define DAMAGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        DAMAGE_TEST(test_a_last_batch_torn_after_any_byte_is_cut),
        DAMAGE_TEST(test_a_last_batch_whose_beginning_is_missing_is_cut),
        DAMAGE_TEST(test_a_last_batch_with_any_changed_byte_is_cut),
        DAMAGE_TEST(test_a_file_that_ends_inside_the_last_batch_is_cut),
        DAMAGE_TEST(test_a_changed_byte_before_the_last_batch_is_refused),
        DAMAGE_TEST(test_a_zeroed_stretch_before_the_last_batch_is_refused),
        DAMAGE_TEST(test_a_missing_end_of_the_batch_before_the_last_is_refused),
        DAMAGE_TEST(test_a_refusal_names_offset_and_entry),
        DAMAGE_TEST(test_records_of_another_segment_in_the_tail_are_only_debris),
        DAMAGE_TEST(test_a_batch_of_another_history_is_refused),
        DAMAGE_TEST(test_damage_at_the_end_of_a_finished_segment_is_refused),
        DAMAGE_TEST(test_a_missing_segment_is_refused),
        DAMAGE_TEST(test_a_segment_under_another_name_is_refused),
        DAMAGE_TEST(test_a_torn_tail_after_a_truncation_brings_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
