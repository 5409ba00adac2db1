/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a waiter is called exactly once, and is told "applied" only for its own entry. Method: the
 * real table of waiters, results given as the apply thread would. */
#include "node/proposals.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct told {
    uint32_t count;
    enum error error;
    uint64_t index;
    struct proposals *add_to; /* a waiter that proposes again when it is told */
};

static void note(enum error error, const struct command_result *result, void *ctx)
{
    struct told *told = ctx;
    told->count++;
    told->error = error;
    told->index = result == NULL ? 0 : result->index;
    if (told->add_to != NULL) {
        struct proposals *again = told->add_to;
        told->add_to = NULL;
        assert_int_equal(
            proposals_add(again, 100, 9, (struct proposals_waiter){.done = note, .ctx = told}),
            ERR_OK);
    }
}

static void wait_for(struct proposals *proposals, uint64_t index, uint64_t term, struct told *told)
{
    const struct proposals_waiter waiter = {.done = note, .ctx = told};
    assert_int_equal(proposals_add(proposals, index, term, waiter), ERR_OK);
}

static void apply(struct proposals *proposals, uint64_t index, uint64_t term)
{
    const struct command_result result = {.index = index};
    proposals_applied(proposals, index, term, &result);
}

static void test_a_waiter_is_told_when_its_own_entry_is_applied(void **state)
{
    (void)state;
    struct proposals *proposals = proposals_new();
    struct told told = {0};
    wait_for(proposals, 5, 2, &told);

    apply(proposals, 4, 2);
    assert_int_equal(told.count, 0);
    apply(proposals, 5, 2);

    assert_int_equal(told.count, 1);
    assert_int_equal(told.error, ERR_OK);
    assert_int_equal(told.index, 5);
    assert_int_equal(proposals_count(proposals), 0);
    proposals_free(proposals);
}

static void test_an_entry_of_another_term_at_the_index_means_not_applied(void **state)
{
    (void)state;
    struct proposals *proposals = proposals_new();
    struct told told = {0};
    wait_for(proposals, 5, 2, &told);

    apply(proposals, 5, 3);

    assert_int_equal(told.count, 1);
    assert_int_equal(told.error, ERR_NOT_LEADER);
    assert_int_equal(told.index, 0);
    proposals_free(proposals);
}

static void test_lost_leadership_leaves_the_outcome_unknown(void **state)
{
    (void)state;
    struct proposals *proposals = proposals_new();
    struct told first = {0};
    struct told second = {0};
    wait_for(proposals, 5, 2, &first);
    wait_for(proposals, 6, 2, &second);

    proposals_lost(proposals);

    assert_int_equal(first.error, ERR_OUTCOME_UNKNOWN);
    assert_int_equal(second.error, ERR_OUTCOME_UNKNOWN);
    apply(proposals, 5, 2);
    assert_int_equal(first.count, 1);
    proposals_free(proposals);
}

static void test_a_waiter_may_propose_again_while_it_is_told(void **state)
{
    (void)state;
    struct proposals *proposals = proposals_new();
    struct told told = {.add_to = proposals};
    wait_for(proposals, 5, 2, &told);

    proposals_lost(proposals);

    assert_int_equal(told.count, 1);
    assert_int_equal(proposals_count(proposals), 1);
    apply(proposals, 100, 9);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.error, ERR_OK);
    proposals_free(proposals);
}

static void test_the_order_holds_while_the_ring_grows_and_wraps(void **state)
{
    (void)state;

    enum {
        COUNT = 1000
    };
    static struct told told[COUNT];
    struct proposals *proposals = proposals_new();
    uint64_t applied = 0;
    for (uint64_t index = 1; index <= COUNT; index++) {
        wait_for(proposals, index, 1, &told[index - 1]);
        if (index % 3 == 0) {
            applied++;
            apply(proposals, applied, 1);
        }
    }
    while (applied < COUNT) {
        applied++;
        apply(proposals, applied, 1);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(told[i].count, 1);
        assert_int_equal(told[i].index, i + 1);
    }
    proposals_free(proposals);
}

static void test_the_bound_is_an_error_the_caller_sees(void **state)
{
    (void)state;
    struct proposals *proposals = proposals_new();
    struct told told = {0};
    for (uint64_t index = 1; index <= PROPOSALS_MAX; index++) {
        wait_for(proposals, index, 1, &told);
    }
    const struct proposals_waiter waiter = {.done = note, .ctx = &told};
    assert_int_equal(proposals_add(proposals, PROPOSALS_MAX + 1, 1, waiter), ERR_EXHAUSTED);
    proposals_free(proposals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_waiter_is_told_when_its_own_entry_is_applied),
        cmocka_unit_test(test_an_entry_of_another_term_at_the_index_means_not_applied),
        cmocka_unit_test(test_lost_leadership_leaves_the_outcome_unknown),
        cmocka_unit_test(test_a_waiter_may_propose_again_while_it_is_told),
        cmocka_unit_test(test_the_order_holds_while_the_ring_grows_and_wraps),
        cmocka_unit_test(test_the_bound_is_an_error_the_caller_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
