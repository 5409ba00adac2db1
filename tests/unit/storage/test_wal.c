/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is appended comes back, in order, across segments, truncations, cuts and restarts.
 * Method: a log on a disk in memory, closed and opened again. Damage is test_wal_damage.c. */
#include "tests/unit/storage/storage_test.h"
#include "tests/unit/storage/wal_fixture.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

static int setup(void **state)
{
    struct wal_fixture *fixture = mem_new(sizeof(*fixture));
    wal_fixture_init(fixture, 7, FIXTURE_SEGMENT_BYTES);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    wal_fixture_deinit(*state);
    mem_free(*state);
    return 0;
}

static void reopen(struct wal_fixture *fixture)
{
    wal_fixture_close(fixture);
    if (wal_fixture_open(fixture) != ERR_OK) {
        fail_msg("%s", fixture->reason.text);
    }
}

static void append_hard_state(struct wal_fixture *fixture, uint64_t term, uint64_t vote)
{
    struct raft_write write = {
        .seq = 1,
        .has_hard_state = true,
        .hard_state = {.term = term, .vote = {.hi = vote, .lo = vote}},
    };
    assert_int_equal(wal_append(fixture->wal, &write, 1), ERR_OK);
}

static void truncate_and_append(struct wal_fixture *fixture, uint64_t from, uint64_t term)
{
    struct raft_write write = wal_fixture_write(from, 1, term, 20);
    write.truncate_from = from;
    assert_int_equal(wal_append(fixture->wal, &write, 1), ERR_OK);
    wal_fixture_free_write(&write);
}

static void test_a_new_log_is_empty(void **state)
{
    struct wal_fixture *fixture = *state;

    wal_fixture_expect(fixture, 1, 0);
    assert_int_equal(fixture->recovered.hard_state.term, 0);
    assert_true(member_id_is_none(fixture->recovered.hard_state.vote));
    assert_int_equal(wal_first_index(fixture->wal), 1);
    assert_int_equal(wal_last_index(fixture->wal), 0);
}

static void test_entries_come_back_in_order(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 3, 1), ERR_OK);
    assert_int_equal(wal_fixture_append(fixture, 4, 2, 2), ERR_OK);

    reopen(fixture);

    wal_fixture_expect(fixture, 1, 5);
    assert_int_equal(fixture->recovered.entries[2].term, 1);
    assert_int_equal(fixture->recovered.entries[3].term, 2);
}

static void test_entries_come_back_across_many_segments(void **state)
{
    struct wal_fixture *fixture = *state;
    for (uint64_t index = 1; index <= 500; index++) {
        assert_int_equal(wal_fixture_append(fixture, index, 1, 1), ERR_OK);
    }
    assert_true(wal_segments_count(fixture->wal) > 5);

    reopen(fixture);

    wal_fixture_expect(fixture, 1, 500);
}

static void test_empty_and_odd_payloads_come_back(void **state)
{
    struct wal_fixture *fixture = *state;
    for (uint32_t len = 0; len < 20; len++) {
        struct raft_write write = wal_fixture_write(len + 1, 1, 1, len);
        assert_int_equal(wal_append(fixture->wal, &write, 1), ERR_OK);
        wal_fixture_free_write(&write);
    }

    reopen(fixture);

    wal_fixture_expect(fixture, 1, 20);
    assert_int_equal(fixture->recovered.entries[0].payload->len, 0);
    assert_int_equal(fixture->recovered.entries[19].payload->len, 19);
}

static void test_a_batch_larger_than_a_segment_gets_one_of_its_own(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 1, 1), ERR_OK);
    struct raft_write write = wal_fixture_write(2, 3, 1, FIXTURE_SEGMENT_BYTES);
    assert_int_equal(wal_append(fixture->wal, &write, 1), ERR_OK);
    wal_fixture_free_write(&write);
    assert_int_equal(wal_fixture_append(fixture, 5, 1, 1), ERR_OK);

    reopen(fixture);

    wal_fixture_expect(fixture, 1, 5);
}

static void test_term_and_vote_come_back_and_the_last_one_counts(void **state)
{
    struct wal_fixture *fixture = *state;
    append_hard_state(fixture, 3, 0);
    append_hard_state(fixture, 3, 9);

    reopen(fixture);

    assert_int_equal(fixture->recovered.hard_state.term, 3);
    assert_int_equal(fixture->recovered.hard_state.vote.hi, 9);
}

