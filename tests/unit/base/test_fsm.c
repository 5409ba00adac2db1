/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: only edges of the table are taken. Method: a table of three states. */
#include "base/fsm.h"

#include "tests/support/support_abort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    DOOR_OPEN,
    DOOR_SHUT,
    DOOR_LOCKED,
    DOOR_STATES
};

static const char *const door_names[] = {"open", "shut", "locked"};
static const uint32_t door_edges[] = {
    [DOOR_OPEN] = 1U << DOOR_SHUT,
    [DOOR_SHUT] = 1U << DOOR_OPEN | 1U << DOOR_LOCKED,
    [DOOR_LOCKED] = 1U << DOOR_SHUT,
};
static const struct fsm door = {
    .name = "door",
    .states_count = DOOR_STATES,
    .state_names = door_names,
    .allowed = door_edges,
};

static void lock_an_open_door(void *ctx)
{
    fsm_move(&door, ctx, DOOR_LOCKED);
}

static void leave_the_table(void *ctx)
{
    (void)fsm_allows(&door, *(const int *)ctx, DOOR_STATES);
}

static void test_edges_of_the_table_are_allowed_and_no_others(void **state)
{
    (void)state;
    assert_true(fsm_allows(&door, DOOR_OPEN, DOOR_SHUT));
    assert_true(fsm_allows(&door, DOOR_SHUT, DOOR_LOCKED));
    assert_false(fsm_allows(&door, DOOR_OPEN, DOOR_LOCKED));
    assert_false(fsm_allows(&door, DOOR_OPEN, DOOR_OPEN));
    assert_false(fsm_allows(&door, DOOR_LOCKED, DOOR_OPEN));
}

static void test_move_sets_the_state(void **state)
{
    (void)state;
    int now = DOOR_OPEN;
    fsm_move(&door, &now, DOOR_SHUT);
    assert_int_equal(now, DOOR_SHUT);
    fsm_move(&door, &now, DOOR_LOCKED);
    assert_int_equal(now, DOOR_LOCKED);
}

static void test_move_along_no_edge_is_a_bug(void **state)
{
    (void)state;
    int now = DOOR_OPEN;
    assert_true(support_aborts(lock_an_open_door, &now, NULL, 0));
    assert_true(support_aborts(leave_the_table, &now, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges_of_the_table_are_allowed_and_no_others),
        cmocka_unit_test(test_move_sets_the_state),
        cmocka_unit_test(test_move_along_no_edge_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
