/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the table of commands says of each kind what the rest of the program asks of it.
 * Method: the columns are read back, kind by kind; that a kind which changes what members mirror
 * says so is in test_random_commands.c, that each has a codec in the tests of wire. */
#include "state/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_each_kind_has_a_name_of_its_own_that_fits_a_leaf(void **state)
{
    (void)state;
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        const char *name = command_kind_name((enum command_kind)kind);
        assert_true(strlen(name) > 1);
        assert_true(strlen(name) < 32); /* ledger_leaf.kind */
        for (int other = 1; other < kind; other++) {
            assert_string_not_equal(name, command_kind_name((enum command_kind)other));
        }
    }
}

static void test_each_kind_is_of_a_level_that_this_program_knows(void **state)
{
    (void)state;
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        uint32_t level = command_kind_level((enum command_kind)kind);
        assert_in_range(level, 1, COMMAND_LEVEL);
    }
}

static void test_each_body_is_carried_by_some_kind(void **state)
{
    (void)state;
    for (int body = 0; body < COMMAND_BODY_COUNT; body++) {
        bool carried = false;
        for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
            carried = carried || (int)command_kind_body((enum command_kind)kind) == body;
        }
        assert_true(carried);
    }
}

static void test_only_what_clients_ask_for_is_refused_for_want_of_room(void **state)
{
    (void)state;
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        if (command_kind_is_order((enum command_kind)kind)) {
            assert_false(command_kind_grows((enum command_kind)kind));
        }
    }
    assert_true(command_kind_grows(COMMAND_SHARD_CREATE));
    assert_true(command_kind_grows(COMMAND_REGION_PUT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_has_a_name_of_its_own_that_fits_a_leaf),
        cmocka_unit_test(test_each_kind_is_of_a_level_that_this_program_knows),
        cmocka_unit_test(test_each_body_is_carried_by_some_kind),
        cmocka_unit_test(test_only_what_clients_ask_for_is_refused_for_want_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
