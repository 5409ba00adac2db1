/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: elections follow sections 5.2 and 5.4.1 of the Raft paper, with pre-vote and stickiness,
 * and a vote is a promise of the disk. Method: one core, the test plays everybody else. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static void test_follower_asks_for_pre_votes_when_it_hears_no_leader(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_tick(bench, 499);
    assert_int_equal(bench->update.messages_count, 0);

    core_bench_timeout(bench);

    assert_in_range(bench->now_ms, 500, 999);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    assert_int_equal(bench->update.term, 0);
    assert_int_equal(bench->update.write.seq, 0);
    assert_int_equal(core_bench_sent_count(bench, RAFT_REQUEST_VOTE), 2);
    assert_true(core_bench_sent(bench, RAFT_REQUEST_VOTE, 2, 0)->request_vote.pre_vote);
    core_bench_free(bench);
}

static void test_pre_candidate_without_answers_never_raises_its_term(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    for (int i = 0; i < 50; i++) {
        core_bench_timeout(bench);
    }
    assert_int_equal(bench->update.term, 0);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_free(bench);
}

static void test_candidate_asks_for_votes_in_the_next_term_and_writes_its_own(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_timeout(bench);

    core_bench_vote_result(bench, 2, true, true);

    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    assert_int_equal(bench->update.term, 1);
    assert_true(bench->update.write.has_hard_state);
    assert_int_equal(bench->update.write.hard_state.term, 1);
    assert_true(member_id_equal(bench->update.write.hard_state.vote, core_bench_member(1)));
    assert_false(core_bench_sent(bench, RAFT_REQUEST_VOTE, 3, 0)->request_vote.pre_vote);
    core_bench_free(bench);
}

static void test_candidate_does_not_lead_before_its_own_vote_is_durable(void **state)
{
    (void)state;
    struct core_bench_options five = {.members = 5};
    struct core_bench *bench = core_bench_new(&five);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 2, true, true);
    core_bench_vote_result(bench, 3, true, true);

    /* Even a majority of others does not do: after a crash we could lead this term again. */
    core_bench_vote_result(bench, 2, false, true);
    core_bench_vote_result(bench, 3, false, true);
    core_bench_vote_result(bench, 4, false, true);
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);

    core_bench_persist_all(bench);
    assert_int_equal(bench->update.role, RAFT_LEADER);
    core_bench_free(bench);
}

static void test_a_member_that_may_not_lead_votes_but_never_stands(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    raft_set_may_lead(bench->raft, false);
    for (int i = 0; i < 10; i++) {
        core_bench_timeout(bench);
        assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    }
    core_bench_step(
        bench, (struct raft_event){.type = RAFT_EVENT_PEER_DEAD, .peer = core_bench_member(2)});
    core_bench_timeout(bench);
    core_bench_receive(bench, core_bench_from(3, RAFT_TIMEOUT_NOW, 1));
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);

    core_bench_ask_vote(bench, 3, 2, (struct raft_request_vote){0});
    core_bench_persist_all(bench);
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);

    raft_set_may_lead(bench->raft, true);
    core_bench_timeout(bench);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_free(bench);
}

static void test_the_same_voter_counts_once(void **state)
{
    (void)state;
    struct core_bench_options five = {.members = 5};
    struct core_bench *bench = core_bench_new(&five);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 2, true, true);
    core_bench_vote_result(bench, 2, true, true);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_free(bench);
}

static void test_a_stranger_and_a_learner_do_not_count(void **state)
{
    (void)state;
    struct raft_configuration configuration = {
        .servers = {{.id = {.lo = 1}, .voter = true},
                    {.id = {.lo = 2}, .voter = true},
                    {.id = {.lo = 3}, .voter = true},
                    {.id = {.lo = 4}, .voter = false}},
        .count = 4,
    };
    struct core_bench_options options = {.configuration = &configuration};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_timeout(bench);
    assert_null(core_bench_sent(bench, RAFT_REQUEST_VOTE, 4, 0));
    core_bench_vote_result(bench, 4, true, true);
    core_bench_vote_result(bench, 9, true, true);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_vote_result(bench, 3, true, true);
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    core_bench_free(bench);
}

static void test_a_learner_never_campaigns(void **state)
{
    (void)state;
    struct raft_configuration configuration = {
        .servers = {{.id = {.lo = 1}, .voter = false}, {.id = {.lo = 2}, .voter = true}},
        .count = 2,
    };
    struct core_bench_options options = {.configuration = &configuration};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_tick(bench, 5000);
    core_bench_tick(bench, 5000);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_free(bench);
}

static void test_a_member_that_joins_and_knows_nobody_never_campaigns(void **state)
{
    (void)state;
    struct raft_configuration nobody = {.count = 0};
    struct core_bench_options options = {.configuration = &nobody};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_tick(bench, 5000);
    core_bench_tick(bench, 5000);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_int_equal(bench->update.messages_count, 0);
    core_bench_free(bench);
}

