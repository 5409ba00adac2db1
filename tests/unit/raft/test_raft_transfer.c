/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a hand-over (thesis, 3.10) passes pre-vote and stickiness, waits for the target to catch
 * up, and a failed one costs an election timeout without proposals, no more. Method: one core. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static struct core_bench *leader(void)
{
    struct core_bench *bench = core_bench_new(&three);
    core_bench_elect(bench);
    return bench;
}

static void hand_over(struct core_bench *bench, uint32_t to)
{
    core_bench_step(
        bench, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = core_bench_member(to)});
}

static void test_a_target_that_is_caught_up_is_told_at_once(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    core_bench_ack(bench, 2, 1);
    hand_over(bench, 2);
    assert_non_null(core_bench_sent(bench, RAFT_TIMEOUT_NOW, 2, 0));
    core_bench_free(bench);
}

static void test_a_target_that_lags_is_told_when_it_has_caught_up(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    hand_over(bench, 2);
    assert_null(core_bench_sent(bench, RAFT_TIMEOUT_NOW, 2, 0));
    core_bench_ack(bench, 3, 1);
    assert_int_equal(core_bench_sent_count(bench, RAFT_TIMEOUT_NOW), 0);
    core_bench_ack(bench, 2, 1);
    assert_non_null(core_bench_sent(bench, RAFT_TIMEOUT_NOW, 2, 0));
    core_bench_free(bench);
}

static void test_proposals_wait_while_a_hand_over_is_under_way(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    hand_over(bench, 2);
    assert_int_equal(core_bench_propose(bench, "a", 1), ERR_UNAVAILABLE);
    for (int i = 0; i < 10; i++) {
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
        core_bench_tick(bench, 50);
    }
    assert_int_equal(bench->update.role, RAFT_LEADER);
    assert_int_equal(core_bench_propose(bench, "a", 1), ERR_OK);
    core_bench_free(bench);
}

static void test_without_a_target_the_best_voter_is_chosen(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    core_bench_ack(bench, 3, 1);
    hand_over(bench, 0);
    assert_non_null(core_bench_sent(bench, RAFT_TIMEOUT_NOW, 3, 0));
    core_bench_free(bench);
}

static void test_a_hand_over_to_ourselves_or_a_stranger_is_ignored(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    hand_over(bench, 1);
    hand_over(bench, 9);
    assert_int_equal(bench->update.messages_count, 0);
    assert_int_equal(core_bench_propose(bench, "a", 1), ERR_OK);
    core_bench_free(bench);
}

static void test_who_is_told_campaigns_at_once_and_says_so(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 1});
    core_bench_receive(bench, core_bench_from(2, RAFT_TIMEOUT_NOW, 1));
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    assert_int_equal(bench->update.term, 2);
    const struct raft_message *asked = core_bench_sent(bench, RAFT_REQUEST_VOTE, 3, 0);
    assert_true(asked->request_vote.disrupt);
    assert_false(asked->request_vote.pre_vote);
    core_bench_free(bench);
}

static void test_only_the_leader_of_the_term_may_tell(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 5});
    core_bench_receive(bench, core_bench_from(3, RAFT_TIMEOUT_NOW, 5));
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    core_bench_receive(bench, core_bench_from(2, RAFT_TIMEOUT_NOW, 4));
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    core_bench_free(bench);
}

static void test_a_disrupting_request_passes_stickiness_of_follower_and_leader(void **state)
{
    (void)state;
    struct raft_request_vote asked = {.last_index = 9, .last_term = 1, .disrupt = true};
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 1});
    core_bench_ask_vote(bench, 3, 2, asked);
    core_bench_persist_all(bench);
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    core_bench_free(bench);

    bench = leader();
    core_bench_ask_vote(bench, 3, 2, asked);
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_a_later_candidacy_does_not_disrupt_any_more(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_append(bench, (struct core_bench_append){.from = 2, .term = 1});
    core_bench_receive(bench, core_bench_from(2, RAFT_TIMEOUT_NOW, 1));
    core_bench_timeout(bench);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_vote_result(bench, 3, true, true);
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    assert_false(core_bench_sent(bench, RAFT_REQUEST_VOTE, 3, 0)->request_vote.disrupt);
    core_bench_free(bench);
}

/* Lets time pass while everybody answers, until a hand-over begins or `ms` are over. */
static bool abdicates_within(struct core_bench *bench, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 50) {
        core_bench_tick(bench, 50);
        if (core_bench_sent_count(bench, RAFT_TIMEOUT_NOW) > 0) {
            return true;
        }
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
    return false;
}

