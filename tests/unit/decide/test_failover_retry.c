/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of attempts that fail: whom the planner tries next, and after what pause. */
#include "decide/failover_retry.h"
#include "planner_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* 2 was decided at epoch 5, with S = {3}; 3 is cut, and holds as much. */
static void decided_for_2(enum failover_step step, uint64_t other_lsn)
{
    enter(step);
    view.failover.candidate.value = 2;
    view.failover.timeline = 6;
    view.shard.primary.value = 2;
    view.shard.primary_epoch.value = 5;
    view.shard.floor = (struct position){.timeline = 5, .lsn = 500};
    view.shard.sync.pairs[0] =
        (struct sync_pair){.members = {{{3}, {103}}}, .members_count = 1, .required = 1};
    say_cut(3, other_lsn);
    observe_session_closed(&heard, (struct instance_id){1}, 1, NOW_MS);
}

static void say_2_died(uint64_t at_ms)
{
    say(2,
        (struct report){.state = INSTANCE_STOPPED,
                        .epoch.value = 5,
                        .fenced_epoch.value = 5,
                        .data_intact = true,
                        .start_nonce = 78,
                        .continuous = true,
                        .position = {.timeline = 5, .lsn = 500},
                        .detail = "promote failed: No space left on device"},
        at_ms);
    say_cut(3, 500);
}

static void test_after_a_failed_promotion_the_next_candidate_is_tried_at_once(void **state)
{
    (void)state;
    decided_for_2(FAILOVER_PROMOTE, 500);
    say_2_died(NOW_MS);
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_BEGIN);
    assert_false(plan.command.failover.in_place);
    assert_non_null(strstr(plan.command.failover.evidence, "No space left on device"));
}

static void test_who_is_alone_is_tried_again_after_pauses_that_grow(void **state)
{
    (void)state;
    for (uint32_t failed = 0; failed < 9; failed++) {
        uint64_t pause_ms = UINT64_C(1000) << failed;
        pause_ms = pause_ms < 60000 ? pause_ms : 60000;
        set_up(NULL);
        decided_for_2(FAILOVER_PROMOTE, 499); /* 3 lacks a little */
        view.instances[1].promotions_failed = failed;
        for (uint64_t at_ms = NOW_MS; at_ms < NOW_MS + pause_ms; at_ms += 500) {
            say_2_died(at_ms);
            say_cut(3, 499);
            assert_int_equal(ask(at_ms), COMMAND_NONE);
            assert_non_null(strstr(plan.waiting, "it failed before: tried again in "));
        }
        say_2_died(NOW_MS + pause_ms);
        say_cut(3, 499);
        assert_int_equal(ask(NOW_MS + pause_ms), COMMAND_FAILOVER_BEGIN);
        assert_true(plan.command.failover.in_place);
    }
}

static void test_whose_end_nobody_saw_is_tried_again_among_witnesses_only(void **state)
{
    (void)state;
    decided_for_2(FAILOVER_PROMOTE, 500);
    say_2_died(NOW_MS);
    heard.items[1].report.continuous = false;
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_BEGIN); /* 3 never failed: no pause */
    assert_false(plan.command.failover.in_place);
    assert_true(plan.command.failover.witnessed);
    assert_int_equal(plan.command.failover.in_place_row, 0);
    view.instances[2].promotions_failed = 2;
    assert_int_equal(ask(NOW_MS + 999), COMMAND_NONE); /* 2 would have failed once */
    assert_int_equal(ask(NOW_MS + 1000), COMMAND_FAILOVER_BEGIN);
    assert_true(plan.command.failover.witnessed);
    observe_session_closed(&heard, (struct instance_id){3}, 3, NOW_MS);
    heard.items[2].heard = false; /* too few to say whether anybody holds more */
    assert_int_equal(ask(NOW_MS + 1000), COMMAND_NONE);
}

static void test_both_who_failed_are_tried_in_turn(void **state)
{
    (void)state;
    decided_for_2(FAILOVER_PROMOTE, 500);
    view.instances[1].promotions_failed = 1;
    view.instances[2].promotions_failed = 1;
    say_2_died(NOW_MS);
    assert_int_equal(ask(NOW_MS + 999), COMMAND_NONE);
    assert_int_equal(ask(NOW_MS + 1000), COMMAND_FAILOVER_BEGIN);
    assert_false(plan.command.failover.in_place);
}

static void test_what_cannot_start_is_not_waited_for(void **state)
{
    (void)state;
    decided_for_2(FAILOVER_PROMOTE, 500);
    struct report report = {.state = INSTANCE_STOPPED,
                            .epoch.value = 5,
                            .goal_role = GOAL_PRIMARY,
                            .data_intact = true,
                            .position = {.timeline = 5, .lsn = 500},
                            .failures = 2,
                            .detail = "start failed: invalid line in postgresql.conf"};
    say(2, report, NOW_MS);
    assert_int_equal(ask(NOW_MS), COMMAND_NONE);
    report.failures = 3;
    say(2, report, NOW_MS);
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_BEGIN);
    assert_int_equal(plan.command.failover.cause, CAUSE_STUCK);
    assert_non_null(strstr(plan.command.failover.evidence, "invalid line in postgresql.conf"));
    say_cut(3, 499); /* nobody else could: it goes on trying */
    assert_int_equal(ask(NOW_MS), COMMAND_NONE);
}

