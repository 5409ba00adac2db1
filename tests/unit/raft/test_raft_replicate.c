/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a leader appends, streams, backtracks and commits as sections 5.3 and 5.4.2 say; it keeps
 * office only while a quorum answers. Method: one core, elected on the bench. */
#include "core_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_bench_options three = {.members = 3};

static struct core_bench *leader_of(const struct core_bench_options *options)
{
    struct core_bench *bench = core_bench_new(options);
    core_bench_elect(bench);
    return bench;
}

/* Everybody holds the no-op (and all before it). */
static struct core_bench *level_leader_of(const struct core_bench_options *options)
{
    struct core_bench *bench = leader_of(options);
    uint64_t last = core_bench_status(bench).last_index;
    for (uint32_t member = 2; member <= options->members; member++) {
        core_bench_ack(bench, member, last);
    }
    return bench;
}

static void test_a_new_leader_appends_an_entry_of_its_own_term_and_beats(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    core_bench_timeout(bench);
    core_bench_vote_result(bench, 2, true, true);
    core_bench_persist_all(bench);
    core_bench_vote_result(bench, 2, false, true);
    assert_int_equal(bench->update.role, RAFT_LEADER);
    assert_int_equal(bench->update.write.entries_count, 1);
    assert_int_equal(bench->update.write.entries[0].kind, RAFT_ENTRY_NOOP);
    assert_int_equal(core_bench_sent_count(bench, RAFT_HEARTBEAT), 2);
    assert_int_equal(core_bench_sent_count(bench, RAFT_APPEND), 2);
    core_bench_free(bench);
}

static void test_the_leader_sends_while_its_own_disk_still_writes(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    assert_int_equal(core_bench_propose(bench, "a", 2), ERR_OK);
    assert_int_equal(bench->update.write.entries_count, 2);
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND, 2, 0)->append.entries_count, 2);
    assert_int_equal(bench->update.propose_first_index, 2);
    core_bench_free(bench);
}

static void
test_an_entry_is_committed_by_a_durable_majority_the_leader_included_or_not(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_ack(bench, 2, 2);
    /* One follower and an unwritten leader are no majority. */
    assert_int_equal(core_bench_sent_count(bench, RAFT_APPEND), 0);
    assert_int_equal(bench->update.commit, 1);
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.commit, 2);

    (void)core_bench_propose(bench, "b", 1);
    core_bench_ack(bench, 2, 3);
    core_bench_ack(bench, 3, 3);
    /* Committed, but we apply only what our own disk holds. */
    assert_int_equal(bench->update.commit, 2);
    (void)core_bench_propose(bench, "c", 1);
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND, 2, 0)->append.commit, 3);
    core_bench_persist_all(bench);
    assert_int_equal(bench->update.commit, 3);
    core_bench_free(bench);
}

static void test_entries_of_older_terms_are_not_committed_by_counting(void **state)
{
    (void)state;
    /* Figure 8: entry 2 of term 2 sits on a majority, yet may still be overwritten. */
    static const uint64_t terms[] = {1, 2};
    struct core_bench_options options = {
        .members = 3, .term = 3, .terms = terms, .entries_count = 2};
    struct core_bench *bench = leader_of(&options);
    core_bench_ack(bench, 2, 2);
    core_bench_ack(bench, 3, 2);
    assert_int_equal(bench->update.commit, 0);
    core_bench_ack(bench, 2, 3);
    assert_int_equal(bench->update.commit, 3);
    core_bench_free(bench);
}

