/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: links between far hosts delay, lose, hold back and cut, each direction by itself. */
#include "tests/support/far_links.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint32_t THERE[2] = {0, 1};
static const uint32_t BACK[2] = {1, 0};

static void test_a_link_delays_and_keeps_the_order(void **state)
{
    struct far_links links;
    uint64_t due = 0;
    uint64_t last = 0;

    (void)state;
    far_links_init(&links, 2, 7);
    links.links[0][1].delay_us = 1000;
    links.links[0][1].jitter_us = 500;
    for (uint64_t now = 0; now < 20000; now += 100) {
        assert_true(far_links_pass(&links, THERE, 100, now, &due));
        assert_true(due >= now + 1000 && due >= last);
        last = due;
    }
    assert_true(far_links_pass(&links, BACK, 100, 5, &due));
    assert_int_equal(due, 5);
}

static void test_a_cut_is_of_one_direction_until_it_is_healed(void **state)
{
    struct far_links links;
    uint64_t due = 0;

    (void)state;
    far_links_init(&links, 2, 7);
    links.links[0][1].cut = true;
    assert_false(far_links_pass(&links, THERE, 100, 0, &due));
    assert_true(far_links_pass(&links, BACK, 100, 0, &due));
    far_links_heal(&links);
    assert_true(far_links_pass(&links, THERE, 100, 0, &due));
    assert_int_equal(links.cut, 1);
}

static void test_a_narrow_line_lets_so_much_through(void **state)
{
    struct far_links links;
    uint64_t due = 0;
    uint32_t passed = 0;

    (void)state;
    far_links_init(&links, 2, 7);
    links.links[0][1].bytes_per_s = 1000000;
    for (int i = 0; i < 5000; i++) {
        passed += far_links_pass(&links, THERE, 1000, 0, &due);
    }
    assert_in_range(passed, 2000, 2002); /* what waits two seconds at most */
    assert_in_range(due, 2000000, 2002000);
}

static void test_loss_is_as_often_as_it_is_said_and_the_same_by_the_seed(void **state)
{
    struct far_links links[2];
    uint64_t due = 0;

    (void)state;
    for (int k = 0; k < 2; k++) {
        far_links_init(&links[k], 2, 7);
        links[k].links[0][1].loss_ppm = 100000;
        for (uint64_t i = 0; i < 10000; i++) {
            (void)far_links_pass(&links[k], THERE, 100, i, &due);
        }
    }
    assert_in_range(links[0].lost, 800, 1200);
    assert_int_equal(links[0].lost, links[1].lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_link_delays_and_keeps_the_order),
        cmocka_unit_test(test_a_cut_is_of_one_direction_until_it_is_healed),
        cmocka_unit_test(test_a_narrow_line_lets_so_much_through),
        cmocka_unit_test(test_loss_is_as_often_as_it_is_said_and_the_same_by_the_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
