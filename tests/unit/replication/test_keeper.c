/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's table: complete, and in the cases that could lose data, the right row. Goal: every
 * goal that can be assigned is obeyed from every state. Method: facts, state and goal by hand. */
#include "replication/keeper.h"

#include "base/buf.h"
#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* A goal of epoch 7, obeyed already, of a shard in sync mode whose history ends in timeline 5. */
struct scene {
    struct keeper_facts facts;
    struct keeper_state state;
    struct goal goal;
    struct keeper_action action;
};

static struct scene scene_of(enum goal_role role, enum instance_state instance)
{
    struct scene scene;

    memset(&scene, 0, sizeof(scene));
    scene.goal.epoch.value = 7;
    scene.goal.index = 70;
    scene.goal.role = role;
    scene.goal.mode = SHARD_SYNC;
    scene.goal.instance.value = 1;
    scene.goal.timeline = 6;
    scene.goal.floor = (struct position){.timeline = 5, .lsn = 1000};
    scene.goal.fork =
        (struct fork){.epoch = 6, .timeline = 5, .parent_timeline = 4, .fork_lsn = 900};
    scene.goal.history[0] = scene.goal.fork;
    scene.goal.history_count = 1;
    if (role == GOAL_STANDBY || role == GOAL_CUT) {
        scene.goal.upstream.value = 2;
        memcpy(scene.goal.upstream_address, "10.0.0.2:5432", sizeof("10.0.0.2:5432"));
    }
    scene.state.epoch = scene.goal.epoch;
    scene.state.goal_index = scene.goal.index;
    scene.state.goal_role = role;
    scene.state.incarnation.value = 99;
    scene.facts.state = instance;
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.fresh_incarnation = 1234;
    scene.facts.position = (struct position){.timeline = 5, .lsn = 2000};
    scene.facts.position_final = true;
    return scene;
}

static enum keeper_action_kind step(struct scene *scene)
{
    keeper_step(&scene->facts, &scene->state, &scene->goal, &scene->action);
    return scene->action.kind;
}

static void test_every_goal_has_a_row_in_every_state(void **context)
{
    (void)context;
    for (int role = 0; role < GOAL_ROLE_COUNT; role++) {
        for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
            struct scene scene = scene_of((enum goal_role)role, (enum instance_state)state);
            (void)step(&scene);
            assert_non_null(scene.action.reason);
            assert_true(scene.action.row < keeper_rows_count());
        }
    }
}

/* Whatever the facts: a row fits (the keeper checks it), nothing is promoted without a lease of its
 * epoch, nothing runs on as a primary under another goal, and what is over stays over. */
static void test_no_facts_lead_to_a_promotion_without_a_lease(void **context)
{
    enum {
        TRIES = 200000
    };
    struct prng prng;

    (void)context;
    prng_init(&prng, support_seed());
    for (int i = 0; i < TRIES; i++) {
        struct scene scene = scene_of((enum goal_role)prng_below(&prng, GOAL_ROLE_COUNT),
                                      (enum instance_state)prng_below(&prng, INSTANCE_STATE_COUNT));
        scene.goal.may_promote = prng_chance(&prng, 700);
        scene.goal.bootstrap = prng_chance(&prng, 200);
        scene.goal.in_record = prng_chance(&prng, 500);
        scene.state.writable_epoch.value = prng_below(&prng, 9);
        scene.state.fenced_epoch.value = prng_below(&prng, 9);
        scene.state.building = prng_chance(&prng, 200);
        scene.facts.lease_epoch.value = prng_below(&prng, 9);
        scene.facts.position.lsn = prng_below(&prng, 3000);
        scene.facts.position_final = prng_chance(&prng, 500);
        scene.facts.receiver_running = prng_chance(&prng, 300);
        scene.facts.fork.timeline = (uint32_t)prng_below(&prng, 8);
        enum keeper_action_kind kind = step(&scene);
        if (kind == KEEPER_PROMOTE) {
            assert_int_equal(scene.goal.role, GOAL_PRIMARY);
            assert_int_equal(scene.facts.lease_epoch.value, scene.goal.epoch.value);
            assert_true(scene.facts.position.lsn >= scene.goal.floor.lsn);
            assert_true(scene.action.persist);
            assert_true(scene.state.fenced_epoch.value < scene.goal.epoch.value);
        }
        if (scene.goal.role != GOAL_PRIMARY && scene.facts.state == INSTANCE_PRIMARY &&
            !scene.state.building) {
            assert_int_equal(kind, KEEPER_FENCE);
        }
        if (kind == KEEPER_REBUILD || kind == KEEPER_CLONE) {
            assert_int_equal(scene.goal.role, GOAL_STANDBY);
        }
        assert_true(scene.action.state_next.fenced_epoch.value >= scene.state.fenced_epoch.value);
    }
}

