/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: evidence of a leader's death (safety.md, section 6) is used at once, against that leader
 * alone, and given up when it was wrong. Method: one core that follows member 2. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static struct core_bench *follower(const struct core_bench_options *options)
{
    struct core_bench *bench = core_bench_new(options);
    core_bench_append(
        bench, (struct core_bench_append){.from = 2, .term = 1, .entry_term = 1, .count = 1});
    core_bench_persist_all(bench);
    return bench;
}

static void evidence(struct core_bench *bench, enum raft_event_type type, uint32_t member)
{
    core_bench_step(bench, (struct raft_event){.type = type, .peer = core_bench_member(member)});
}

static void beat(struct core_bench *bench, uint32_t from, uint64_t term)
{
    core_bench_receive(bench, core_bench_from(from, RAFT_HEARTBEAT, term));
}

static void test_a_dead_leader_is_forgotten_and_challenged_within_ten_milliseconds(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    assert_true(member_id_is_none(bench->update.leader));
    assert_true(bench->update.leadership_changed);
    core_bench_tick(bench, 10);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_free(bench);
}

static void test_rank_delays_the_challenge_by_ten_milliseconds_each(void **state)
{
    (void)state;
    struct core_bench_options third = {.members = 3, .rank = 2};
    struct core_bench *bench = follower(&third);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    assert_in_range(bench->update.next_deadline_ms, bench->now_ms + 20, bench->now_ms + 29);
    core_bench_free(bench);
}

static void test_the_challenge_is_repeated_while_the_evidence_stands(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    core_bench_timeout(bench);
    for (int i = 0; i < 20; i++) {
        uint64_t from = bench->now_ms;
        core_bench_timeout(bench);
        assert_in_range(bench->now_ms - from, 20, 50);
        assert_int_equal(core_bench_sent_count(bench, RAFT_REQUEST_VOTE), 2);
        /* What the dead one still had on the way is no sign of life. */
        beat(bench, 2, 1);
        assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
        assert_true(member_id_is_none(bench->update.leader));
    }
    assert_int_equal(bench->update.term, 1);
    core_bench_free(bench);
}

static void test_grants_to_an_earlier_round_of_the_challenge_still_count(void **state)
{
    (void)state;
    /* Voters may be further away than the rounds are apart. */
    struct core_bench_options five = {.members = 5};
    struct core_bench *bench = follower(&five);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 3, true, true);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 4, true, true);
    assert_int_equal(bench->update.role, RAFT_CANDIDATE);
    core_bench_free(bench);
}

static void test_who_has_evidence_votes_for_a_challenger(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    struct raft_request_vote asked = {.last_index = 1, .last_term = 1, .pre_vote = true};
    core_bench_ask_vote(bench, 3, 1, asked);
    assert_false(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    core_bench_ask_vote(bench, 3, 1, asked);
    assert_true(
        core_bench_sent(bench, RAFT_REQUEST_VOTE_RESULT, 3, 0)->request_vote_result.granted);
    core_bench_free(bench);
}

static void test_evidence_against_another_peer_changes_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    uint64_t deadline = bench->update.next_deadline_ms;
    evidence(bench, RAFT_EVENT_PEER_DEAD, 3);
    assert_true(member_id_equal(bench->update.leader, core_bench_member(2)));
    assert_int_equal(bench->update.next_deadline_ms, deadline);
    core_bench_free(bench);
}

static void test_withdrawn_evidence_restores_the_normal_timeout(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    core_bench_timeout(bench);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    evidence(bench, RAFT_EVENT_PEER_ALIVE, 2);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_in_range(bench->update.next_deadline_ms, bench->now_ms + 500, bench->now_ms + 999);
    beat(bench, 2, 1);
    assert_true(member_id_equal(bench->update.leader, core_bench_member(2)));
    core_bench_free(bench);
}

static void test_a_new_leader_is_followed_and_sticky_though_the_old_one_is_dead(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    beat(bench, 3, 2);
    assert_true(member_id_equal(bench->update.leader, core_bench_member(3)));
    assert_true(bench->update.next_deadline_ms >= bench->now_ms + 500);
    core_bench_ask_vote(bench, 2, 3, (struct raft_request_vote){.last_index = 9, .last_term = 2});
    assert_int_equal(bench->update.term, 2);
    core_bench_free(bench);
}

