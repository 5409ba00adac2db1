/* SPDX-License-Identifier: Apache-2.0 */
/* Who joins and who leaves the sync record. Goal: nobody is named on the word of the primary alone,
 * and nobody who cannot be cut stays. Method: a sync shard of four, primary 1 of epoch 4, open,
 * S = {2, 3}, W = 1; instance 4 would join. */
#include "decide/sync_planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    NOW_MS = 20000,
    INSTANCES = 4,
};

static struct shard_view view;
static struct observations heard;
static struct plan plan;

static struct sync_member member(uint32_t instance)
{
    return (struct sync_member){.instance = {instance}, .incarnation = {100 + instance}};
}

static void say(uint32_t instance, struct report report, uint64_t at_ms)
{
    report.instance.value = instance;
    report.incarnation = member(instance).incarnation;
    assert_int_equal(observe_report(&heard, &report, instance, at_ms), ERR_OK);
}

static struct report standby(void)
{
    return (struct report){
        .state = INSTANCE_STANDBY,
        .epoch = {4},
        .goal_role = GOAL_STANDBY,
        .goal_met = true,
        .data_intact = true,
        .receiver_streaming = true,
        .upstream = {1},
    };
}

/* The primary: these stream, as far as it sees, and are near. */
static void say_primary(uint32_t count, const uint32_t *streaming, uint64_t at_ms)
{
    struct report report = {
        .state = INSTANCE_PRIMARY,
        .epoch = {4},
        .promoted_epoch = {4},
        .writable_epoch = {4},
        .sync_confirmed_version = view.shard.sync.version,
        .caught_up_count = count,
        .streaming_count = count,
    };

    for (uint32_t i = 0; i < count; i++) {
        report.caught_up[i] = member(streaming[i]);
        report.streaming[i] = member(streaming[i]);
    }
    say(1, report, at_ms);
}

static int set_up(void **state)
{
    (void)state;
    memset(&view, 0, sizeof(view));
    view.shard.id.value = 1;
    view.shard.mode = SHARD_SYNC;
    view.shard.sync_required = 1;
    view.shard.primary.value = 1;
    view.shard.primary_epoch.value = 4;
    view.shard.epoch.value = 4;
    view.shard.opened = true;
    view.shard.sync = (struct sync_record){.pairs_count = 1, .version = 2};
    view.shard.sync.pairs[0].required = 1;
    assert_int_equal(sync_pair_add(&view.shard.sync.pairs[0], member(2)), ERR_OK);
    assert_int_equal(sync_pair_add(&view.shard.sync.pairs[0], member(3)), ERR_OK);
    view.instances_count = INSTANCES;
    observe_elected(&heard, 1000);
    for (uint32_t i = 1; i <= INSTANCES; i++) {
        view.instances[i - 1].id.value = i;
        view.instances[i - 1].incarnation = member(i).incarnation;
        assert_int_equal(observe_session_opened(&heard, (struct instance_id){i}, i, 1000), ERR_OK);
        say(i, standby(), NOW_MS);
    }
    say_primary(3, (const uint32_t[]){2, 3, 4}, NOW_MS);
    return 0;
}

static bool ask(uint64_t now_ms)
{
    struct plan_input input = {.view = &view, .observations = &heard, .now_ms = now_ms};

    sync_plan(&input, &plan);
    return plan.has_command;
}

static void assert_not_taken(struct report report)
{
    say(4, report, NOW_MS);
    assert_false(ask(NOW_MS));
}

static void test_who_says_itself_that_it_streams_joins(void **state)
{
    (void)state;
    assert_true(ask(NOW_MS));
    assert_int_equal(plan.command.kind, COMMAND_SYNC_BEGIN);
    assert_int_equal(plan.command.sync.pair.members_count, 3);
    assert_true(sync_pair_contains(&plan.command.sync.pair, member(4)));
}

static void test_a_base_backup_that_streams_under_a_standbys_name_does_not_join(void **state)
{
    (void)state;
    struct report report = standby();
    report.state = INSTANCE_BUILDING;
    report.data_intact = false;
    report.receiver_streaming = false;
    assert_not_taken(report);
}

