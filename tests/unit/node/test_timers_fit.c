/* SPDX-License-Identifier: Apache-2.0 */
/* Timers and round trips. Goal: what is refused and told is what is too short, and the command that
 * is told makes it long enough. Method: figures by hand. */
#include "node/timers_fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_timers_fit_a_round_trip_and_ten_of_them(void **state)
{
    (void)state;
    assert_true(timers_fit(0, 5, 20));
    assert_true(timers_fit(50000, 50, 500));
    assert_false(timers_fit(50001, 50, 500));
    assert_false(timers_fit(50000, 50, 499));
}

static void test_what_is_told_says_how_long_and_how(void **state)
{
    (void)state;
    char text[TEXT_SIZE];
    timers_fit_text(50000, 50, 500, text);
    assert_string_equal(text, "");
    timers_fit_command(50000, 50, 500, text);
    assert_string_equal(text, "");
    timers_fit_text(202100, 50, 500, text);
    assert_string_equal(text,
                        "timers 50/500 ms are too short: the longest round trip between members is "
                        "202.1 ms, so at least 203/2030 ms are needed");
    timers_fit_command(202100, 50, 500, text);
    assert_string_equal(text, "indaba cluster set --heartbeat 203 --election 2030 --lease 7163");
    assert_true(timers_fit(202100, 203, 2030));
    assert_true(lease_least_ms(203, 2030) <= 7163);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fit_a_round_trip_and_ten_of_them),
        cmocka_unit_test(test_what_is_told_says_how_long_and_how),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
