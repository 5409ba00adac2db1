/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts that do not get on. Goal: the record says who held one up, and a primary that cannot
 * start is not waited for. Method: a sync shard of three, S = {2, 3}, W = 1, primary 1 of epoch 4,
 * fenced and back. */
#include "decide/failover_planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    NOW_MS = 60000,
};

static struct shard_view view;
static struct observations heard;
static struct plan plan;

static void say(uint32_t instance, struct report report)
{
    report.instance.value = instance;
    report.incarnation.value = 100 + instance;
    report.epoch = view.shard.epoch;
    assert_int_equal(observe_report(&heard, &report, instance, NOW_MS), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&view, 0, sizeof(view));
    view.shard.id.value = 1;
    view.shard.kind = SHARD_POSTGRES;
    view.shard.mode = SHARD_SYNC;
    view.shard.sync_required = 1;
    view.shard.primary.value = 1;
    view.shard.primary_incarnation.value = 101;
    view.shard.primary_epoch.value = 4;
    view.shard.epoch.value = 5;
    view.shard.forks_count = 1;
    view.shard.forks[0] = (struct fork){.epoch = 4, .timeline = 5, .parent_timeline = 4};
    view.shard.sync = (struct sync_record){.pairs_count = 1, .version = 2};
    view.shard.sync.pairs[0] = (struct sync_pair){
        .members = {{{2}, {102}}, {{3}, {103}}}, .members_count = 2, .required = 1};
    view.failover.id = 9;
    view.failover.epoch.value = 5;
    view.failover.old_primary.value = 1;
    view.failover.old_epoch.value = 4;
    view.instances_count = 3;
    observe_elected(&heard, 1000);
    for (uint32_t i = 0; i < 3; i++) {
        view.instances[i].id.value = i + 1;
        view.instances[i].incarnation.value = 101 + i;
        (void)snprintf(view.instances[i].name, NAME_SIZE, "i%u", i + 1);
        (void)snprintf(view.instances[i].region, NAME_SIZE, "r%u", i + 1);
        assert_int_equal(observe_session_opened(&heard, view.instances[i].id, i + 1, 1000), ERR_OK);
        say(i + 1, (struct report){.state = INSTANCE_STANDBY, .goal_role = GOAL_CUT});
    }
    return 0;
}

static bool ask(enum failover_step step, uint64_t lasts_ms)
{
    struct plan_input input = {.view = &view, .observations = &heard, .now_ms = NOW_MS};

    view.failover.step = step;
    observe_view(&heard, &view, NOW_MS - lasts_ms);
    failover_plan(&input, &plan);
    return plan.has_command && plan.command.kind == COMMAND_FAILOVER_BEGIN;
}

static void test_an_attempt_that_is_given_up_says_who_held_it_up(void **state)
{
    (void)state;
    view.failover.cause = CAUSE_OPERATOR;
    say(1,
        (struct report){.state = INSTANCE_STOPPED,
                        .fenced_epoch.value = 4,
                        .data_intact = true,
                        .start_nonce = 77,
                        .continuous = true});
    say(2,
        (struct report){
            .state = INSTANCE_STANDBY, .goal_role = GOAL_CUT, .detail = "cut failed: a reader"});
    assert_true(ask(FAILOVER_COMPLETE, 2 * PLANNER_STUCK_MS));
    assert_true(plan.command.failover.in_place);
    assert_string_equal(plan.command.failover.evidence,
                        "attempt of epoch 5 (operator) did not get through step complete; "
                        "i2: cut failed: a reader");
}

/* Nobody starts a folder whose history is in doubt: whoever waits for it learns why. */
static void test_a_folder_in_doubt_is_named_with_the_reason(void **state)
{
    (void)state;
    say(2,
        (struct report){.state = INSTANCE_STOPPED,
                        .goal_role = GOAL_CUT,
                        .concern = "its history may be another one"});
    assert_false(ask(FAILOVER_EXCLUDE, 0));
    assert_non_null(strstr(plan.waiting, "i2 (its history may be another one)"));
    assert_non_null(strstr(plan.waiting, "i3 (no final position yet)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_attempt_that_is_given_up_says_who_held_it_up, set_up),
        cmocka_unit_test_setup(test_a_folder_in_doubt_is_named_with_the_reason, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
