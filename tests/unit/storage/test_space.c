/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the reserve is there while there is room, is given up when there is hardly any, and growth
 * is refused from the low mark down until the reserve is whole again. Method: a disk in memory
 * whose capacity the test sets. */
#include "tests/unit/storage/storage_test.h"

#include "storage/space.h"
#include "tests/support/fault_disk.h"

static const uint64_t MEBIBYTE = 1024 * 1024;
static const uint64_t PLENTY = 1024ULL * 1024 * 1024;

struct fixture {
    struct fault_disk *disk;
    struct space *space;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture.disk = fault_disk_new(1);
    fault_disk_set_capacity(fixture.disk, PLENTY);
    fixture.space = space_new(fault_disk_ops(fixture.disk), "member");
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    space_free(fixture->space);
    fault_disk_free(fixture->disk);
    return 0;
}

/* So that `bytes` are free, with whatever is on the disk now. */
static void leave(struct fixture *fixture, uint64_t bytes)
{
    uint64_t used = space_has_reserve(fixture->space) ? SPACE_RESERVE_BYTES : 0;
    fault_disk_set_capacity(fixture->disk, used + bytes);
    space_step(fixture->space);
}

static void test_the_reserve_is_made_while_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    assert_false(space_has_reserve(fixture->space));

    space_step(fixture->space);

    assert_true(space_has_reserve(fixture->space));
    assert_false(space_is_low(fixture->space));
    assert_int_equal(space_free_bytes(fixture->space), PLENTY - SPACE_RESERVE_BYTES);
    assert_int_equal(fault_disk_view(fixture->disk, "member/reserve").len, SPACE_RESERVE_BYTES);
}

static void test_growth_is_refused_from_the_low_mark_down(void **state)
{
    struct fixture *fixture = *state;
    space_step(fixture->space);

    leave(fixture, SPACE_LOW_BYTES);
    assert_false(space_is_low(fixture->space));
    leave(fixture, SPACE_LOW_BYTES - 1);
    assert_true(space_is_low(fixture->space));
    assert_true(space_has_reserve(fixture->space));
    leave(fixture, SPACE_LOW_BYTES);
    assert_false(space_is_low(fixture->space));
}

static void test_the_reserve_is_given_up_and_growth_waits_until_it_is_whole_again(void **state)
{
    struct fixture *fixture = *state;
    space_step(fixture->space);

    leave(fixture, SPACE_CRITICAL_BYTES - 1);
    assert_false(space_has_reserve(fixture->space));
    assert_true(space_is_low(fixture->space));

    leave(fixture, (uint64_t)SPACE_LOW_BYTES + SPACE_RESERVE_BYTES - 1);
    assert_false(space_has_reserve(fixture->space));
    assert_true(space_is_low(fixture->space));

    leave(fixture, (uint64_t)SPACE_LOW_BYTES + SPACE_RESERVE_BYTES);
    assert_true(space_has_reserve(fixture->space));
    assert_false(space_is_low(fixture->space));
}

static void test_a_reserve_that_cannot_be_made_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    fault_disk_fail_nth(fixture->disk, 2, ERR_NO_SPACE); /* the first creates the file */

    space_step(fixture->space);

    assert_false(space_has_reserve(fixture->space));
    assert_true(space_is_low(fixture->space));
    assert_int_equal(space_free_bytes(fixture->space), PLENTY);
    space_step(fixture->space);
    assert_true(space_has_reserve(fixture->space));
    assert_false(space_is_low(fixture->space));
}

static void test_a_reserve_of_an_earlier_life_is_taken_over(void **state)
{
    struct fixture *fixture = *state;
    space_step(fixture->space);
    uint64_t changes = fault_disk_changes(fixture->disk);

    struct space *again = space_new(fault_disk_ops(fixture->disk), "member");
    space_step(again);

    assert_true(space_has_reserve(again));
    assert_int_equal(fault_disk_changes(fixture->disk), changes);
    assert_int_equal(space_free_bytes(again) / MEBIBYTE, (PLENTY - SPACE_RESERVE_BYTES) / MEBIBYTE);
    space_free(again);
}

#define SPACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPACE_TEST(test_the_reserve_is_made_while_there_is_room),
        SPACE_TEST(test_growth_is_refused_from_the_low_mark_down),
        SPACE_TEST(test_the_reserve_is_given_up_and_growth_waits_until_it_is_whole_again),
        SPACE_TEST(test_a_reserve_that_cannot_be_made_leaves_nothing_behind),
        SPACE_TEST(test_a_reserve_of_an_earlier_life_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
