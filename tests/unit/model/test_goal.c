/* SPDX-License-Identifier: Apache-2.0 */
/* The table "Goals" of docs/failover.md, cell by cell: every step, in place and not, for the old
 * primary (1), the candidate (2) and a bystander (3). */
#include "base/check.h"
#include "model/goal.h"
#include "tests/support/support_abort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    OLD = 1,
    CANDIDATE = 2,
    OTHER = 3
};

/* A shard whose primary, OLD, took office at epoch 4 on timeline 3. */
static struct shard_view steady(void)
{
    struct shard_view view;
    memset(&view, 0, sizeof(view));
    view.shard.id.value = 8;
    view.shard.mode = SHARD_SYNC;
    view.shard.epoch.value = 4;
    view.shard.primary.value = OLD;
    view.shard.primary_epoch.value = 4;
    view.shard.lease = LEASE_OPEN;
    view.shard.opened = true;
    view.shard.floor = (struct position){3, 100};
    view.shard.timeline_reserved = 3;
    view.shard.forks_count = 1;
    view.shard.forks[0] = (struct fork){4, 3, 2, 100};
    view.shard.system_identifier = 55;
    view.shard.changed_index = 70;
    view.shard.sync.version = 6;
    view.shard.sync.pairs_count = 1;
    view.shard.sync.pairs[0].required = 1;
    view.instances_count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        struct instance *instance = &view.instances[i];
        instance->id.value = i + 1;
        instance->incarnation.value = 10 + i + 1;
        (void)snprintf(instance->address, ADDRESS_SIZE, "10.0.0.%u:5432", i + 1);
        if (i > 0) {
            struct sync_member member = {instance->id, instance->incarnation};
            assert_int_equal(sync_pair_add(&view.shard.sync.pairs[0], member), ERR_OK);
        }
    }
    view.failover.id = 1;
    view.failover.step = FAILOVER_DONE;
    view.failover.cause = CAUSE_INSTANCE;
    view.failover.epoch.value = 4;
    view.failover.candidate.value = OLD;
    return view;
}

/* The same at this step of a failover of epoch 5 from OLD to CANDIDATE, or to OLD itself in place.
 */
static struct shard_view at_step(enum failover_step step, bool in_place)
{
    struct shard_view view = steady();
    view.failover = (struct failover){
        .id = 2,
        .step = step,
        .cause = CAUSE_INSTANCE,
        .in_place = in_place,
        .epoch = {5},
        .old_primary = {OLD},
        .old_epoch = {4},
    };
    view.shard.epoch.value = 5;
    view.shard.lease = LEASE_CLOSED;
    view.shard.opened = false;
    if (step >= FAILOVER_PROMOTE) {
        view.failover.candidate.value = in_place ? OLD : CANDIDATE;
        view.shard.primary = view.failover.candidate;
        view.shard.primary_epoch.value = 5;
        view.shard.lease = LEASE_OPEN;
        view.shard.timeline_reserved = 4;
    }
    if (step >= FAILOVER_OPEN) {
        view.shard.forks[view.shard.forks_count++] = (struct fork){5, 4, 3, 200};
    }
    view.shard.opened = step == FAILOVER_DONE;
    return view;
}

static struct goal goal_of(const struct shard_view *view, uint32_t instance)
{
    struct goal goal;
    goal_derive(view, (struct instance_id){instance}, &goal);
    assert_int_equal(goal.instance.value, instance);
    assert_int_equal(goal.index, view->shard.changed_index);
    return goal;
}

struct row {
    enum failover_step step;
    bool in_place;
    enum goal_role old;
    uint32_t old_upstream;
    enum goal_role candidate;
    uint32_t candidate_upstream;
    enum goal_role other;
    uint32_t other_upstream;
};