static void test_appends_are_pipelined_within_the_window_of_messages(void **state)
{
    (void)state;
    struct core_bench_options options = {.members = 3, .inflight_messages_max = 2};
    struct core_bench *bench = level_leader_of(&options);
    (void)core_bench_propose(bench, "a", 1);
    assert_non_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    (void)core_bench_propose(bench, "b", 1);
    assert_non_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    (void)core_bench_propose(bench, "c", 1);
    (void)core_bench_propose(bench, "d", 1);
    assert_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    /* An answer opens the window: what waited leaves as one message. */
    core_bench_ack(bench, 2, 2);
    const struct raft_message *append = core_bench_sent(bench, RAFT_APPEND, 2, 0);
    assert_int_equal(append->append.prev_index, 3);
    assert_int_equal(append->append.entries_count, 2);
    assert_null(core_bench_sent(bench, RAFT_APPEND, 2, 1));
    core_bench_free(bench);
}

static void test_messages_are_cut_by_bytes_but_carry_at_least_one_entry(void **state)
{
    (void)state;
    struct core_bench_options options = {.members = 3, .append_bytes_max = 1};
    struct core_bench *bench = level_leader_of(&options);
    (void)core_bench_propose(bench, "longer than the limit", 3);
    for (uint32_t n = 0; n < 3; n++) {
        const struct raft_message *append = core_bench_sent(bench, RAFT_APPEND, 2, n);
        assert_int_equal(append->append.entries_count, 1);
        assert_int_equal(append->append.prev_index, 1 + n);
        assert_int_equal(append->append.entries[0].index, 2 + n);
    }
    assert_null(core_bench_sent(bench, RAFT_APPEND, 2, 3));
    core_bench_free(bench);
}

static void test_backtracking_takes_one_round_per_diverging_term(void **state)
{
    (void)state;
    static const uint64_t terms[] = {1, 1, 1, 4, 4, 4, 4, 4, 4};
    struct core_bench_options options = {
        .members = 3, .term = 4, .terms = terms, .entries_count = 9};
    struct core_bench *bench = leader_of(&options);
    /* The follower's log: 1 1 1 2 2 2 2 2 2. It refuses 9/4 and hints at 9/2. */
    core_bench_refuse(
        bench, 2, (struct raft_append_result){.index = 9, .hint_index = 9, .hint_term = 2});
    const struct raft_message *append = core_bench_sent(bench, RAFT_APPEND, 2, 0);
    assert_int_equal(append->append.prev_index, 3);
    assert_int_equal(append->append.prev_term, 1);
    core_bench_free(bench);
}

static void test_a_refused_stream_becomes_one_probe_at_a_time(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    (void)core_bench_propose(bench, "a", 1);
    (void)core_bench_propose(bench, "b", 1);
    /* The first append was lost, so the second does not connect. */
    core_bench_refuse(
        bench, 2, (struct raft_append_result){.index = 2, .hint_index = 1, .hint_term = 1});
    const struct raft_message *probe = core_bench_sent(bench, RAFT_APPEND, 2, 0);
    assert_int_equal(probe->append.prev_index, 1);
    assert_int_equal(probe->append.entries_count, 2);
    (void)core_bench_propose(bench, "c", 1);
    assert_null(core_bench_sent(bench, RAFT_APPEND, 2, 0));
    core_bench_ack(bench, 2, 3);
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND, 2, 0)->append.prev_index, 3);
    core_bench_free(bench);
}

static void test_an_old_refusal_moves_nothing(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_ack(bench, 2, 2);
    core_bench_refuse(
        bench, 2, (struct raft_append_result){.index = 1, .hint_index = 0, .hint_term = 0});
    assert_int_equal(core_bench_status(bench).peers[0].match_index, 2);
    assert_int_equal(core_bench_status(bench).peers[0].next_index, 3);
    core_bench_free(bench);
}

static void test_a_refusal_always_moves_the_probe_back(void **state)
{
    (void)state;
    static const uint64_t terms[] = {1, 1, 1};
    struct core_bench_options options = {
        .members = 3, .term = 1, .terms = terms, .entries_count = 3};
    struct core_bench *bench = leader_of(&options);
    /* A hint that would make us ask the same again, for ever. */
    for (uint64_t refused = 3; refused >= 1; refused--) {
        core_bench_refuse(
            bench,
            2,
            (struct raft_append_result){.index = refused, .hint_index = 99, .hint_term = 99});
        assert_int_equal(core_bench_sent(bench, RAFT_APPEND, 2, 0)->append.prev_index, refused - 1);
    }
    core_bench_free(bench);
}

