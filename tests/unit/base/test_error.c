/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each error can be told to people and to programs. Method: walk the whole enum. */
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const enum_names[] = {
#define X(name, text) #name,
    ERROR_TABLE(X)
#undef X
};

static void test_every_error_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        assert_true(strlen(error_text((enum error)i)) > 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(error_text((enum error)i), error_text((enum error)j));
        }
    }
}

static void test_the_name_of_an_error_is_that_of_the_enum_in_lower_case(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        const char *expected = enum_names[i] + strlen("ERR_");
        const char *name = error_name((enum error)i);

        assert_int_equal(strlen(name), strlen(expected));
        for (size_t at = 0; name[at] != '\0'; at++) {
            assert_int_equal(name[at], tolower((unsigned char)expected[at]));
        }
    }
}

static void test_unknown_errors_are_named_as_such(void **state)
{
    (void)state;
    assert_string_equal(error_text((enum error)ERROR_COUNT), "unknown error");
    assert_string_equal(error_text((enum error)(-1)), "unknown error");
    assert_string_equal(error_name((enum error)ERROR_COUNT), "unknown");
    assert_string_equal(error_name((enum error)(-1)), "unknown");
}

static void test_errno_values_become_the_errors_that_stand_for_them(void **state)
{
    (void)state;
    assert_int_equal(error_from_errno(0), ERR_OK);
    assert_int_equal(error_from_errno(ENOENT), ERR_NOT_FOUND);
    assert_int_equal(error_from_errno(ENOSPC), ERR_NO_SPACE);
    assert_int_equal(error_from_errno(EDQUOT), ERR_NO_SPACE);
    assert_int_equal(error_from_errno(ECONNREFUSED), ERR_REFUSED);
    assert_int_equal(error_from_errno(ECONNRESET), ERR_CLOSED);
    assert_int_equal(error_from_errno(EIO), ERR_IO);
    assert_int_equal(error_from_errno(EACCES), ERR_DENIED);
    assert_int_equal(error_from_errno(ETIMEDOUT), ERR_TIMEOUT);
    assert_int_equal(error_from_errno(EMFILE), ERR_EXHAUSTED);
    assert_int_equal(error_from_errno(EADDRINUSE), ERR_BUSY);
}

static void test_no_errno_value_but_zero_means_ok(void **state)
{
    (void)state;
    for (int value = 1; value < 200; value++) {
        assert_int_not_equal(error_from_errno(value), ERR_OK);
    }
    assert_int_equal(error_from_errno(12345), ERR_SYSTEM);
    assert_int_equal(error_from_errno(-1), ERR_SYSTEM);
}

static enum error try_then_count(enum error given, int *reached)
{
    TRY(given);
    *reached += 1;
    return ERR_OK;
}

static void test_try_leaves_with_the_error_and_goes_on_without_one(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_then_count(ERR_BUSY, &reached), ERR_BUSY);
    assert_int_equal(reached, 0);
    assert_int_equal(try_then_count(ERR_OK, &reached), ERR_OK);
    assert_int_equal(reached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_error_has_a_text_of_its_own),
        cmocka_unit_test(test_the_name_of_an_error_is_that_of_the_enum_in_lower_case),
        cmocka_unit_test(test_unknown_errors_are_named_as_such),
        cmocka_unit_test(test_errno_values_become_the_errors_that_stand_for_them),
        cmocka_unit_test(test_no_errno_value_but_zero_means_ok),
        cmocka_unit_test(test_try_leaves_with_the_error_and_goes_on_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
