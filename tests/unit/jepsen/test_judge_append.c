/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the phenomena of transactions on lists are found, by their names. Method: the smallest
 * history that shows each, and neighbours that do not. */
#include "base/check.h"
#include "tests/unit/jepsen/histories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A transaction of a process; `asked` and `done` are its steps. */
#define TXN(begin, end, process, outcome, asked, done) \
    LINE(begin, process, invoke, txn, asked) LINE(end, process, outcome, txn, done)
#define DONE(begin, end, process, steps) TXN(begin, end, process, ok, steps, steps)

static void check(const char *found, const char *text)
{
    uint32_t violations = judged(judge_append, text);
    bool right =
        found == NULL ? violations == 0 : violations > 0 && strstr(judged_text(), found) != NULL;

    if (!right) {
        print_error("%s is wanted, and said is: %s", found ? found : "nothing", judged_text());
    }
    assert_true(right);
}

static void test_serializable_transactions_are_accepted(void **state)
{
    (void)state;
    check(NULL,
          DONE(1, 2, 1, "[[:append 1 1] [:append 2 1]]") DONE(3, 4, 2, "[[:r 1 [1]] [:append 1 2]]")
              DONE(5, 6, 3, "[[:append 1 3] [:r 1 [1 2 3]] [:r 2 [1]]]"));
    /* concurrent, in either order */
    check(NULL,
          DONE(1, 9, 1, "[[:append 1 1]]") DONE(2, 8, 2, "[[:r 1 []]]")
              DONE(3, 7, 3, "[[:r 1 [1]]]"));
    /* without an answer it may be there */
    check(NULL,
          TXN(1, 2, 1, info, "[[:append 1 1]]", "[[:append 1 1]]") DONE(3, 4, 2, "[[:r 1 [1]]]"));
    check("nothing was appended", DONE(1, 2, 1, "[[:r 1 nil]]"));
}

static void test_what_one_list_shows(void **state)
{
    (void)state;
    check("G1a",
          TXN(1, 2, 1, fail, "[[:append 1 1]]", "[[:append 1 1]]") DONE(3, 4, 2, "[[:r 1 [1]]]"));
    check("G1b", DONE(1, 5, 1, "[[:append 1 1] [:append 1 2]]") DONE(2, 4, 2, "[[:r 1 [1]]]"));
    check("phantom", DONE(1, 2, 1, "[[:append 1 1]]") DONE(3, 4, 2, "[[:r 1 [1 9]]]"));
    check("duplicated", DONE(1, 2, 1, "[[:append 1 1]]") DONE(3, 4, 2, "[[:r 1 [1 1]]]"));
    check("lost", DONE(1, 2, 1, "[[:append 1 1]]") DONE(3, 4, 2, "[[:r 1 []]]"));
    check("incompatible",
          DONE(1, 8, 1, "[[:append 1 1]]") DONE(1, 8, 2, "[[:append 1 2]]")
              DONE(2, 7, 3, "[[:r 1 [1 2]]]") DONE(2, 7, 4, "[[:r 1 [2]]]"));
    check("torn",
          TXN(1, 9, 1, info, "[[:append 1 1] [:append 1 2]]", "[[:append 1 1] [:append 1 2]]")
              DONE(2, 4, 2, "[[:r 1 [2]]]"));
    check("torn",
          DONE(1, 9, 1, "[[:append 1 1] [:append 1 2]]") DONE(1, 9, 2, "[[:append 1 3]]")
              DONE(2, 8, 3, "[[:r 1 [1 3 2]]]"));
    check("internal", DONE(1, 2, 1, "[[:append 1 1] [:r 1 []]]"));
    check("appended twice", DONE(1, 2, 1, "[[:append 1 1]]") DONE(3, 4, 1, "[[:append 1 1]]"));
    check("not of the form", DONE(1, 2, 1, "[[:append 1]]"));
}

