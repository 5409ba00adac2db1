/* SPDX-License-Identifier: Apache-2.0 */
/* Quorum arithmetic, exhaustively: for every size of S, every W and every set of reporters, what
 * sync_record_quorum says is compared with the definition by sets: each W-subset of S that could
 * have acknowledged a write meets the reporters. No smaller set of reporters is accepted either. */
#include "model/sync_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct sync_member member(uint32_t instance)
{
    return (struct sync_member){{instance}, {100 + instance}};
}

/* Members of `set`: bit i stands for instance i + 1. */
static struct sync_pair pair_of(uint32_t set, uint32_t required)
{
    struct sync_pair pair = {.required = required};
    for (uint32_t i = 0; i < 16; i++) {
        if ((set >> i & 1) != 0) {
            assert_int_equal(sync_pair_add(&pair, member(i + 1)), ERR_OK);
        }
    }
    return pair;
}

static uint32_t members_of(uint32_t set, struct sync_member *members)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < 16; i++) {
        if ((set >> i & 1) != 0) {
            members[count++] = member(i + 1);
        }
    }
    return count;
}

/* By definition: no set of `required` or more of `pair` avoids all reporters. */
static bool every_acknowledging_set_is_met(uint32_t pair, uint32_t required, uint32_t reporters)
{
    for (uint32_t set = pair;; set = (set - 1) & pair) {
        if ((uint32_t)__builtin_popcount(set) >= required && (set & reporters) == 0) {
            return false;
        }
        if (set == 0) {
            return true;
        }
    }
}

static void test_a_quorum_is_exactly_what_meets_every_acknowledging_set(void **state)
{
    (void)state;
    for (uint32_t size = 0; size <= SYNC_SET_MAX; size++) {
        uint32_t set = (UINT32_C(1) << size) - 1;
        for (uint32_t required = 1; required <= SYNC_SET_MAX + 1; required++) {
            struct sync_record record = {
                .pairs = {pair_of(set, required)}, .pairs_count = 1, .version = 1};
            /* Reporters may also be of outside the set: bit `size` and the next. */
            for (uint32_t reporters = 0; reporters < (UINT32_C(1) << (size + 1)); reporters++) {
                struct sync_member list[16];
                uint32_t count = members_of(reporters, list);
                assert_int_equal(sync_record_quorum(&record, list, count),
                                 every_acknowledging_set_is_met(set, required, reporters));
            }
        }
    }
}

static void test_a_joint_record_needs_the_quorum_of_both_pairs(void **state)
{
    (void)state;

    enum {
        ALL = 5
    };

    for (uint32_t old = 0; old < (1U << ALL); old++) {
        for (uint32_t new = 0; new < (1U << ALL); new ++) {
            for (uint32_t w = 0; w < 4; w++) {
                uint32_t old_w = 1 + w % 2;
                uint32_t new_w = 1 + w / 2;
                struct sync_record record = {.pairs = {pair_of(old, old_w), pair_of(new, new_w)},
                                             .pairs_count = 2,
                                             .version = 2};
                for (uint32_t reporters = 0; reporters < (1U << ALL); reporters++) {
                    struct sync_member list[16];
                    uint32_t count = members_of(reporters, list);
                    bool expected = every_acknowledging_set_is_met(old, old_w, reporters) &&
                                    every_acknowledging_set_is_met(new, new_w, reporters);
                    assert_int_equal(sync_record_quorum(&record, list, count), expected);
                }
            }
        }
    }
}

static void test_a_reporter_counts_once(void **state)
{
    (void)state;
    struct sync_record record = {.pairs = {pair_of(7, 1)}, .pairs_count = 1, .version = 1};
    struct sync_member twice[] = {member(1), member(1), member(1)};
    assert_false(sync_record_quorum(&record, twice, 3));
}

static void test_another_incarnation_counts_for_nothing(void **state)
{
    (void)state;
    struct sync_record record = {.pairs = {pair_of(1, 1)}, .pairs_count = 1, .version = 1};
    struct sync_member other = {{1}, {7}};
    struct sync_member same = member(1);
    assert_false(sync_record_quorum(&record, &other, 1));
    assert_true(sync_record_quorum(&record, &same, 1));
    assert_false(sync_record_contains(&record, other));
    assert_true(sync_record_contains(&record, same));
}

