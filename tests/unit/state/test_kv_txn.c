/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: all or nothing, in one revision, by what the state was before. */
#include "kv_fixture.h"

#include "base/check.h"

struct txn {
    struct buf compares;
    struct buf success;
    struct buf failure;
};

static struct kv_op op_of(const struct txn *txn)
{
    return (struct kv_op){
        .kind = KV_OP_TXN,
        .txn = {buf_view(&txn->compares), buf_view(&txn->success), buf_view(&txn->failure)},
    };
}

static struct kv_reply run(struct kv_fixture *f, struct txn *txn)
{
    struct kv_op op = op_of(txn);
    struct kv_reply reply = kv_do(f, &op);
    buf_clear(&txn->compares);
    buf_clear(&txn->success);
    buf_clear(&txn->failure);
    return reply;
}

static void txn_free(struct txn *txn)
{
    buf_deinit(&txn->compares);
    buf_deinit(&txn->success);
    buf_deinit(&txn->failure);
}

static void put(struct buf *branch, const char *key, const char *value)
{
    struct kv_op op = kv_op_put(key, value);
    kv_op_encode(branch, &op);
}

static void del(struct buf *branch, const char *key, const char *end)
{
    struct kv_op op = kv_op_delete(key, end);
    kv_op_encode(branch, &op);
}

static void range(struct buf *branch, const char *key, const char *end, int64_t revision)
{
    struct kv_op op = {.kind = KV_OP_RANGE, .range = kv_op_range(key, end)};
    op.range.revision = revision;
    kv_op_encode(branch, &op);
}

static struct kv_reply nth(struct slice replies, int number)
{
    struct reader reader = reader_of(replies);
    struct kv_reply reply;
    for (int i = 0; i <= number; i++) {
        assert_true(kv_reply_next(&reader, &reply));
    }
    return reply;
}

