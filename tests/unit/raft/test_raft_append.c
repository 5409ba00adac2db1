/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a follower takes, cuts, acknowledges and commits as section 5.3 says, and its word is what
 * its disk holds. Method: one core, the test is its leader (member 2) and its disk. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static const struct raft_append_result *result(const struct core_bench *bench)
{
    const struct raft_message *message = core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0);
    assert_non_null(message);
    return &message->append_result;
}

/* A follower of member 2 in term 1 that holds `count` entries, durable and acknowledged. */
static struct core_bench *follower_with(uint32_t count)
{
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 1, .entry_term = 1, .count = count});
    core_bench_persist_all(bench);
    return bench;
}

static void heartbeat(struct core_bench *bench, uint64_t term, uint64_t commit)
{
    struct raft_message message = core_bench_from(2, RAFT_HEARTBEAT, term);
    message.heartbeat = (struct raft_heartbeat){.commit = commit, .probe = 5};
    core_bench_receive(bench, message);
}

static void test_entries_are_acknowledged_only_when_durable(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 1, .entry_term = 1, .count = 2});
    assert_int_equal(core_bench_sent_count(bench, RAFT_APPEND_RESULT), 0);
    assert_int_equal(bench->update.write.entries_count, 2);

    core_bench_persist_all(bench);
    assert_true(result(bench)->success);
    assert_int_equal(result(bench)->index, 2);
    core_bench_free(bench);
}

static void test_a_duplicate_is_acknowledged_at_once_and_writes_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(3);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 1, .entry_term = 1, .count = 3});
    assert_int_equal(bench->update.write.seq, 0);
    assert_int_equal(result(bench)->index, 3);
    core_bench_free(bench);
}

static void test_an_old_short_append_does_not_cut_the_matching_tail(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(5);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 1, .entry_term = 1, .count = 2});
    assert_int_equal(core_bench_status(bench).last_index, 5);
    assert_int_equal(bench->update.write.seq, 0);
    core_bench_free(bench);
}

static void test_an_append_that_does_not_connect_is_refused_with_a_hint(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(2);
    core_bench_append(bench,
                      (struct core_bench_append){
                          .from = 2, .term = 1, .prev_index = 7, .prev_term = 1, .count = 0});
    assert_false(result(bench)->success);
    assert_int_equal(result(bench)->index, 7);
    assert_int_equal(result(bench)->hint_index, 2);
    assert_int_equal(result(bench)->hint_term, 1);
    core_bench_free(bench);
}

static void test_the_hint_jumps_over_terms_that_cannot_match(void **state)
{
    (void)state;
    static const uint64_t terms[] = {1, 1, 3, 3, 3, 3};
    struct core_bench_options options = {
        .members = 3, .term = 3, .terms = terms, .entries_count = 6};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 4, .prev_index = 5, .prev_term = 2});
    assert_false(result(bench)->success);
    assert_int_equal(result(bench)->hint_index, 2);
    assert_int_equal(result(bench)->hint_term, 1);
    core_bench_free(bench);
}

static void test_a_conflict_is_cut_and_replaced_in_one_write(void **state)
{
    (void)state;
    static const uint64_t terms[] = {1, 1, 1, 1};
    struct core_bench_options options = {
        .members = 3, .term = 1, .terms = terms, .entries_count = 4};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 2, .prev_index = 2, .prev_term = 1, .entry_term = 2, .count = 1});
    assert_int_equal(bench->update.write.truncate_from, 3);
    assert_int_equal(bench->update.write.entries_count, 1);
    assert_int_equal(bench->update.write.entries[0].index, 3);
    assert_int_equal(core_bench_status(bench).last_index, 3);
    assert_int_equal(core_bench_status(bench).durable_index, 2);
    core_bench_persist_all(bench);
    assert_int_equal(result(bench)->index, 3);
    core_bench_free(bench);
}

