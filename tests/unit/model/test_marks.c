/* SPDX-License-Identifier: Apache-2.0 */
/* What folders are known to have held only grows, for each folder by itself, and a new folder of an
 * instance begins anew. */
#include "model/marks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct sync_member FIRST = {{1}, {71}};
static const struct sync_member FIRST_REBUILT = {{1}, {72}};
static const struct sync_member SECOND = {{2}, {81}};

static void test_a_mark_only_grows(void **state)
{
    (void)state;
    struct marks marks = {0};

    marks_raise(&marks, FIRST, (struct position){3, 500});
    marks_raise(&marks, FIRST, (struct position){3, 400});
    marks_raise(&marks, FIRST, (struct position){2, 900});

    assert_int_equal(marks.count, 1);
    assert_int_equal(marks_of(&marks, FIRST).timeline, 3);
    assert_int_equal(marks_of(&marks, FIRST).lsn, 500);
    assert_int_equal(marks_of(&marks, SECOND).timeline, 0);
}

static void test_a_new_folder_of_an_instance_begins_anew(void **state)
{
    (void)state;
    struct marks marks = {0};

    marks_raise(&marks, FIRST, (struct position){3, 500});
    marks_raise(&marks, FIRST_REBUILT, (struct position){3, 100});

    assert_int_equal(marks.count, 1);
    assert_int_equal(marks_of(&marks, FIRST).timeline, 0);
    assert_int_equal(marks_of(&marks, FIRST_REBUILT).lsn, 100);
}

static void test_what_is_not_known_leaves_no_mark(void **state)
{
    (void)state;
    struct marks marks = {0};

    marks_raise(&marks, (struct sync_member){{0}, {71}}, (struct position){3, 1});
    marks_raise(&marks, (struct sync_member){{1}, {0}}, (struct position){3, 1});
    marks_raise(&marks, FIRST, (struct position){0, 1});

    assert_int_equal(marks.count, 0);
}

static void test_merging_takes_the_higher_of_each(void **state)
{
    (void)state;
    struct marks here = {.acked = {3, 300}};
    struct marks there = {.acked = {3, 250}};
    marks_raise(&here, FIRST, (struct position){3, 500});
    marks_raise(&there, FIRST, (struct position){3, 510});
    marks_raise(&there, SECOND, (struct position){3, 90});

    marks_merge(&here, &there);

    assert_int_equal(here.acked.lsn, 300);
    assert_int_equal(marks_of(&here, FIRST).lsn, 510);
    assert_int_equal(marks_of(&here, SECOND).lsn, 90);
    assert_int_equal(marks_highest(&here).lsn, 510);
    assert_false(marks_equal(&here, &there));
    marks_merge(&there, &here);
    assert_true(marks_equal(&here, &there));
}

static void test_there_is_room_for_each_instance_of_a_shard_and_no_more(void **state)
{
    (void)state;
    struct marks marks = {0};

    for (uint32_t i = 1; i <= MARKS_MAX + 1; i++) {
        marks_raise(&marks, (struct sync_member){{i}, {i}}, (struct position){1, i});
    }

    assert_int_equal(marks.count, MARKS_MAX);
    assert_int_equal(marks_highest(&marks).lsn, MARKS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mark_only_grows),
        cmocka_unit_test(test_a_new_folder_of_an_instance_begins_anew),
        cmocka_unit_test(test_what_is_not_known_leaves_no_mark),
        cmocka_unit_test(test_merging_takes_the_higher_of_each),
        cmocka_unit_test(test_there_is_room_for_each_instance_of_a_shard_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
