/* SPDX-License-Identifier: Apache-2.0 */
/* The ways of an operation: see the diagram in etcd_op.h. */
#include "ops_world.h"

#include "base/check.h"
#include "etcd/etcd_route.h"

static void test_the_writes_of_a_turn_are_one_entry_and_each_has_its_answer(void **state)
{
    (void)state;
    struct world world;
    struct request requests[3];
    ops_start(&world);
    ops_leads(&world, true);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        ops_put(&world, &requests[i]);
        assert_int_equal(requests[i].op->state, ETCD_OP_WRITE);
    }
    ops_turn(&world);
    assert_int_equal(world.asked_count, 1);
    assert_int_equal(world.asked[0].what, 'p');
    assert_int_equal(world.asked[0].ops, 3);
    assert_int_equal(requests[0].op->state, ETCD_OP_CARRIED);
    ops_answer(&world, 0, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        assert_true(requests[i].done);
        assert_int_equal(requests[i].error, ETCD_OK);
    }
    ops_stop(&world);
}

static void test_a_write_that_surely_was_not_applied_is_tried_again(void **state)
{
    (void)state;
    struct world world;
    struct request request;
    ops_start(&world);
    ops_leads(&world, true);
    ops_put(&world, &request);
    ops_turn(&world);
    ops_answer_void(&world, 0);
    assert_int_equal(request.op->state, ETCD_OP_WAITING);
    ops_turn(&world);
    assert_int_equal(world.asked_count, 1); /* a little later, not at once */
    etcd_route_on_timer(&world.etcd);
    assert_int_equal(request.op->state, ETCD_OP_RETURNED);
    ops_turn(&world);
    assert_int_equal(world.asked_count, 2);
    ops_answer(&world, 1, ERR_NOT_LEADER);
    assert_int_equal(request.op->state, ETCD_OP_WAITING);
    ops_leads(&world, true);
    ops_turn(&world);
    ops_answer(&world, 2, ERR_OK);
    assert_int_equal(request.error, ETCD_OK);
    assert_true(request.done);
    ops_stop(&world);
}

static void
test_a_write_with_an_unknown_outcome_is_said_to_have_one_and_not_tried_again(void **state)
{
    (void)state;
    struct world world;
    struct request request;
    ops_start(&world);
    ops_leads(&world, true);
    ops_put(&world, &request);
    ops_turn(&world);
    ops_answer(&world, 0, ERR_OUTCOME_UNKNOWN);
    assert_true(request.done);
    assert_int_equal(request.error, ETCD_OUTCOME_UNKNOWN);
    ops_turn(&world);
    assert_int_equal(world.asked_count, 1);
    ops_stop(&world);
}

static void test_what_finds_no_leader_waits_for_one_until_its_deadline(void **state)
{
    (void)state;
    struct world world;
    struct request patient;
    struct request late;
    ops_start(&world);
    ops_put(&world, &patient);
    ops_get(&world, &late);
    assert_int_equal(patient.op->state, ETCD_OP_WAITING);
    late.op->deadline_ms = 0;
    ops_turn(&world);
    assert_int_equal(world.asked_count, 0);
    etcd_route_on_timer(&world.etcd);
    assert_true(late.done);
    assert_int_equal(late.error, ETCD_TIMEOUT);
    ops_turn(&world);
    assert_int_equal(patient.op->state, ETCD_OP_WAITING);
    ops_leads(&world, true);
    ops_turn(&world);
    assert_int_equal(patient.op->state, ETCD_OP_CARRIED);
    ops_answer(&world, 0, ERR_OK);
    assert_true(patient.done);
    ops_stop(&world);
}

static void test_reads_of_a_turn_share_one_confirmation_and_one_visit(void **state)
{
    (void)state;
    struct world world;
    struct request requests[3];
    ops_start(&world);
    ops_leads(&world, true);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        ops_get(&world, &requests[i]);
    }
    ops_turn(&world);
    assert_int_equal(world.asked_count, 2);
    assert_int_equal(world.asked[0].what, 'r');
    assert_int_equal(world.asked[1].what, 'q');
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        requests[i].op->part.done = true; /* as the visit would leave it */
    }
    ops_answer(&world, 1, ERR_OK);
    assert_false(requests[0].done); /* not before the confirmation */
    ops_answer(&world, 0, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        assert_true(requests[i].done);
    }
    ops_stop(&world);
}

static void test_reads_that_were_not_confirmed_go_another_way(void **state)
{
    (void)state;
    struct world world;
    struct request request;
    ops_start(&world);
    ops_leads(&world, true);
    ops_get(&world, &request);
    ops_turn(&world);
    request.op->part.done = true;
    ops_answer(&world, 1, ERR_OK);
    ops_leads(&world, false);
    assert_int_equal(request.op->state, ETCD_OP_CARRIED);
    ops_answer(&world, 0, ERR_NOT_LEADER);
    assert_int_equal(request.op->state, ETCD_OP_RETURNED);
    assert_false(request.op->part.done);
    ops_turn(&world);
    assert_int_equal(request.op->state, ETCD_OP_WAITING);
    world.etcd.draining = true;
    etcd_route_on_timer(&world.etcd);
    assert_int_equal(request.error, ETCD_STOPPED);
    ops_stop(&world);
}

static void test_what_a_member_passed_on_to_one_that_does_not_lead_goes_back_at_once(void **state)
{
    (void)state;
    struct world world;
    struct request request;
    ops_start(&world);
    ops_leads(&world, true);
    ops_put(&world, &request);
    request.op->passed_on = true;
    ops_leads(&world, false); /* before it was brought */
    ops_turn(&world);
    assert_true(request.done);
    assert_int_equal(request.error, ETCD_NOT_LEADER);
    assert_int_equal(world.asked_count, 0);
    ops_stop(&world);
}

static void test_with_little_space_what_grows_is_refused_before_it_is_proposed(void **state)
{
    (void)state;
    struct world world;
    struct request request;
    ops_start(&world);
    ops_leads(&world, true);
    world.space_is_low = true;
    ops_put(&world, &request);
    ops_turn(&world);
    assert_int_equal(request.error, ETCD_NO_SPACE);
    assert_int_equal(world.asked_count, 0);
    ops_stop(&world);
}

static void test_every_state_has_a_name(void **state)
{
    (void)state;
    for (int at = 0; at < ETCD_OP_STATES; at++) {
        assert_non_null(etcd_op_state_name((enum etcd_op_state)at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_writes_of_a_turn_are_one_entry_and_each_has_its_answer),
        cmocka_unit_test(test_a_write_that_surely_was_not_applied_is_tried_again),
        cmocka_unit_test(
            test_a_write_with_an_unknown_outcome_is_said_to_have_one_and_not_tried_again),
        cmocka_unit_test(test_what_finds_no_leader_waits_for_one_until_its_deadline),
        cmocka_unit_test(test_reads_of_a_turn_share_one_confirmation_and_one_visit),
        cmocka_unit_test(test_reads_that_were_not_confirmed_go_another_way),
        cmocka_unit_test(test_what_a_member_passed_on_to_one_that_does_not_lead_goes_back_at_once),
        cmocka_unit_test(test_with_little_space_what_grows_is_refused_before_it_is_proposed),
        cmocka_unit_test(test_every_state_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
