/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a reload that the sidecar asked for is never taken for somebody else's, however late the
 * postmaster takes it, and each of somebody else is noticed. Method: loads at given times. */
#include "replication/postgres/pg_loads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_load_that_nobody_of_us_asked_for_is_noticed_once(void **state)
{
    (void)state;
    struct pg_loads loads = {0};
    assert_false(pg_loads_see(&loads, 100, 1)); /* the first since the start */
    assert_false(pg_loads_see(&loads, 100, 2));
    assert_false(pg_loads_see(&loads, 0, 3)); /* a look that cannot tell */
    assert_true(pg_loads_see(&loads, 200, 4));
    assert_false(pg_loads_see(&loads, 200, 5));
}

static void test_what_a_promotion_asked_for_is_ours_though_a_look_came_before_it(void **state)
{
    (void)state;
    struct pg_loads loads = {0};
    assert_false(pg_loads_see(&loads, 100, 1));
    /* Promoted; the doors were opened by a reload that the postmaster has not got to yet. */
    pg_loads_loaded(&loads, 0);
    pg_loads_asked(&loads, 500, 10);
    assert_false(pg_loads_see(&loads, 100, 11));
    assert_false(pg_loads_is_foreign(&loads, 600, 12));
    assert_false(pg_loads_see(&loads, 600, 13));
    /* That was it. */
    assert_true(pg_loads_see(&loads, 700, 14));
}

static void test_two_signals_of_ours_may_be_taken_one_after_the_other(void **state)
{
    (void)state;
    struct pg_loads loads = {0};
    assert_false(pg_loads_see(&loads, 100, 1));
    pg_loads_asked(&loads, 500, 10);
    /* The next action waited for a load, which was that of the first signal. */
    pg_loads_loaded(&loads, 600);
    assert_false(pg_loads_see(&loads, 600, 11));
    assert_false(pg_loads_see(&loads, 610, 12));
    assert_true(pg_loads_see(&loads, 620, 13));
}

static void test_what_is_not_taken_in_time_is_owed_no_more(void **state)
{
    (void)state;
    struct pg_loads loads = {0};
    assert_false(pg_loads_see(&loads, 100, 1));
    pg_loads_asked(&loads, 500, 10);
    assert_false(pg_loads_see(&loads, 100, 10 + PG_LOADS_OWED_MS));
    assert_true(pg_loads_see(&loads, 600, 11 + PG_LOADS_OWED_MS));
}

static void test_a_load_before_ours_was_asked_for_is_somebody_elses(void **state)
{
    (void)state;
    struct pg_loads loads = {0};
    assert_false(pg_loads_see(&loads, 100, 1));
    pg_loads_asked(&loads, 500, 10);
    assert_true(pg_loads_see(&loads, 400, 11));
    assert_false(pg_loads_see(&loads, 600, 12));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_load_that_nobody_of_us_asked_for_is_noticed_once),
        cmocka_unit_test(test_what_a_promotion_asked_for_is_ours_though_a_look_came_before_it),
        cmocka_unit_test(test_two_signals_of_ours_may_be_taken_one_after_the_other),
        cmocka_unit_test(test_what_is_not_taken_in_time_is_owed_no_more),
        cmocka_unit_test(test_a_load_before_ours_was_asked_for_is_somebody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
