/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: histories are read as Jepsen writes them, and what is none is refused with its line. */
#include "base/check.h"
#include "tests/support/history.h"
#include "tests/unit/jepsen/histories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_an_invocation_and_its_completion_are_one_operation(void **state)
{
    struct history history;

    (void)state;
    assert_true(history_parse(
        "{:index 0, :time 5, :process 3, :type :invoke, :f :cas, :value [7 [nil -4]]}\n"
        "{:index 1, :time 6, :process :nemesis, :type :info, :f :kill, :value \"n1\"}\n"
        "{:index 2, :time 9, :process 3, :type :ok, :f :cas, :value [7 [nil -4]], :node \"a b\"}\n",
        &history));
    assert_int_equal(history.ops_count, 2);
    assert_int_equal(history.ops[0].type, HISTORY_OK);
    assert_int_equal(history.ops[0].invoke_ns, 5);
    assert_int_equal(history.ops[0].complete_ns, 9);
    assert_string_equal(history_extra(&history.ops[0], "node")->text, "a b");
    assert_int_equal(history.ops[0].value->items[1].items[1].number, -4);
    assert_string_equal(history.ops[1].source, "nemesis");
    history_deinit(&history);
}

static void test_what_has_no_answer_may_have_happened_at_any_time(void **state)
{
    struct history history;

    (void)state;
    assert_true(history_parse(LINE(1, 1, invoke, add, "1") LINE(2, 2, invoke, add, "2")
                                  LINE(3, 2, info, add, "2"),
                              &history));
    assert_int_equal(history.ops[0].complete_ns, HISTORY_NEVER);
    assert_int_equal(history.ops[1].complete_ns, HISTORY_NEVER);
    assert_int_equal(history.ops[1].type, HISTORY_INFO);
    history_deinit(&history);
}

static void test_what_is_no_history_is_refused_with_its_line(void **state)
{
    static const char *const BAD[] = {
        LINE(1, 1, invoke, add, "1") "{:time 2, :process 1",
        LINE(1, 1, invoke, add, "1") LINE(2, 1, invoke, add, "2"),
        LINE(1, 1, invoke, add, "1") LINE(2, 2, ok, add, "1"),
        LINE(5, 1, invoke, add, "1") LINE(2, 1, ok, add, "1"),
        LINE(1, 1, invoke, add, "1") LINE(2, 1, ok, read, "1"),
        LINE(1, 1, invoke, add, "1") LINE(2, 1, maybe, add, "1"),
        LINE(1, 1, invoke, add, "1") "{:time 2, :process 1, :type :ok}",
        LINE(1, 1, invoke, add, "1") "{:time 1.5, :process 1, :type :ok, :f :add}",
        LINE(1, 1, invoke, add, "1") "{:time",
        LINE(1, 1, invoke, add, "1") "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct history history;
        assert_false(history_parse(BAD[i], &history));
        assert_non_null(strstr(history.error, "line 2"));
        history_deinit(&history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_invocation_and_its_completion_are_one_operation),
        cmocka_unit_test(test_what_has_no_answer_may_have_happened_at_any_time),
        cmocka_unit_test(test_what_is_no_history_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
