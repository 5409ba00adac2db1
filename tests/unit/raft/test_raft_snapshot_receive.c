/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a follower takes whole states without losing a vote, a term or an acknowledged entry, in
 * whatever order chunks, completions and leaders come. Method: one core on a bench; the test is its
 * leader, its disk and its file. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    SIZE = 30,
    CHUNK = 10,
};

static const uint64_t terms[] = {1, 1, 1};
static const struct core_bench_options three = {.members = 3, .term = 1};
static const struct core_bench_options three_entries = {
    .members = 3, .term = 1, .terms = terms, .entries_count = 3};

struct sent {
    uint32_t from;
    uint64_t term;
    uint64_t index;
    uint64_t offset;
};

/* A chunk of a snapshot of entry term 1 whose configuration has the members 1 to 4. */
static struct raft_message message_of(struct sent sent, struct blob *chunk)
{
    struct raft_message message = core_bench_from(sent.from, RAFT_INSTALL_SNAPSHOT, sent.term);
    message.install_snapshot = (struct raft_install_snapshot){
        .last_index = sent.index,
        .last_term = 1,
        .size = SIZE,
        .offset = sent.offset,
        .last = sent.offset + chunk->len == SIZE,
        .chunk = chunk,
        .configuration = {.count = 4},
    };
    for (uint32_t i = 0; i < 4; i++) {
        message.install_snapshot.configuration.servers[i] =
            (struct raft_server){.id = core_bench_member(i + 1), .voter = true};
    }
    return message;
}

static void send(struct core_bench *bench, struct sent sent)
{
    struct blob *chunk = blob_new(slice_of("0123456789", CHUNK));
    core_bench_receive(bench, message_of(sent, chunk));
    blob_unref(chunk);
}

static void written(struct core_bench *bench, uint64_t index, uint64_t offset, enum error error)
{
    core_bench_step(bench,
                    (struct raft_event){
                        .type = RAFT_EVENT_SNAPSHOT_WRITTEN,
                        .snapshot_written = {.index = index, .offset = offset, .error = error}
    });
}

static void installed(struct core_bench *bench, uint64_t index, enum error error)
{
    core_bench_step(bench,
                    (struct raft_event){
                        .type = RAFT_EVENT_SNAPSHOT_INSTALLED,
                        .snapshot_installed = {.index = index, .error = error}
    });
}

static void send_all(struct core_bench *bench, uint64_t term, uint64_t index)
{
    for (uint64_t offset = 0; offset < SIZE; offset += CHUNK) {
        send(bench, (struct sent){.from = 2, .term = term, .index = index, .offset = offset});
        assert_int_equal(bench->update.snapshot_write.index, index);
        assert_int_equal(bench->update.snapshot_write.offset, offset);
        assert_int_equal(bench->update.snapshot_write.chunk->len, CHUNK);
        written(bench, index, offset + CHUNK, ERR_OK);
    }
}

static const struct raft_install_snapshot_result *told(const struct core_bench *bench)
{
    const struct raft_message *message = core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT_RESULT, 2, 0);
    assert_non_null(message);
    return &message->install_snapshot_result;
}

static void test_a_snapshot_is_written_installed_and_the_log_begins_anew(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    assert_int_equal(bench->update.snapshot_install.term, 1);
    assert_int_equal(bench->update.snapshot_install.configuration.count, 4);
    installed(bench, 50, ERR_OK);
    assert_true(told(bench)->done);
    assert_int_equal(bench->update.write.restart_index, 50);
    assert_int_equal(bench->update.write.restart_term, 1);
    assert_int_equal(bench->update.commit, 50);
    struct raft_status status = core_bench_status(bench);
    assert_int_equal(status.last_index, 50);
    assert_int_equal(status.first_index, 51);
    assert_int_equal(status.snapshot.index, 50);
    assert_int_equal(status.configuration.count, 4);
    assert_int_equal(status.configuration_index, 50);
    core_bench_free(bench);
}

static void test_entries_go_on_behind_an_installed_snapshot(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send_all(bench, 1, 50);
    installed(bench, 50, ERR_OK);
    core_bench_append(bench,
                      (struct core_bench_append){.from = 2,
                                                 .term = 1,
                                                 .prev_index = 50,
                                                 .prev_term = 1,
                                                 .commit = 52,
                                                 .entry_term = 1,
                                                 .count = 2});
    core_bench_persist_all(bench);
    const struct raft_message *ack = core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0);
    assert_true(ack->append_result.success);
    assert_int_equal(ack->append_result.index, 52);
    assert_int_equal(bench->update.commit, 52);
    core_bench_free(bench);
}

