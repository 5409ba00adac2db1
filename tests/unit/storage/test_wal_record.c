/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a record is recognised exactly when it is whole and unchanged. Method: bytes in memory. */
#include "tests/unit/storage/storage_test.h"

#include "base/hash.h"
#include "storage/wal_batch.h"
#include "storage/wal_record.h"
#include "storage/wal_scan.h"
#include "storage/wal_segment.h"

#include <string.h>

static const uint64_t SEED = 99;

static struct wal_record an_entry(const char *payload)
{
    return (struct wal_record){
        .type = WAL_ENTRY,
        .last_in_batch = true,
        .kind = RAFT_ENTRY_COMMAND,
        .batch = 3,
        .index = 17,
        .term = 5,
        .previous = 0x1234,
        .payload = slice_of_string(payload),
    };
}

static void test_a_record_comes_back_field_by_field(void **state)
{
    (void)state;
    struct wal_record record = an_entry("thirteen bytes");
    struct buf bytes = {0};

    uint64_t hash = wal_record_append(&bytes, &record, SEED);

    struct wal_record read;
    assert_int_equal(bytes.len, wal_record_size(record.payload.len));
    assert_int_equal(bytes.len % WAL_RECORD_ALIGN, 0);
    assert_int_equal(wal_record_parse(buf_view(&bytes), SEED, &read), ERR_OK);
    assert_int_equal(read.type, WAL_ENTRY);
    assert_true(read.last_in_batch);
    assert_int_equal(read.kind, RAFT_ENTRY_COMMAND);
    assert_int_equal(read.batch, 3);
    assert_int_equal(read.index, 17);
    assert_int_equal(read.term, 5);
    assert_int_equal(read.previous, 0x1234);
    assert_int_equal(read.hash, hash);
    assert_true(slice_equal(read.payload, record.payload));
    buf_deinit(&bytes);
}

static void test_any_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct wal_record record = an_entry("payload");
    struct buf bytes = {0};
    (void)wal_record_append(&bytes, &record, SEED);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        struct wal_record read;
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(wal_record_parse(buf_view(&bytes), SEED, &read), ERR_CORRUPT);
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buf_deinit(&bytes);
}

static void test_a_shortened_record_is_noticed(void **state)
{
    (void)state;
    struct wal_record record = an_entry("payload");
    struct buf bytes = {0};
    (void)wal_record_append(&bytes, &record, SEED);
    for (size_t len = 0; len < bytes.len; len++) {
        struct wal_record read;
        assert_int_equal(wal_record_parse(slice_of(bytes.data, len), SEED, &read), ERR_CORRUPT);
    }
    buf_deinit(&bytes);
}

static void test_a_record_of_another_segment_is_not_recognised(void **state)
{
    (void)state;
    struct wal_record record = an_entry("payload");
    struct buf bytes = {0};
    (void)wal_record_append(&bytes, &record, SEED);

    struct wal_record read;
    assert_int_equal(wal_record_parse(buf_view(&bytes), SEED + 1, &read), ERR_CORRUPT);
    buf_deinit(&bytes);
}

static void test_a_vote_comes_back(void **state)
{
    (void)state;
    struct member_id vote = {.hi = 0x1122334455667788, .lo = 0x99aabbccddeeff00};
    struct buf bytes = {0};

    wal_vote_encode(vote, &bytes);

    assert_int_equal(bytes.len, WAL_VOTE_SIZE);
    assert_true(member_id_equal(wal_vote_decode(buf_view(&bytes)), vote));
    buf_deinit(&bytes);
}

static void test_a_segment_header_comes_back_and_any_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct wal_segment_header header = {
        .number = 7,
        .seed = 8,
        .cluster = {.hi = 1, .lo = 2},
        .member = {.hi = 3, .lo = 4},
        .first_index = 100,
        .first_batch = 50,
        .previous = 9,
        .fresh = true,
        .hard_state = {.term = 6, .vote = {.hi = 10, .lo = 11}},
    };
    struct buf bytes = {0};

    wal_segment_header_encode(&header, &bytes);

    struct wal_segment_header read;
    assert_int_equal(wal_segment_header_decode(buf_view(&bytes), &read), ERR_OK);
    assert_memory_equal(&read.cluster, &header.cluster, sizeof(read.cluster));
    assert_int_equal(read.number, 7);
    assert_int_equal(read.first_index, 100);
    assert_int_equal(read.first_batch, 50);
    assert_int_equal(read.hard_state.vote.lo, 11);
    assert_int_equal(read.hash, header.hash);
    assert_true(read.fresh);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_not_equal(wal_segment_header_decode(buf_view(&bytes), &read), ERR_OK);
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buf_deinit(&bytes);
}

static void test_only_our_own_names_are_segments(void **state)
{
    (void)state;
    uint64_t number = 0;
    char path[WAL_SEGMENT_PATH_SIZE];

    assert_string_equal(wal_segment_path("d", 0xab, path), "d/00000000000000ab.wal");
    assert_true(wal_segment_parse_name("00000000000000ab.wal", &number));
    assert_int_equal(number, 0xab);
    assert_false(wal_segment_parse_name("00000000000000AB.wal", &number));
    assert_false(wal_segment_parse_name("00000000000000ab.wa", &number));
    assert_false(wal_segment_parse_name("00000000000000ab.wal2", &number));
    assert_false(wal_segment_parse_name("next.tmp", &number));
    assert_false(wal_segment_parse_name("g0000000000000ab.wal", &number));
}

static void test_a_truncation_begins_a_batch_and_large_writes_end_one(void **state)
{
    (void)state;
    struct blob *payload = blob_new(slice_of_string("0123456789"));
    struct raft_entry entry = {.term = 1, .index = 1, .payload = payload};
    struct raft_write plain = {.entries = &entry, .entries_count = 1};
    struct raft_write cutting = plain;
    cutting.truncate_from = 1;
    struct raft_write writes[4] = {plain, plain, cutting, plain};

    assert_int_equal(wal_batch_group(writes, 4, 1000), 2);
    assert_int_equal(wal_batch_group(writes + 2, 2, 1000), 2);
    assert_int_equal(wal_batch_group(writes, 2, 100), 1);
    assert_int_equal(wal_batch_size(writes, 2), 2 * wal_record_size(10));
    blob_unref(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_comes_back_field_by_field),
        cmocka_unit_test(test_any_changed_bit_is_noticed),
        cmocka_unit_test(test_a_shortened_record_is_noticed),
        cmocka_unit_test(test_a_record_of_another_segment_is_not_recognised),
        cmocka_unit_test(test_a_vote_comes_back),
        cmocka_unit_test(test_a_segment_header_comes_back_and_any_changed_bit_is_noticed),
        cmocka_unit_test(test_only_our_own_names_are_segments),
        cmocka_unit_test(test_a_truncation_begins_a_batch_and_large_writes_end_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
