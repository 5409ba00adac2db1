/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper does when somebody changed what it had set. Method: facts, state and goal of
 * epoch 7 by hand, the goal met. */
#include "replication/keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

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
    scene.goal.timeline = 6;
    if (role != GOAL_PRIMARY) {
        scene.goal.upstream.value = 2;
        memcpy(scene.goal.upstream_address, "10.0.0.2:5432", sizeof("10.0.0.2:5432"));
    }
    scene.state.epoch = scene.goal.epoch;
    scene.state.goal_index = scene.goal.index;
    scene.state.goal_role = role;
    scene.state.incarnation.value = 99;
    scene.state.promoted_fork.epoch = 7;
    scene.state.writable_epoch.value = role == GOAL_PRIMARY ? 7 : 0;
    scene.facts.state = instance;
    scene.facts.lineage = LINEAGE_PROVEN;
    scene.facts.position = (struct position){.timeline = 5, .lsn = 2000};
    scene.facts.position_final = true;
    scene.facts.fork = (struct fork){.timeline = 6, .fork_lsn = 2000};
    scene.facts.slots_epoch = scene.goal.epoch;
    scene.facts.slots_index = scene.goal.index;
    scene.facts.canary_epoch = scene.goal.epoch;
    if (role == GOAL_STANDBY) {
        scene.facts.conninfo_of = scene.goal.upstream;
        memcpy(scene.facts.conninfo_address, scene.goal.upstream_address, ADDRESS_SIZE);
    }
    return scene;
}

static enum keeper_action_kind step(struct scene *scene)
{
    keeper_step(&scene->facts, &scene->state, &scene->goal, &scene->action);
    return scene->action.kind;
}

static void test_settings_that_somebody_changed_are_put_back_in_every_role(void **context)
{
    static const struct {
        enum goal_role role;
        enum instance_state state;
        enum keeper_action_kind action;
    } CASES[] = {
        {GOAL_PRIMARY, INSTANCE_PRIMARY, KEEPER_SET_SYNC},
        {GOAL_STANDBY, INSTANCE_STANDBY, KEEPER_FOLLOW},
        {GOAL_CUT, INSTANCE_STANDBY, KEEPER_CUT},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct scene scene = scene_of(CASES[i].role, CASES[i].state);
        assert_int_equal(step(&scene), KEEPER_NONE);
        scene.facts.put_back = true;
        assert_int_equal(step(&scene), CASES[i].action);
    }
}

static void test_a_position_after_which_the_cut_was_undone_is_not_final(void **context)
{
    (void)context;
    struct scene scene = scene_of(GOAL_CUT, INSTANCE_STANDBY);
    struct report report;
    struct instance_id self = {1};
    keeper_report(&scene.facts, &scene.state, &scene.goal, self, &report);
    assert_true(report.position_final);
    scene.facts.cut_undone = true;
    keeper_report(&scene.facts, &scene.state, &scene.goal, self, &report);
    assert_false(report.position_final);
    assert_true(report.cut_undone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_that_somebody_changed_are_put_back_in_every_role),
        cmocka_unit_test(test_a_position_after_which_the_cut_was_undone_is_not_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