static void test_an_asynchronous_shard_has_no_quorum(void **state)
{
    (void)state;
    struct sync_record record = {.pairs_count = 0};
    struct sync_member one = member(1);
    assert_false(sync_record_quorum(&record, &one, 1));
    assert_false(sync_record_quorum(&record, NULL, 0));
}

static void test_pairs_stay_in_order(void **state)
{
    (void)state;
    struct sync_pair pair = {.required = 1};
    static const uint32_t ORDER[] = {5, 2, 9, 1, 7, 3, 8, 4};
    for (size_t i = 0; i < SYNC_SET_MAX; i++) {
        assert_int_equal(sync_pair_add(&pair, member(ORDER[i])), ERR_OK);
        assert_int_equal(sync_pair_add(&pair, member(ORDER[i])), ERR_EXISTS);
        struct sync_record record = {.pairs = {pair}, .pairs_count = 1, .version = 1};
        assert_int_equal(sync_record_validate(&record), ERR_OK);
    }
    assert_int_equal(sync_pair_add(&pair, member(6)), ERR_LIMIT);
    assert_int_equal(sync_pair_remove(&pair, member(6)), ERR_NOT_FOUND);
    for (size_t i = 0; i < SYNC_SET_MAX; i++) {
        assert_int_equal(sync_pair_remove(&pair, member(ORDER[i])), ERR_OK);
        assert_false(sync_pair_contains(&pair, member(ORDER[i])));
        struct sync_record record = {.pairs = {pair}, .pairs_count = 1, .version = 1};
        assert_int_equal(sync_record_validate(&record), ERR_OK);
    }
    assert_int_equal(pair.members_count, 0);
}

static void test_equal_pairs_are_equal_whatever_the_order_of_adding(void **state)
{
    (void)state;
    struct sync_pair a = {.required = 1};
    struct sync_pair b = {.required = 1};
    assert_int_equal(sync_pair_add(&a, member(1)), ERR_OK);
    assert_int_equal(sync_pair_add(&a, member(2)), ERR_OK);
    assert_int_equal(sync_pair_add(&b, member(2)), ERR_OK);
    assert_false(sync_pair_equal(&a, &b));
    assert_int_equal(sync_pair_add(&b, member(1)), ERR_OK);
    assert_true(sync_pair_equal(&a, &b));
    b.required = 2;
    assert_false(sync_pair_equal(&a, &b));
    b.required = 1;
    b.members[1].incarnation.value++;
    assert_false(sync_pair_equal(&a, &b));
}

static void test_records_out_of_shape_are_invalid(void **state)
{
    (void)state;
    struct sync_record good = {.pairs = {pair_of(7, 1)}, .pairs_count = 1, .version = 1};
    assert_int_equal(sync_record_validate(&good), ERR_OK);
    struct sync_record bad = good;
    bad.version = 0;
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs[0].required = 0;
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs[0].members[1] = bad.pairs[0].members[0];
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs[0].members[0] = bad.pairs[0].members[2];
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs[0].members[0].incarnation.value = 0;
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs[0].members[0].instance.value = 0;
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs_count = SYNC_PAIRS_MAX + 1;
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
    bad = good;
    bad.pairs[0].members_count = SYNC_SET_MAX + 1;
    assert_int_equal(sync_record_validate(&bad), ERR_INVALID);
}

static void test_names_of_standbys_carry_the_incarnation_and_fit(void **state)
{
    (void)state;
    char text[SYNC_NAME_SIZE];
    struct sync_member m = {{7}, {0xabc}};
    assert_string_equal(sync_member_name((struct shard_id){3}, m, text),
                        "indaba_3_7_0000000000000abc");
    m = (struct sync_member){{UINT32_MAX}, {UINT64_MAX}};
    (void)sync_member_name((struct shard_id){UINT32_MAX}, m, text);
    assert_string_equal(text, "indaba_4294967295_4294967295_ffffffffffffffff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quorum_is_exactly_what_meets_every_acknowledging_set),
        cmocka_unit_test(test_a_joint_record_needs_the_quorum_of_both_pairs),
        cmocka_unit_test(test_a_reporter_counts_once),
        cmocka_unit_test(test_another_incarnation_counts_for_nothing),
        cmocka_unit_test(test_an_asynchronous_shard_has_no_quorum),
        cmocka_unit_test(test_pairs_stay_in_order),
        cmocka_unit_test(test_equal_pairs_are_equal_whatever_the_order_of_adding),
        cmocka_unit_test(test_records_out_of_shape_are_invalid),
        cmocka_unit_test(test_names_of_standbys_carry_the_incarnation_and_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
