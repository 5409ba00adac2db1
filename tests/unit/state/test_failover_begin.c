/* SPDX-License-Identifier: Apache-2.0 */
/* How a failover begins and excludes the old primary. Each rule of the table in docs/failover.md,
 * and of safety.md behind it, is broken once, by changing one thing of a command that would pass.
 */
#include "state_fixture.h"

#include "base/check.h"

#include <stdio.h>

static void test_bootstrap_gives_the_first_primary_timeline_two(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);

    struct shard_view view = fixture_view(&f);

    assert_int_equal(view.shard.primary.value, A);
    assert_int_equal(view.shard.primary_epoch.value, 1);
    assert_int_equal(view.shard.primary_incarnation.value, 11);
    assert_int_equal(view.shard.lease, LEASE_OPEN);
    assert_true(view.shard.opened);
    assert_int_equal(view.shard.timeline_reserved, 2);
    assert_int_equal(view.shard.forks_count, 1);
    assert_int_equal(view.shard.system_identifier, 77);
    assert_int_equal(view.shard.floor.timeline, 2);
    assert_int_equal(view.shard.floor.lsn, 100);
    assert_int_equal(view.shard.sync.pairs_count, 1);
    assert_int_equal(view.shard.sync.pairs[0].members_count, 2);
    assert_int_equal(view.failover.step, FAILOVER_DONE);
    fixture_free(&f);
}

static void test_a_whole_failover_moves_the_office(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);

    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);
    struct shard_view view = fixture_view(&f);
    assert_int_equal(view.shard.lease, LEASE_CLOSED);
    assert_false(view.shard.opened);
    assert_int_equal(view.shard.epoch.value, 2);
    assert_int_equal(view.shard.primary.value, A);
    assert_int_equal(view.failover.old_primary.value, A);
    assert_int_equal(view.failover.old_epoch.value, 1);

    fixture_free(&f);
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
    view = fixture_view(&f);
    assert_int_equal(view.shard.primary.value, B);
    assert_int_equal(view.shard.primary_incarnation.value, 12);
    assert_int_equal(view.shard.lease, LEASE_OPEN);
    assert_int_equal(view.shard.timeline_reserved, 3);
    assert_int_equal(view.shard.floor.lsn, 300);
    assert_int_equal(view.shard.sync.pairs[0].members_count, 1);
    assert_int_equal(view.shard.sync.pairs[0].members[0].instance.value, C);

    (void)fixture_promoted(&f);
    fixture_passes(&f);
    (void)fixture_opened(&f);
    fixture_passes(&f);
    view = fixture_view(&f);
    assert_true(view.shard.opened);
    assert_int_equal(f.result.id, view.failover.id);
    assert_int_equal(f.changed.value, 1);
    assert_int_equal(view.failover.step, FAILOVER_DONE);
    assert_int_equal(view.shard.forks_count, 2);
    assert_int_equal(view.shard.floor.timeline, 3);
    for (int step = FAILOVER_EXCLUDE; step <= FAILOVER_DONE; step++) {
        assert_int_not_equal(view.failover.step_wall_ms[step], 0);
    }
    fixture_free(&f);
}

/* --- begin ------------------------------------------------------------------------------------ */

static void test_begin_takes_only_the_next_epoch(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    for (uint64_t epoch = 0; epoch < 6; epoch++) {
        if (epoch != 2) {
            fixture_begin(&f)->epoch.value = epoch;
            fixture_refused(&f, ERR_STALE_EPOCH, "next epoch of shard 'orders' is 2");
        }
    }
    (void)fixture_begin(&f);
    fixture_passes(&f);
    (void)fixture_begin(&f);
    fixture_refused(&f, ERR_STALE_EPOCH, "is 3, not 2");
    fixture_free(&f);
}

