/* SPDX-License-Identifier: Apache-2.0 */
/* Restarts of the old primary on its own data. Each rule of the table in docs/failover.md, and
 * of safety.md behind it, is broken once, by changing one thing of a command that would pass. */
#include "state_fixture.h"

#include <stdio.h>

/* --- in place --------------------------------------------------------------------------------- */

static void begin_in_place(struct fixture *f)
{
    struct command_failover *body = fixture_begin(f);
    body->cause = CAUSE_PROCESS;
    body->in_place = true;
    fixture_passes(f);
}

static void test_a_restart_in_place_keeps_record_and_floor(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct sync_record before = fixture_view(&f).shard.sync;
    begin_in_place(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    fixture_completed(&f)->reports_count = 0;
    fixture_passes(&f);
    (void)fixture_decided(&f); /* b may not: only the old primary restarts in place */
    fixture_refused(&f, ERR_PRECONDITION, "old primary");
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);

    struct shard_view view = fixture_view(&f);
    assert_int_equal(view.shard.primary.value, A);
    assert_int_equal(view.shard.primary_epoch.value, 2);
    assert_int_equal(view.shard.floor.lsn, 100);
    assert_true(sync_pair_equal(&view.shard.sync.pairs[0], &before.pairs[0]));
    assert_true(view.shard.sync.version > before.version);
    fixture_free(&f);
}

static void test_a_restart_in_place_leaves_a_joint_record_joint(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct command_sync *sync = fixture_sync(&f, COMMAND_SYNC_BEGIN);
    assert_int_equal(sync_pair_remove(&sync->pair, (struct sync_member){{C}, {13}}), ERR_OK);
    fixture_passes(&f);
    begin_in_place(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.sync.pairs_count, 2);
    fixture_free(&f);
}

static void test_a_restart_in_place_needs_the_fence(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    begin_in_place(&f);
    fixture_excluded(&f)->proof = PROOF_CLOCK;
    fixture_refused(&f, ERR_PRECONDITION, "needs the proof by fence");
    fixture_free(&f);
}

static void test_a_restart_in_place_needs_the_folder_that_took_office(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    begin_in_place(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {A}, .address = "10.0.0.1:5432", .incarnation = {91}};
    fixture_passes(&f);

    fixture_decided(&f)->candidate.value = A;
    fixture_refused(&f, ERR_PRECONDITION, "not the one that it took office with");
    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->in_place = true;
    fixture_refused(&f, ERR_PRECONDITION, "let a standby take over");
    fixture_free(&f);
}

static void test_the_note_of_an_unpromoted_restart_in_place_still_stands(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    begin_in_place(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);

    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_STUCK;
    body->acked_floor = (struct position){0, 0};
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).failover.acked_floor.lsn, 200);
    fixture_free(&f);
}

static void test_a_promoted_restart_in_place_has_a_floor_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    begin_in_place(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);
    (void)fixture_promoted(&f);
    fixture_passes(&f);

    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_STUCK;
    body->acked_floor = (struct position){0, 0};
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).failover.acked_floor.lsn, 0);
    assert_int_equal(fixture_view(&f).shard.floor.lsn, 300);
    fixture_free(&f);
}

static void test_a_bootstrap_that_stuck_may_go_on_in_place(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    struct command_failover *body = fixture_failover(&f, COMMAND_FAILOVER_BEGIN);
    body->epoch.value = 1;
    body->cause = CAUSE_BOOTSTRAP;
    fixture_passes(&f);
    body = fixture_failover(&f, COMMAND_FAILOVER_DECIDED);
    body->epoch.value = 1;
    body->candidate.value = A;
    fixture_passes(&f);
    body = fixture_begin(&f);
    body->cause = CAUSE_STUCK;
    body->in_place = true;
    body->acked_floor = (struct position){0, 0};
    fixture_passes(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = A;
    fixture_passes(&f);
    body = fixture_promoted(&f);
    body->fork.parent_timeline = 1;
    fixture_passes(&f);
    (void)fixture_opened(&f);
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.primary_incarnation.value, 11);
    assert_int_equal(fixture_view(&f).shard.system_identifier, 77);
    fixture_free(&f);
}

/* --- what is remembered ------------------------------------------------------------------------
 */

