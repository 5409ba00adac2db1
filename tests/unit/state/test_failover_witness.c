/* SPDX-License-Identifier: Apache-2.0 */
/* Whose word a data folder needs before it may lead again: that of the guardian who saw the end of
 * the recorded start, or final positions of enough of the sync record with nobody above; and never
 * one below what is known to have been in it. */
#include "state_fixture.h"

#include <stdio.h>

static const struct sync_member FOLDER_A = {{A}, {11}};
static const struct sync_member FOLDER_B = {{B}, {12}};

static struct command_failover *begin(struct fixture *f, bool in_place)
{
    struct command_failover *body = fixture_begin(f);
    body->cause = CAUSE_PROCESS;
    body->in_place = in_place;
    body->witnessed = !in_place;
    return body;
}

static struct command_failover *completed_with_own(struct fixture *f, uint64_t lsn)
{
    struct command_failover *body = fixture_completed(f);
    body->own = (struct final_report){
        .instance = {A}, .incarnation = {11}, .position = {.timeline = 2, .lsn = lsn}};
    return body;
}

static void until_complete(struct fixture *f)
{
    (void)begin(f, false);
    fixture_passes(f);
    (void)fixture_excluded(f);
    fixture_passes(f);
}

static void test_a_restart_in_place_needs_who_saw_the_end_of_the_recorded_start(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_OPENED); /* B, under FIXTURE_NONCE */
    struct command_failover *body = begin(&f, true);
    body->epoch.value = 3;
    body->start_nonce = FIXTURE_NONCE + 1;
    fixture_refused(&f, ERR_PRECONDITION, "nobody saw the end of the start");
    body->start_nonce = 0;
    fixture_refused(&f, ERR_PRECONDITION, "nobody saw the end of the start");
    body->start_nonce = FIXTURE_NONCE;
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_a_folder_below_a_mark_is_not_promoted_in_place(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    marks_raise(&begin(&f, true)->marks, FOLDER_B, (struct position){2, 400});
    fixture_passes(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);
    struct goal goal;
    struct shard_view view = fixture_view(&f);
    goal_derive(&view, (struct instance_id){A}, &goal);
    assert_int_equal(goal.floor.lsn, 400);
    fixture_promoted(&f)->fork.fork_lsn = 399;
    fixture_refused(&f, ERR_PRECONDITION, "below the floor");
    fixture_promoted(&f)->fork.fork_lsn = 400;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.primary_nonce, FIXTURE_NONCE);
    fixture_free(&f);
}

/* The primary had more than the standby that took over, and that one's promotion broke. Nobody
 * holds what was decided away, so a floor of it would keep the shard waiting for ever. */
static void test_what_a_decision_left_behind_is_asked_of_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
    struct shard shard = fixture_view(&f).shard;
    struct position lost = {shard.floor.timeline, shard.floor.lsn + 500};
    struct position later = {shard.branch_timeline, 1};
    assert_true(shard_left_behind(&shard, lost));
    assert_false(shard_left_behind(&shard, shard.floor));
    assert_false(shard_left_behind(&shard, later));
    struct command_failover *body = begin(&f, true);
    body->epoch.value = shard.epoch.value + 1;
    body->acked_floor = lost;
    body->marks.acked = lost;
    marks_raise(&body->marks, FOLDER_A, lost);
    body->start_nonce = FIXTURE_NONCE;
    fixture_passes(&f);
    struct shard_view view = fixture_view(&f);
    assert_int_equal(failover_own_floor(&view.failover).timeline, 0);
    fixture_free(&f);
}

static void test_the_old_primary_may_return_when_enough_report_and_nobody_holds_more(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    until_complete(&f);
    (void)completed_with_own(&f, 300);
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.primary.value, A);
    assert_int_equal(fixture_view(&f).shard.primary_nonce, 0);
    fixture_free(&f);
}

/* Nobody else was chosen: what is heard of this folder afterwards still shows that it is an older
 * copy of itself. */
static void test_who_returns_to_office_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int mode = SHARD_SYNC; mode <= SHARD_ASYNC; mode++) {
        struct fixture f;
        fixture_steady(&f, (enum shard_mode)mode);
        until_complete(&f);
        (void)completed_with_own(&f, 300);
        fixture_passes(&f);
        fixture_decided(&f)->candidate.value = A;
        fixture_passes(&f);
        struct shard shard = fixture_view(&f).shard;
        struct position more = {2, 400};
        assert_int_equal(shard.floor.lsn, 300);
        assert_false(shard_left_behind(&shard, more));
        struct command_failover *body = begin(&f, false);
        body->epoch.value = shard.epoch.value + 1;
        marks_raise(&body->marks, FOLDER_A, more);
        fixture_passes(&f);
        struct shard_view view = fixture_view(&f);
        assert_int_equal(failover_own_floor(&view.failover).lsn, 400);
        fixture_free(&f);
    }
}

static void test_anybody_above_refuses_the_old_primary(void **state)
{
    (void)state;
    for (int mode = SHARD_SYNC; mode <= SHARD_ASYNC; mode++) {
        struct fixture f;
        fixture_steady(&f, (enum shard_mode)mode);
        until_complete(&f);
        (void)completed_with_own(&f, 299);
        fixture_passes(&f);
        fixture_decided(&f)->candidate.value = A;
        fixture_refused(&f, ERR_PRECONDITION, "holds more");
        fixture_free(&f);
    }
}

static void test_who_is_not_heard_is_no_witness(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    (void)begin(&f, false);
    fixture_passes(&f);
    struct command_failover *body = fixture_excluded(&f);
    body->proof = PROOF_FENCE;
    (void)snprintf(body->evidence, sizeof(body->evidence), "a reports itself fenced");
    body->reports_count = 0;
    fixture_passes(&f);
    completed_with_own(&f, 300)->reports_count = 1;
    fixture_refused(&f, ERR_PRECONDITION, "R + W > |S|");
    fixture_free(&f);
}

static void test_an_older_copy_is_neither_the_old_primarys_folder_nor_a_witness(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    until_complete(&f);
    marks_raise(&completed_with_own(&f, 300)->marks, FOLDER_A, (struct position){2, 301});
    fixture_refused(&f, ERR_INVALID, "older one than was once there");
    marks_raise(&completed_with_own(&f, 400)->marks, FOLDER_B, (struct position){2, 399});
    fixture_refused(&f, ERR_INVALID, "less than it once acknowledged");
    fixture_free(&f);
}

static void test_an_own_position_that_was_not_asked_for_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_EXCLUDED);
    (void)completed_with_own(&f, 300);
    fixture_refused(&f, ERR_INVALID, "was not asked for");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restart_in_place_needs_who_saw_the_end_of_the_recorded_start),
        cmocka_unit_test(test_a_folder_below_a_mark_is_not_promoted_in_place),
        cmocka_unit_test(test_what_a_decision_left_behind_is_asked_of_nobody),
        cmocka_unit_test(test_the_old_primary_may_return_when_enough_report_and_nobody_holds_more),
        cmocka_unit_test(test_who_returns_to_office_leaves_nothing_behind),
        cmocka_unit_test(test_anybody_above_refuses_the_old_primary),
        cmocka_unit_test(test_who_is_not_heard_is_no_witness),
        cmocka_unit_test(test_an_older_copy_is_neither_the_old_primarys_folder_nor_a_witness),
        cmocka_unit_test(test_an_own_position_that_was_not_asked_for_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