static void test_every_step_gives_everyone_the_goal_of_the_table(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct row ROWS[] = {
        {FAILOVER_EXCLUDE,  false, GOAL_FENCED,  0,   GOAL_CUT,     OLD, GOAL_CUT,     OLD},
        {FAILOVER_COMPLETE, false, GOAL_FENCED,  0,   GOAL_CUT,     OLD, GOAL_CUT,     OLD},
        {FAILOVER_DECIDE,   false, GOAL_FENCED,  0,   GOAL_CUT,     OLD, GOAL_CUT,     OLD},
        {FAILOVER_PROMOTE,  false, GOAL_FENCED,  0,   GOAL_PRIMARY, 0,   GOAL_CUT,     OLD},
        {FAILOVER_OPEN,     false, GOAL_STANDBY, CANDIDATE, GOAL_PRIMARY, 0, GOAL_STANDBY, CANDIDATE},
        {FAILOVER_DONE,     false, GOAL_STANDBY, CANDIDATE, GOAL_PRIMARY, 0, GOAL_STANDBY, CANDIDATE},
        {FAILOVER_EXCLUDE,  true,  GOAL_CUT,     0,   GOAL_STANDBY, OLD, GOAL_STANDBY, OLD},
        {FAILOVER_COMPLETE, true,  GOAL_CUT,     0,   GOAL_STANDBY, OLD, GOAL_STANDBY, OLD},
        {FAILOVER_DECIDE,   true,  GOAL_CUT,     0,   GOAL_STANDBY, OLD, GOAL_STANDBY, OLD},
        {FAILOVER_PROMOTE,  true,  GOAL_PRIMARY, 0,   GOAL_STANDBY, OLD, GOAL_STANDBY, OLD},
        {FAILOVER_OPEN,     true,  GOAL_PRIMARY, 0,   GOAL_STANDBY, OLD, GOAL_STANDBY, OLD},
        {FAILOVER_DONE,     true,  GOAL_PRIMARY, 0,   GOAL_STANDBY, OLD, GOAL_STANDBY, OLD},
    };
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct row *row = &ROWS[i];
        struct shard_view view = at_step(row->step, row->in_place);
        struct goal old = goal_of(&view, OLD);
        struct goal candidate = goal_of(&view, CANDIDATE);
        struct goal other = goal_of(&view, OTHER);
        assert_string_equal(goal_role_name(old.role), goal_role_name(row->old));
        assert_string_equal(goal_role_name(candidate.role), goal_role_name(row->candidate));
        assert_string_equal(goal_role_name(other.role), goal_role_name(row->other));
        assert_int_equal(old.upstream.value, row->old_upstream);
        assert_int_equal(candidate.upstream.value, row->candidate_upstream);
        assert_int_equal(other.upstream.value, row->other_upstream);
        assert_int_equal(old.epoch.value, 5);
        assert_int_equal(other.epoch.value, 5);
    }
}

static void test_steady_there_is_one_primary_and_the_rest_follow_it(void **state)
{
    (void)state;
    struct shard_view view = steady();
    struct goal primary = goal_of(&view, OLD);
    struct goal standby = goal_of(&view, OTHER);
    assert_int_equal(primary.role, GOAL_PRIMARY);
    assert_int_equal(primary.epoch.value, 4);
    assert_false(primary.may_promote);
    assert_int_equal(primary.sync_version, 6);
    assert_int_equal(primary.sync.members_count, 2);
    assert_int_equal(primary.siblings_count, 2);
    assert_int_equal(primary.siblings[0].instance.value, CANDIDATE);
    assert_int_equal(primary.siblings[1].incarnation.value, 13);
    assert_int_equal(standby.role, GOAL_STANDBY);
    assert_string_equal(standby.upstream_address, "10.0.0.1:5432");
    assert_int_equal(standby.fork.timeline, 3);
    assert_true(standby.in_record);
    assert_int_equal(standby.system_identifier, 55);
}

static void test_a_planned_move_drains_its_primary_before_anybody_is_cut(void **state)
{
    (void)state;
    struct shard_view view = at_step(FAILOVER_EXCLUDE, false);
    view.failover.cause = CAUSE_OPERATOR;
    assert_int_equal(goal_of(&view, OLD).role, GOAL_FENCED);
    assert_true(goal_of(&view, OLD).drain);
    assert_int_equal(goal_of(&view, CANDIDATE).role, GOAL_STANDBY);
    assert_int_equal(goal_of(&view, CANDIDATE).upstream.value, OLD);

    view.failover.step = FAILOVER_COMPLETE;
    assert_false(goal_of(&view, OLD).drain);
    assert_int_equal(goal_of(&view, CANDIDATE).role, GOAL_CUT);
}

static void test_promotion_is_allowed_only_between_decided_and_promoted(void **state)
{
    (void)state;
    for (int step = FAILOVER_EXCLUDE; step <= FAILOVER_DONE; step++) {
        for (int in_place = 0; in_place <= 1; in_place++) {
            struct shard_view view = at_step((enum failover_step)step, in_place != 0);
            for (uint32_t instance = OLD; instance <= OTHER; instance++) {
                struct goal goal = goal_of(&view, instance);
                bool chosen = instance == (in_place != 0 ? OLD : CANDIDATE);
                assert_int_equal(goal.may_promote, step == FAILOVER_PROMOTE && chosen);
                assert_false(goal.bootstrap);
                if (goal.may_promote) {
                    assert_int_equal(goal.timeline, 4);
                    assert_int_equal(goal.floor.lsn, 100);
                }
            }
        }
    }
}