static void test_a_message_of_a_newer_term_withdraws_evidence_against_its_sender(void **state)
{
    (void)state;
    /* It cannot have been on the way when the evidence came: the link came back unnoticed. */
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    beat(bench, 2, 2);
    assert_true(member_id_equal(bench->update.leader, core_bench_member(2)));
    core_bench_free(bench);
}

static void test_a_dead_follower_does_not_disturb_the_leader(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_elect(bench);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    assert_int_equal(bench->update.role, RAFT_LEADER);
    core_bench_ack(bench, 3, 1);
    assert_int_equal(bench->update.commit, 1);
    core_bench_free(bench);
}

static void test_entries_from_a_leader_under_evidence_are_kept_and_acknowledged(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    core_bench_append(
        bench,
        (struct core_bench_append){
            .from = 2, .term = 1, .prev_index = 1, .prev_term = 1, .entry_term = 1, .count = 1});
    core_bench_persist_all(bench);
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND_RESULT, 2, 0)->append_result.index, 2);
    assert_true(member_id_is_none(bench->update.leader));
    core_bench_free(bench);
}

static void test_life_of_another_peer_does_not_end_the_challenge(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 3);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    evidence(bench, RAFT_EVENT_PEER_ALIVE, 3);
    core_bench_tick(bench, 10);
    assert_int_equal(bench->update.role, RAFT_PRE_CANDIDATE);
    core_bench_free(bench);
}

static void test_evidence_withdrawn_before_the_challenge_began_starts_none(void **state)
{
    (void)state;
    struct core_bench *bench = follower(&three);
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    evidence(bench, RAFT_EVENT_PEER_ALIVE, 2);
    core_bench_tick(bench, 499);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    core_bench_free(bench);
}

static void
test_a_peer_with_a_new_process_is_asked_how_far_it_is_though_nothing_is_new(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_elect(bench);
    core_bench_ack(bench, 2, 1);
    core_bench_ack(bench, 3, 1);
    assert_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    evidence(bench, RAFT_EVENT_PEER_DEAD, 2);
    const struct raft_message *probe = core_bench_sent(bench, RAFT_APPEND, 2, 0);
    assert_int_equal(probe->append.prev_index, 1);
    assert_int_equal(probe->append.commit, 1);

    /* It may be lost: nobody listened yet. It is sent again until it is answered, then no more. */
    bool again = false;
    for (int i = 0; i < 10; i++) {
        core_bench_tick(bench, 50);
        again = again || core_bench_sent(bench, RAFT_APPEND, 2, 0) != NULL;
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
    assert_true(again);
    core_bench_ack(bench, 2, 1);
    for (int i = 0; i < 10; i++) {
        core_bench_tick(bench, 50);
        assert_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dead_leader_is_forgotten_and_challenged_within_ten_milliseconds),
        cmocka_unit_test(test_rank_delays_the_challenge_by_ten_milliseconds_each),
        cmocka_unit_test(test_the_challenge_is_repeated_while_the_evidence_stands),
        cmocka_unit_test(test_grants_to_an_earlier_round_of_the_challenge_still_count),
        cmocka_unit_test(test_who_has_evidence_votes_for_a_challenger),
        cmocka_unit_test(test_evidence_against_another_peer_changes_nothing),
        cmocka_unit_test(test_withdrawn_evidence_restores_the_normal_timeout),
        cmocka_unit_test(test_a_new_leader_is_followed_and_sticky_though_the_old_one_is_dead),
        cmocka_unit_test(test_a_message_of_a_newer_term_withdraws_evidence_against_its_sender),
        cmocka_unit_test(test_a_dead_follower_does_not_disturb_the_leader),
        cmocka_unit_test(test_entries_from_a_leader_under_evidence_are_kept_and_acknowledged),
        cmocka_unit_test(test_life_of_another_peer_does_not_end_the_challenge),
        cmocka_unit_test(test_evidence_withdrawn_before_the_challenge_began_starts_none),
        cmocka_unit_test(
            test_a_peer_with_a_new_process_is_asked_how_far_it_is_though_nothing_is_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