static void test_nobody_joins_on_the_word_of_the_primary_alone(void **state)
{
    (void)state;
    struct report report = standby();
    report.receiver_streaming = false; /* its twin is the one that streams */
    assert_not_taken(report);
    report = standby();
    report.upstream.value = 3;
    assert_not_taken(report);
    report = standby();
    report.epoch.value = 3;
    assert_not_taken(report);
    report = standby();
    report.goal_role = GOAL_CUT;
    assert_not_taken(report);
}

static void test_a_standby_that_was_not_heard_lately_does_not_join(void **state)
{
    (void)state;
    say_primary(3, (const uint32_t[]){2, 3, 4}, NOW_MS + 2500);
    say(2, standby(), NOW_MS + 2500);
    say(3, standby(), NOW_MS + 2500);
    assert_false(ask(NOW_MS + 2500));
}

static void test_a_standby_whose_sidecar_is_gone_leaves_while_others_are_enough(void **state)
{
    (void)state;
    uint64_t late_ms = NOW_MS + SYNC_SHRINK_MS;
    say(4, (struct report){.state = INSTANCE_EMPTY}, NOW_MS);
    say(2, standby(), late_ms);
    say_primary(2, (const uint32_t[]){2, 3}, late_ms);
    assert_true(ask(late_ms));
    assert_int_equal(plan.command.kind, COMMAND_SYNC_BEGIN);
    assert_int_equal(plan.command.sync.pair.members_count, 1);
    assert_true(sync_pair_contains(&plan.command.sync.pair, member(2)));
}

static void test_standbys_that_are_all_unheard_stay(void **state)
{
    (void)state;
    uint64_t late_ms = NOW_MS + SYNC_SHRINK_MS;
    say_primary(2, (const uint32_t[]){2, 3}, late_ms);
    assert_false(ask(late_ms));
}

/* The record is joint and waits for a confirmation that will not come. */
static void name_4(void)
{
    struct sync_record *sync = &view.shard.sync;
    sync->pairs[1] = sync->pairs[0];
    sync->pairs_count = 2;
    assert_int_equal(sync_pair_add(&sync->pairs[1], member(4)), ERR_OK);
    say_primary(3, (const uint32_t[]){2, 3, 4}, NOW_MS);
    sync->version = 3;
}

static void test_a_member_that_was_never_whole_leaves_a_joint_record(void **state)
{
    (void)state;
    name_4();
    say(4, (struct report){.state = INSTANCE_BUILDING}, NOW_MS);
    assert_true(ask(NOW_MS));
    assert_int_equal(plan.command.kind, COMMAND_SYNC_BEGIN);
    assert_int_equal(plan.command.sync.pair.members_count, 2);
    assert_false(sync_pair_contains(&plan.command.sync.pair, member(4)));
}

static void test_a_joint_record_of_running_standbys_waits_for_its_confirmation(void **state)
{
    (void)state;
    name_4();
    assert_false(ask(NOW_MS));
    assert_non_null(strstr(plan.waiting, "has not confirmed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who_says_itself_that_it_streams_joins, set_up),
        cmocka_unit_test_setup(test_a_base_backup_that_streams_under_a_standbys_name_does_not_join,
                               set_up),
        cmocka_unit_test_setup(test_nobody_joins_on_the_word_of_the_primary_alone, set_up),
        cmocka_unit_test_setup(test_a_standby_that_was_not_heard_lately_does_not_join, set_up),
        cmocka_unit_test_setup(test_a_standby_whose_sidecar_is_gone_leaves_while_others_are_enough,
                               set_up),
        cmocka_unit_test_setup(test_standbys_that_are_all_unheard_stay, set_up),
        cmocka_unit_test_setup(test_a_member_that_was_never_whole_leaves_a_joint_record, set_up),
        cmocka_unit_test_setup(test_a_joint_record_of_running_standbys_waits_for_its_confirmation,
                               set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
