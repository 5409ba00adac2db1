/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: clocks run forward and their text is RFC 3339. Method: known instants; two looks. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_instants_are_written_in_utc_with_milliseconds(void **state)
{
    (void)state;
    char text[CLOCK_WALL_TEXT_SIZE];
    assert_string_equal(clock_format_wall(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_format_wall(UINT64_C(1709210096007), text),
                        "2024-02-29T12:34:56.007Z");
    assert_string_equal(clock_format_wall(UINT64_C(253402300799999), text),
                        "9999-12-31T23:59:59.999Z");
}

static void test_instants_beyond_the_text_form_are_shown_as_its_last(void **state)
{
    (void)state;
    char text[CLOCK_WALL_TEXT_SIZE];
    assert_string_equal(clock_format_wall(UINT64_C(253402300800000), text),
                        "9999-12-31T23:59:59.999Z");
    assert_string_equal(clock_format_wall(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
}

static void test_clocks_do_not_run_backward(void **state)
{
    (void)state;
    uint64_t boot = clock_boottime_ns();
    uint64_t monotonic = clock_monotonic_ms();
    for (int i = 0; i < 1000; i++) {
        uint64_t next_boot = clock_boottime_ns();
        uint64_t next_monotonic = clock_monotonic_ms();
        assert_true(next_boot >= boot);
        assert_true(next_monotonic >= monotonic);
        boot = next_boot;
        monotonic = next_monotonic;
    }
}

static void test_wall_clock_is_of_this_age(void **state)
{
    (void)state;
    assert_true(clock_wall_ms() > UINT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instants_are_written_in_utc_with_milliseconds),
        cmocka_unit_test(test_instants_beyond_the_text_form_are_shown_as_its_last),
        cmocka_unit_test(test_clocks_do_not_run_backward),
        cmocka_unit_test(test_wall_clock_is_of_this_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
