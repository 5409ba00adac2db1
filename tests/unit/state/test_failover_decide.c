/* SPDX-License-Identifier: Apache-2.0 */
/* Completeness, the decision and the promotion. Each rule of the table in docs/failover.md, and
 * of safety.md behind it, is broken once, by changing one thing of a command that would pass. */
#include "state_fixture.h"

#include <stdio.h>

/* --- completed -------------------------------------------------------------------------------- */

static void test_completeness_needs_final_positions_of_a_quorum(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_EXCLUDED);
    fixture_completed(&f)->reports_count = 1;
    fixture_refused(&f, ERR_PRECONDITION, "completeness");
    fixture_completed(&f)->reports[0].position.timeline = 0;
    fixture_refused(&f, ERR_INVALID, "never reserved");
    fixture_completed(&f)->reports[0].position.timeline = 3;
    fixture_refused(&f, ERR_INVALID, "never reserved");
    fixture_free(&f);
}

static void test_an_async_failover_needs_at_least_one_report(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_advance(&f, COMMAND_FAILOVER_EXCLUDED);
    fixture_completed(&f)->reports_count = 0;
    fixture_refused(&f, ERR_PRECONDITION, "nobody reported");
    fixture_completed(&f)->reports_count = 1;
    fixture_passes(&f);
    fixture_free(&f);
}

/* --- decided ---------------------------------------------------------------------------------- */

static void test_nobody_is_chosen_below_a_higher_report(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_COMPLETED);
    struct command_failover *body = fixture_decided(&f);
    body->candidate.value = C;
    body->pair = (struct sync_pair){.required = 1};
    fixture_member(&body->pair, B);
    fixture_refused(&f, ERR_PRECONDITION, "holds more (2:0/12C)");
    fixture_free(&f);
}

static void test_nobody_is_chosen_who_has_not_reported(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_advance(&f, COMMAND_FAILOVER_EXCLUDED);
    fixture_completed(&f)->reports_count = 1; /* b */
    fixture_passes(&f);
    fixture_decided(&f)->candidate.value = C;
    fixture_refused(&f, ERR_PRECONDITION, "no final position");
    fixture_decided(&f)->candidate.value = A;
    fixture_refused(&f, ERR_PRECONDITION, "no restart in place");
    fixture_decided(&f)->candidate.value = 9;
    fixture_refused(&f, ERR_NOT_FOUND, "no instance 9");
    fixture_free(&f);
}

static void test_completeness_needs_somebody_not_below_what_was_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_begin(&f)->acked_floor = (struct position){2, 301};
    fixture_passes(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_refused(&f, ERR_PRECONDITION, "nobody of those who reported may become primary");
    fixture_completed(&f)->reports[1].position = (struct position){2, 301};
    fixture_passes(&f);
    (void)fixture_decided(&f);
    fixture_refused(&f, ERR_PRECONDITION, "holds more (2:0/12D)");
    fixture_free(&f);
}

static void test_nobody_is_chosen_below_the_floor_of_the_last_epoch(void **state)
{
    (void)state;
    struct fixture f;
    for (int mode = SHARD_SYNC; mode <= SHARD_ASYNC; mode++) {
        fixture_steady(&f, (enum shard_mode)mode);
        fixture_begin(&f)->acked_floor = (struct position){0, 0};
        fixture_passes(&f);
        (void)fixture_excluded(&f);
        fixture_passes(&f);
        struct command_failover *body = fixture_completed(&f);
        body->reports[0].position = (struct position){1, 5000}; /* before the fork of epoch 1 */
        body->reports[1].position = (struct position){2, 99};
        fixture_refused(&f, ERR_PRECONDITION, "nobody of those who reported may become primary");
        body->reports[1].position = (struct position){2, 100};
        fixture_passes(&f);
        (void)fixture_decided(&f);
        fixture_refused(&f,
                        ERR_PRECONDITION,
                        mode == SHARD_SYNC ? "holds more (2:0/64)" : "below the floor 2:0/64");
        fixture_free(&f);
    }
}

static void test_an_async_candidate_may_lack_what_was_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_begin(&f)->acked_floor = (struct position){2, 900};
    fixture_passes(&f);
    (void)fixture_excluded(&f);
    fixture_passes(&f);
    (void)fixture_completed(&f);
    fixture_passes(&f);
    fixture_decided(&f)->loss_bound_bytes = 600;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).failover.loss_bound_bytes, 600);
    fixture_free(&f);
}

static void test_a_candidate_with_another_folder_than_it_reported_on_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_COMPLETED);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {B}, .address = "10.0.0.2:5432", .incarnation = {92}};
    fixture_passes(&f);
    (void)fixture_decided(&f);
    fixture_refused(&f, ERR_PRECONDITION, "another data folder");
    fixture_free(&f);
}