static void
test_who_was_decided_and_did_not_open_is_remembered_until_the_shard_is_open(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
    for (uint64_t epoch = 3; epoch <= 4; epoch++) {
        struct command_failover *body = fixture_begin(&f);
        body->epoch.value = epoch;
        body->cause = CAUSE_PROCESS;
        (void)snprintf(body->evidence, TEXT_SIZE, "no space left");
        fixture_passes(&f); /* the second one replaces an attempt that decided nobody */
        struct shard_view view = fixture_view(&f);
        assert_int_equal(view.instances[B - 1].promotions_failed, 1);
        assert_string_equal(view.instances[B - 1].promotion_trouble, "epoch 2: no space left");
        assert_int_equal(view.instances[A - 1].promotions_failed, 0);
        assert_int_equal(view.instances[C - 1].promotions_failed, 0);
    }
    fixture_free(&f);
}

static void test_a_promotion_that_gets_through_ends_the_count_and_its_own_trouble(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_PROMOTED);
    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_PROCESS;
    body->in_place = true;
    body->in_place_row = 7;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).instances[B - 1].promotions_failed, 1);
    assert_int_equal(fixture_view(&f).failover.in_place_row, 7);
    fixture_excluded(&f)->epoch.value = 3;
    fixture_passes(&f);
    fixture_completed(&f)->epoch.value = 3;
    fixture_passes(&f);
    fixture_decided(&f)->epoch.value = 3;
    fixture_passes(&f);
    body = fixture_promoted(&f);
    body->epoch.value = 3;
    body->fork.epoch = 3;
    body->fork.timeline = 4;
    body->fork.parent_timeline = 3;
    body->fork.fork_lsn = 400;
    fixture_passes(&f);
    fixture_opened(&f)->epoch.value = 3;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).instances[B - 1].promotions_failed, 0);
    assert_string_equal(fixture_view(&f).instances[B - 1].promotion_trouble, "");
    fixture_free(&f);
}

static void test_another_data_folder_has_failed_at_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    fixture_passes(&f);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {B}, .address = "10.0.0.2:5432", .incarnation = {92}};
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).instances[B - 1].promotions_failed, 0);
    assert_string_equal(fixture_view(&f).instances[B - 1].promotion_trouble, "");
    fixture_free(&f);
}

static void test_what_is_confirmed_is_marked_once_and_holds_nothing_up(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_PROMOTED);
    (void)fixture_failover(&f, COMMAND_FAILOVER_CONFIRMED);
    f.command.failover.epoch.value = 2;
    fixture_refused(&f, ERR_PRECONDITION, "is in step open");
    (void)fixture_opened(&f);
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).failover.confirmed_wall_ms, 0);
    fixture_failover(&f, COMMAND_FAILOVER_CONFIRMED)->epoch.value = 1;
    fixture_refused(&f, ERR_STALE_EPOCH, "");
    fixture_failover(&f, COMMAND_FAILOVER_CONFIRMED)->epoch.value = 2;
    fixture_passes(&f);
    assert_int_not_equal(fixture_view(&f).failover.confirmed_wall_ms, 0);
    assert_int_equal(fixture_view(&f).failover.step, FAILOVER_DONE);
    fixture_failover(&f, COMMAND_FAILOVER_CONFIRMED)->epoch.value = 2;
    fixture_refused(&f, ERR_PRECONDITION, "confirmed already");
    fixture_free(&f);
}

static void test_an_async_shard_is_confirmed_when_it_is_open(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_advance(&f, COMMAND_FAILOVER_OPENED);
    assert_int_not_equal(fixture_view(&f).failover.confirmed_wall_ms, 0);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restart_in_place_keeps_record_and_floor),
        cmocka_unit_test(test_a_restart_in_place_leaves_a_joint_record_joint),
        cmocka_unit_test(test_a_restart_in_place_needs_the_fence),
        cmocka_unit_test(test_a_restart_in_place_needs_the_folder_that_took_office),
        cmocka_unit_test(test_a_promoted_restart_in_place_has_a_floor_of_its_own),
        cmocka_unit_test(test_a_bootstrap_that_stuck_may_go_on_in_place),
        cmocka_unit_test(test_the_note_of_an_unpromoted_restart_in_place_still_stands),
        cmocka_unit_test(
            test_who_was_decided_and_did_not_open_is_remembered_until_the_shard_is_open),
        cmocka_unit_test(test_a_promotion_that_gets_through_ends_the_count_and_its_own_trouble),
        cmocka_unit_test(test_another_data_folder_has_failed_at_nothing),
        cmocka_unit_test(test_what_is_confirmed_is_marked_once_and_holds_nothing_up),
        cmocka_unit_test(test_an_async_shard_is_confirmed_when_it_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
