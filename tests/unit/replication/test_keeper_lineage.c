/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper does with a folder in which somebody else may have written. Goal: it is not
 * started before it was proven, counts for nothing if it cannot be, and nothing is remembered of
 * it. Method: facts, state and goal by hand. */
#include "replication/keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The folder 99, which follows timeline 5 (from 4 at 900) under epoch 7. */
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
    scene.goal.fork =
        (struct fork){.epoch = 6, .timeline = 5, .parent_timeline = 4, .fork_lsn = 900};
    scene.goal.history[0] = scene.goal.fork;
    scene.goal.history_count = 1;
    scene.goal.upstream.value = role == GOAL_PRIMARY ? 0 : 2;
    scene.state.epoch = scene.goal.epoch;
    scene.state.goal_index = scene.goal.index;
    scene.state.goal_role = role;
    scene.state.incarnation.value = 99;
    scene.facts.state = instance;
    scene.facts.primary_reach_of = scene.goal.upstream;
    return scene;
}

static enum keeper_action_kind step(struct scene *scene)
{
    keeper_step(&scene->facts, &scene->state, &scene->goal, &scene->action);
    return scene->action.kind;
}

static void test_a_stopped_folder_is_proven_before_it_is_started(void **context)
{
    static const enum goal_role ROLES[] = {GOAL_STANDBY, GOAL_CUT, GOAL_PRIMARY};

    (void)context;
    for (size_t i = 0; i < sizeof(ROLES) / sizeof(ROLES[0]); i++) {
        struct scene scene = scene_of(ROLES[i], INSTANCE_STOPPED);
        scene.goal.may_promote = true;
        assert_int_equal(step(&scene), KEEPER_PROVE);
        scene.facts.lineage = LINEAGE_PROVEN;
        assert_int_equal(step(&scene), KEEPER_START);
    }
}

static void test_a_folder_that_is_not_proven_counts_for_nothing(void **context)
{
    struct report report;

    (void)context;
    struct scene scene = scene_of(GOAL_CUT, INSTANCE_STOPPED);
    scene.facts.lineage = LINEAGE_DOUBTED;
    assert_int_equal(step(&scene), KEEPER_WAIT);
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_false(report.goal_met);
    assert_false(report.position_final);

    scene = scene_of(GOAL_PRIMARY, INSTANCE_STOPPED);
    scene.goal.may_promote = true;
    scene.facts.lineage = LINEAGE_DOUBTED;
    assert_int_equal(step(&scene), KEEPER_PERSIST);
    assert_int_equal(scene.action.state_next.fenced_epoch.value, 7);
}

/* Its word is worth nothing, in the record or not; it is put aside when it can be built anew. */
static void test_a_folder_that_is_not_proven_is_built_anew_once_the_primary_answers(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STOPPED);
    scene.facts.lineage = LINEAGE_DOUBTED;
    scene.goal.in_record = true;
    scene.facts.primary_reach = REACH_REFUSED;
    assert_int_equal(step(&scene), KEEPER_WAIT);
    scene.facts.primary_reach = REACH_OK;
    assert_int_equal(step(&scene), KEEPER_REBUILD);
    scene.facts.primary_reach_of.value = 3;
    assert_int_equal(step(&scene), KEEPER_WAIT);
}

/* Its server was stopped to be put aside, and whoever stopped it died: a start would fail for ever.
 */
static void test_a_stopped_folder_that_needs_another_history_is_built_anew(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STOPPED);
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.needs = (struct position){.timeline = 4, .lsn = 900};
    assert_int_equal(step(&scene), KEEPER_START);
    scene.facts.needs.lsn = 901; /* beyond the fork */
    assert_int_equal(step(&scene), KEEPER_REBUILD);
    scene.goal.in_record = true;
    assert_int_equal(step(&scene), KEEPER_WAIT);
}

static void test_who_goes_on_in_place_has_its_guardians_word(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_CUT, INSTANCE_STOPPED);
    scene.facts.continuous = true;
    assert_int_equal(step(&scene), KEEPER_START);
    scene = scene_of(GOAL_STANDBY, INSTANCE_STOPPED);
    scene.facts.continuous = true;
    assert_int_equal(step(&scene), KEEPER_PROVE);
    scene = scene_of(GOAL_PRIMARY, INSTANCE_STOPPED);
    scene.goal.may_promote = true;
    scene.goal.bootstrap = true;
    assert_int_equal(step(&scene), KEEPER_START);
}

static void test_who_received_from_a_stranger_is_stopped(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.lineage = LINEAGE_UNKNOWN;
    assert_int_equal(step(&scene), KEEPER_STOP);
}

static void test_a_standby_without_a_name_is_pointed_at_its_primary(void **context)
{
    struct report report;

    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.conninfo_of = scene.goal.upstream;
    assert_int_equal(step(&scene), KEEPER_NONE);
    scene.facts.nameless = true;
    assert_int_equal(step(&scene), KEEPER_FOLLOW);
    keeper_report(&scene.facts, &scene.state, &scene.goal, scene.goal.instance, &report);
    assert_false(report.goal_met);
}