static void test_a_newer_goal_is_persisted_before_anything_is_done(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_CUT, INSTANCE_STANDBY);
    scene.facts.conninfo_of.value = 2;
    scene.state.epoch.value = 6;

    assert_int_equal(step(&scene), KEEPER_PERSIST);
    assert_int_equal(scene.action.state_next.epoch.value, 7);
    assert_int_equal(scene.action.state_next.cut_from.value, 2);
    scene.state = scene.action.state_next;
    assert_int_equal(step(&scene), KEEPER_CUT);
}

static void test_a_stale_goal_is_refused(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_PRIMARY, INSTANCE_STANDBY);
    scene.goal.may_promote = true;
    scene.state.epoch.value = 8;

    assert_int_equal(step(&scene), KEEPER_REFUSE);
    assert_false(scene.action.persist);
}

static void test_promotion_persists_the_writable_epoch_first(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_PRIMARY, INSTANCE_STANDBY);
    scene.goal.may_promote = true;
    scene.facts.lease_epoch.value = 7;

    assert_int_equal(step(&scene), KEEPER_PROMOTE);
    assert_true(scene.action.persist);
    assert_int_equal(scene.action.state_next.writable_epoch.value, 7);
}

static void test_a_broken_promotion_is_fenced_and_never_repeated(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_PRIMARY, INSTANCE_STANDBY);
    scene.goal.may_promote = true;
    scene.facts.lease_epoch.value = 7;
    scene.state.writable_epoch.value = 7;

    assert_int_equal(step(&scene), KEEPER_FENCE);
    assert_int_equal(scene.action.fence_epoch.value, 7);
    scene.facts.state = INSTANCE_STOPPED;
    assert_int_equal(step(&scene), KEEPER_PERSIST);
    assert_int_equal(scene.action.state_next.fenced_epoch.value, 7);
    scene.state = scene.action.state_next;
    assert_int_equal(step(&scene), KEEPER_WAIT);
}

static void test_a_fence_is_reported_only_when_nothing_runs(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_FENCED, INSTANCE_HUNG);
    struct report report;
    scene.state.writable_epoch.value = 6;

    assert_int_equal(step(&scene), KEEPER_FENCE);
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_int_equal(report.fenced_epoch.value, 0);
    scene.facts.state = INSTANCE_STOPPED;
    assert_int_equal(step(&scene), KEEPER_PERSIST);
    assert_int_equal(scene.action.state_next.fenced_epoch.value, 6);
}

static void test_a_fence_interrupts_whatever_runs(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_FENCED, INSTANCE_PRIMARY);
    scene.state.writable_epoch.value = 6;
    scene.facts.running = KEEPER_CONFIRM_SYNC;

    assert_int_equal(step(&scene), KEEPER_FENCE);
    scene.facts.running = KEEPER_FENCE;
    assert_int_equal(step(&scene), KEEPER_WAIT);
}

static void test_a_position_that_is_not_final_does_not_meet_a_cut(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_CUT, INSTANCE_STANDBY);
    struct report report;
    scene.state.cut_from.value = 2;
    scene.facts.position_final = false;

    assert_int_equal(step(&scene), KEEPER_FINAL_POSITION);
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_false(report.goal_met);
    assert_int_equal(report.cut_from.value, 0);
    scene.facts.position_final = true;
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_true(report.goal_met);
    assert_int_equal(report.cut_from.value, 2);
}

static void test_a_folder_named_in_the_record_is_not_wiped(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.position = (struct position){.timeline = 4, .lsn = 901}; /* beyond the fork */

    assert_int_equal(step(&scene), KEEPER_REBUILD);
    scene.goal.in_record = true;
    assert_int_equal(step(&scene), KEEPER_WAIT);
}

static void test_reattaching_to_whom_it_was_cut_from_needs_a_later_epoch(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.state.cut_from.value = 2;
    scene.state.cut_epoch.value = 7;

    assert_int_equal(step(&scene), KEEPER_WAIT);
    scene.state.cut_epoch.value = 6;
    assert_int_equal(step(&scene), KEEPER_FOLLOW);
}

static void test_who_was_left_behind_by_a_recovery_is_not_obeyed(void **state)
{
    (void)state;
    const struct keeper_state met = {.epoch.value = 5, .goal_index = 120, .cluster_epoch = 1};
    struct keeper_state next = {0};
    assert_false(keeper_may_obey(&met, 0, &next));
    assert_true(keeper_may_obey(&met, 1, &next));
    assert_int_equal(next.goal_index, 120);
}

static void test_after_a_recovery_indexes_begin_anew_and_ballots_do_not(void **state)
{
    (void)state;
    struct keeper_state met = {.epoch.value = 5, .goal_index = 120, .fenced_epoch.value = 4};
    struct keeper_state next = {0};
    assert_true(keeper_may_obey(&met, 1, &next));
    assert_int_equal(next.cluster_epoch, 1);
    assert_int_equal(next.goal_index, 0);
    assert_int_equal(next.epoch.value, 5);
    assert_int_equal(next.fenced_epoch.value, 4);

    struct keeper_facts facts = {.state = INSTANCE_STANDBY};
    struct goal goal = {.epoch.value = 5, .index = 90, .role = GOAL_STANDBY};
    struct keeper_action action;
    keeper_step(&facts, &met, &goal, &action);
    assert_int_equal(action.kind, KEEPER_REFUSE);
    keeper_step(&facts, &next, &goal, &action);
    assert_int_not_equal(action.kind, KEEPER_REFUSE);
    goal.epoch.value = 4;
    keeper_step(&facts, &next, &goal, &action);
    assert_int_equal(action.kind, KEEPER_REFUSE);
}