static void test_a_late_completion_does_not_vouch_for_rewritten_entries(void **state)
{
    (void)state;
    /* The ABA race: entries 1..3 of term 1 are being written, then replaced by term 2's. */
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(
        bench, (struct core_bench_append){.from = 3, .term = 1, .entry_term = 1, .count = 3});
    uint64_t old = bench->seq_issued;
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 2, .entry_term = 2, .count = 3});
    core_bench_persist(bench, old);
    assert_int_equal(core_bench_status(bench).durable_index, 0);
    assert_int_equal(core_bench_sent_count(bench, RAFT_APPEND_RESULT), 0);
    core_bench_persist_all(bench);
    assert_int_equal(result(bench)->index, 3);
    core_bench_free(bench);
}

static void test_entries_of_an_older_leader_are_not_acknowledged_to_a_newer_one(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(
        bench, (struct core_bench_append){.from = 3, .term = 1, .entry_term = 1, .count = 3});
    /* The new leader has proven a match up to 1 only. */
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 2, .prev_index = 1, .prev_term = 1});
    core_bench_persist_all(bench);
    assert_int_equal(result(bench)->index, 1);
    core_bench_free(bench);
}

static void test_a_follower_commits_no_further_than_it_is_known_to_match(void **state)
{
    (void)state;
    static const uint64_t terms[] = {1, 1, 1, 1};
    struct core_bench_options options = {
        .members = 3, .term = 1, .terms = terms, .entries_count = 4};
    struct core_bench *bench = core_bench_new(&options);
    /* Entries 3 and 4 may be those of a deposed leader; commit 4 speaks of others. */
    core_bench_append(bench,
                      (struct core_bench_append){
                          .from = 2, .term = 2, .prev_index = 2, .prev_term = 1, .commit = 4});
    assert_int_equal(bench->update.commit, 2);
    heartbeat(bench, 2, 4);
    assert_int_equal(bench->update.commit, 2);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 2, .prev_index = 2, .prev_term = 1, .entry_term = 2, .count = 2});
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.commit, 4);
    core_bench_free(bench);
}

static void test_a_follower_commits_no_further_than_its_disk(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(
        bench,
        (struct core_bench_append){.from = 2, .term = 1, .commit = 2, .entry_term = 1, .count = 2});
    assert_int_equal(bench->update.commit, 0);
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.commit, 2);
    core_bench_free(bench);
}

static void test_a_heartbeat_moves_the_commit_and_echoes_its_probe(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(3);
    heartbeat(bench, 1, 2);
    assert_int_equal(bench->update.commit, 2);
    const struct raft_message *told = core_bench_sent(bench, RAFT_HEARTBEAT_RESULT, 2, 0);
    assert_int_equal(told->heartbeat_result.probe, 5);
    core_bench_free(bench);
}

static void test_a_heartbeat_answer_carries_what_is_applied(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(3);
    heartbeat(bench, 1, 3);
    core_bench_step(
        bench,
        (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied = {.index = 3, .state_hash = 77}});
    heartbeat(bench, 1, 3);
    const struct raft_message *told = core_bench_sent(bench, RAFT_HEARTBEAT_RESULT, 2, 0);
    assert_int_equal(told->heartbeat_result.applied_index, 3);
    assert_int_equal(told->heartbeat_result.state_hash, 77);
    core_bench_free(bench);
}

static void test_follower_rejects_entries_from_an_older_term(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(1);
    core_bench_append(bench, (struct core_bench_append){.from = 3, .term = 6});
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 1, .prev_index = 1, .prev_term = 1, .entry_term = 1, .count = 1});
    assert_int_equal(core_bench_status(bench).last_index, 1);
    assert_false(result(bench)->success);
    core_bench_free(bench);
}

static void test_a_second_leader_of_one_term_is_not_obeyed(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(1);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 3, .term = 1, .prev_index = 1, .prev_term = 1, .entry_term = 1, .count = 1});
    assert_int_equal(core_bench_status(bench).last_index, 1);
    assert_true(member_id_equal(core_bench_status(bench).leader, core_bench_member(2)));
    core_bench_free(bench);
}

