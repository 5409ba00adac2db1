/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the text of an error is there, bounded, and can be put before another. */
#include "base/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_a_failure_is_stated_where_it_is_returned(void **state)
{
    (void)state;
    struct reason reason = {0};
    assert_int_equal(reason_set(&reason, ERR_IO, "%s: %d", "/a/file", 7), ERR_IO);
    assert_string_equal(reason.text, "/a/file: 7");
}

static void test_a_text_can_be_put_before_what_was_said(void **state)
{
    (void)state;
    struct reason reason = {0};
    reason_say(&reason, "the port is in use");
    reason_say(&reason, "listen.api 10.0.0.1:7400: %s", reason.text);
    assert_string_equal(reason.text, "listen.api 10.0.0.1:7400: the port is in use");
}

static void test_a_text_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    struct reason reason = {0};
    char text[2 * REASON_SIZE];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    reason_say(&reason, "%s", text);
    assert_int_equal(strlen(reason.text), REASON_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_is_stated_where_it_is_returned),
        cmocka_unit_test(test_a_text_can_be_put_before_what_was_said),
        cmocka_unit_test(test_a_text_that_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
