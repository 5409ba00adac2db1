/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the checker of histories says yes to what an atomic store gave and no to what it cannot
 * have given, by zones and by search alike. Method: known histories; and random ones of a store
 * whose operations take effect at one drawn instant, then with one result falsified. */
#include "base/prng.h"
#include "tests/support/lin.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    RUNS = 400,
    OPS = 40,
    PROCESSES = 5,
    KEYS = 2
};

/* One finished operation of one step. */
static uint32_t add(struct lin_history *history,
                    uint64_t invoke,
                    uint64_t complete,
                    enum lin_step_kind kind,
                    uint64_t value)
{
    const struct lin_op op = {
        .process = invoke, .invoke = invoke, .complete = complete, .outcome = LIN_OK};
    const struct lin_step step = {.kind = kind, .key = 1, .value = value};
    return lin_add(history, &op, &step, 1);
}

/* Guarded: the key had `expected`, and then became `value`. */
static void add_cas(struct lin_history *history, uint64_t at, uint64_t expected, uint64_t value)
{
    const struct lin_op op = {
        .process = at, .invoke = at, .complete = at + 1, .outcome = LIN_OK, .succeeded = true};
    const struct lin_step steps[] = {
        {.kind = LIN_EXPECT, .key = 1, .value = expected},
        {.kind = LIN_WRITE, .branch = LIN_THEN, .key = 1, .value = value},
    };
    (void)lin_add(history, &op, steps, 2);
}

static void expect(struct lin_history *history, enum lin_judgement judgement)
{
    struct lin_verdict verdict = lin_check(history, 0);
    if (verdict.judgement != judgement) {
        fail_msg("judged %d, not %d: %s", (int)verdict.judgement, (int)judgement, verdict.rule);
    }
    lin_deinit(history);
}

static void test_a_read_of_what_was_written_before_is_right(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 0, 5, LIN_READ, LIN_ABSENT);
    (void)add(&history, 10, 20, LIN_WRITE, 7);
    (void)add(&history, 30, 40, LIN_READ, 7);
    expect(&history, LIN_LINEARIZABLE);
}

static void test_a_stale_read_is_found(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 10, 20, LIN_WRITE, 7);
    (void)add(&history, 30, 40, LIN_WRITE, 8);
    (void)add(&history, 50, 60, LIN_READ, 7);
    expect(&history, LIN_VIOLATED);
}

static void test_a_lost_write_is_found(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 10, 20, LIN_WRITE, 7);
    (void)add(&history, 30, 40, LIN_READ, LIN_ABSENT);
    expect(&history, LIN_VIOLATED);
}

static void test_a_value_that_nobody_wrote_is_found(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 10, 20, LIN_WRITE, 7);
    (void)add(&history, 30, 40, LIN_READ, 9);
    expect(&history, LIN_VIOLATED);
}

static void test_reads_that_turn_back_are_found(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 10, 100, LIN_WRITE, 7);
    (void)add(&history, 20, 30, LIN_READ, 7);
    (void)add(&history, 40, 50, LIN_READ, LIN_ABSENT);
    expect(&history, LIN_VIOLATED);
}

static void test_concurrent_operations_may_be_taken_in_either_order(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 10, 50, LIN_WRITE, 7);
    (void)add(&history, 20, 60, LIN_WRITE, 8);
    (void)add(&history, 70, 80, LIN_READ, 7);
    expect(&history, LIN_LINEARIZABLE);
}

static void test_an_unknown_write_may_take_effect_late_or_never(void **state)
{
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        struct lin_history history = {0};
        const struct lin_step step = {.kind = LIN_WRITE, .key = 1, .value = 7};
        uint32_t lost = lin_begin_write(&history, 1, 10, step);
        lin_end(&history, lost, 20, LIN_UNKNOWN);
        (void)add(&history, 30, 40, LIN_READ, LIN_ABSENT);
        (void)add(&history, 50, 60, LIN_READ, seen == 1 ? 7 : LIN_ABSENT);
        expect(&history, LIN_LINEARIZABLE);
    }
    struct lin_history history = {0};
    const struct lin_step step = {.kind = LIN_WRITE, .key = 1, .value = 7};
    uint32_t failed = lin_begin_write(&history, 1, 10, step);
    lin_end(&history, failed, 20, LIN_FAIL);
    (void)add(&history, 50, 60, LIN_READ, 7);
    expect(&history, LIN_VIOLATED);
}

static void test_two_compare_and_swaps_from_one_value_are_found(void **state)
{
    (void)state;
    struct lin_history history = {0};
    (void)add(&history, 0, 5, LIN_WRITE, 1);
    add_cas(&history, 10, 1, 2);
    add_cas(&history, 20, 2, 3);
    expect(&history, LIN_LINEARIZABLE);

    (void)add(&history, 0, 5, LIN_WRITE, 1);
    add_cas(&history, 10, 1, 2);
    add_cas(&history, 20, 1, 3);
    expect(&history, LIN_VIOLATED);
}

/* A history of an atomic store: each operation takes effect somewhere between its ends. With
 * `search`, values repeat, which zones cannot judge. */
struct drawn {
    struct lin_history history;
    uint32_t falsified; /* number of a read whose result was changed; LIN_NONE */
};