static void test_a_snapshot_of_what_the_log_holds_keeps_the_suffix(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 2});
    assert_true(told(bench)->done);
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(core_bench_status(bench).last_index, 3);
    core_bench_free(bench);
}

static void test_a_snapshot_behind_the_commit_is_already_there(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 1, .prev_index = 3, .prev_term = 1, .commit = 3, .count = 0});
    send(bench, (struct sent){.from = 2, .term = 1, .index = 1});
    assert_true(told(bench)->done);
    core_bench_free(bench);
}

static void test_a_snapshot_of_an_older_leader_is_refused_with_our_term(void **state)
{
    (void)state;
    struct core_bench *bench =
        core_bench_new(&(struct core_bench_options){.members = 3, .term = 5});
    send(bench, (struct sent){.from = 2, .term = 4, .index = 50});
    assert_false(told(bench)->done);
    assert_int_equal(told(bench)->offset, 0);
    assert_int_equal(core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT_RESULT, 2, 0)->term, 5);
    assert_int_equal(bench->update.snapshot_write.index, 0);
    core_bench_free(bench);
}

static void test_chunks_out_of_order_or_twice_are_not_taken(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 50, .offset = CHUNK});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(told(bench)->offset, 0);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    written(bench, 50, CHUNK, ERR_OK);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(told(bench)->offset, CHUNK);
    core_bench_free(bench);
}

static void test_one_write_at_a_time_however_fast_chunks_come(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 50);
    struct blob *second = blob_new(slice_of("0123456789", CHUNK));
    core_bench_receive(
        bench,
        message_of((struct sent){.from = 2, .term = 1, .index = 50, .offset = CHUNK}, second));
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(second->refs, 2);
    /* Another leader's snapshot waits for the write of this one, too; what waited is let go. */
    send(bench, (struct sent){.from = 3, .term = 2, .index = 60, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(second->refs, 1);
    blob_unref(second);
    written(bench, 50, CHUNK, ERR_OK);
    assert_int_equal(bench->update.snapshot_write.index, 60);
    assert_int_equal(bench->update.snapshot_write.offset, 0);
    assert_int_equal(core_bench_status(bench).receiving_bytes, 0);
    core_bench_free(bench);
}

static void test_a_transfer_is_resumed_by_the_next_leader(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    send(bench, (struct sent){.from = 3, .term = 1, .index = 50, .offset = 0});
    written(bench, 50, CHUNK, ERR_OK);
    /* A new leader begins at the start; it is told where to go on. */
    send(bench, (struct sent){.from = 2, .term = 2, .index = 50, .offset = 0});
    assert_int_equal(told(bench)->offset, CHUNK);
    send(bench, (struct sent){.from = 2, .term = 2, .index = 50, .offset = CHUNK});
    assert_int_equal(bench->update.snapshot_write.offset, CHUNK);
    core_bench_free(bench);
}

static void test_another_snapshot_of_the_next_leader_begins_anew(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    send(bench, (struct sent){.from = 3, .term = 1, .index = 50, .offset = 0});
    written(bench, 50, CHUNK, ERR_OK);
    send(bench, (struct sent){.from = 2, .term = 2, .index = 40, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 40);
    assert_int_equal(bench->update.snapshot_write.offset, 0);
    core_bench_free(bench);
}

static void test_a_late_chunk_of_an_older_transfer_ends_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    written(bench, 50, CHUNK, ERR_OK);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 40, .offset = 0});
    assert_int_equal(bench->update.snapshot_write.index, 0);
    assert_int_equal(core_bench_status(bench).receiving_index, 50);
    assert_int_equal(core_bench_status(bench).receiving_bytes, CHUNK);
    core_bench_free(bench);
}

static void test_a_file_found_after_a_crash_is_resumed(void **state)
{
    (void)state;
    struct core_bench_options options = three;
    options.partial_bytes = CHUNK;
    struct core_bench *bench = core_bench_new(&options);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 100, .offset = 0});
    assert_int_equal(told(bench)->offset, CHUNK);
    core_bench_free(bench);
    /* All of it was there. */
    options.partial_bytes = SIZE;
    bench = core_bench_new(&options);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 100, .offset = 0});
    assert_int_equal(bench->update.snapshot_install.index, 100);
    core_bench_free(bench);
}