static void test_a_request_for_votes_shows_durable_entries_only(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 1, .entry_term = 1, .count = 2});
    core_bench_persist_all(bench);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 1, .prev_index = 2, .prev_term = 1, .entry_term = 1, .count = 3});
    core_bench_timeout(bench);
    const struct raft_message *asked = core_bench_sent(bench, RAFT_REQUEST_VOTE, 2, 0);
    assert_int_equal(asked->request_vote.last_index, 2);
    assert_int_equal(asked->request_vote.last_term, 1);
    core_bench_free(bench);
}

static void test_a_candidate_yields_to_the_leader_of_its_term(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 2, true, true);
    core_bench_append(bench, (struct core_bench_append){.from = 3, .term = 1});
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_true(member_id_equal(bench->update.leader, core_bench_member(3)));
    core_bench_free(bench);
}

static void test_a_sole_voter_leads_at_once_but_not_before_its_vote_is_durable(void **state)
{
    (void)state;
    struct core_bench_options one = {.members = 1};
    struct core_bench *bench = core_bench_new(&one);
    core_bench_tick(bench, 0);
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.role, RAFT_LEADER);
    assert_int_equal(bench->update.commit, 0);
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.commit, 1);
    core_bench_free(bench);
}

static void test_a_joint_election_needs_both_majorities(void **state)
{
    (void)state;
    struct raft_configuration configuration = {
        .servers = {{.id = {.lo = 1}, .voter = true, .voter_old = true},
                    {.id = {.lo = 2}, .voter_old = true},
                    {.id = {.lo = 3}, .voter_old = true},
                    {.id = {.lo = 4}, .voter = true},
                    {.id = {.lo = 5}, .voter = true}},
        .count = 5,
    };
    struct core_bench_options options = {.configuration = &configuration};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 4, true, true);
    core_bench_vote_result(bench, 5, true, true);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_vote_result(bench, 2, true, true);
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    core_bench_free(bench);
}

static void test_timeouts_are_spread_over_one_election_time(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t from = bench->now_ms;
        core_bench_timeout(bench);
        uint64_t waited = bench->now_ms - from;
        assert_in_range(waited, 500, 999);
        least = waited < least ? waited : least;
        most = waited > most ? waited : most;
    }
    assert_true(least < 550 && most > 950);
    core_bench_free(bench);
}

static void test_a_recovered_core_follows_nobody_and_keeps_its_vote(void **state)
{
    (void)state;
    struct core_bench_options voted = {.members = 3, .term = 4, .vote = 3};
    struct core_bench *bench = core_bench_new(&voted);
    struct raft_status status = core_bench_status(bench);
    assert_int_equal(status.role, RAFT_FOLLOWER);
    assert_int_equal(status.term, 4);
    assert_true(member_id_equal(status.vote, core_bench_member(3)));
    assert_true(member_id_is_none(status.leader));
    core_bench_free(bench);
}

static void test_a_learner_forgets_a_leader_that_is_silent(void **state)
{
    (void)state;
    struct raft_configuration configuration = {
        .servers = {{.id = {.lo = 1}, .voter = false}, {.id = {.lo = 2}, .voter = true}},
        .count = 2,
    };
    struct core_bench_options options = {.configuration = &configuration};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 1});
    assert_true(member_id_equal(bench->update.leader, core_bench_member(2)));
    core_bench_timeout(bench);
    assert_true(member_id_is_none(bench->update.leader));
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follower_asks_for_pre_votes_when_it_hears_no_leader),
        cmocka_unit_test(test_pre_candidate_without_answers_never_raises_its_term),
        cmocka_unit_test(test_candidate_asks_for_votes_in_the_next_term_and_writes_its_own),
        cmocka_unit_test(test_candidate_does_not_lead_before_its_own_vote_is_durable),
        cmocka_unit_test(test_a_member_that_may_not_lead_votes_but_never_stands),
        cmocka_unit_test(test_the_same_voter_counts_once),
        cmocka_unit_test(test_a_stranger_and_a_learner_do_not_count),
        cmocka_unit_test(test_a_learner_never_campaigns),
        cmocka_unit_test(test_a_member_that_joins_and_knows_nobody_never_campaigns),
        cmocka_unit_test(test_a_request_for_votes_shows_durable_entries_only),
        cmocka_unit_test(test_a_candidate_yields_to_the_leader_of_its_term),
        cmocka_unit_test(test_a_sole_voter_leads_at_once_but_not_before_its_vote_is_durable),
        cmocka_unit_test(test_a_joint_election_needs_both_majorities),
        cmocka_unit_test(test_timeouts_are_spread_over_one_election_time),
        cmocka_unit_test(test_a_recovered_core_follows_nobody_and_keeps_its_vote),
        cmocka_unit_test(test_a_learner_forgets_a_leader_that_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