static void test_malformed_appends_change_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = follower_with(2);
    struct blob *payload = blob_new(slice_of_string("x"));
    struct raft_entry bad[] = {
        {.term = 1, .index = 4, .kind = RAFT_ENTRY_COMMAND, .payload = payload}, /* a gap */
        {.term = 9, .index = 3, .kind = RAFT_ENTRY_COMMAND, .payload = payload}, /* the future */
        {.term = 0, .index = 3, .kind = RAFT_ENTRY_COMMAND, .payload = payload}, /* goes back */
        {.term = 1, .index = 3, .kind = 0, .payload = payload},
        {.term = 1, .index = 3, .kind = RAFT_ENTRY_COMMAND, .payload = NULL},
        {.term = 1, .index = 3, .kind = RAFT_ENTRY_CONFIGURATION, .payload = payload},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct raft_message message = core_bench_from(2, RAFT_APPEND, 1);
        message.append = (struct raft_append){
            .prev_index = 2, .prev_term = 1, .entries = &bad[i], .entries_count = 1};
        core_bench_receive(bench, message);
        assert_int_equal(core_bench_status(bench).last_index, 2);
        assert_int_equal(bench->update.messages_count, 0);
    }
    blob_unref(payload);
    core_bench_free(bench);
}

static void test_a_configuration_is_in_force_when_appended_and_undone_when_cut(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    struct raft_configuration without_us = {
        .servers = {{.id = {.lo = 2}, .voter = true}, {.id = {.lo = 3}, .voter = true}},
        .count = 2,
    };
    struct buf bytes = {0};
    raft_configuration_encode(&without_us, &bytes);
    struct raft_entry entry = {.term = 1,
                               .index = 1,
                               .kind = RAFT_ENTRY_CONFIGURATION,
                               .payload = blob_new(buf_view(&bytes))};
    struct raft_message message = core_bench_from(2, RAFT_APPEND, 1);
    message.append = (struct raft_append){.entries = &entry, .entries_count = 1};
    core_bench_receive(bench, message);
    core_bench_persist_all(bench);
    blob_unref(entry.payload);
    buf_deinit(&bytes);
    assert_false(core_bench_status(bench).member);
    assert_false(core_bench_status(bench).configuration_committed);
    assert_int_equal(core_bench_status(bench).configuration.count, 2);

    core_bench_append(
        bench, (struct core_bench_append){.from = 3, .term = 2, .entry_term = 2, .count = 1});
    assert_true(bench->update.configuration_changed);
    assert_true(core_bench_status(bench).member);
    assert_int_equal(core_bench_status(bench).configuration_index, 0);
    core_bench_persist_all(bench);
    core_bench_timeout(bench);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_acknowledged_only_when_durable),
        cmocka_unit_test(test_a_duplicate_is_acknowledged_at_once_and_writes_nothing),
        cmocka_unit_test(test_an_old_short_append_does_not_cut_the_matching_tail),
        cmocka_unit_test(test_an_append_that_does_not_connect_is_refused_with_a_hint),
        cmocka_unit_test(test_the_hint_jumps_over_terms_that_cannot_match),
        cmocka_unit_test(test_a_conflict_is_cut_and_replaced_in_one_write),
        cmocka_unit_test(test_a_late_completion_does_not_vouch_for_rewritten_entries),
        cmocka_unit_test(test_entries_of_an_older_leader_are_not_acknowledged_to_a_newer_one),
        cmocka_unit_test(test_a_follower_commits_no_further_than_it_is_known_to_match),
        cmocka_unit_test(test_a_follower_commits_no_further_than_its_disk),
        cmocka_unit_test(test_a_heartbeat_moves_the_commit_and_echoes_its_probe),
        cmocka_unit_test(test_a_heartbeat_answer_carries_what_is_applied),
        cmocka_unit_test(test_follower_rejects_entries_from_an_older_term),
        cmocka_unit_test(test_a_second_leader_of_one_term_is_not_obeyed),
        cmocka_unit_test(test_malformed_appends_change_nothing),
        cmocka_unit_test(test_a_configuration_is_in_force_when_appended_and_undone_when_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
