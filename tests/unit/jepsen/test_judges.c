/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each judge accepts what may be, and finds what may not. Method: the smallest histories that
 * are wrong in one way, beside the same ones that are right. */
#include "base/check.h"
#include "tests/unit/jepsen/histories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ADD(time, number) LINE(time, 1, invoke, add, #number) LINE(time, 1, ok, add, #number)
#define READ(time, value) LINE(time, 9, invoke, read, "nil") LINE(time, 9, ok, read, value)

/* What must be found, by the words it is told with; NULL: nothing. */
struct example {
    const char *found;
    const char *text;
};

static void check_all(judge_fn judge, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t violations = judged(judge, examples[i].text);
        bool right = examples[i].found == NULL
                         ? violations == 0
                         : violations > 0 && strstr(judged_text(), examples[i].found);
        if (!right) {
            print_error("example %zu: %s", i, judged_text());
        }
        assert_true(right);
    }
}

static void test_a_set_loses_invents_and_repeats_nothing(void **state)
{
    /* clang-format off */
    static const struct example EXAMPLES[] = {
        {NULL, ADD(1, 10) ADD(2, 11) READ(9, "[11 10]")},
        {NULL, ADD(1, 10) READ(9, "#{10}")},
        {"lost: process 1 add 11", ADD(1, 10) ADD(2, 11) READ(9, "[10]")},
        {"lost: process 1 add 10", ADD(1, 10) ADD(2, 11) READ(9, "[11]")},
        {"phantom", ADD(1, 10) READ(9, "[10 12]")},
        {"duplicated", ADD(1, 10) READ(9, "[10 10]")},
        /* a read of each place: the second lacks it */
        {"lost", ADD(1, 10) READ(8, "[10]") READ(9, "[]")},
        {"refused, and there", ADD(1, 10) LINE(2, 2, invoke, add, "11")
            LINE(3, 2, fail, add, "11") READ(9, "[10 11]")},
        /* without an answer it may be there or not */
        {NULL, ADD(1, 10) LINE(2, 2, invoke, add, "11") LINE(3, 2, info, add, "11")
            READ(9, "[10]")},
        {NULL, ADD(1, 10) LINE(2, 2, invoke, add, "11") LINE(3, 2, info, add, "11")
            READ(9, "[10 11]")},
        /* a failover that says it could lose something explains what is missing, not what is more */
        {NULL, ADD(1, 10) ADD(2, 11) SAID(3, observer, failover, "{:could-lose true}")
            READ(9, "[10]")},
        {"phantom", ADD(1, 10) SAID(3, observer, failover, "{:could-lose true}")
            READ(9, "[10 12]")},
        {"lost", ADD(1, 10) SAID(3, observer, failover, "{:could-lose false}") READ(9, "[]")},
        {"nobody read", ADD(1, 10)},
        {"nobody read", READ(1, "[]") ADD(2, 10)},
    };
    /* clang-format on */

    (void)state;
    check_all(judge_set, EXAMPLES, ARRAY_LEN(EXAMPLES));
}

