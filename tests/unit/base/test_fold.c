/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a thing that is repeated without end is told ever more rarely, completely counted, and the
 * first of another kind is told at once. Method: time as an argument. */
#include "base/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    DAY_S = 86400,
    TOLD_MAX = 40
};

/* 0: nothing is due. */
static uint64_t due(struct fold *fold, uint64_t now_ms, struct fold_told *told)
{
    return fold_due(fold, now_ms, told) ? told->count : 0;
}

static void test_the_first_of_a_kind_is_due_at_once(void **state)
{
    (void)state;
    struct fold fold = {.pause_max_ms = 60000};
    struct fold_told told;
    assert_int_equal(due(&fold, 5, &told), 0);
    fold_add(&fold, "alice: no role", "note", 5);
    fold_add(&fold, "bob: no role", "note", 5);
    assert_int_equal(due(&fold, 5, &told), 1);
    assert_string_equal(told.text, "alice: no role");
    assert_string_equal(told.note, "note");
    assert_int_equal(due(&fold, 5, &told), 1);
    assert_string_equal(told.text, "bob: no role");
    assert_int_equal(due(&fold, 5, &told), 0);
}

static void test_repeats_are_told_together_after_a_pause(void **state)
{
    (void)state;
    struct fold fold = {.pause_max_ms = 60000};
    struct fold_told told;
    fold_add(&fold, "a", "note", 0);
    assert_int_equal(due(&fold, 0, &told), 1);
    for (int i = 0; i < 500; i++) {
        fold_add(&fold, "a", "note", 100);
    }
    assert_int_equal(due(&fold, FOLD_PAUSE_MIN_MS - 1, &told), 0);
    assert_int_equal(due(&fold, FOLD_PAUSE_MIN_MS, &told), 500);
}

static void test_a_day_of_repeats_is_a_few_lines_and_none_is_lost(void **state)
{
    (void)state;
    struct fold fold = {.pause_max_ms = 3600 * 1000};
    struct fold_told told;
    uint64_t sum = 0;
    uint64_t lines = 0;
    for (uint64_t second = 0; second < DAY_S; second++) {
        fold_add(&fold, "a", "note", second * 1000);
        uint64_t count = due(&fold, second * 1000, &told);
        sum += count;
        lines += count > 0 ? 1 : 0;
    }
    assert_in_range(lines, 2, TOLD_MAX);
    sum += due(&fold, UINT64_C(2) * DAY_S * 1000, &told);
    assert_int_equal(sum, DAY_S);
}

static void test_who_was_quiet_begins_anew(void **state)
{
    (void)state;
    struct fold fold = {.pause_max_ms = 60000};
    struct fold_told told;
    fold_add(&fold, "a", "note", 0);
    assert_int_equal(due(&fold, 0, &told), 1);
    fold_add(&fold, "a", "note", 5000);
    assert_int_equal(due(&fold, 5000, &told), 1);
    fold_add(&fold, "a", "note", 5001);
    assert_int_equal(due(&fold, 5001, &told), 0);
}

static void test_more_kinds_than_there_is_room_for_count_as_one(void **state)
{
    (void)state;
    struct fold fold = {.pause_max_ms = 60000};
    struct fold_told told;
    uint64_t sum = 0;
    uint64_t others = 0;
    for (int i = 0; i < 10 * FOLD_KINDS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "who %d", i);
        fold_add(&fold, name, "note", 0);
    }
    for (uint64_t count = 0; (count = due(&fold, 0, &told)) > 0;) {
        sum += count;
        others += strcmp(told.text, FOLD_OTHERS) == 0 ? count : 0;
    }
    assert_int_equal(sum, 10 * FOLD_KINDS_MAX);
    assert_int_equal(others, 9 * FOLD_KINDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_of_a_kind_is_due_at_once),
        cmocka_unit_test(test_repeats_are_told_together_after_a_pause),
        cmocka_unit_test(test_a_day_of_repeats_is_a_few_lines_and_none_is_lost),
        cmocka_unit_test(test_who_was_quiet_begins_anew),
        cmocka_unit_test(test_more_kinds_than_there_is_room_for_count_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