static void test_the_new_pair_names_only_other_members_that_reported(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_COMPLETED);
    fixture_member(&fixture_decided(&f)->pair, B); /* the candidate itself */
    fixture_refused(&f, ERR_PRECONDITION, "is the candidate");
    fixture_member(&fixture_decided(&f)->pair, A); /* the dead primary */
    fixture_refused(&f, ERR_PRECONDITION, "has not reported");
    fixture_decided(&f)->pair.required = 0;
    fixture_refused(&f, ERR_INVALID, "asks for no copy");
    fixture_decided(&f)->pair.required = 2;
    fixture_refused(&f, ERR_INVALID, "between 1 and 1");
    fixture_decided(&f)->pair.members[0].incarnation.value = 99;
    fixture_refused(&f, ERR_PRECONDITION, "has not reported");
    fixture_free(&f);
}

/* --- promoted, opened ------------------------------------------------------------------------- */

static void test_promotion_must_yield_the_reserved_timeline(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
    fixture_promoted(&f)->fork.timeline = 4;
    fixture_refused(&f, ERR_PRECONDITION, "timeline 3 was reserved");
    fixture_promoted(&f)->fork.epoch = 1;
    fixture_refused(&f, ERR_PRECONDITION, "timeline 3 was reserved");
    fixture_promoted(&f)->fork.fork_lsn = 299;
    fixture_refused(&f, ERR_PRECONDITION, "below the floor 2:0/12C");
    fixture_promoted(&f)->fork.parent_timeline = 1;
    fixture_refused(&f, ERR_PRECONDITION, "below the floor 2:0/12C");
    fixture_promoted(&f)->fork.parent_timeline = 3;
    fixture_refused(&f, ERR_PRECONDITION, "not before itself");
    fixture_promoted(&f)->system_identifier = 78;
    fixture_refused(&f, ERR_PRECONDITION, "is not that of shard 'orders' (77)");
    (void)fixture_promoted(&f);
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_a_bootstrap_ends_on_a_folder_that_is_known(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_REGISTER;
    f.command.instance_register.hello = (struct hello){
        .shard = "orders", .instance = "d", .region = "east", .address = "10.0.0.4:5432"};
    fixture_passes(&f);
    struct command_failover *body = fixture_failover(&f, COMMAND_FAILOVER_BEGIN);
    body->epoch.value = 1;
    body->cause = CAUSE_BOOTSTRAP;
    fixture_passes(&f);
    body = fixture_failover(&f, COMMAND_FAILOVER_DECIDED);
    body->epoch.value = 1;
    body->candidate.value = 4;
    fixture_passes(&f);
    body = fixture_failover(&f, COMMAND_FAILOVER_PROMOTED);
    body->epoch.value = 1;
    body->fork = (struct fork){.epoch = 1, .timeline = 2, .parent_timeline = 1, .fork_lsn = 100};
    body->system_identifier = 0;
    fixture_refused(&f, ERR_PRECONDITION, "not registered yet");
    struct command promoted = f.command;
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {4}, .address = "10.0.0.4:5432", .incarnation = {14}};
    fixture_passes(&f);
    f.command = promoted;
    fixture_refused(&f, ERR_PRECONDITION, "system identifier 0");
    f.command = promoted;
    f.command.failover.system_identifier = 5;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.primary_incarnation.value, 14);
    fixture_free(&f);
}

static void test_each_step_is_refused_in_every_other_step_and_epoch(void **state)
{
    (void)state;
    static struct command_failover *(*const ORDERS[])(struct fixture *) = {
        fixture_excluded, fixture_completed, fixture_decided, fixture_promoted, fixture_opened};
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    for (int at = 0; at <= 5; at++) {
        for (int order = 0; order < 5; order++) {
            ORDERS[order](&f)->epoch.value = 1;
            fixture_refused(&f, at == 0 ? ERR_PRECONDITION : ERR_STALE_EPOCH, "");
            ORDERS[order](&f)->epoch.value = 3;
            fixture_refused(&f, ERR_STALE_EPOCH, "the order is for epoch 3");
            if (order != at - 1) {
                (void)ORDERS[order](&f);
                fixture_refused(&f, at == 0 ? ERR_STALE_EPOCH : ERR_PRECONDITION, "");
            }
        }
        if (at == 0) {
            (void)fixture_begin(&f);
        } else {
            (void)ORDERS[at - 1](&f);
        }
        fixture_passes(&f);
    }
    assert_int_equal(fixture_view(&f).failover.step, FAILOVER_DONE);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completeness_needs_final_positions_of_a_quorum),
        cmocka_unit_test(test_an_async_failover_needs_at_least_one_report),
        cmocka_unit_test(test_nobody_is_chosen_below_a_higher_report),
        cmocka_unit_test(test_nobody_is_chosen_who_has_not_reported),
        cmocka_unit_test(test_completeness_needs_somebody_not_below_what_was_acknowledged),
        cmocka_unit_test(test_nobody_is_chosen_below_the_floor_of_the_last_epoch),
        cmocka_unit_test(test_an_async_candidate_may_lack_what_was_acknowledged),
        cmocka_unit_test(test_a_candidate_with_another_folder_than_it_reported_on_is_refused),
        cmocka_unit_test(test_the_new_pair_names_only_other_members_that_reported),
        cmocka_unit_test(test_promotion_must_yield_the_reserved_timeline),
        cmocka_unit_test(test_a_bootstrap_ends_on_a_folder_that_is_known),
        cmocka_unit_test(test_each_step_is_refused_in_every_other_step_and_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
