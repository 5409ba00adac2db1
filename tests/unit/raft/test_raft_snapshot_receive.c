/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a follower takes the chunks of whole states without a hole and without a mixture, in
 * whatever order chunks, completions and leaders come. Method: one core on a bench; the test is its
 * leader, its disk and its file. */
#include "snapshot_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_snapshot_of_what_the_log_holds_keeps_the_suffix(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send(bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 2});
    assert_true(snapshot_bench_told(bench)->done);
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(core_bench_status(bench).last_index, 3);
    core_bench_free(bench);
}

static void test_a_snapshot_behind_the_commit_is_already_there(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 1, .prev_index = 3, .prev_term = 1, .commit = 3, .count = 0});
    snapshot_bench_send(bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 1});
    assert_true(snapshot_bench_told(bench)->done);
    core_bench_free(bench);
}

static void test_a_snapshot_of_an_older_leader_is_refused_with_our_term(void **state)
{
    (void)state;
    struct core_bench *bench =
        core_bench_new(&(struct core_bench_options){.members = 3, .term = 5});
    snapshot_bench_send(bench, (struct snapshot_bench_sent){.from = 2, .term = 4, .index = 50});
    assert_false(snapshot_bench_told(bench)->done);
    assert_int_equal(snapshot_bench_told(bench)->offset, 0);
    assert_int_equal(core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT_RESULT, 2, 0)->term, 5);
    assert_int_equal(bench->update.snapshot_write.index, 0);
    core_bench_free(bench);
}

static void test_chunks_out_of_order_or_twice_are_not_taken(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three);
    snapshot_bench_send(bench,
                        (struct snapshot_bench_sent){
                            .from = 2, .term = 1, .index = 50, .offset = SNAPSHOT_BENCH_CHUNK});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(snapshot_bench_told(bench)->offset, 0);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_OK);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(snapshot_bench_told(bench)->offset, SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
}

static void test_one_write_at_a_time_however_fast_chunks_come(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 50);
    struct blob *second = blob_new(slice_of("0123456789", SNAPSHOT_BENCH_CHUNK));
    core_bench_receive(bench,
                       snapshot_bench_message(
                           (struct snapshot_bench_sent){
                               .from = 2, .term = 1, .index = 50, .offset = SNAPSHOT_BENCH_CHUNK},
                           second));
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(second->refs, 2);
    /* Another leader's snapshot waits for the write of this one, too; what waited is let go. */
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 3, .term = 2, .index = 60, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(second->refs, 1);
    blob_unref(second);
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_OK);
    assert_int_equal(bench->update.snapshot_write.index, 60);
    assert_int_equal(bench->update.snapshot_write.offset, 0);
    assert_int_equal(core_bench_status(bench).receiving_bytes, 0);
    core_bench_free(bench);
}

static void test_a_transfer_is_resumed_by_the_next_leader(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 3, .term = 1, .index = 50, .offset = 0});
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_OK);
    /* A new leader begins at the start; it is told where to go on. */
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 2, .index = 50, .offset = 0});
    assert_int_equal(snapshot_bench_told(bench)->offset, SNAPSHOT_BENCH_CHUNK);
    snapshot_bench_send(bench,
                        (struct snapshot_bench_sent){
                            .from = 2, .term = 2, .index = 50, .offset = SNAPSHOT_BENCH_CHUNK});
    assert_int_equal(bench->update.snapshot_write.offset, SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
}

static void test_another_snapshot_of_the_next_leader_begins_anew(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 3, .term = 1, .index = 50, .offset = 0});
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_OK);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 2, .index = 40, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 40);
    assert_int_equal(bench->update.snapshot_write.offset, 0);
    core_bench_free(bench);
}

static void test_a_late_chunk_of_an_older_transfer_ends_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_OK);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 40, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(core_bench_status(bench).receiving_index, 50);
    assert_int_equal(core_bench_status(bench).receiving_bytes, SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
}

static void test_a_file_found_after_a_crash_is_resumed(void **state)
{
    (void)state;
    struct core_bench_options options = snapshot_bench_three;
    options.partial_bytes = SNAPSHOT_BENCH_CHUNK;
    struct core_bench *bench = core_bench_new(&options);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 100, .offset = 0});
    assert_int_equal(snapshot_bench_told(bench)->offset, SNAPSHOT_BENCH_CHUNK);
    core_bench_free(bench);
    /* All of it was there. */
    options.partial_bytes = SNAPSHOT_BENCH_SIZE;
    bench = core_bench_new(&options);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 100, .offset = 0});
    assert_int_equal(bench->update.snapshot_install.index, 100);
    core_bench_free(bench);
}

static void test_a_chunk_that_cannot_be_written_begins_the_file_anew(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_NO_SPACE);
    assert_int_equal(snapshot_bench_told(bench)->offset, 0);
    snapshot_bench_send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    core_bench_free(bench);
}

static void test_who_leads_when_a_chunk_is_written_at_last_answers_nobody(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three_entries);
    snapshot_bench_send(
        bench, (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 50);
    core_bench_elect(bench);
    snapshot_bench_written(bench, 50, SNAPSHOT_BENCH_CHUNK, ERR_OK);
    assert_int_equal(bench->update.messages_count, 0);
    assert_int_equal(core_bench_status(bench).role, RAFT_LEADER);
    core_bench_free(bench);
}

static void test_malformed_chunks_change_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&snapshot_bench_three);
    struct blob *chunk = blob_new(slice_of("0123456789", SNAPSHOT_BENCH_CHUNK));
    struct raft_message good = snapshot_bench_message(
        (struct snapshot_bench_sent){.from = 2, .term = 1, .index = 50, .offset = 0}, chunk);
    struct raft_message bad[] = {good, good, good, good, good, good, good, good};
    bad[0].install_snapshot.last_index = 0;
    bad[1].install_snapshot.last_term = 2;
    bad[2].install_snapshot.chunk = NULL;
    bad[3].install_snapshot.size = SNAPSHOT_BENCH_CHUNK - 1;
    bad[4].install_snapshot.offset = UINT64_MAX;
    bad[5].install_snapshot.last = true;
    bad[6].install_snapshot.configuration.count = RAFT_SERVERS_MAX + 1;
    bad[7].install_snapshot.configuration.count = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        core_bench_receive(bench, bad[i]);
        assert_int_equal(bench->update.snapshot_write.index, 0);
        assert_int_equal(bench->update.messages_count, 0);
    }
    blob_unref(chunk);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_of_what_the_log_holds_keeps_the_suffix),
        cmocka_unit_test(test_a_snapshot_behind_the_commit_is_already_there),
        cmocka_unit_test(test_a_snapshot_of_an_older_leader_is_refused_with_our_term),
        cmocka_unit_test(test_chunks_out_of_order_or_twice_are_not_taken),
        cmocka_unit_test(test_one_write_at_a_time_however_fast_chunks_come),
        cmocka_unit_test(test_a_transfer_is_resumed_by_the_next_leader),
        cmocka_unit_test(test_another_snapshot_of_the_next_leader_begins_anew),
        cmocka_unit_test(test_a_late_chunk_of_an_older_transfer_ends_nothing),
        cmocka_unit_test(test_a_file_found_after_a_crash_is_resumed),
        cmocka_unit_test(test_a_chunk_that_cannot_be_written_begins_the_file_anew),
        cmocka_unit_test(test_who_leads_when_a_chunk_is_written_at_last_answers_nobody),
        cmocka_unit_test(test_malformed_chunks_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
