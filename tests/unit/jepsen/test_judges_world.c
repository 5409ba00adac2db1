/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is said of a whole world is judged: primaries, status, recovery, ledgers. Method: the
 * smallest histories that are wrong in one way, beside the same ones that are right. */
#include "base/check.h"
#include "tests/unit/jepsen/histories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PROBE(begin, end, instance, timeline)     \
    LINE(begin, 1##timeline, invoke, probe, "1")  \
    "{:time " #end "000000, :process 1" #timeline \
    ", :type :ok, :f :probe, :value 1, :instance \"" #instance "\", :timeline " #timeline "}\n"
#define STATUS(asked, answered, value)                                                       \
    "{:time " #answered "000000, :process :observer, :type :info, :f :status, :value " value \
    ", :asked " #asked "000000}\n"
#define LEAF(member, number, hash)                                                              \
    "{:time 1, :process :observer, :type :info, :f :leaf, :value [" #number " \"" #hash "\"], " \
    ":member \"" #member "\"}\n"
#define PROOF(number, first, last)                                                      \
    "{:time 1, :process :observer, :type :info, :f :leaf, :value [" #number " \"x\"], " \
    ":member \"a\", :first " #first ", :last " #last "}\n"
#define VERIFIED SAID(1, observer, verified, "true")

static void test_one_database_acknowledges_at_any_instant(void **state)
{
    (void)state;
    assert_int_equal(judged(judge_primary, PROBE(1, 2, a, 1) PROBE(3, 4, a, 1) PROBE(5, 6, b, 2)),
                     0);
    /* a was in office from 2 to 7 at least, b from 4 to 9 */
    assert_int_equal(judged(judge_primary,
                            PROBE(1, 2, a, 1) PROBE(3, 4, b, 2) PROBE(7, 8, a, 1)
                                PROBE(9, 10, b, 2)),
                     1);
    assert_non_null(strstr(judged_text(), "two acknowledge at one time: b"));
    /* b's one write took effect between 3 and 6, all of which was a's */
    assert_int_equal(judged(judge_primary, PROBE(1, 2, a, 1) PROBE(7, 8, a, 1) PROBE(3, 6, b, 2)),
                     1);
    /* … which it need not have been here: a's last one may have been before it */
    assert_int_equal(judged(judge_primary, PROBE(1, 2, a, 1) PROBE(5, 8, a, 1) PROBE(4, 6, b, 2)),
                     0);
    /* a came back, on a timeline of its own */
    assert_int_equal(judged(judge_primary, PROBE(1, 2, a, 1) PROBE(3, 4, b, 2) PROBE(5, 6, a, 3)),
                     0);
    assert_int_equal(judged(judge_primary, PROBE(1, 2, a, 1) PROBE(3, 4, b, 1)), 1);
    assert_non_null(strstr(judged_text(), "one timeline of two"));
    assert_int_equal(judged(judge_primary, LINE(1, 1, invoke, probe, "1")), 1);
}

static void test_a_status_is_beside_the_truth(void **state)
{
    (void)state;
    assert_int_equal(judged(judge_status,
                            PROBE(1, 2, a, 1) PROBE(20000, 20001, a, 1)
                                STATUS(9000, 9001, "{:primary \"a\", :fine false}")),
                     0);
    assert_int_equal(judged(judge_status,
                            PROBE(1, 2, a, 1) PROBE(20000, 20001, a, 1)
                                STATUS(9000, 9001, "{:primary \"b\", :fine false}")),
                     1);
    /* as old as it may be */
    assert_int_equal(judged(judge_status,
                            PROBE(1, 2, a, 1) PROBE(20000, 20001, a, 1)
                                STATUS(3000, 3001, "{:primary \"b\", :fine false}")),
                     0);
    /* all is well, and for ten seconds nothing was acknowledged */
    assert_int_equal(judged(judge_status,
                            PROBE(1, 2, a, 1) STATUS(12000, 12001, "{:primary \"a\", :fine true}")),
                     1);
    assert_int_equal(judged(judge_status,
                            PROBE(1, 2, a, 1)
                                STATUS(12000, 12001, "{:primary \"a\", :fine false}")),
                     0);
    /* … which begins again just then */
    assert_int_equal(judged(judge_status,
                            PROBE(1, 2, a, 1) PROBE(13000, 13001, a, 1)
                                STATUS(12000, 12001, "{:primary \"a\", :fine true}")),
                     0);
    assert_int_equal(judged(judge_status, PROBE(1, 2, a, 1)), 1);
}

static void test_what_is_not_recovered_in_time_is_told(void **state)
{
    static const char DEMAND[] = SAID(10, nemesis, recover, "{:within-ms 5}");
    char text[1024];

    (void)state;
    (void)snprintf(text,
                   sizeof(text),
                   "%s%s",
                   DEMAND,
                   LINE(12, 1, invoke, add, "1") LINE(15, 1, ok, add, "1"));
    assert_int_equal(judged(judge_recovery, text), 0);
    assert_non_null(strstr(judged_text(), "in_rto=1"));
    (void)snprintf(text,
                   sizeof(text),
                   "%s%s",
                   DEMAND,
                   LINE(12, 1, invoke, add, "1") LINE(16, 1, ok, add, "1"));
    assert_int_equal(judged(judge_recovery, text), 1);
    assert_non_null(strstr(judged_text(), "but in 6 ms"));
    /* asked for before, a read, a probe: none of these shows it */
    (void)snprintf(text,
                   sizeof(text),
                   "%s%s%s",
                   LINE(9, 1, invoke, add, "1"),
                   DEMAND,
                   LINE(12, 1, ok, add, "1") LINE(12, 2, invoke, read, "1")
                       LINE(13, 2, ok, read, "1"));
    assert_int_equal(judged(judge_recovery, text), 1);
    assert_non_null(strstr(judged_text(), "but never"));
    /* at first it went on, then it stopped for longer than it may */
    (void)snprintf(text,
                   sizeof(text),
                   "%s%s",
                   DEMAND,
                   LINE(11, 1, invoke, add, "1") LINE(12, 1, ok, add, "1")
                       LINE(13, 1, invoke, add, "2") LINE(18, 1, ok, add, "2")
                           SAID(19, nemesis, heal, "\"x\""));
    assert_int_equal(judged(judge_recovery, text), 1);
    assert_non_null(strstr(judged_text(), "but in 6 ms"));
    (void)snprintf(text,
                   sizeof(text),
                   "%s%s",
                   DEMAND,
                   LINE(11, 1, invoke, add, "1") LINE(12, 1, ok, add, "1")
                       SAID(17, nemesis, heal, "\"x\""));
    assert_int_equal(judged(judge_recovery, text), 0);
    /* the next fault came before it was due */
    (void)snprintf(text, sizeof(text), "%s%s", DEMAND, SAID(14, nemesis, fault, "\"x\""));
    assert_int_equal(judged(judge_recovery, text), 0);
    assert_non_null(strstr(judged_text(), "interrupted=1"));
}

static void test_ledgers_are_dense_and_agree(void **state)
{
    (void)state;
    assert_int_equal(judged(judge_ledger, VERIFIED LEAF(a, 0, x) LEAF(a, 1, y) LEAF(b, 0, x)), 0);
    assert_int_equal(judged(judge_ledger, VERIFIED LEAF(a, 0, x) LEAF(a, 1, y) LEAF(b, 0, z)), 1);
    assert_int_equal(judged(judge_ledger, VERIFIED LEAF(a, 0, x) LEAF(a, 2, y)), 1);
    assert_int_equal(judged(judge_ledger, VERIFIED LEAF(a, 1, x)), 1);
    assert_int_equal(judged(judge_ledger, VERIFIED LEAF(a, 0, x) LEAF(a, 0, x)), 1);
    assert_int_equal(judged(judge_ledger, LEAF(a, 0, x)), 1);
    assert_int_equal(judged(judge_ledger, VERIFIED PROOF(0, 1, 1) PROOF(1, 2, 7) PROOF(2, 8, 8)),
                     0);
    assert_int_equal(judged(judge_ledger, VERIFIED PROOF(0, 1, 1) PROOF(1, 3, 7)), 1);
    assert_non_null(strstr(judged_text(), "no leaf for entry 2"));
    assert_int_equal(judged(judge_ledger, VERIFIED PROOF(0, 2, 2)), 1);
    assert_int_equal(judged(judge_ledger, SAID(1, observer, verified, "false") LEAF(a, 0, x)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_database_acknowledges_at_any_instant),
        cmocka_unit_test(test_a_status_is_beside_the_truth),
        cmocka_unit_test(test_what_is_not_recovered_in_time_is_told),
        cmocka_unit_test(test_ledgers_are_dense_and_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