static void draw(struct prng *prng, bool search, bool falsify, struct drawn *drawn)
{
    uint64_t store[KEYS] = {0};
    uint64_t ends[PROCESSES] = {0};
    uint64_t effect = 0;
    *drawn = (struct drawn){.falsified = LIN_NONE};
    for (uint64_t i = 1; i <= OPS; i++) {
        effect += 1 + prng_below(prng, 10);
        uint64_t process = prng_below(prng, PROCESSES);
        if (ends[process] >= effect) {
            continue; /* it is still busy then */
        }
        uint64_t slack = effect - ends[process] - 1;
        uint64_t key = prng_below(prng, KEYS);
        bool reads = prng_below(prng, 2) == 0;
        uint64_t value = search ? 1 + prng_below(prng, 3) : i;
        struct lin_step step = {
            .kind = reads ? LIN_READ : LIN_WRITE, .key = key, .value = reads ? store[key] : value};
        struct lin_op op = {
            .process = process,
            .invoke = effect - prng_below(prng, slack < 30 ? slack + 1 : 30),
            .complete = effect + prng_below(prng, 30),
            .outcome = LIN_OK,
            .index = effect,
        };
        ends[process] = op.complete;
        if (reads && falsify && drawn->falsified == LIN_NONE && i > OPS / 2) {
            step.value = UINT64_C(1000000);
            drawn->falsified = drawn->history.ops_count;
        }
        if (!reads) {
            store[key] = value;
        }
        (void)lin_add(&drawn->history, &op, &step, 1);
    }
}

static void test_histories_of_an_atomic_store_are_right_and_falsified_ones_are_not(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (uint32_t run = 0; run < RUNS; run++) {
        struct drawn drawn;
        bool search = run % 2 == 1;
        draw(&prng, search, false, &drawn);
        assert_int_equal(lin_witness(&drawn.history).judgement, LIN_LINEARIZABLE);
        expect(&drawn.history, LIN_LINEARIZABLE);

        draw(&prng, search, true, &drawn);
        if (drawn.falsified != LIN_NONE) {
            assert_int_equal(lin_witness(&drawn.history).judgement, LIN_VIOLATED);
        }
        expect(&drawn.history, drawn.falsified == LIN_NONE ? LIN_LINEARIZABLE : LIN_VIOLATED);
    }
}

/* Zones and search judge the same histories: an idle guard on the key forces the search. */
static void test_zones_and_search_agree_on_random_histories(void **state)
{
    (void)state;
    struct prng prng;
    uint32_t violated = 0;
    prng_init(&prng, support_seed() + 1);
    for (uint32_t run = 0; run < 4 * RUNS; run++) {
        struct lin_history zones = {0};
        struct lin_history search = {0};
        for (uint64_t i = 1; i <= 7; i++) {
            uint64_t invoke = prng_below(&prng, 40);
            uint64_t complete = invoke + 1 + prng_below(&prng, 60);
            bool reads = prng_below(&prng, 3) == 0;
            uint64_t value = reads ? prng_below(&prng, 8) : i;
            enum lin_step_kind kind = reads ? LIN_READ : LIN_WRITE;
            (void)add(&zones, invoke, complete, kind, value);
            (void)add(&search, invoke, complete, kind, value);
        }
        const struct lin_op idle = {.invoke = 100, .complete = 101, .outcome = LIN_OK};
        const struct lin_step guards[] = {
            {.kind = LIN_EXPECT, .key = 1, .value = 77},
            {.kind = LIN_WRITE, .branch = LIN_THEN, .key = 1, .value = 78},
        };
        (void)lin_add(&search, &idle, guards, 2);
        struct lin_verdict by_zones = lin_check(&zones, 0);
        struct lin_verdict by_search = lin_check(&search, 0);
        assert_int_equal(by_zones.parts_by_search, 0);
        assert_int_equal(by_search.parts_by_search, 1);
        if (by_zones.judgement != by_search.judgement) {
            fail_msg("run %u: zones %d (%s), search %d (%s)",
                     run,
                     (int)by_zones.judgement,
                     by_zones.rule,
                     (int)by_search.judgement,
                     by_search.rule);
        }
        violated += by_zones.judgement == LIN_VIOLATED ? 1 : 0;
        lin_deinit(&zones);
        lin_deinit(&search);
    }
    /* Both judgements were asked for, often. */
    assert_in_range(violated, RUNS / 2, 4 * RUNS - RUNS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_of_what_was_written_before_is_right),
        cmocka_unit_test(test_a_stale_read_is_found),
        cmocka_unit_test(test_a_lost_write_is_found),
        cmocka_unit_test(test_a_value_that_nobody_wrote_is_found),
        cmocka_unit_test(test_reads_that_turn_back_are_found),
        cmocka_unit_test(test_concurrent_operations_may_be_taken_in_either_order),
        cmocka_unit_test(test_an_unknown_write_may_take_effect_late_or_never),
        cmocka_unit_test(test_two_compare_and_swaps_from_one_value_are_found),
        cmocka_unit_test(test_histories_of_an_atomic_store_are_right_and_falsified_ones_are_not),
        cmocka_unit_test(test_zones_and_search_agree_on_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
