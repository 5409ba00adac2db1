/* SPDX-License-Identifier: Apache-2.0 */
/* The reckoning of leases. Goal: a renewal is granted only as a linearizable read of an open lease,
 * and a closed lease counts as ended only when 1.1 x L has passed. Method: views by hand. */
#include "decide/leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    LEASE_MS = 3000,
    WAIT_MS = 3301, /* 1.1 x L, rounded up */
    SESSION = 11,
};

static const struct shard_id SHARD = {.value = 1};
static const struct instance_id PRIMARY = {.value = 5};

static void show(struct leases *leases, enum lease_state state, uint64_t epoch, uint64_t now_ms)
{
    static struct shard_view view;

    view.shard.id = SHARD;
    view.shard.primary = PRIMARY;
    view.shard.primary_epoch.value = epoch;
    view.shard.lease = state;
    leases_view_changed(leases, &view, now_ms);
}

/* A leader since 1000 ms that has seen the lease of epoch 3 open at index 50. */
static int set_up(void **state)
{
    struct leases *leases = leases_new();

    leases_set_duration(leases, LEASE_MS);
    show(leases, LEASE_OPEN, 3, 900);
    leases_applied(leases, 50);
    leases_elected(leases, 1000);
    *state = leases;
    return 0;
}

static int tear_down(void **state)
{
    leases_free(*state);
    return 0;
}

static void renew(struct leases *leases, uint64_t id, uint64_t epoch)
{
    struct renewal renewal = {.id = id, .epoch = {.value = epoch}};

    leases_renewal(leases, SHARD, PRIMARY, SESSION, &renewal);
}

/* Confirms the read for everything that waits, at `index`. */
static void confirm(struct leases *leases, uint64_t index)
{
    uint64_t read_id = 0;

    assert_true(leases_next_read(leases, &read_id));
    leases_read_ready(leases, read_id, index, true);
}

static void test_a_renewal_waits_for_the_read_and_for_the_applied_index(void **state)
{
    struct leases *leases = *state;
    struct lease_answer answer;

    renew(leases, 7, 3);
    assert_false(leases_next_answer(leases, 1100, &answer));
    confirm(leases, 60);
    assert_false(leases_next_answer(leases, 1100, &answer));
    leases_applied(leases, 60);
    assert_true(leases_next_answer(leases, 1100, &answer));
    assert_true(answer.answer.granted);
    assert_int_equal(answer.answer.id, 7);
    assert_int_equal(answer.answer.lease_ms, LEASE_MS);
    assert_int_equal(answer.session, SESSION);
    assert_false(leases_next_answer(leases, 1100, &answer));
}

static void test_a_read_begun_before_a_renewal_arrived_does_not_answer_it(void **state)
{
    struct leases *leases = *state;
    struct lease_answer answer;
    uint64_t first = 0;
    uint64_t second = 0;

    renew(leases, 7, 3);
    assert_true(leases_next_read(leases, &first));
    renew(leases, 8, 3);
    assert_false(leases_next_read(leases, &second));
    leases_read_ready(leases, first, 50, true);
    assert_true(leases_next_answer(leases, 1100, &answer));
    assert_int_equal(answer.answer.id, 7);
    assert_false(leases_next_answer(leases, 1100, &answer));
    assert_true(leases_next_read(leases, &second));
    assert_true(second > first);
}

static void test_a_read_that_was_not_confirmed_refuses(void **state)
{
    struct leases *leases = *state;
    struct lease_answer answer;
    uint64_t read_id = 0;

    renew(leases, 7, 3);
    assert_true(leases_next_read(leases, &read_id));
    leases_read_ready(leases, read_id, 0, false);
    assert_true(leases_next_answer(leases, 1100, &answer));
    assert_false(answer.answer.granted);
}

static void test_after_a_close_is_proposed_nothing_is_granted(void **state)
{
    struct leases *leases = *state;
    struct lease_answer answer;

    renew(leases, 7, 3);
    confirm(leases, 50);
    leases_close_proposed(leases, SHARD, (struct epoch){.value = 3});
    assert_true(leases_next_answer(leases, 1100, &answer));
    assert_false(answer.answer.granted);
}

static void test_another_epoch_or_a_closed_lease_is_refused(void **state)
{
    struct leases *leases = *state;
    struct lease_answer answer;

    renew(leases, 7, 2);
    confirm(leases, 50);
    assert_true(leases_next_answer(leases, 1100, &answer));
    assert_false(answer.answer.granted);
    show(leases, LEASE_CLOSED, 3, 1200);
    renew(leases, 8, 3);
    confirm(leases, 50);
    assert_true(leases_next_answer(leases, 1200, &answer));
    assert_false(answer.answer.granted);
}

static void test_a_lease_ends_one_wait_after_the_last_grant(void **state)
{
    struct leases *leases = *state;
    struct lease_answer answer;

    renew(leases, 7, 3);
    confirm(leases, 50);
    assert_true(leases_next_answer(leases, 5000, &answer));
    assert_false(leases_ended(leases, SHARD, 5000 + WAIT_MS)); /* open */
    show(leases, LEASE_CLOSED, 3, 5600);
    assert_false(leases_ended(leases, SHARD, 5000 + WAIT_MS - 1));
    assert_true(leases_ended(leases, SHARD, 5000 + WAIT_MS));
}

static void test_a_new_leader_counts_from_its_own_sighting_of_the_close(void **state)
{
    struct leases *leases = *state;

    show(leases, LEASE_CLOSED, 3, 2000);
    leases_stepped_down(leases);
    leases_elected(leases, 4000);
    assert_false(leases_ended(leases, SHARD, 2000 + WAIT_MS - 1));
    assert_true(leases_ended(leases, SHARD, 2000 + WAIT_MS));
}

static void test_a_longer_lease_once_allowed_is_waited_for(void **state)
{
    struct leases *leases = *state;

    leases_set_duration(leases, 2 * LEASE_MS);
    leases_set_duration(leases, LEASE_MS);
    show(leases, LEASE_CLOSED, 3, 2000);
    assert_false(leases_ended(leases, SHARD, 1000 + 2 * WAIT_MS - 10));
    assert_true(leases_ended(leases, SHARD, 1000 + 2 * WAIT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_renewal_waits_for_the_read_and_for_the_applied_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_read_begun_before_a_renewal_arrived_does_not_answer_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_read_that_was_not_confirmed_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_after_a_close_is_proposed_nothing_is_granted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_another_epoch_or_a_closed_lease_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_lease_ends_one_wait_after_the_last_grant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_new_leader_counts_from_its_own_sighting_of_the_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_longer_lease_once_allowed_is_waited_for, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