static void test_begin_of_a_frozen_shard_needs_an_operator_unless_one_is_under_way(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_SHARD_FREEZE;
    f.command.wall_ms = FIXTURE_WALL_MS;
    (void)snprintf(f.command.shard_freeze.name, NAME_SIZE, "orders");
    f.command.shard_freeze.frozen = true;
    fixture_passes(&f);

    (void)fixture_begin(&f);
    fixture_refused(&f, ERR_PRECONDITION, "is frozen");
    fixture_begin(&f)->cause = CAUSE_OPERATOR;
    fixture_passes(&f);
    struct command_failover *again = fixture_begin(&f);
    again->cause = CAUSE_STUCK;
    again->epoch.value = 3;
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_begin_refuses_causes_that_do_not_fit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_begin(&f)->cause = CAUSE_NONE;
    fixture_refused(&f, ERR_INVALID, "needs a cause");
    fixture_begin(&f)->cause = CAUSE_BOOTSTRAP;
    fixture_refused(&f, ERR_PRECONDITION, "has had a primary");
    fixture_begin(&f)->cause = CAUSE_STUCK;
    fixture_refused(&f, ERR_PRECONDITION, "no failover of shard 'orders' is under way");
    fixture_free(&f);

    fixture_world(&f, SHARD_SYNC);
    struct command_failover *body = fixture_failover(&f, COMMAND_FAILOVER_BEGIN);
    body->epoch.value = 1;
    body->cause = CAUSE_INSTANCE;
    fixture_refused(&f, ERR_PRECONDITION, "can only be bootstrapped");
    body = fixture_failover(&f, COMMAND_FAILOVER_BEGIN);
    body->epoch.value = 1;
    body->cause = CAUSE_BOOTSTRAP;
    body->in_place = true;
    fixture_refused(&f, ERR_INVALID, "nothing to restart in place");
    fixture_free(&f);
}

static void test_a_later_attempt_aborts_the_one_before_and_keeps_its_record(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
    uint64_t first = fixture_view(&f).failover.id;

    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_STUCK;
    fixture_passes(&f);

    struct failover old;
    assert_int_equal(query_failover(f.tables, first, &old), ERR_OK);
    assert_int_equal(old.step, FAILOVER_ABORTED);
    assert_non_null(strstr(old.reason, "replaced by epoch 3"));
    struct shard_view view = fixture_view(&f);
    /* The candidate that never reported counts as the primary since the decision. */
    assert_int_equal(view.failover.old_primary.value, B);
    assert_int_equal(view.failover.old_epoch.value, 2);
    assert_int_equal(view.shard.lease, LEASE_CLOSED);
    fixture_free(&f);
}

static void test_the_acknowledged_floor_of_an_office_never_shrinks(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_EXCLUDED);

    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_STUCK;
    body->acked_floor = (struct position){0, 0};
    fixture_passes(&f);

    struct position floor = fixture_view(&f).failover.acked_floor;
    assert_int_equal(floor.timeline, 2);
    assert_int_equal(floor.lsn, 200);
    fixture_free(&f);
}

static void test_a_later_report_raises_the_acknowledged_floor(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);

    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_STUCK;
    body->acked_floor = (struct position){2, 250};
    fixture_passes(&f);

    assert_int_equal(fixture_view(&f).failover.acked_floor.lsn, 250);
    fixture_free(&f);
}

static void test_the_acknowledged_floor_ends_with_the_office(void **state)
{
    (void)state;
    struct fixture f;

    static const enum command_kind LAST[] = {
        COMMAND_FAILOVER_DECIDED, COMMAND_FAILOVER_PROMOTED, COMMAND_FAILOVER_OPENED};

    for (size_t i = 0; i < ARRAY_LEN(LAST); i++) {
        fixture_steady(&f, SHARD_SYNC);
        fixture_advance(&f, LAST[i]);
        struct command_failover *body = fixture_begin(&f);
        body->epoch.value = 3;
        body->acked_floor = (struct position){0, 0};
        fixture_passes(&f);
        /* The candidate's own position is the floor now, and higher. */
        assert_int_equal(fixture_view(&f).failover.acked_floor.lsn, 0);
        assert_true(fixture_view(&f).shard.floor.lsn >= 300);
        fixture_free(&f);
    }
}

static void test_an_acknowledged_floor_on_a_timeline_never_reserved_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_begin(&f)->acked_floor = (struct position){3, 1};
    fixture_refused(&f, ERR_INVALID, "were ever reserved");
    fixture_free(&f);
}

/* --- excluded --------------------------------------------------------------------------------- */

