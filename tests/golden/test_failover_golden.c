/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: how each kind of failover goes, step by step, can be read and reviewed as prose.
 * Method: scripts over the real controller, state machine, goals and keepers in virtual time
 * (failover_story.h); the trace is compared with tests/golden/failover_*.txt. GOLDEN_UPDATE=1
 * rewrites them. */
#include "failover_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    A = 1,
    B = 2,
    C = 3
};

/* The sidecar's connection to the leader ends. */
static void close_session(struct story *story, struct story_site *site)
{
    uint64_t session = site->session;

    story_site_closed(site);
    controller_session_closed(story->controller, session, story->now_ms);
}

static void lose_machine(struct story *story, struct story_site *site)
{
    story_note(story, "(the machine of %s is lost)", story_site_name(site->number));
    story_database_dies(site);
    site->machine_up = false;
    site->sidecar_up = false;
    site->running = KEEPER_NONE;
    close_session(story, site);
}

static void return_machine(struct story *story, struct story_site *site)
{
    story_note(story,
               "(the machine of %s is back, its guardian is a new one)",
               story_site_name(site->number));
    site->machine_up = true;
    site->sidecar_up = true;
    site->has_goal = false;
    site->guardian = (struct story_guardian){0};
    site->said = (struct report){0};
    site->leased.value = 0;
    lease_holder_init(&site->holder, UINT64_C(1) << 32);
}

static void kill_database(struct story *story, struct story_site *site)
{
    story_note(story, "(the database of %s is killed)", story_site_name(site->number));
    story_database_dies(site);
}

static void client_writes(struct story *story, uint32_t number)
{
    story_database_write(&story->sites[number], 0x1000);
}

static void operator_moves(struct story *story, uint32_t to)
{
    struct controller_wish wish = {{1}, {to}, "works on the machine of a"};
    char message[TEXT_SIZE] = "";

    story_note(story, "operator: failover of orders to %s", story_site_name(to));
    assert_int_equal(controller_failover(story->controller, &wish, story->now_ms, message), ERR_OK);
}

static void operator_freezes(struct story *story, bool frozen)
{
    struct command command = {.kind = COMMAND_SHARD_FREEZE};

    (void)snprintf(command.shard_freeze.name, NAME_SIZE, "orders");
    command.shard_freeze.frozen = frozen;
    story_note(story, "operator: %s orders", frozen ? "freeze" : "unfreeze");
    story_apply(story, &command);
}

static void test_story_of_a_first_primary(void **state)
{
    (void)state;
    struct story *story = story_new(SHARD_SYNC, 3);
    story_run_until_confirmed(story, 1);
    story_run(story, 1000);
    story_finish(story, "failover_bootstrap");
}

static void test_story_of_a_dead_process_that_restarts_in_place(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    client_writes(story, A);
    story_run(story, 100);
    kill_database(story, &story->sites[A]);
    story_run_until_confirmed(story, 2);
    assert_int_equal(story_view(story).shard.primary.value, A);
    story_finish(story, "failover_in_place");
}

static void test_story_of_a_dead_process_with_much_to_replay(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    client_writes(story, A);
    story_run(story, 100);
    story_note(story, "(a would have 1 GiB to replay)");
    story->sites[A].redo_bytes = UINT64_C(1) << 30;
    kill_database(story, &story->sites[A]);
    story_run_until_confirmed(story, 2);
    assert_int_equal(story_view(story).shard.primary.value, B);
    story_run(story, 3000);
    story_finish(story, "failover_process");
}

static void test_story_of_a_lost_machine_that_comes_back(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    client_writes(story, A);
    story_run(story, 100);
    lose_machine(story, &story->sites[A]);
    story_run_until_confirmed(story, 2);
    story_run(story, 1000);
    return_machine(story, &story->sites[A]);
    story_run(story, 3000);
    story_finish(story, "failover_instance");
}

static void test_story_of_a_region_that_is_cut_off(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_ASYNC, 3);
    client_writes(story, A);
    story_run(story, 100);
    story_note(story, "(nothing goes into east or out of it any more)");
    story->sites[A].cut_off = true;
    story_run(story, 1000);
    story_run_until_confirmed(story, 2);
    story_run(story, 1000);
    story_note(story, "(east is connected again; the sidecar there opens another session)");
    story->sites[A].cut_off = false;
    story_site_closed(&story->sites[A]);
    story_run(story, 3000);
    story_finish(story, "failover_region");
}

static void test_story_of_a_frozen_shard(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    operator_freezes(story, true);
    story_run(story, 100);
    lose_machine(story, &story->sites[A]);
    story_run(story, 5000);
    assert_int_equal(story_view(story).shard.epoch.value, 1);
    operator_freezes(story, false);
    story_run_until_confirmed(story, 2);
    story_finish(story, "failover_freeze");
}

static void test_story_of_a_promotion_that_fails(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    story->sites[B].promotion_fails = true;
    lose_machine(story, &story->sites[A]);
    story_run_until_confirmed(story, 3);
    assert_int_equal(story_view(story).shard.primary.value, C);
    story_finish(story, "failover_stuck");
}

static void test_story_of_a_planned_move(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    client_writes(story, A);
    operator_moves(story, C);
    story_run_until_confirmed(story, 2);
    assert_int_equal(story_view(story).shard.primary.value, C);
    story_run(story, 1000);
    story_finish(story, "failover_switchover");
}

/* Two regions are lost for good, and with them the decision that made b the primary. */
static void test_story_of_a_forced_recovery_that_forgot_a_decision(void **state)
{
    (void)state;
    struct story *story = story_new_steady(SHARD_SYNC, 3);
    struct tables_memory *survivor = tables_memory_dup(story->memory);
    story_note(story, "(m3 hears nothing of the other two members from here on)");
    lose_machine(story, &story->sites[A]);
    story_run_until_confirmed(story, 2);
    assert_int_equal(story_view(story).shard.primary.value, B);
    story_note(story, "(m1 and m2 are lost for good; an operator makes m3 go on alone)");
    story_elect(story, survivor);
    struct command command = {.kind = COMMAND_CLUSTER_RECOVERED};
    command.cluster_recovered.survivor = (struct member_id){1, 3};
    command.cluster_recovered.cluster_epoch = 1;
    (void)snprintf(command.cluster_recovered.reason, TEXT_SIZE, "m1 and m2 are lost");
    story_apply(story, &command);
    story_run(story, 5000);
    return_machine(story, &story->sites[A]);
    story_run(story, 6000);
    story_finish(story, "failover_forced_recovery");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story_of_a_first_primary),
        cmocka_unit_test(test_story_of_a_dead_process_that_restarts_in_place),
        cmocka_unit_test(test_story_of_a_dead_process_with_much_to_replay),
        cmocka_unit_test(test_story_of_a_lost_machine_that_comes_back),
        cmocka_unit_test(test_story_of_a_region_that_is_cut_off),
        cmocka_unit_test(test_story_of_a_frozen_shard),
        cmocka_unit_test(test_story_of_a_promotion_that_fails),
        cmocka_unit_test(test_story_of_a_planned_move),
        cmocka_unit_test(test_story_of_a_forced_recovery_that_forgot_a_decision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