static void test_nothing_is_appended_or_committed_while_a_snapshot_is_installed(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send_all(bench, 1, 50);
    core_bench_append(bench,
                      (struct core_bench_append){.from = 3,
                                                 .term = 2,
                                                 .prev_index = 3,
                                                 .prev_term = 1,
                                                 .commit = 5,
                                                 .entry_term = 2,
                                                 .count = 60});
    assert_int_equal(core_bench_status(bench).last_index, 3);
    assert_null(core_bench_sent(bench, RAFT_APPEND_RESULT, 3, 0));
    assert_int_equal(bench->update.commit, 0);
    installed(bench, 50, ERR_OK);
    assert_int_equal(core_bench_status(bench).last_index, 50);
    core_bench_free(bench);
}

static void test_who_installs_does_not_campaign_but_votes(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send_all(bench, 1, 50);
    core_bench_tick(bench, 3000);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    core_bench_ask_vote(bench, 3, 2, (struct raft_request_vote){.last_index = 60, .last_term = 1});
    assert_int_equal(core_bench_status(bench).vote.lo, 3);
    core_bench_free(bench);
}

static void test_a_vote_given_during_an_install_survives_it(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send_all(bench, 1, 50);
    core_bench_tick(bench, 3000);
    core_bench_ask_vote(bench, 3, 2, (struct raft_request_vote){.last_index = 60, .last_term = 1});
    uint64_t vote_seq = bench->seq_issued;
    installed(bench, 50, ERR_OK);
    assert_int_equal(bench->update.write.restart_index, 50);
    assert_true(bench->update.write.seq > vote_seq);
    core_bench_persist_all(bench);
    const struct raft_message *vote = core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0);
    assert_non_null(vote);
    assert_true(vote->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_file_that_does_not_verify_is_asked_for_again(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send_all(bench, 1, 50);
    installed(bench, 50, ERR_CORRUPT);
    assert_false(told(bench)->done);
    assert_int_equal(told(bench)->offset, 0);
    assert_int_equal(core_bench_status(bench).last_index, 3);
    send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    core_bench_free(bench);
}

static void test_a_chunk_that_cannot_be_written_begins_the_file_anew(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three_entries);
    send(bench, (struct sent){.from = 2, .term = 1, .index = 50, .offset = 0});
    written(bench, 50, CHUNK, ERR_NO_SPACE);
    assert_int_equal(told(bench)->offset, 0);
    send_all(bench, 1, 50);
    assert_int_equal(bench->update.snapshot_install.index, 50);
    core_bench_free(bench);
}

static void test_malformed_chunks_change_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    struct blob *chunk = blob_new(slice_of("0123456789", CHUNK));
    struct raft_message good =
        message_of((struct sent){.from = 2, .term = 1, .index = 50, .offset = 0}, chunk);
    struct raft_message bad[] = {good, good, good, good, good, good, good, good};
    bad[0].install_snapshot.last_index = 0;
    bad[1].install_snapshot.last_term = 2;
    bad[2].install_snapshot.chunk = NULL;
    bad[3].install_snapshot.size = CHUNK - 1;
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
        cmocka_unit_test(test_a_snapshot_is_written_installed_and_the_log_begins_anew),
        cmocka_unit_test(test_entries_go_on_behind_an_installed_snapshot),
        cmocka_unit_test(test_a_snapshot_of_what_the_log_holds_keeps_the_suffix),
        cmocka_unit_test(test_a_snapshot_behind_the_commit_is_already_there),
        cmocka_unit_test(test_a_snapshot_of_an_older_leader_is_refused_with_our_term),
        cmocka_unit_test(test_chunks_out_of_order_or_twice_are_not_taken),
        cmocka_unit_test(test_one_write_at_a_time_however_fast_chunks_come),
        cmocka_unit_test(test_a_transfer_is_resumed_by_the_next_leader),
        cmocka_unit_test(test_another_snapshot_of_the_next_leader_begins_anew),
        cmocka_unit_test(test_a_late_chunk_of_an_older_transfer_ends_nothing),
        cmocka_unit_test(test_a_file_found_after_a_crash_is_resumed),
        cmocka_unit_test(test_nothing_is_appended_or_committed_while_a_snapshot_is_installed),
        cmocka_unit_test(test_who_installs_does_not_campaign_but_votes),
        cmocka_unit_test(test_a_vote_given_during_an_install_survives_it),
        cmocka_unit_test(test_a_file_that_does_not_verify_is_asked_for_again),
        cmocka_unit_test(test_a_chunk_that_cannot_be_written_begins_the_file_anew),
        cmocka_unit_test(test_malformed_chunks_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
