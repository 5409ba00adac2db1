/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: seeded streams are the published generators, so that a seed means the same for ever.
 * Method: known answers, then properties over many draws. */
#include "base/prng.h"

#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_generator_gives_the_published_numbers(void **state)
{
    (void)state;
    /* The reference implementation's first outputs from the state 1, 2, 3, 4. */
    static const uint64_t expected[] = {
        11520,
        0,
        1509978240,
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct prng prng = {.state = {1, 2, 3, 4}};

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(prng_next(&prng) == expected[i]);
    }
}

static void test_seed_fills_the_state_by_splitmix64(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 0);
    assert_true(prng.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(prng.state[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(prng.state[2] == UINT64_C(0x06c45d188009454f));
    assert_true(prng.state[3] == UINT64_C(0xf88bb8a8724c81ec));
}

static void test_streams_of_one_seed_differ_by_purpose_and_repeat_by_name(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    struct prng net;
    struct prng disk;
    struct prng again;
    unsigned same = 0;
    prng_init_stream(&net, seed, "net");
    prng_init_stream(&disk, seed, "disk");
    prng_init_stream(&again, seed, "net");
    for (int i = 0; i < 1000; i++) {
        uint64_t value = prng_next(&net);
        assert_true(value == prng_next(&again));
        same += value == prng_next(&disk);
    }
    assert_int_equal(same, 0);
}

static void test_neighbouring_seeds_give_unlike_streams(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    struct prng a;
    struct prng b;
    unsigned bits = 0;
    prng_init_stream(&a, seed, "net");
    prng_init_stream(&b, seed + 1, "net");
    for (int i = 0; i < 1000; i++) {
        bits += (unsigned)__builtin_popcountll(prng_next(&a) ^ prng_next(&b));
    }
    /* Half of 64,000 bits differ, within eight standard deviations. */
    assert_in_range(bits, 31000, 33000);
}

static void test_draws_below_a_bound_are_even_and_never_reach_it(void **state)
{
    (void)state;
    struct prng prng;
    unsigned counts[7] = {0};
    prng_init(&prng, support_seed());
    for (int i = 0; i < 70000; i++) {
        counts[prng_below(&prng, 7)]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9200, 10800);
    }
    for (int i = 0; i < 100; i++) {
        assert_true(prng_below(&prng, 1) == 0);
        assert_true(prng_below(&prng, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

static void test_draws_between_reach_both_ends(void **state)
{
    (void)state;
    struct prng prng;
    bool low = false;
    bool high = false;
    prng_init(&prng, support_seed());
    for (int i = 0; i < 10000; i++) {
        uint64_t value = prng_between(&prng, 5, 8);
        assert_in_range(value, 5, 8);
        low = low || value == 5;
        high = high || value == 8;
    }
    assert_true(low && high);
    assert_true(prng_between(&prng, 9, 9) == 9);
    (void)prng_between(&prng, 0, UINT64_MAX);
}

static void test_chance_keeps_its_odds(void **state)
{
    (void)state;
    struct prng prng;
    unsigned hits = 0;
    prng_init(&prng, support_seed());
    for (int i = 0; i < 100000; i++) {
        hits += prng_chance(&prng, 250);
        assert_false(prng_chance(&prng, 0));
        assert_true(prng_chance(&prng, 1000));
    }
    /* 25 % of 100,000, within eleven standard deviations. */
    assert_in_range(hits, 23500, 26500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator_gives_the_published_numbers),
        cmocka_unit_test(test_seed_fills_the_state_by_splitmix64),
        cmocka_unit_test(test_streams_of_one_seed_differ_by_purpose_and_repeat_by_name),
        cmocka_unit_test(test_neighbouring_seeds_give_unlike_streams),
        cmocka_unit_test(test_draws_below_a_bound_are_even_and_never_reach_it),
        cmocka_unit_test(test_draws_between_reach_both_ends),
        cmocka_unit_test(test_chance_keeps_its_odds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