static void test_who_failed_since_the_shard_was_open_is_chosen_last(void **state)
{
    (void)state;
    enter(FAILOVER_DECIDE);
    view.shard.forks_count = 0;
    view.failover.reports_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        view.failover.reports[i] =
            (struct final_report){{2 + i}, {102 + i}, {.timeline = 5, .lsn = 500}, 0};
    }
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_DECIDED);
    assert_int_equal(plan.command.failover.candidate.value, 2);
    (void)snprintf(view.instances[1].promotion_trouble, TEXT_SIZE, "its disk was full");
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_DECIDED);
    assert_int_equal(plan.command.failover.candidate.value, 3);
    view.instances[1].promotions_failed = 1;
    view.instances[2].promotions_failed = 2;
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_DECIDED);
    assert_int_equal(plan.command.failover.candidate.value, 2);
    /* Async: rather what is there than nothing; the loss is listed. */
    view.shard.mode = SHARD_ASYNC;
    view.failover.reports[0].position.lsn = 900;
    view.instances[1].promotions_failed = 3;
    assert_int_equal(ask(NOW_MS), COMMAND_FAILOVER_DECIDED);
    assert_int_equal(plan.command.failover.candidate.value, 3);
}

static void test_the_third_death_in_place_in_a_row_moves_the_primary(void **state)
{
    (void)state;
    for (uint32_t row = 1; row <= 3; row++) {
        bool last = row == 3;
        set_up(NULL);
        enter(FAILOVER_OPEN);
        view.failover.in_place = true;
        view.failover.in_place_row = row - 1;
        view.failover.candidate.value = 1;
        view.failover.step = FAILOVER_DONE;
        view.shard.epoch.value = 4;
        view.failover.epoch.value = 4;
        observe_view(&heard, &view, NOW_MS);
        say_fenced(1000);
        assert_int_equal(ask(NOW_MS + 10), COMMAND_FAILOVER_BEGIN);
        assert_int_equal(plan.command.failover.in_place, !last);
        assert_int_equal(plan.command.failover.in_place_row, last ? 0 : row);
        say_fenced(1000);
        heard.items[0].report_ms = NOW_MS + RETRY_ROW_MS;
        assert_int_equal(ask(NOW_MS + RETRY_ROW_MS), COMMAND_FAILOVER_BEGIN);
        assert_true(plan.command.failover.in_place);
        assert_int_equal(plan.command.failover.in_place_row, 1);
    }
}

static void test_who_dies_in_a_row_and_is_alone_restarts_after_pauses(void **state)
{
    (void)state;
    enter(FAILOVER_OPEN);
    view.failover.in_place = true;
    view.failover.in_place_row = 3;
    view.failover.candidate.value = 1;
    view.failover.step = FAILOVER_DONE;
    view.shard.epoch.value = 4;
    view.failover.epoch.value = 4;
    view.instances_count = 1;
    observe_view(&heard, &view, NOW_MS);
    say_fenced(1000);
    assert_int_equal(ask(NOW_MS + 1900), COMMAND_NONE);
    assert_non_null(strstr(plan.waiting, "tried again in 0.1 s"));
    assert_int_equal(ask(NOW_MS + 2000), COMMAND_FAILOVER_BEGIN);
    assert_true(plan.command.failover.in_place);
}

static void test_a_restart_in_place_ends_at_once_when_its_machine_is_gone(void **state)
{
    (void)state;
    enter(FAILOVER_EXCLUDE);
    view.failover.in_place = true;
    say_fenced(1000);
    observe_session_closed(&heard, view.shard.primary, 1, NOW_MS + 100);
    assert_int_equal(ask(NOW_MS + 150), COMMAND_FAILOVER_EXCLUDED); /* what it said still holds */
    heard.items[0].heard = false; /* a new leader has not even heard that */
    struct report report = {.state = INSTANCE_STANDBY,
                            .position = {.timeline = 5, .lsn = 500},
                            .primary_reach = REACH_OK,
                            .primary_reach_of.value = 1,
                            .receiver_streaming = false};
    say(2, report, NOW_MS + 200);
    say(3, report, NOW_MS + 200);
    assert_int_equal(ask(NOW_MS + 200), COMMAND_NONE); /* one kind of evidence */
    report.primary_reach = REACH_REFUSED;
    say(3, report, NOW_MS + 300);
    assert_int_equal(ask(NOW_MS + 300), COMMAND_FAILOVER_BEGIN);
    assert_false(plan.command.failover.in_place);
    assert_int_equal(plan.command.failover.cause, CAUSE_INSTANCE);
    view.shard.sync.pairs[0].members[0].incarnation.value = 999; /* too few could take over */
    assert_int_equal(ask(NOW_MS + 300), COMMAND_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_after_a_failed_promotion_the_next_candidate_is_tried_at_once,
                               set_up),
        cmocka_unit_test_setup(test_who_is_alone_is_tried_again_after_pauses_that_grow, set_up),
        cmocka_unit_test_setup(test_whose_end_nobody_saw_is_tried_again_among_witnesses_only,
                               set_up),
        cmocka_unit_test_setup(test_both_who_failed_are_tried_in_turn, set_up),
        cmocka_unit_test_setup(test_what_cannot_start_is_not_waited_for, set_up),
        cmocka_unit_test_setup(test_who_failed_since_the_shard_was_open_is_chosen_last, set_up),
        cmocka_unit_test_setup(test_the_third_death_in_place_in_a_row_moves_the_primary, set_up),
        cmocka_unit_test_setup(test_who_dies_in_a_row_and_is_alone_restarts_after_pauses, set_up),
        cmocka_unit_test_setup(test_a_restart_in_place_ends_at_once_when_its_machine_is_gone,
                               set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
