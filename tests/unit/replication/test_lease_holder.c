/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's side of a lease. Goal: it runs no longer than send + L - margin, whatever the
 * answer does on its way. Method: sends and answers by hand. */
#include "replication/lease_holder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS ((uint64_t)1000000)

enum {
    LEASE_MS = 3000,
    RIGHT_MS = LEASE_MS - LEASE_MARGIN_MS,
};

static struct lease_holder holder;

static void want(uint64_t epoch)
{
    struct goal goal;

    memset(&goal, 0, sizeof(goal));
    goal.role = GOAL_PRIMARY;
    goal.epoch.value = epoch;
    lease_holder_goal(&holder, &goal, (struct epoch){0});
}

static int set_up(void **state)
{
    (void)state;
    lease_holder_init(&holder, 100);
    want(3);
    return 0;
}

static uint64_t sent_at(uint64_t now_ns)
{
    struct renewal renewal;

    assert_true(lease_holder_renew(&holder, now_ns, &renewal));
    return renewal.id;
}

static bool answered(uint64_t id, bool granted, uint64_t epoch)
{
    struct renewal_answer answer = {
        .id = id, .granted = granted, .epoch.value = epoch, .lease_ms = LEASE_MS};

    return lease_holder_answer(&holder, &answer);
}

static void test_the_lease_counts_from_the_send(void **state)
{
    (void)state;
    uint64_t id = sent_at(1000 * MS);

    assert_int_equal(lease_holder_running(&holder, 1001 * MS).value, 0);
    assert_true(answered(id, true, 3));
    assert_int_equal(holder.deadline_ns, (1000 + RIGHT_MS) * MS);
    assert_int_equal(lease_holder_running(&holder, (1000 + RIGHT_MS) * MS - 1).value, 3);
    assert_int_equal(lease_holder_running(&holder, (1000 + RIGHT_MS) * MS).value, 0);
}

static void test_a_late_answer_to_an_older_send_shortens_nothing(void **state)
{
    (void)state;
    uint64_t first = sent_at(1000 * MS);
    uint64_t second = sent_at(2000 * MS);

    assert_true(answered(second, true, 3));
    assert_false(answered(first, true, 3));
    assert_int_equal(holder.deadline_ns, (2000 + RIGHT_MS) * MS);
}

static void test_an_answer_counts_from_its_own_send_not_from_the_last(void **state)
{
    (void)state;
    uint64_t first = sent_at(1000 * MS);
    (void)sent_at(2000 * MS); /* its answer is on the way */

    assert_true(answered(first, true, 3));
    assert_int_equal(holder.deadline_ns, (1000 + RIGHT_MS) * MS);
}

static void test_refusals_strangers_and_repeats_give_nothing(void **state)
{
    (void)state;
    uint64_t id = sent_at(1000 * MS);

    assert_false(answered(id, true, 2));
    assert_false(answered(id + 1, true, 3));
    assert_false(answered(id, false, 3));
    assert_false(answered(id, true, 3));
    assert_int_equal(holder.deadline_ns, 0);
}

static void test_an_answer_of_an_earlier_run_gives_nothing(void **state)
{
    (void)state;
    uint64_t id = sent_at(1000 * MS);
    lease_holder_init(&holder, 1000000);
    want(3);

    assert_false(answered(id, true, 3));
}

static void test_what_waits_for_an_answer_is_the_oldest_of_this_session(void **state)
{
    (void)state;
    assert_int_equal(lease_holder_unanswered_ns(&holder), 0);
    uint64_t first = sent_at(1000 * MS);
    uint64_t second = sent_at(2000 * MS);
    (void)sent_at(3000 * MS);
    assert_int_equal(lease_holder_unanswered_ns(&holder), 1000 * MS);
    (void)answered(second, true, 3); /* the first is lost, not late: answers come in order */
    assert_int_equal(lease_holder_unanswered_ns(&holder), 3000 * MS);
    (void)answered(first, true, 3);
    assert_int_equal(lease_holder_unanswered_ns(&holder), 3000 * MS);
    lease_holder_session_opened(&holder);
    assert_int_equal(lease_holder_unanswered_ns(&holder), 0);
    (void)answered(sent_at(4000 * MS), false, 3);
    assert_int_equal(lease_holder_unanswered_ns(&holder), 0);
}

static void test_another_goal_gives_the_lease_up(void **state)
{
    (void)state;
    uint64_t id = sent_at(1000 * MS);
    assert_true(answered(id, true, 3));
    want(4);

    assert_int_equal(lease_holder_running(&holder, 1100 * MS).value, 0);
    assert_false(answered(id, true, 3));
    lease_holder_goal(&holder, NULL, (struct epoch){0});
    assert_int_equal(lease_holder_next_ns(&holder), UINT64_MAX);
}

static void test_a_fenced_epoch_wants_no_lease(void **state)
{
    (void)state;
    struct goal goal;
    memset(&goal, 0, sizeof(goal));
    goal.role = GOAL_PRIMARY;
    goal.epoch.value = 3;

    lease_holder_goal(&holder, &goal, (struct epoch){3});
    assert_int_equal(lease_holder_next_ns(&holder), UINT64_MAX);
}

static void test_it_renews_every_quarter_of_the_lease(void **state)
{
    struct renewal renewal;

    (void)state;
    uint64_t id = sent_at(1000 * MS);
    assert_true(answered(id, true, 3));
    assert_false(lease_holder_renew(&holder, 1749 * MS, &renewal));
    assert_true(lease_holder_renew(&holder, 1750 * MS, &renewal));
    assert_true(renewal.id > id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_lease_counts_from_the_send, set_up),
        cmocka_unit_test_setup(test_a_late_answer_to_an_older_send_shortens_nothing, set_up),
        cmocka_unit_test_setup(test_an_answer_counts_from_its_own_send_not_from_the_last, set_up),
        cmocka_unit_test_setup(test_refusals_strangers_and_repeats_give_nothing, set_up),
        cmocka_unit_test_setup(test_an_answer_of_an_earlier_run_gives_nothing, set_up),
        cmocka_unit_test_setup(test_what_waits_for_an_answer_is_the_oldest_of_this_session, set_up),
        cmocka_unit_test_setup(test_another_goal_gives_the_lease_up, set_up),
        cmocka_unit_test_setup(test_a_fenced_epoch_wants_no_lease, set_up),
        cmocka_unit_test_setup(test_it_renews_every_quarter_of_the_lease, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