static void test_a_transaction_takes_the_branch_its_compares_say(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    (void)kv_grant(&f, 9, 60);
    (void)kv_put_leased(&f, "a", 9); /* revision 2 */
    (void)kv_put_leased(&f, "a", 9); /* revision 3, version 2 */

    const struct {
        const char *key;
        enum kv_target target;
        enum kv_compare_result result;
        int64_t number;
        bool holds;
    } cases[] = {
        {"a", KV_TARGET_VERSION, KV_COMPARE_EQUAL, 2, true},
        {"a", KV_TARGET_VERSION, KV_COMPARE_EQUAL, 1, false},
        {"a", KV_TARGET_CREATE, KV_COMPARE_LESS, 3, true},
        {"a", KV_TARGET_CREATE, KV_COMPARE_LESS, 2, false},
        {"a", KV_TARGET_MOD, KV_COMPARE_GREATER, 2, true},
        {"a", KV_TARGET_MOD, KV_COMPARE_GREATER, 3, false},
        {"a", KV_TARGET_LEASE, KV_COMPARE_EQUAL, 9, true},
        {"a", KV_TARGET_LEASE, KV_COMPARE_NOT_EQUAL, 9, false},
        {"none", KV_TARGET_VERSION, KV_COMPARE_EQUAL, 0, true},
        {"none", KV_TARGET_CREATE, KV_COMPARE_NOT_EQUAL, 0, false},
        {"none", KV_TARGET_LEASE, KV_COMPARE_EQUAL, 0, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kv_compare compare =
            kv_op_compare(cases[i].key, cases[i].target, cases[i].result, cases[i].number);
        kv_compare_encode(&t.compares, &compare);
        assert_int_equal(run(&f, &t).succeeded, cases[i].holds);
    }
    assert_true(run(&f, &t).succeeded); /* without compares */
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_values_compare_as_bytes_and_never_hold_for_what_is_not_there(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "m");

    const struct {
        const char *key;
        enum kv_compare_result result;
        const char *value;
        bool holds;
    } cases[] = {
        {"a", KV_COMPARE_EQUAL, "m", true},
        {"a", KV_COMPARE_GREATER, "lz", true},
        {"a", KV_COMPARE_LESS, "ma", true},
        {"a", KV_COMPARE_NOT_EQUAL, "m", false},
        {"none", KV_COMPARE_EQUAL, "", false},
        {"none", KV_COMPARE_NOT_EQUAL, "m", false},
        {"none", KV_COMPARE_LESS, "m", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kv_compare compare =
            kv_op_compare(cases[i].key, KV_TARGET_VALUE, cases[i].result, 0);
        compare.value = slice_of_string(cases[i].value);
        kv_compare_encode(&t.compares, &compare);
        assert_int_equal(run(&f, &t).succeeded, cases[i].holds);
    }
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_a_compare_over_a_range_holds_for_every_key(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    (void)kv_put(&f, "a1", "x");
    (void)kv_put(&f, "a2", "x");
    struct kv_compare compare = kv_op_compare("a", KV_TARGET_VERSION, KV_COMPARE_EQUAL, 1);
    compare.range.end = slice_of_string("b");
    kv_compare_encode(&t.compares, &compare);
    assert_true(run(&f, &t).succeeded);
    (void)kv_put(&f, "a2", "x");
    kv_compare_encode(&t.compares, &compare);
    assert_false(run(&f, &t).succeeded);
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_a_transaction_is_one_revision_and_sees_what_it_did(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    (void)kv_put(&f, "old", "1");
    range(&t.success, "a", "", 0);
    put(&t.success, "a", "2");
    put(&t.success, "b", "3");
    del(&t.success, "old", NULL);
    range(&t.success, "a", "", 0);
    range(&t.success, "a", "", 2);
    struct kv_reply reply = run(&f, &t);
    assert_int_equal(reply.error, KV_OK);
    assert_int_equal(reply.revision, 3);
    assert_string_equal(kv_pairs_text(nth(reply.replies, 0).pairs), "old=1");
    assert_int_equal(nth(reply.replies, 3).count, 1);
    assert_string_equal(kv_pairs_text(nth(reply.replies, 4).pairs), "a=2 b=3");
    assert_string_equal(kv_pairs_text(nth(reply.replies, 5).pairs), "old=1");
    assert_string_equal(kv_events_text(&f, 3), "3:a=2 3:b=3 3:-old");
    assert_string_equal(kv_key_text(&f, "b"), "3 3 3 1 0");
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_a_transaction_that_only_reads_makes_no_revision(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    range(&t.success, "a", NULL, 0);
    del(&t.success, "none", NULL);
    assert_int_equal(run(&f, &t).revision, 2);
    assert_int_equal(kv_put(&f, "a", "1"), 3);
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_a_transaction_is_refused_whole(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    put(&t.success, "a", "2");
    range(&t.success, "a", NULL, 99);
    assert_int_equal(run(&f, &t).error, KV_FUTURE_REVISION);
    put(&t.success, "a", "2");
    struct kv_op leased = kv_op_put("b", "3");
    leased.put.lease = 5;
    kv_op_encode(&t.success, &leased);
    assert_int_equal(run(&f, &t).error, KV_LEASE_NOT_FOUND);
    assert_string_equal(kv_key_text(&f, "a"), "1 2 2 1 0");
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_a_branch_writes_no_key_twice(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    struct txn inner = {0};
    kv_fixture_init(&f);
    put(&t.success, "a", "1");
    put(&t.success, "a", "2");
    assert_int_equal(run(&f, &t).error, KV_DUPLICATE_KEY);
    del(&t.failure, "a", "c");
    put(&t.failure, "b", "2");
    assert_int_equal(run(&f, &t).error, KV_DUPLICATE_KEY);
    put(&inner.failure, "b", "1");
    struct kv_op nested = op_of(&inner);
    put(&t.success, "b", "2");
    kv_op_encode(&t.success, &nested);
    assert_int_equal(run(&f, &t).error, KV_DUPLICATE_KEY);
    /* Each branch for itself, and deletions may overlap. */
    put(&t.success, "a", "1");
    put(&t.failure, "a", "2");
    del(&t.success, "b", "d");
    del(&t.success, "c", "e");
    assert_int_equal(run(&f, &t).error, KV_OK);
    txn_free(&inner);
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_nested_transactions_choose_by_the_state_before_the_outer_one(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    struct txn inner = {0};
    kv_fixture_init(&f);
    struct kv_compare absent = kv_op_compare("a", KV_TARGET_CREATE, KV_COMPARE_EQUAL, 0);
    kv_compare_encode(&inner.compares, &absent);
    put(&inner.success, "b", "was absent");
    put(&inner.failure, "b", "was there");
    struct kv_op nested = op_of(&inner);
    put(&t.success, "a", "1");
    kv_op_encode(&t.success, &nested);
    struct kv_reply reply = run(&f, &t);
    assert_int_equal(reply.revision, 2);
    assert_true(nth(reply.replies, 1).succeeded);
    assert_string_equal(kv_key_text(&f, "b"), "was absent 2 2 1 0");
    txn_free(&inner);
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_transactions_are_bounded_in_width_and_depth(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct txn t = {0};
    kv_fixture_init(&f);
    for (int i = 0; i < KV_TXN_OPS_MAX; i++) {
        range(&t.success, "a", NULL, 0);
    }
    range(&t.failure, "a", NULL, 0);
    struct kv_op op = op_of(&t);
    assert_int_equal(kv_op_check(&op), KV_OK);
    range(&t.success, "a", NULL, 0);
    assert_int_equal(run(&f, &t).error, KV_TOO_MANY_OPS);
    for (int depth = 1; depth <= KV_TXN_DEPTH_MAX + 1; depth++) {
        op = op_of(&t);
        assert_int_equal(kv_op_check(&op), depth > KV_TXN_DEPTH_MAX ? KV_TOO_MANY_OPS : KV_OK);
        struct buf outer = {0};
        kv_op_encode(&outer, &op);
        buf_deinit(&t.success);
        t.success = outer;
    }
    txn_free(&t);
    kv_fixture_free(&f);
}

static void test_a_transaction_grows_the_store_if_any_branch_of_it_puts(void **state)
{
    (void)state;
    struct txn t = {0};
    struct txn inner = {0};
    range(&t.success, "a", NULL, 0);
    del(&t.failure, "a", NULL);
    struct kv_op op = op_of(&t);
    assert_false(kv_op_grows(&op));
    put(&inner.failure, "b", "1");
    struct kv_op nested = op_of(&inner);
    kv_op_encode(&t.failure, &nested);
    op = op_of(&t);
    assert_true(kv_op_grows(&op));
    txn_free(&inner);
    txn_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_takes_the_branch_its_compares_say),
        cmocka_unit_test(test_values_compare_as_bytes_and_never_hold_for_what_is_not_there),
        cmocka_unit_test(test_a_compare_over_a_range_holds_for_every_key),
        cmocka_unit_test(test_a_transaction_is_one_revision_and_sees_what_it_did),
        cmocka_unit_test(test_a_transaction_that_only_reads_makes_no_revision),
        cmocka_unit_test(test_a_transaction_is_refused_whole),
        cmocka_unit_test(test_a_branch_writes_no_key_twice),
        cmocka_unit_test(test_nested_transactions_choose_by_the_state_before_the_outer_one),
        cmocka_unit_test(test_transactions_are_bounded_in_width_and_depth),
        cmocka_unit_test(test_a_transaction_grows_the_store_if_any_branch_of_it_puts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
