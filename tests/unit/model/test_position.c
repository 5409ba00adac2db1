/* SPDX-License-Identifier: Apache-2.0 */
/* Positions are numbers, timeline first; their text is PostgreSQL's. */
#include "base/check.h"
#include "base/prng.h"
#include "model/position.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_the_timeline_counts_before_the_lsn(void **state)
{
    (void)state;
    struct position low = {4, UINT64_MAX};
    struct position high = {5, 0};
    assert_true(position_compare(low, high) < 0);
    assert_true(position_compare(high, low) > 0);
    assert_true(position_compare(high, high) == 0);
    assert_true(position_compare((struct position){4, 9}, (struct position){4, 10}) < 0);
    /* As text, F sorts after 10. */
    assert_true(position_compare((struct position){1, 0xF}, (struct position){1, 0x10}) < 0);
}

static void test_text_is_that_of_postgresql(void **state)
{
    (void)state;
    char text[POSITION_TEXT_SIZE];
    assert_string_equal(position_format((struct position){5, 0x12C000148}, text), "5:1/2C000148");
    assert_string_equal(position_format((struct position){0, 0}, text), "0:0/0");
    assert_string_equal(position_format((struct position){UINT32_MAX, UINT64_MAX}, text),
                        "4294967295:FFFFFFFF/FFFFFFFF");
}

static void test_what_is_printed_is_parsed_again(void **state)
{
    (void)state;
    struct prng dice;
    prng_init(&dice, support_seed());
    for (int i = 0; i < 10000; i++) {
        struct position position = {1, prng_next(&dice) >> prng_below(&dice, 64)};
        char text[POSITION_TEXT_SIZE];
        uint64_t lsn = 0;
        (void)position_format(position, text);
        assert_int_equal(position_parse_lsn(strchr(text, ':') + 1, &lsn), ERR_OK);
        assert_true(lsn == position.lsn);
    }
}

static void test_what_is_no_lsn_is_refused_and_leaves_the_result_alone(void **state)
{
    (void)state;
    static const char *const WRONG[] = {"",
                                        "/",
                                        "1/",
                                        "/1",
                                        "1",
                                        "1/G",
                                        "1/2/3",
                                        " 1/2",
                                        "123456789/0",
                                        "1/2 ",
                                        "-1/2",
                                        "0x1/2",
                                        "1/123456789"};
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        uint64_t lsn = 42;
        assert_int_equal(position_parse_lsn(WRONG[i], &lsn), ERR_INVALID);
        assert_int_equal(lsn, 42);
    }
    uint64_t lsn = 0;
    assert_int_equal(position_parse_lsn(NULL, &lsn), ERR_INVALID);
    assert_int_equal(position_parse_lsn("16/b374d848", &lsn), ERR_OK);
    assert_true(lsn == UINT64_C(0x16B374D848));
}

static void test_an_instance_follows_from_at_or_before_the_fork(void **state)
{
    (void)state;
    struct fork fork = {.epoch = 9, .timeline = 6, .parent_timeline = 4, .fork_lsn = 1000};
    assert_true(position_can_follow((struct position){6, 5000}, &fork));
    assert_true(position_can_follow((struct position){4, 1000}, &fork));
    assert_true(position_can_follow((struct position){4, 1}, &fork));
    assert_false(position_can_follow((struct position){4, 1001}, &fork));
    assert_false(position_can_follow((struct position){5, 1}, &fork));
    assert_false(position_can_follow((struct position){3, 1}, &fork));
    assert_false(position_can_follow((struct position){7, 1}, &fork));
}

static void
test_an_instance_that_slept_through_forks_follows_from_where_its_timeline_was_left(void **state)
{
    (void)state;
    const struct fork forks[] = {
        {.epoch = 1, .timeline = 2, .parent_timeline = 1, .fork_lsn = 100},
        {.epoch = 2, .timeline = 3, .parent_timeline = 2, .fork_lsn = 200},
        {.epoch = 5, .timeline = 6, .parent_timeline = 3, .fork_lsn = 300},
    };

    assert_true(position_can_follow_history((struct position){2, 200}, forks, 3));
    assert_false(position_can_follow_history((struct position){2, 201}, forks, 3));
    assert_true(position_can_follow_history((struct position){3, 300}, forks, 3));
    assert_true(position_can_follow_history((struct position){6, 9999}, forks, 3));
    assert_false(position_can_follow_history((struct position){4, 1}, forks, 3));
    assert_false(position_can_follow_history((struct position){2, 1}, forks, 0));

    /* Timeline 6 came from 5, which was promoted from 3 and never reported. */
    const struct fork gap[] = {
        {.epoch = 2, .timeline = 3, .parent_timeline = 2, .fork_lsn = 200},
        {.epoch = 5, .timeline = 6, .parent_timeline = 5, .fork_lsn = 300},
    };
    assert_true(position_can_follow_history((struct position){3, 300}, gap, 2));
    assert_false(position_can_follow_history((struct position){3, 301}, gap, 2));
    assert_false(position_can_follow_history((struct position){4, 1}, gap, 2));
    assert_true(position_is_in_gap((struct position){3, 300}, gap, 2));
    assert_false(position_is_in_gap((struct position){2, 1}, gap, 2));
    assert_false(position_is_in_gap((struct position){6, 1}, gap, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_timeline_counts_before_the_lsn),
        cmocka_unit_test(test_text_is_that_of_postgresql),
        cmocka_unit_test(test_what_is_printed_is_parsed_again),
        cmocka_unit_test(test_what_is_no_lsn_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(test_an_instance_follows_from_at_or_before_the_fork),
        cmocka_unit_test(
            test_an_instance_that_slept_through_forks_follows_from_where_its_timeline_was_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