static void test_a_leader_with_a_stalled_disk_hands_over_if_a_majority_is_ahead(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    core_bench_ack(bench, 2, 1);
    core_bench_ack(bench, 3, 1);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_ack(bench, 2, 2);
    core_bench_ack(bench, 3, 2);
    assert_false(abdicates_within(bench, 450));
    assert_true(abdicates_within(bench, 100));
    core_bench_free(bench);
}

static void test_a_leader_stays_if_every_disk_stalls(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    core_bench_ack(bench, 2, 1);
    core_bench_ack(bench, 3, 1);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_ack(bench, 2, 2);
    assert_false(abdicates_within(bench, 5000));
    core_bench_free(bench);
}

static void test_a_leader_whose_disk_is_only_slow_stays(void **state)
{
    (void)state;
    struct core_bench *bench = leader();
    core_bench_ack(bench, 2, 1);
    core_bench_ack(bench, 3, 1);
    for (uint64_t index = 2; index < 20; index++) {
        /* Always behind, but each write gets there in time. */
        uint64_t before = bench->seq_issued;
        (void)core_bench_propose(bench, "a", 1);
        core_bench_ack(bench, 2, index);
        core_bench_ack(bench, 3, index);
        assert_false(abdicates_within(bench, 200));
        core_bench_persist(bench, before);
    }
    core_bench_free(bench);
}

static void test_the_voter_that_is_furthest_ahead_is_the_best(void **state)
{
    (void)state;
    for (uint32_t best = 2; best <= 3; best++) {
        struct core_bench *bench = leader();
        (void)core_bench_propose(bench, "a", 1);
        core_bench_ack(bench, 2, best == 2 ? 2 : 1);
        core_bench_ack(bench, 3, best == 3 ? 2 : 1);
        hand_over(bench, 0);
        assert_non_null(core_bench_sent(bench, RAFT_TIMEOUT_NOW, best, 0));
        core_bench_free(bench);
    }
}

static void test_an_empty_entry_can_be_proposed_to_test_the_disks(void **state)
{
    (void)state;
    struct core_bench_options options = {.members = 3};
    struct core_bench *bench = core_bench_new(&options);
    core_bench_elect(bench);
    uint64_t last = core_bench_status(bench).last_index;
    struct blob *nothing = blob_new(slice_of("", 0));
    struct raft_proposal proposal = {.kind = RAFT_ENTRY_NOOP, .payload = nothing};
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE,
                               .propose = {.proposals = &proposal, .count = 1}};
    core_bench_step(bench, event);
    assert_int_equal(bench->update.propose_error, ERR_OK);
    assert_int_equal(bench->update.write.entries[0].kind, RAFT_ENTRY_NOOP);
    assert_int_equal(core_bench_status(bench).last_index, last + 1);
    blob_unref(nothing);
    core_bench_free(bench);
}

static void test_nothing_is_handed_to_a_voter_that_is_silent(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&(struct core_bench_options){.members = 3});
    core_bench_elect(bench);
    core_bench_ack(bench, 2, 1);
    for (int i = 0; i < 12; i++) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
    }
    core_bench_step(bench,
                    (struct raft_event){.type = RAFT_EVENT_TRANSFER, .peer = core_bench_member(3)});
    /* Proposals are still taken: nobody waits for the dead. */
    assert_int_equal(core_bench_propose(bench, "a", 1), ERR_OK);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_that_is_caught_up_is_told_at_once),
        cmocka_unit_test(test_a_target_that_lags_is_told_when_it_has_caught_up),
        cmocka_unit_test(test_proposals_wait_while_a_hand_over_is_under_way),
        cmocka_unit_test(test_without_a_target_the_best_voter_is_chosen),
        cmocka_unit_test(test_a_hand_over_to_ourselves_or_a_stranger_is_ignored),
        cmocka_unit_test(test_who_is_told_campaigns_at_once_and_says_so),
        cmocka_unit_test(test_only_the_leader_of_the_term_may_tell),
        cmocka_unit_test(test_a_disrupting_request_passes_stickiness_of_follower_and_leader),
        cmocka_unit_test(test_a_later_candidacy_does_not_disrupt_any_more),
        cmocka_unit_test(test_a_leader_with_a_stalled_disk_hands_over_if_a_majority_is_ahead),
        cmocka_unit_test(test_a_leader_stays_if_every_disk_stalls),
        cmocka_unit_test(test_a_leader_whose_disk_is_only_slow_stays),
        cmocka_unit_test(test_the_voter_that_is_furthest_ahead_is_the_best),
        cmocka_unit_test(test_an_empty_entry_can_be_proposed_to_test_the_disks),
        cmocka_unit_test(test_nothing_is_handed_to_a_voter_that_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