static void test_acknowledgements_beyond_the_log_are_ignored(void **state)
{
    (void)state;
    struct core_bench *bench = leader_of(&three);
    core_bench_ack(bench, 2, 1000);
    assert_int_equal(core_bench_status(bench).peers[0].match_index, 0);
    core_bench_free(bench);
}

static void test_a_lost_append_is_probed_again_after_a_while(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 3, 2);
    bool sent = false;
    for (int i = 0; i < 6 && !sent; i++) {
        core_bench_tick(bench, 50);
        sent = core_bench_sent(bench, RAFT_APPEND, 2, 0) != NULL;
        core_bench_heartbeat_result(bench, 2, 0);
    }
    assert_true(sent);
    core_bench_free(bench);
}

static void test_a_link_that_comes_back_is_used_at_once(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    (void)core_bench_propose(bench, "a", 1);
    core_bench_step(
        bench, (struct raft_event){.type = RAFT_EVENT_PEER_ALIVE, .peer = core_bench_member(2)});
    assert_int_equal(core_bench_sent(bench, RAFT_APPEND, 2, 0)->append.prev_index, 1);
    core_bench_free(bench);
}

static void test_a_leader_that_no_quorum_answers_steps_down(void **state)
{
    (void)state;
    struct core_bench_options five = {.members = 5};
    struct core_bench *bench = leader_of(&five);
    for (int i = 0; i < 30; i++) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
        core_bench_heartbeat_result(bench, 3, 0);
    }
    assert_int_equal(bench->update.role, RAFT_LEADER);
    for (int i = 0; i < 9; i++) {
        core_bench_tick(bench, 50);
        core_bench_heartbeat_result(bench, 2, 0);
    }
    assert_int_equal(bench->update.role, RAFT_LEADER);
    core_bench_tick(bench, 50);
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_int_equal(bench->update.term, 1);
    assert_true(member_id_is_none(bench->update.leader));
    core_bench_free(bench);
}

static void test_a_higher_term_in_any_answer_ends_the_office(void **state)
{
    (void)state;
    struct core_bench *bench = leader_of(&three);
    core_bench_receive(bench, core_bench_from(3, RAFT_HEARTBEAT_RESULT, 8));
    assert_int_equal(bench->update.role, RAFT_FOLLOWER);
    assert_int_equal(bench->update.term, 8);
    assert_true(bench->update.write.has_hard_state);
    core_bench_free(bench);
}

static void test_proposals_that_cannot_be_taken_say_why(void **state)
{
    (void)state;
    struct core_bench *bench = core_bench_new(&three);
    assert_int_equal(core_bench_propose(bench, "a", 1), ERR_NOT_LEADER);
    core_bench_elect(bench);
    assert_int_equal(core_bench_propose(bench, "a", 0), ERR_INVALID);
    struct blob *payload = blob_new(slice_of_string("x"));
    struct raft_proposal proposal = {.kind = RAFT_ENTRY_CONFIGURATION, .payload = payload};
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE,
                               .propose = {.proposals = &proposal, .count = 1}};
    core_bench_step(bench, event);
    assert_int_equal(bench->update.propose_error, ERR_INVALID);
    proposal.kind = RAFT_ENTRY_NOOP;
    core_bench_step(bench, event);
    assert_int_equal(bench->update.propose_error, ERR_INVALID);
    assert_int_equal(core_bench_status(bench).last_index, 1);
    blob_unref(payload);
    core_bench_free(bench);
}

