/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: voters follow section 5.4.1 of the Raft paper, keep to a leader they hear, and tell a vote
 * only when it is durable. Method: one core, the test plays the candidates. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static void test_a_vote_is_told_only_when_it_is_durable(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_ask_vote(bench, 2, 1, (struct raft_request_vote){0});
    assert_int_equal(bench->update.messages_count, 0);
    assert_int_equal(bench->update.write.hard_state.term, 1);
    assert_true(member_id_equal(bench->update.write.hard_state.vote, core_bench_member(2)));

    core_bench_persist_all(bench);

    const struct raft_message *result = core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0);
    assert_non_null(result);
    assert_true(result->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_vote_overtaken_by_a_newer_term_is_never_told(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_ask_vote(bench, 2, 1, (struct raft_request_vote){0});
    uint64_t seq = bench->seq_issued;
    core_bench_ask_vote(bench, 3, 2, (struct raft_request_vote){0});
    core_bench_persist(bench, seq);
    assert_null(core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0));
    core_bench_persist_all(bench);
    assert_null(core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0));
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_second_candidate_of_the_term_is_refused_and_the_first_told_again(void **state)
{
    (void)state;
    struct core_bench_options voted = {.members = 3, .term = 4, .vote = 2};
    struct core_bench *bench = core_bench_new(&voted);
    core_bench_ask_vote(bench, 3, 4, (struct raft_request_vote){0});
    assert_false(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    /* The vote was recovered from disk, so it is durable already. */
    core_bench_ask_vote(bench, 2, 4, (struct raft_request_vote){0});
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_candidates_with_older_logs_are_refused(void **state)
{
    (void)state;
    static const uint64_t terms[] = {1, 1, 2};
    struct core_bench_options options = {
        .members = 3, .term = 2, .terms = terms, .entries_count = 3};

    static const struct {
        uint64_t last_index;
        uint64_t last_term;
        bool granted;
    } cases[] = {
        {3, 2, true},
        {4, 2, true},
        {1, 3, true},
        {2, 2, false},
        {9, 1, false},
        {0, 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct core_bench *bench = core_bench_new(&options);
        core_bench_ask_vote(bench,
                            2,
                            3,
                            (struct raft_request_vote){.last_index = cases[i].last_index,
                                                       .last_term = cases[i].last_term});
        core_bench_persist_all(bench);
        const struct raft_message *told = core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0);
        assert_int_equal(told != NULL && told->request_vote_result.granted, cases[i].granted);
        core_bench_free(bench);
    }
}

static void test_a_learner_that_is_asked_votes_by_the_log(void **state)
{
    (void)state;
    /* Its own configuration may be older than the candidate's. */
    struct raft_configuration configuration = {
        .servers = {{.id = {.lo = 1}, .voter = false}, {.id = {.lo = 2}, .voter = true}},
        .count = 2,
    };
    struct core_bench_options options = {.configuration = &configuration};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_ask_vote(bench, 2, 1, (struct raft_request_vote){0});
    core_bench_persist_all(bench);
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_who_hears_a_leader_refuses_without_taking_the_term(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 1});
    core_bench_tick(bench, 100);
    for (int pre_vote = 0; pre_vote <= 1; pre_vote++) {
        core_bench_ask_vote(bench, 3, 7, (struct raft_request_vote){.pre_vote = pre_vote == 1});
        const struct raft_message *told = core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0);
        assert_false(told->request_vote_result.granted);
        assert_int_equal(told->term, 1);
        assert_int_equal(bench->update.term, 1);
    }
    core_bench_free(bench);
}

static void test_stickiness_ends_with_the_leaders_silence(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 1});
    core_bench_tick(bench, 499);
    core_bench_ask_vote(bench, 3, 1, (struct raft_request_vote){.pre_vote = true});
    assert_false(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    bench->now_ms += 1;
    core_bench_ask_vote(bench, 3, 1, (struct raft_request_vote){.pre_vote = true});
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_pre_vote_changes_nothing_that_lasts(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_ask_vote(bench, 2, 0, (struct raft_request_vote){.pre_vote = true});
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0)->request_vote_result.granted);
    assert_int_equal(bench->update.write.seq, 0);
    core_bench_ask_vote(bench, 3, 0, (struct raft_request_vote){.pre_vote = true});
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_peer_with_an_older_term_is_always_answered(void **state)
{
    (void)state;
    struct core_bench_options ahead = {.members = 3, .term = 9};
    struct core_bench *bench = core_bench_new(&ahead);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 3});
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0)->term, 9);
    assert_false(core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0)->append_result.success);
    core_bench_receive(bench, core_bench_from(2, RAFT_HEARTBEAT, 3));
    assert_int_equal(core_bench_sent(bench, RAFT_HEARTBEAT_RESULT, 2, 0)->term, 9);
    core_bench_ask_vote(bench, 2, 3, (struct raft_request_vote){0});
    assert_int_equal(core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 2, 0)->term, 9);
    core_bench_receive(bench, core_bench_from(2, RAFT_INSTALL_SNAPSHOT, 3));
    assert_int_equal(core_bench_sent(bench, RAFT_INSTALL_SNAPSHOT_RESULT, 2, 0)->term, 9);
    /* … but an old answer is not, or two servers would talk for ever. */
    core_bench_receive(bench, core_bench_from(2, RAFT_APPEND_RESULT, 3));
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_free(bench);
}

static void test_a_pre_candidate_that_votes_for_another_waits_for_it(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_timeout(bench);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_ask_vote(bench, 2, 0, (struct raft_request_vote){0});
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_true(bench->update.next_deadline_ms >= bench->now_ms + 500);
    core_bench_free(bench);
}

static void test_terms_that_no_cluster_can_reach_are_dropped(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_ask_vote(bench, 2, UINT64_MAX, (struct raft_request_vote){0});
    core_bench_receive(bench, core_bench_from(2, RAFT_HEARTBEAT, UINT64_MAX));
    assert_int_equal(bench->update.term, 0);
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_free(bench);
}

static void test_messages_for_or_from_the_wrong_member_are_dropped(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    struct raft_message message = core_bench_from(2, RAFT_REQUEST_VOTE, 3);
    message.to = core_bench_member(3);
    core_bench_receive(bench, message);
    core_bench_receive(bench, core_bench_from(1, RAFT_REQUEST_VOTE, 3));
    core_bench_receive(bench, core_bench_from(0, RAFT_REQUEST_VOTE, 3));
    assert_int_equal(bench->update.term, 0);
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_vote_is_told_only_when_it_is_durable),
        cmocka_unit_test(test_a_vote_overtaken_by_a_newer_term_is_never_told),
        cmocka_unit_test(test_a_second_candidate_of_the_term_is_refused_and_the_first_told_again),
        cmocka_unit_test(test_candidates_with_older_logs_are_refused),
        cmocka_unit_test(test_a_learner_that_is_asked_votes_by_the_log),
        cmocka_unit_test(test_who_hears_a_leader_refuses_without_taking_the_term),
        cmocka_unit_test(test_stickiness_ends_with_the_leaders_silence),
        cmocka_unit_test(test_a_pre_vote_changes_nothing_that_lasts),
        cmocka_unit_test(test_a_peer_with_an_older_term_is_always_answered),
        cmocka_unit_test(test_a_pre_candidate_that_votes_for_another_waits_for_it),
        cmocka_unit_test(test_terms_that_no_cluster_can_reach_are_dropped),
        cmocka_unit_test(test_messages_for_or_from_the_wrong_member_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