static void test_many_writes_share_one_sync(void **state)
{
    struct wal_fixture *fixture = *state;
    struct raft_write writes[5];
    for (uint32_t i = 0; i < 5; i++) {
        writes[i] = wal_fixture_write(i + 1, 1, 1, 20);
    }
    uint64_t syncs = wal_syncs_count(fixture->wal);

    assert_int_equal(wal_append(fixture->wal, writes, 5), ERR_OK);

    assert_int_equal(wal_syncs_count(fixture->wal), syncs + 1);
    for (uint32_t i = 0; i < 5; i++) {
        wal_fixture_free_write(&writes[i]);
    }
    reopen(fixture);
    wal_fixture_expect(fixture, 1, 5);
}

static void test_a_truncated_suffix_stays_gone(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 10, 1), ERR_OK);

    truncate_and_append(fixture, 6, 2);
    reopen(fixture);

    wal_fixture_expect(fixture, 1, 6);
    assert_int_equal(fixture->recovered.entries[4].term, 1);
    assert_int_equal(fixture->recovered.entries[5].term, 2);
}

static void test_a_truncation_begins_a_new_segment(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 10, 1), ERR_OK);
    uint64_t segments = wal_segments_count(fixture->wal);

    truncate_and_append(fixture, 6, 2);

    assert_int_equal(wal_segments_count(fixture->wal), segments + 1);
}

static void test_a_truncation_needs_no_entries_after_it(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 10, 1), ERR_OK);
    struct raft_write write = {.seq = 2, .truncate_from = 4};

    assert_int_equal(wal_append(fixture->wal, &write, 1), ERR_OK);

    assert_int_equal(wal_last_index(fixture->wal), 3);
    wal_fixture_crash_and_open(fixture);
    wal_fixture_expect(fixture, 1, 3);
    assert_int_equal(wal_fixture_append(fixture, 4, 1, 2), ERR_OK);
    wal_fixture_crash_and_open(fixture);
    wal_fixture_expect(fixture, 1, 4);
}

/* Segments of a log in which a truncation went below the beginning of an older segment, cut by a
 * process that died between two removals. */
static void test_a_cut_that_died_half_way_leaves_a_log_that_opens(void **state)
{
    struct wal_fixture *fixture = *state;
    for (uint64_t index = 1; index <= 150; index++) {
        assert_int_equal(wal_fixture_append(fixture, index, 1, 1), ERR_OK);
    }
    truncate_and_append(fixture, 40, 2);
    /* The first removal and its sync succeed, the second removal does not. */
    fault_disk_fail_nth(fixture->disk, 3, ERR_IO);
    assert_int_equal(wal_cut(fixture->wal, 40), ERR_IO);

    wal_fixture_crash_and_open(fixture);

    wal_fixture_expect(fixture, 40, 40);
    assert_int_equal(fixture->recovered.entries[0].term, 2);
}

static void test_the_whole_log_can_be_truncated(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 10, 1), ERR_OK);

    truncate_and_append(fixture, 1, 2);
    reopen(fixture);

    wal_fixture_expect(fixture, 1, 1);
    assert_int_equal(fixture->recovered.entries[0].term, 2);
}

static void test_a_cut_keeps_every_entry_from_its_index_on_and_the_vote(void **state)
{
    struct wal_fixture *fixture = *state;
    append_hard_state(fixture, 1, 5);
    for (uint64_t index = 1; index <= 500; index++) {
        assert_int_equal(wal_fixture_append(fixture, index, 1, 1), ERR_OK);
    }
    uint64_t segments = wal_segments_count(fixture->wal);

    assert_int_equal(wal_cut(fixture->wal, 300), ERR_OK);

    assert_true(wal_segments_count(fixture->wal) < segments);
    uint64_t first = wal_first_index(fixture->wal);
    assert_in_range(first, 2, 300);
    reopen(fixture);
    wal_fixture_expect(fixture, first, 500);
    assert_int_equal(fixture->recovered.hard_state.vote.hi, 5);
}

static void test_a_cut_after_a_truncation_keeps_what_was_rewritten(void **state)
{
    struct wal_fixture *fixture = *state;
    for (uint64_t index = 1; index <= 200; index++) {
        assert_int_equal(wal_fixture_append(fixture, index, 1, 1), ERR_OK);
    }
    truncate_and_append(fixture, 50, 2);

    assert_int_equal(wal_cut(fixture->wal, 49), ERR_OK);
    reopen(fixture);

    assert_true(fixture->recovered.first_index <= 49);
    wal_fixture_expect(fixture, fixture->recovered.first_index, 50);
}

static void test_a_restarted_log_begins_after_its_index_and_keeps_the_vote(void **state)
{
    struct wal_fixture *fixture = *state;
    append_hard_state(fixture, 4, 6);
    assert_int_equal(wal_fixture_append(fixture, 1, 10, 1), ERR_OK);

    assert_int_equal(wal_restart(fixture->wal, 1000), ERR_OK);
    assert_int_equal(wal_fixture_append(fixture, 1001, 2, 4), ERR_OK);
    reopen(fixture);

    wal_fixture_expect(fixture, 1001, 1002);
    assert_int_equal(fixture->recovered.hard_state.term, 4);
    assert_int_equal(wal_segments_count(fixture->wal), 1);
}