static void test_exclusion_by_quorum_needs_more_than_s_minus_w(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);
    /* S = {b, c}, W = 1: one of the two may still confirm writes to a. */
    fixture_excluded(&f)->reports_count = 1;
    fixture_refused(&f, ERR_PRECONDITION, "R + W > |S|");
    fixture_excluded(&f)->reports_count = 0;
    fixture_refused(&f, ERR_PRECONDITION, "R + W > |S|");
    struct command_failover *body = fixture_excluded(&f);
    body->reports[1] = body->reports[0];
    fixture_refused(&f, ERR_INVALID, "it is there twice");
    fixture_excluded(&f)->reports[1].incarnation.value = 99;
    fixture_refused(&f, ERR_INVALID, "another data folder");
    fixture_excluded(&f)->reports[1].instance.value = A;
    fixture_refused(&f, ERR_INVALID, "report of instance 1");
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_a_sync_shard_never_rests_on_the_clock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);
    fixture_excluded(&f)->proof = PROOF_CLOCK;
    fixture_refused(&f, ERR_PRECONDITION, "async shards only");
    fixture_excluded(&f)->proof = PROOF_NONE;
    fixture_refused(&f, ERR_INVALID, "without a proof");
    fixture_free(&f);
}

static void test_an_async_shard_has_no_quorum_to_exclude_by(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);
    fixture_excluded(&f)->proof = PROOF_QUORUM;
    fixture_refused(&f, ERR_PRECONDITION, "R + W > |S|");
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_exclusion_by_fence_names_its_evidence(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);
    fixture_excluded(&f)->proof = PROOF_FENCE;
    fixture_refused(&f, ERR_INVALID, "say who reported the fence");
    struct command_failover *body = fixture_excluded(&f);
    body->proof = PROOF_FENCE;
    (void)snprintf(body->evidence, sizeof(body->evidence), "a reports itself fenced");
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_while_the_record_is_joint_the_quorum_holds_in_both_pairs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct command_sync *sync = fixture_sync(&f, COMMAND_SYNC_BEGIN);
    /* From {b, c} to {b}: c alone is enough for neither, b alone only for the new pair. */
    assert_int_equal(sync_pair_remove(&sync->pair, (struct sync_member){{C}, {13}}), ERR_OK);
    fixture_passes(&f);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);

    fixture_excluded(&f)->reports_count = 1; /* b */
    fixture_refused(&f, ERR_PRECONDITION, "in every recorded pair");
    struct command_failover *body = fixture_excluded(&f);
    body->reports[0] = body->reports[1]; /* c */
    body->reports_count = 1;
    fixture_refused(&f, ERR_PRECONDITION, "in every recorded pair");
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    fixture_completed(&f)->reports_count = 1;
    fixture_refused(&f, ERR_PRECONDITION, "in every recorded pair");
    fixture_free(&f);
}

static void test_an_old_incarnation_in_the_record_can_never_report_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {C}, .address = "10.0.0.3:5432", .incarnation = {93}};
    fixture_passes(&f);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);

    fixture_excluded(&f);
    fixture_refused(&f, ERR_INVALID, "another data folder");
    fixture_excluded(&f)->reports[1].incarnation.value = 93; /* lives, but is not of the record */
    fixture_refused(&f, ERR_PRECONDITION, "R + W > |S|");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bootstrap_gives_the_first_primary_timeline_two),
        cmocka_unit_test(test_a_whole_failover_moves_the_office),
        cmocka_unit_test(test_begin_takes_only_the_next_epoch),
        cmocka_unit_test(test_begin_of_a_frozen_shard_needs_an_operator_unless_one_is_under_way),
        cmocka_unit_test(test_begin_refuses_causes_that_do_not_fit),
        cmocka_unit_test(test_a_later_attempt_aborts_the_one_before_and_keeps_its_record),
        cmocka_unit_test(test_the_acknowledged_floor_of_an_office_never_shrinks),
        cmocka_unit_test(test_a_later_report_raises_the_acknowledged_floor),
        cmocka_unit_test(test_the_acknowledged_floor_ends_with_the_office),
        cmocka_unit_test(test_an_acknowledged_floor_on_a_timeline_never_reserved_is_refused),
        cmocka_unit_test(test_exclusion_by_quorum_needs_more_than_s_minus_w),
        cmocka_unit_test(test_a_sync_shard_never_rests_on_the_clock),
        cmocka_unit_test(test_an_async_shard_has_no_quorum_to_exclude_by),
        cmocka_unit_test(test_exclusion_by_fence_names_its_evidence),
        cmocka_unit_test(test_while_the_record_is_joint_the_quorum_holds_in_both_pairs),
        cmocka_unit_test(test_an_old_incarnation_in_the_record_can_never_report_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