static void test_at_most_one_instance_is_asked_to_be_primary(void **state)
{
    (void)state;
    for (int step = FAILOVER_NONE; step <= FAILOVER_ABORTED; step++) {
        struct shard_view view = at_step((enum failover_step)step, false);
        uint32_t primaries = 0;
        for (uint32_t instance = OLD; instance <= OTHER; instance++) {
            primaries += goal_of(&view, instance).role == GOAL_PRIMARY ? 1 : 0;
        }
        assert_true(primaries <= 1);
    }
}

static void test_before_the_first_primary_everyone_waits(void **state)
{
    (void)state;
    struct shard_view view = steady();
    view.shard.primary.value = 0;
    view.shard.primary_epoch.value = 0;
    view.shard.epoch.value = 0;
    view.shard.forks_count = 0;
    memset(&view.failover, 0, sizeof(view.failover));
    for (uint32_t instance = OLD; instance <= OTHER; instance++) {
        assert_int_equal(goal_of(&view, instance).role, GOAL_WAIT);
    }
    view.shard.epoch.value = 1;
    view.failover =
        (struct failover){.id = 1, .step = FAILOVER_DECIDE, .cause = CAUSE_BOOTSTRAP, .epoch = {1}};
    for (uint32_t instance = OLD; instance <= OTHER; instance++) {
        assert_int_equal(goal_of(&view, instance).role, GOAL_WAIT);
    }
}

static void test_a_bootstrap_allows_initdb_once_and_to_one(void **state)
{
    (void)state;
    struct shard_view view = at_step(FAILOVER_PROMOTE, false);
    view.shard.forks_count = 0;
    view.failover.cause = CAUSE_BOOTSTRAP;
    view.failover.old_primary.value = 0;
    assert_true(goal_of(&view, CANDIDATE).bootstrap);
    assert_int_equal(goal_of(&view, CANDIDATE).role, GOAL_PRIMARY);
    assert_int_equal(goal_of(&view, OTHER).role, GOAL_WAIT);
    assert_int_equal(goal_of(&view, OLD).role, GOAL_WAIT);
    view.failover.step = FAILOVER_OPEN;
    view.shard.forks_count = 1;
    assert_false(goal_of(&view, CANDIDATE).bootstrap);
    assert_int_equal(goal_of(&view, OTHER).role, GOAL_STANDBY);
}

static void test_a_folder_named_in_any_pair_is_in_the_record(void **state)
{
    (void)state;
    struct shard_view view = steady();
    view.shard.sync.pairs_count = 2;
    view.shard.sync.pairs[1] = (struct sync_pair){.required = 1};
    assert_true(goal_of(&view, OTHER).in_record);
    view.instances[OTHER - 1].incarnation.value = 99; /* another folder: it may be wiped */
    assert_false(goal_of(&view, OTHER).in_record);
    assert_int_equal(goal_of(&view, OLD).sync.members_count, 0); /* the newest pair */
}

static void test_an_async_primary_has_no_sync_set(void **state)
{
    (void)state;
    struct shard_view view = steady();
    view.shard.mode = SHARD_ASYNC;
    view.shard.sync = (struct sync_record){.pairs_count = 0};
    struct goal goal = goal_of(&view, OLD);
    assert_int_equal(goal.sync.required, 0);
    assert_int_equal(goal.sync_version, 0);
}

static void test_goals_are_ordered_by_epoch_then_index(void **state)
{
    (void)state;
    struct goal a = {.epoch = {4}, .index = 100};
    struct goal b = {.epoch = {5}, .index = 10};
    struct goal c = {.epoch = {5}, .index = 11};
    assert_true(goal_compare(&a, &b) < 0);
    assert_true(goal_compare(&c, &b) > 0);
    assert_int_equal(goal_compare(&b, &b), 0);
}

static void derive_for_a_stranger(void *ctx)
{
    struct goal goal;
    goal_derive(ctx, (struct instance_id){77}, &goal);
}

static void test_a_goal_for_a_stranger_ends_the_process(void **state)
{
    (void)state;
    struct shard_view view = steady();
    assert_true(support_aborts(derive_for_a_stranger, &view, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step_gives_everyone_the_goal_of_the_table),
        cmocka_unit_test(test_steady_there_is_one_primary_and_the_rest_follow_it),
        cmocka_unit_test(test_a_planned_move_drains_its_primary_before_anybody_is_cut),
        cmocka_unit_test(test_promotion_is_allowed_only_between_decided_and_promoted),
        cmocka_unit_test(test_at_most_one_instance_is_asked_to_be_primary),
        cmocka_unit_test(test_before_the_first_primary_everyone_waits),
        cmocka_unit_test(test_a_bootstrap_allows_initdb_once_and_to_one),
        cmocka_unit_test(test_a_folder_named_in_any_pair_is_in_the_record),
        cmocka_unit_test(test_an_async_primary_has_no_sync_set),
        cmocka_unit_test(test_goals_are_ordered_by_epoch_then_index),
        cmocka_unit_test(test_a_goal_for_a_stranger_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