static void test_the_anchor_moves_with_what_was_watched(void **context)
{
    struct lineage_anchor anchor = {0};

    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STOPPED);
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.proven_from = (struct position){5, 950};
    scene.state.writable_epoch.value = 3;
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.incarnation, 99);
    assert_int_equal(anchor.position.lsn, 950);
    assert_int_equal(anchor.writable_epoch, 0);

    scene.facts.state = INSTANCE_STANDBY;
    scene.facts.held = (struct position){5, 1000};
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.position.lsn, 1000);
    assert_int_equal(anchor.writable_epoch, 0); /* it may be about to be promoted */
    scene.state.fenced_epoch.value = 3;
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.writable_epoch, 3);
    scene.facts.held.lsn = 990; /* started again, and behind what it held */
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.position.lsn, 1000);
}

static void test_the_fingerprint_of_the_anchor_is_of_its_place(void **context)
{
    struct lineage_anchor anchor = {0};

    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.held = (struct position){5, 1000};
    scene.facts.held_fingerprint = 7;
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.fingerprint, 7);
    scene.facts.held_fingerprint = 0; /* could not be read just now */
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.fingerprint, 7);
    scene.facts.held = (struct position){5, 990};
    scene.facts.held_fingerprint = 6;
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.position.lsn, 1000);
    assert_int_equal(anchor.fingerprint, 7);
    scene.facts.state = INSTANCE_STOPPED;
    scene.facts.proven_from = anchor.position;
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.fingerprint, 7);
    scene.facts.state = INSTANCE_STANDBY;
    scene.facts.held = (struct position){5, 1100};
    scene.facts.held_fingerprint = 0;
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.position.lsn, 1100);
    assert_int_equal(anchor.fingerprint, 0);
}

static void test_a_place_before_the_fork_is_remembered_on_the_parent(void **context)
{
    struct lineage_anchor anchor = {0};

    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_STANDBY);
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.held = (struct position){5, 899};
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.position.timeline, 4);
}

static void test_of_a_primary_that_nobody_ordered_nothing_is_remembered(void **context)
{
    struct lineage_anchor anchor = {0};
    struct marks marks = {0};

    (void)context;
    struct scene scene = scene_of(GOAL_STANDBY, INSTANCE_PRIMARY);
    scene.facts.held = (struct position){6, 5000};
    scene.facts.acked = (struct position){6, 5000};
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    keeper_note_marks(&scene.facts, &scene.state, (struct instance_id){1}, &marks);
    assert_int_equal(anchor.incarnation, 0);
    assert_int_equal(marks.count, 0);
    assert_int_equal(marks.acked.timeline, 0);

    scene.state.writable_epoch.value = 7;
    scene.state.promoted_fork = (struct fork){.epoch = 7, .timeline = 6};
    keeper_note_anchor(&scene.facts, &scene.state, &scene.goal, &anchor);
    assert_int_equal(anchor.position.lsn, 5000);
}

/* Of a sidecar before this one. */
static void test_what_a_folder_was_known_to_hold_stands_for_a_missing_anchor(void **context)
{
    struct keeper_state kept = {.incarnation = {99}};
    struct lineage_anchor anchor = {0};
    struct marks marks = {0};

    (void)context;
    marks_raise(
        &marks, (struct sync_member){{1}, {98}}, (struct position){.timeline = 5, .lsn = 7});
    marks_raise(
        &marks, (struct sync_member){{2}, {99}}, (struct position){.timeline = 5, .lsn = 8});
    keeper_adopt_anchor(&kept, &marks, &anchor);
    assert_int_equal(anchor.incarnation, 99);
    assert_int_equal(anchor.position.lsn, 8);
}

static void test_who_was_cut_in_an_epoch_is_led_nowhere_by_it(void **context)
{
    struct keeper_state state = {.epoch = {7}, .goal_role = GOAL_STANDBY};

    (void)context;
    assert_int_equal(keeper_led_epoch(&state).value, 7);
    state.goal_role = GOAL_CUT;
    assert_int_equal(keeper_led_epoch(&state).value, 6);
    state.epoch.value = 0;
    assert_int_equal(keeper_led_epoch(&state).value, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stopped_folder_is_proven_before_it_is_started),
        cmocka_unit_test(test_a_folder_that_is_not_proven_counts_for_nothing),
        cmocka_unit_test(test_a_folder_that_is_not_proven_is_built_anew_once_the_primary_answers),
        cmocka_unit_test(test_a_stopped_folder_that_needs_another_history_is_built_anew),
        cmocka_unit_test(test_who_goes_on_in_place_has_its_guardians_word),
        cmocka_unit_test(test_who_received_from_a_stranger_is_stopped),
        cmocka_unit_test(test_a_standby_without_a_name_is_pointed_at_its_primary),
        cmocka_unit_test(test_the_anchor_moves_with_what_was_watched),
        cmocka_unit_test(test_the_fingerprint_of_the_anchor_is_of_its_place),
        cmocka_unit_test(test_a_place_before_the_fork_is_remembered_on_the_parent),
        cmocka_unit_test(test_of_a_primary_that_nobody_ordered_nothing_is_remembered),
        cmocka_unit_test(test_who_was_cut_in_an_epoch_is_led_nowhere_by_it),
        cmocka_unit_test(test_what_a_folder_was_known_to_hold_stands_for_a_missing_anchor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