#define WRITE(begin, end, number)                    \
    LINE(begin, 1, invoke, write, "[7 " #number "]") \
    LINE(end, 1, ok, write, "[7 " #number "]")
#define SEE(begin, end, number) \
    LINE(begin, 2, invoke, read, "[7 nil]") LINE(end, 2, ok, read, "[7 " #number "]")

#define MAYBE(begin, process, from, to)                          \
    LINE(begin, process, invoke, cas, "[7 [" #from " " #to "]]") \
    LINE(begin, process, info, cas, "[7 [" #from " " #to "]]")
/* Ten of them at a time. */
#define FIVE(begin, from, ten)         \
    MAYBE(begin, ten##0, from, ten##0) \
    MAYBE(begin, ten##1, from, ten##1) \
    MAYBE(begin, ten##2, from, ten##2) \
    MAYBE(begin, ten##3, from, ten##3) \
    MAYBE(begin, ten##4, from, ten##4)
#define MANY(begin, from, ten) FIVE(begin, from, ten##1) FIVE(begin, from, ten##2)

static void test_registers_are_linearizable(void **state)
{
    /* clang-format off */
    static const struct example EXAMPLES[] = {
        {NULL, WRITE(1, 2, 5) SEE(3, 4, 5)},
        {NULL, SEE(3, 4, nil)},
        {"not linearizable", WRITE(1, 2, 5) WRITE(3, 4, 6) SEE(5, 6, 5)},
        {"not linearizable", WRITE(1, 2, 5) SEE(3, 4, nil)},
        {"not linearizable", WRITE(1, 2, 5) SEE(3, 4, 8)},
        {NULL, WRITE(1, 2, 5) LINE(3, 3, invoke, cas, "[7 [5 6]]")
            LINE(4, 3, ok, cas, "[7 [5 6]]") SEE(5, 6, 6)},
        {"not linearizable", WRITE(1, 2, 5) LINE(3, 3, invoke, cas, "[7 [4 6]]")
            LINE(4, 3, ok, cas, "[7 [4 6]]")},
        /* a swap without an answer may be, or not */
        {NULL, WRITE(1, 2, 5) LINE(3, 3, invoke, cas, "[7 [5 6]]")
            LINE(4, 3, info, cas, "[7 [5 6]]") SEE(5, 6, 6)},
        {NULL, WRITE(1, 2, 5) LINE(3, 3, invoke, cas, "[7 [5 6]]")
            LINE(4, 3, info, cas, "[7 [5 6]]") SEE(5, 6, 5)},
        /* what nobody saw is left out, but not what led to something that was seen */
        {NULL, WRITE(1, 2, 5) MAYBE(3, 4, 5, 6) MAYBE(3, 5, 6, 9) SEE(5, 6, 9)},
        {"not linearizable", WRITE(1, 2, 5) MAYBE(3, 4, 8, 6) MAYBE(3, 5, 6, 9) SEE(5, 6, 9)},
        {NULL, WRITE(1, 2, 5) MANY(3, 5, 1) MANY(4, 5, 2) SEE(5, 6, 5)},
        /* one that failed says what it saw */
        {"not linearizable", WRITE(1, 2, 5) LINE(3, 3, invoke, cas, "[7 [4 6]]")
            "{:time 4000000, :process 3, :type :fail, :f " ":cas, :value [7 [4 6]], :seen 3}\n"},
        {"not of the form", LINE(1, 1, invoke, write, "5") LINE(2, 1, ok, write, "5")},
        {"no register", LINE(1, 1, invoke, add, "5")},
    };
    /* clang-format on */

    (void)state;
    check_all(judge_register, EXAMPLES, ARRAY_LEN(EXAMPLES));
}

#define MORE(begin, end, process, outcome, number)   \
    LINE(begin, process, invoke, increment, #number) \
    LINE(end, process, outcome, increment, #number)

static void test_a_counter_is_within_what_was_added(void **state)
{
    /* clang-format off */
    static const struct example EXAMPLES[] = {
        {NULL, MORE(1, 2, 1, ok, 3) READ(4, "3")},
        {"not within [3, 3]", MORE(1, 2, 1, ok, 3) READ(4, "2")},
        {"not within [3, 3]", MORE(1, 2, 1, ok, 3) READ(4, "6")},
        {NULL, MORE(1, 2, 1, info, 3) READ(4, "3")},
        {NULL, MORE(1, 2, 1, info, 3) READ(4, "0")},
        {"not within [0, 0]", MORE(1, 2, 1, fail, 3) READ(4, "3")},
        {"nobody read", MORE(1, 2, 1, ok, 3)},
    };
    /* clang-format on */

    (void)state;
    check_all(judge_counter, EXAMPLES, ARRAY_LEN(EXAMPLES));
}

static void test_a_bank_keeps_its_total(void **state)
{
    /* clang-format off */
    static const struct example EXAMPLES[] = {
        {NULL, READ(1, "{1 10, 2 20}") READ(2, "{1 25, 2 5}")},
        {"a total of 25 instead of 30", READ(1, "{1 10, 2 20}") READ(2, "{1 20, 2 5}")},
        {"a total", READ(1, "{1 10, 2 20}") READ(2, "{1 10, 2 20, 3 0}")},
        {"not read twice", READ(1, "{1 10}")},
    };
    /* clang-format on */

    (void)state;
    check_all(judge_bank, EXAMPLES, ARRAY_LEN(EXAMPLES));
}

#define TAKE(begin, end, process, token)               \
    LINE(begin, process, invoke, acquire, "{:lock 1}") \
    LINE(end, process, ok, acquire, "{:lock 1, :token " #token "}")
#define GIVE(begin, end, process, token)                                  \
    LINE(begin, process, invoke, release, "{:lock 1, :token " #token "}") \
    LINE(end, process, ok, release, "{:lock 1, :token " #token "}")
#define USE(begin, end, process, token)                                 \
    LINE(begin, process, invoke, write, "{:lock 1, :token " #token "}") \
    LINE(end, process, ok, write, "{:lock 1, :token " #token "}")

static void test_a_lock_has_one_holder_and_tokens_that_rise(void **state)
{
    /* clang-format off */
    static const struct example EXAMPLES[] = {
        {NULL, TAKE(1, 2, 1, 5) GIVE(3, 4, 1, 5) TAKE(4, 5, 2, 6)},
        {"two hold one lock", TAKE(1, 2, 1, 5) TAKE(3, 4, 2, 6) GIVE(5, 6, 1, 5)},
        {"does not rise", TAKE(1, 2, 1, 5) GIVE(3, 4, 1, 5) TAKE(5, 6, 2, 4)},
        {"one token for two", TAKE(1, 2, 1, 5) GIVE(3, 4, 1, 5) TAKE(5, 6, 2, 5)},
        /* one without a release may have lost it */
        {NULL, TAKE(1, 2, 1, 5) TAKE(3, 4, 2, 6)},
        {"does not rise", TAKE(1, 2, 1, 5) TAKE(3, 4, 2, 6) USE(5, 6, 2, 6) USE(7, 8, 1, 5)},
        {NULL, TAKE(1, 2, 1, 5) TAKE(3, 4, 2, 6) USE(5, 8, 2, 6) USE(7, 9, 1, 5)},
        {"taken twice", TAKE(1, 2, 1, 5)},
    };
    /* clang-format on */

    (void)state;
    check_all(judge_lock, EXAMPLES, ARRAY_LEN(EXAMPLES));
}

static void test_a_history_without_answers_is_no_proof(void **state)
{
    char text[8192];
    size_t len = 0;

    (void)state;
    assert_int_equal(judged(judge_rates, ADD(1, 10)), 1);
    for (int i = 0; i < 20; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", ADD(1, 10));
    }
    assert_int_equal(judged(judge_rates, text), 0);
    for (int i = 0; i < 14; i++) {
        len += (size_t)snprintf(text + len,
                                sizeof(text) - len,
                                "%s",
                                LINE(1, 1, invoke, add, "1") LINE(1, 1, info, add, "1"));
    }
    assert_int_equal(judged(judge_rates, text), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_loses_invents_and_repeats_nothing),
        cmocka_unit_test(test_registers_are_linearizable),
        cmocka_unit_test(test_a_counter_is_within_what_was_added),
        cmocka_unit_test(test_a_bank_keeps_its_total),
        cmocka_unit_test(test_a_lock_has_one_holder_and_tokens_that_rise),
        cmocka_unit_test(test_a_history_without_answers_is_no_proof),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