static void test_the_table_prints_a_line_for_each_row(void **context)
{
    struct buf out = {0};
    uint32_t lines = 0;

    (void)context;
    keeper_print_table(&out);
    for (size_t i = 0; i < out.len; i++) {
        lines += out.data[i] == '\n';
    }
    assert_int_equal(lines, keeper_rows_count() + 2);
    buf_deinit(&out);
}

static void test_a_folder_without_a_record_is_left_alone(void **context)
{
    (void)context;
    for (int role = 0; role < GOAL_ROLE_COUNT; role++) {
        struct scene scene = scene_of((enum goal_role)role, INSTANCE_STOPPED);
        scene.state.incarnation.value = 0;
        scene.goal.bootstrap = role == GOAL_PRIMARY;
        assert_int_equal(step(&scene), KEEPER_WAIT);
        assert_non_null(strstr(scene.action.reason, "not made by this sidecar"));
    }
}

static void
test_a_standby_whose_wal_is_gone_is_rebuilt_once_the_record_had_time_to_let_go_of_it(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.conninfo_of.value = 2;
    memcpy(scene.facts.conninfo_address, "10.0.0.2:5432", sizeof("10.0.0.2:5432"));
    scene.facts.wal_lost = true;
    scene.facts.primary_reach = REACH_OK;
    scene.facts.primary_reach_of.value = 2;
    scene.facts.primary_reach_ms = KEEPER_GAP_MS - 1;
    assert_int_equal(step(&scene), KEEPER_NONE);
    scene.facts.primary_reach_ms = KEEPER_GAP_MS;
    assert_int_equal(step(&scene), KEEPER_REBUILD);
    scene.goal.in_record = true;
    scene.facts.wal_lost_ms = KEEPER_LOST_MS - 1;
    assert_int_equal(step(&scene), KEEPER_WAIT);
    scene.facts.wal_lost_ms =
        KEEPER_LOST_MS; /* the others are not enough: nothing is acknowledged */
    assert_int_equal(step(&scene), KEEPER_REBUILD);
    scene.facts.receiver_streaming = true;
    assert_int_equal(step(&scene), KEEPER_NONE);
}

static void test_what_cannot_start_is_not_reported_as_a_folder_to_restart(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_PRIMARY, INSTANCE_STOPPED);
    struct report report;
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_true(report.data_intact);
    scene.facts.cannot_start = true;
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_false(report.data_intact);
}

static void test_a_standby_with_too_low_settings_is_started_again(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.settings_too_low = true;
    assert_int_equal(step(&scene), KEEPER_STOP);
    scene = scene_of(GOAL_PRIMARY, INSTANCE_STANDBY);
    scene.goal.may_promote = true;
    scene.facts.settings_too_low = true;
    assert_int_equal(step(&scene), KEEPER_STOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_goal_has_a_row_in_every_state),
        cmocka_unit_test(test_no_facts_lead_to_a_promotion_without_a_lease),
        cmocka_unit_test(test_a_newer_goal_is_persisted_before_anything_is_done),
        cmocka_unit_test(test_a_stale_goal_is_refused),
        cmocka_unit_test(test_promotion_persists_the_writable_epoch_first),
        cmocka_unit_test(test_a_broken_promotion_is_fenced_and_never_repeated),
        cmocka_unit_test(test_a_fence_is_reported_only_when_nothing_runs),
        cmocka_unit_test(test_a_fence_interrupts_whatever_runs),
        cmocka_unit_test(test_a_position_that_is_not_final_does_not_meet_a_cut),
        cmocka_unit_test(test_a_folder_named_in_the_record_is_not_wiped),
        cmocka_unit_test(test_reattaching_to_whom_it_was_cut_from_needs_a_later_epoch),
        cmocka_unit_test(test_who_was_left_behind_by_a_recovery_is_not_obeyed),
        cmocka_unit_test(test_after_a_recovery_indexes_begin_anew_and_ballots_do_not),
        cmocka_unit_test(test_a_folder_without_a_record_is_left_alone),
        cmocka_unit_test(
            test_a_standby_whose_wal_is_gone_is_rebuilt_once_the_record_had_time_to_let_go_of_it),
        cmocka_unit_test(test_what_cannot_start_is_not_reported_as_a_folder_to_restart),
        cmocka_unit_test(test_a_standby_with_too_low_settings_is_started_again),
        cmocka_unit_test(test_the_table_prints_a_line_for_each_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
