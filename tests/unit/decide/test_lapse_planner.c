/* SPDX-License-Identifier: Apache-2.0 */
/* When a lapse goes on record, and when it is over. Method: a sync shard of three, primary 1 of
 * epoch 4, open, S = {2, 3}, W = 1. */
#include "decide/lapse_planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    NOW_MS = 20000,
};

static struct shard_view view;
static struct observations heard;
static struct plan plan;

static void say(uint32_t instance, const char *lapse, uint64_t at_ms)
{
    struct report report = {
        .instance = {instance},
        .incarnation = {100 + instance},
        .state = instance == 1 ? INSTANCE_PRIMARY : INSTANCE_STANDBY,
        .promoted_epoch = {instance == 1 ? 4 : 0},
        .sync_confirmed_version = lapse[0] == '\0' ? 2 : 0,
    };
    (void)snprintf(report.lapse, sizeof(report.lapse), "%s", lapse);
    assert_int_equal(observe_report(&heard, &report, instance, at_ms), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&view, 0, sizeof(view));
    view.shard.id.value = 1;
    view.shard.mode = SHARD_SYNC;
    view.shard.primary.value = 1;
    view.shard.primary_epoch.value = 4;
    view.shard.epoch.value = 4;
    view.shard.sync = (struct sync_record){.pairs_count = 1, .version = 2};
    view.shard.sync.pairs[0].required = 1;
    view.instances_count = 4;
    observe_elected(&heard, 1000);
    for (uint32_t i = 1; i <= 4; i++) {
        view.instances[i - 1].id.value = i;
        view.instances[i - 1].incarnation.value = 100 + i;
        if (i == 2 || i == 3) {
            struct sync_member member = {{i}, {100 + i}};
            assert_int_equal(sync_pair_add(&view.shard.sync.pairs[0], member), ERR_OK);
        }
        assert_int_equal(observe_session_opened(&heard, (struct instance_id){i}, i, 1000), ERR_OK);
        say(i, "", NOW_MS);
    }
    return 0;
}

static enum command_kind ask(uint64_t now_ms)
{
    struct plan_input input = {.view = &view, .observations = &heard, .now_ms = now_ms};

    plan.has_command = false;
    lapse_plan(&input, &plan);
    return plan.has_command ? plan.command.kind : COMMAND_NONE;
}

static void test_a_lapse_of_the_primary_or_of_a_member_goes_on_record_once(void **state)
{
    (void)state;
    assert_int_equal(ask(NOW_MS), COMMAND_NONE);
    say(1, "fsync is 'off'", NOW_MS);
    assert_int_equal(ask(NOW_MS), COMMAND_SYNC_LAPSED);
    assert_non_null(strstr(plan.command.sync.reason, "fsync is 'off'"));
    say(1, "", NOW_MS);
    say(3, "fsync is 'off'", NOW_MS);
    assert_int_equal(ask(NOW_MS), COMMAND_SYNC_LAPSED);
    (void)snprintf(view.shard.lapse, sizeof(view.shard.lapse), "on record");
    assert_int_equal(ask(NOW_MS), COMMAND_NONE);
}

static void test_a_standby_that_commits_do_not_wait_for_has_no_say(void **state)
{
    (void)state;
    say(4, "fsync is 'off'", NOW_MS);
    assert_int_equal(ask(NOW_MS), COMMAND_NONE);
}

static void test_it_is_over_only_after_it_was_confirmed_and_quiet_for_a_while(void **state)
{
    (void)state;
    say(1, "fsync is 'off'", NOW_MS);
    (void)snprintf(view.shard.lapse, sizeof(view.shard.lapse), "on record");
    uint64_t later_ms = NOW_MS + LAPSE_QUIET_MS;
    say(1, "", later_ms - 1);
    assert_int_equal(ask(later_ms - 1), COMMAND_NONE);
    assert_int_equal(ask(later_ms), COMMAND_SYNC_MENDED);
    heard.items[0].report.sync_confirmed_version = 1;
    assert_int_equal(ask(later_ms), COMMAND_NONE);
}

static void test_what_nobody_said_lately_does_not_end_it(void **state)
{
    (void)state;
    (void)snprintf(view.shard.lapse, sizeof(view.shard.lapse), "on record");
    assert_int_equal(ask(NOW_MS + 60000), COMMAND_NONE);
}

/* Not a lapse, but likewise: somebody undid what was set, and it counts. */
static void test_a_cut_that_was_undone_begins_anew_before_anything_is_decided(void **state)
{
    static const enum failover_step STEPS[] = {
        FAILOVER_EXCLUDE, FAILOVER_COMPLETE, FAILOVER_DECIDE};

    (void)state;
    view.shard.kind = SHARD_POSTGRES;
    view.shard.epoch.value = 5;
    view.failover.id = 9;
    view.failover.epoch.value = 5;
    view.failover.old_primary.value = 1;
    view.failover.old_epoch.value = 4;
    struct report undone = {.instance = {3},
                            .incarnation = {103},
                            .state = INSTANCE_STANDBY,
                            .epoch = {5},
                            .cut_undone = true};
    assert_int_equal(observe_report(&heard, &undone, 3, NOW_MS), ERR_OK);
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
        view.failover.step = STEPS[i];
        observe_view(&heard, &view, NOW_MS);
        struct plan_input input = {.view = &view, .observations = &heard, .now_ms = NOW_MS};
        failover_plan(&input, &plan);
        assert_true(plan.has_command);
        assert_int_equal(plan.command.kind, COMMAND_FAILOVER_BEGIN);
        assert_int_equal(plan.command.failover.epoch.value, 6);
        assert_non_null(strstr(plan.command.failover.evidence, "received again"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_lapse_of_the_primary_or_of_a_member_goes_on_record_once,
                               set_up),
        cmocka_unit_test_setup(test_a_standby_that_commits_do_not_wait_for_has_no_say, set_up),
        cmocka_unit_test_setup(test_it_is_over_only_after_it_was_confirmed_and_quiet_for_a_while,
                               set_up),
        cmocka_unit_test_setup(test_what_nobody_said_lately_does_not_end_it, set_up),
        cmocka_unit_test_setup(test_a_cut_that_was_undone_begins_anew_before_anything_is_decided,
                               set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