static void test_uncommitted_bytes_are_bounded_and_freed_by_commit(void **state)
{
    (void)state;
    struct core_bench_options options = {.members = 3, .uncommitted_bytes_max = 200};
    struct core_bench *bench = level_leader_of(&options);
    assert_int_equal(core_bench_propose(bench, "0123456789", 5), ERR_OK);
    assert_int_equal(core_bench_propose(bench, "0123456789", 1), ERR_EXHAUSTED);
    core_bench_persist_all(bench);
    core_bench_ack(bench, 2, 6);
    assert_int_equal(core_bench_propose(bench, "0123456789", 1), ERR_OK);
    core_bench_free(bench);
}

static void test_a_learner_receives_the_log_and_counts_for_nothing(void **state)
{
    (void)state;
    struct raft_configuration configuration = {
        .servers = {{.id = {.lo = 1}, .voter = true},
                    {.id = {.lo = 2}, .voter = true},
                    {.id = {.lo = 3}, .voter = false}},
        .count = 3,
    };
    struct core_bench_options options = {.configuration = &configuration};
    struct core_bench *bench = leader_of(&options);
    core_bench_ack(bench, 3, 1);
    assert_int_equal(bench->update.commit, 0);
    (void)core_bench_propose(bench, "a", 1);
    assert_non_null(core_bench_sent(bench, RAFT_APPEND, 3, 0));
    core_bench_ack(bench, 2, 1);
    assert_int_equal(bench->update.commit, 1);
    core_bench_free(bench);
}

static void test_the_status_shows_what_peers_have_applied(void **state)
{
    (void)state;
    struct core_bench *bench = level_leader_of(&three);
    struct raft_message message = core_bench_from(3, RAFT_HEARTBEAT_RESULT, 1);
    message.heartbeat_result = (struct raft_heartbeat_result){.applied_index = 1, .state_hash = 99};
    core_bench_receive(bench, message);
    /* Heartbeats may overtake each other. */
    message.heartbeat_result = (struct raft_heartbeat_result){0};
    core_bench_receive(bench, message);
    struct raft_peer_status peer = core_bench_status(bench).peers[1];
    assert_true(member_id_equal(peer.id, core_bench_member(3)));
    assert_int_equal(peer.applied_index, 1);
    assert_int_equal(peer.state_hash, 99);
    assert_int_equal(peer.match_index, 1);
    assert_true(peer.active);
    core_bench_tick(bench, 500);
    core_bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_leader_appends_an_entry_of_its_own_term_and_beats),
        cmocka_unit_test(test_the_leader_sends_while_its_own_disk_still_writes),
        cmocka_unit_test(
            test_an_entry_is_committed_by_a_durable_majority_the_leader_included_or_not),
        cmocka_unit_test(test_entries_of_older_terms_are_not_committed_by_counting),
        cmocka_unit_test(test_appends_are_pipelined_within_the_window_of_messages),
        cmocka_unit_test(test_messages_are_cut_by_bytes_but_carry_at_least_one_entry),
        cmocka_unit_test(test_backtracking_takes_one_round_per_diverging_term),
        cmocka_unit_test(test_a_refused_stream_becomes_one_probe_at_a_time),
        cmocka_unit_test(test_an_old_refusal_moves_nothing),
        cmocka_unit_test(test_a_refusal_always_moves_the_probe_back),
        cmocka_unit_test(test_acknowledgements_beyond_the_log_are_ignored),
        cmocka_unit_test(test_a_lost_append_is_probed_again_after_a_while),
        cmocka_unit_test(test_a_link_that_comes_back_is_used_at_once),
        cmocka_unit_test(test_a_leader_that_no_quorum_answers_steps_down),
        cmocka_unit_test(test_a_higher_term_in_any_answer_ends_the_office),
        cmocka_unit_test(test_proposals_that_cannot_be_taken_say_why),
        cmocka_unit_test(test_uncommitted_bytes_are_bounded_and_freed_by_commit),
        cmocka_unit_test(test_a_learner_receives_the_log_and_counts_for_nothing),
        cmocka_unit_test(test_the_status_shows_what_peers_have_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