static void test_a_write_that_restarts_the_log_goes_in_order_with_others(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_fixture_append(fixture, 1, 10, 1), ERR_OK);
    const struct raft_write writes[] = {
        {.seq = 2, .has_hard_state = true, .hard_state = {.term = 3, .vote = {.lo = 6}}},
        {.seq = 3, .restart_index = 500, .restart_term = 2},
        {.seq = 4, .has_hard_state = true, .hard_state = {.term = 4, .vote = {.lo = 7}}},
    };

    assert_int_equal(wal_append(fixture->wal, writes, 3), ERR_OK);
    assert_int_equal(wal_fixture_append(fixture, 501, 3, 4), ERR_OK);
    reopen(fixture);

    wal_fixture_expect(fixture, 501, 503);
    assert_int_equal(fixture->recovered.hard_state.term, 4);
    assert_int_equal(fixture->recovered.hard_state.vote.lo, 7);
    assert_int_equal(wal_segments_count(fixture->wal), 1);
}

static void test_a_prepared_segment_is_used(void **state)
{
    struct wal_fixture *fixture = *state;
    assert_int_equal(wal_prepare(fixture->wal), ERR_OK);
    assert_int_equal(wal_prepare(fixture->wal), ERR_OK);
    for (uint64_t index = 1; index <= 100; index++) {
        assert_int_equal(wal_fixture_append(fixture, index, 1, 1), ERR_OK);
    }

    reopen(fixture);

    wal_fixture_expect(fixture, 1, 100);
}

static void test_another_clusters_log_is_refused(void **state)
{
    struct wal_fixture *fixture = *state;
    wal_fixture_close(fixture);
    fixture->options.cluster.lo++;

    assert_int_equal(wal_fixture_open(fixture), ERR_WRONG_CLUSTER);

    assert_non_null(strstr(fixture->reason.text, "was written for cluster"));
}

static void test_another_members_log_is_refused(void **state)
{
    struct wal_fixture *fixture = *state;
    wal_fixture_close(fixture);
    fixture->options.member.lo++;

    assert_int_equal(wal_fixture_open(fixture), ERR_WRONG_MEMBER);

    assert_non_null(strstr(fixture->reason.text, "was written by member"));
}

static void test_a_folder_without_a_log_is_refused(void **state)
{
    struct wal_fixture *fixture = *state;
    wal_fixture_close(fixture);
    const struct disk *disk = fixture->options.disk;
    assert_int_equal(disk->remove(disk->ctx, wal_fixture_last_segment(fixture)), ERR_OK);

    assert_int_equal(wal_fixture_open(fixture), ERR_NOT_FOUND);
}

static void test_a_log_is_not_formatted_twice(void **state)
{
    struct wal_fixture *fixture = *state;

    assert_int_equal(wal_format(&fixture->options, &fixture->reason), ERR_EXISTS);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_a_new_log_is_empty),
        LOG_TEST(test_entries_come_back_in_order),
        LOG_TEST(test_entries_come_back_across_many_segments),
        LOG_TEST(test_empty_and_odd_payloads_come_back),
        LOG_TEST(test_a_batch_larger_than_a_segment_gets_one_of_its_own),
        LOG_TEST(test_term_and_vote_come_back_and_the_last_one_counts),
        LOG_TEST(test_many_writes_share_one_sync),
        LOG_TEST(test_a_truncated_suffix_stays_gone),
        LOG_TEST(test_a_truncation_begins_a_new_segment),
        LOG_TEST(test_a_truncation_needs_no_entries_after_it),
        LOG_TEST(test_a_cut_that_died_half_way_leaves_a_log_that_opens),
        LOG_TEST(test_the_whole_log_can_be_truncated),
        LOG_TEST(test_a_cut_keeps_every_entry_from_its_index_on_and_the_vote),
        LOG_TEST(test_a_cut_after_a_truncation_keeps_what_was_rewritten),
        LOG_TEST(test_a_restarted_log_begins_after_its_index_and_keeps_the_vote),
        LOG_TEST(test_a_write_that_restarts_the_log_goes_in_order_with_others),
        LOG_TEST(test_a_prepared_segment_is_used),
        LOG_TEST(test_another_clusters_log_is_refused),
        LOG_TEST(test_another_members_log_is_refused),
        LOG_TEST(test_a_folder_without_a_log_is_refused),
        LOG_TEST(test_a_log_is_not_formatted_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