/* All at one time, so that real time says nothing. */
static void test_cycles_have_their_names(void **state)
{
    (void)state;
    check("G0, a cycle of 2",
          DONE(1, 9, 1, "[[:append 1 1] [:append 2 1]]")
              DONE(1, 9, 2, "[[:append 1 2] [:append 2 2]]") DONE(1, 9, 3, "[[:r 1 [1 2]]]")
                  DONE(1, 9, 4, "[[:r 2 [2 1]]]"));
    check("G1c, a cycle of 2",
          DONE(1, 9, 1, "[[:append 1 1] [:r 2 [1]]]") DONE(1, 9, 2, "[[:append 2 1] [:r 1 [1]]]"));
    check("G-single, a cycle of 2",
          DONE(1, 9, 1, "[[:append 1 1] [:append 2 1]]") DONE(1, 9, 2, "[[:r 1 [1]] [:r 2 []]]")
              DONE(1, 9, 3, "[[:r 2 [1]]]"));
    check("G2, a cycle of 2",
          DONE(1, 9, 1, "[[:r 1 []] [:append 2 1]]") DONE(1, 9, 2, "[[:r 2 []] [:append 1 1]]")
              DONE(1, 9, 3, "[[:r 1 [1]] [:r 2 [1]]]"));
}

/* What is in no list came last: whoever read the longest one did so before. */
static void test_what_nobody_read_closes_cycles_too(void **state)
{
    (void)state;
    check("G2, a cycle of 2",
          DONE(1, 9, 1, "[[:r 1 []] [:append 2 1]]") DONE(1, 9, 2, "[[:r 2 []] [:append 1 1]]"));
    check("G-single, a cycle of 2",
          DONE(1, 9, 1, "[[:append 1 1] [:append 2 1]]") DONE(1, 9, 2, "[[:r 1 [1]] [:r 2 []]]"));
    check("G-single-realtime",
          DONE(1, 9, 1, "[[:append 1 1]]") DONE(2, 3, 2, "[[:r 1 [1]]]")
              DONE(4, 5, 3, "[[:r 1 []]]"));
    /* one without an answer may not be there at all */
    check(NULL,
          DONE(1, 9, 1, "[[:r 1 []] [:append 2 1]]")
              TXN(1, 9, 2, info, "[[:append 1 1]]", "[[:append 1 1]]"));
    /* over at the very moment at which the other one begins: at one time */
    check(NULL, DONE(1, 4, 1, "[[:append 1 1]]") DONE(4, 5, 2, "[[:r 1 []]]"));
}

static void test_real_time_closes_cycles_too(void **state)
{
    (void)state;
    /* 2 was over before 1 began, and follows it in the list */
    check("G0-realtime",
          DONE(1, 2, 2, "[[:append 1 2]]") DONE(3, 4, 1, "[[:append 1 1]]")
              DONE(5, 6, 3, "[[:r 1 [1 2]]]"));
    /* read before it was written */
    check("G1c-realtime", DONE(1, 2, 2, "[[:r 1 [1]]]") DONE(3, 4, 1, "[[:append 1 1]]"));
    /* a stale read of a list of which nothing is lost in the end */
    check("lost",
          DONE(1, 2, 1, "[[:append 1 1]]") DONE(3, 4, 2, "[[:r 1 []]]")
              DONE(5, 6, 3, "[[:r 1 [1]]]"));
    check("G-single-realtime",
          TXN(1, 9, 1, info, "[[:append 1 1]]", "[[:append 1 1]]") DONE(2, 3, 2, "[[:r 1 [1]]]")
              DONE(4, 5, 3, "[[:r 1 []]]"));
    check(NULL,
          TXN(1, 9, 1, info, "[[:append 1 1]]", "[[:append 1 1]]") DONE(2, 3, 2, "[[:r 1 []]]")
              DONE(4, 5, 3, "[[:r 1 [1]]]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serializable_transactions_are_accepted),
        cmocka_unit_test(test_what_one_list_shows),
        cmocka_unit_test(test_cycles_have_their_names),
        cmocka_unit_test(test_what_nobody_read_closes_cycles_too),
        cmocka_unit_test(test_real_time_closes_cycles_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
