/* SPDX-License-Identifier: Apache-2.0 */
/* How long a renewal may be unanswered. Goal: whatever an answer takes, one comes in time sooner or
 * later, and a dead leader is not waited for longer than answers take. Method: figures by hand. */
#include "replication/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_quick_answers_leave_it_short(void **state)
{
    (void)state;
    struct patience patience = {0};
    assert_int_equal(patience_ms(&patience), PATIENCE_MIN_MS);
    patience_answered(&patience, 2);
    assert_int_equal(patience_ms(&patience), PATIENCE_MIN_MS);
}

static void test_it_follows_slow_answers_and_forgets_them_slowly(void **state)
{
    (void)state;
    struct patience patience = {0};
    patience_answered(&patience, 800);
    assert_int_equal(patience_ms(&patience), 2400);
    patience_answered(&patience, 100);
    assert_int_equal(patience_ms(&patience), 2100);
    for (int i = 0; i < 20; i++) {
        patience_answered(&patience, 100);
    }
    assert_int_equal(patience_ms(&patience), PATIENCE_MIN_MS);
}

/* The longest that is of use is the longest lease's part; here it is bounded. */
static void test_while_no_answer_comes_at_all_it_doubles_up_to_a_bound(void **state)
{
    (void)state;
    struct patience patience = {0};
    patience_exhausted(&patience);
    assert_int_equal(patience_ms(&patience), 2 * PATIENCE_MIN_MS);
    for (int i = 0; i < 100; i++) {
        patience_exhausted(&patience);
    }
    assert_in_range(patience_ms(&patience), 5000, PATIENCE_MAX_MS);
    patience_answered(&patience, 1500);
    assert_int_equal(patience_ms(&patience), 4500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quick_answers_leave_it_short),
        cmocka_unit_test(test_it_follows_slow_answers_and_forgets_them_slowly),
        cmocka_unit_test(test_while_no_answer_comes_at_all_it_doubles_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
