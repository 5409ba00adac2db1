/* SPDX-License-Identifier: Apache-2.0 */
/* What one entry of the log may take: an entry is applied by every member, and again at each start,
 * so what it answers, deletes and looks at is bounded before anything of it is done. */
#include "kv_fixture.h"

#include "base/mem.h"

#include <stdio.h>

enum {
    MIB = 1 << 20,
    KEYS_PER_BATCH = 1000
};

static struct slice big_value(size_t len)
{
    static uint8_t bytes[12 * MIB];
    assert_true(len <= sizeof(bytes));
    return slice_of(bytes, len);
}

static void put_big(struct kv_fixture *f, const char *key, size_t len)
{
    struct kv_op op = kv_op_put(key, "");
    op.put.value = big_value(len);
    assert_int_equal(kv_do(f, &op).error, KV_OK);
}

static void put_many(struct kv_fixture *f, const char *prefix, int count, int64_t lease)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof(key), "%s%06d", prefix, i);
        struct kv_op op = kv_op_put(key, "v");
        op.put.lease = lease;
        kv_add(f, &op);
        if ((i + 1) % KEYS_PER_BATCH == 0 || i + 1 == count) {
            kv_commit(f);
            assert_int_equal(f->result.error, ERR_OK);
        }
    }
}

static void add_range(struct buf *branch, const char *key, const char *end, int64_t limit)
{
    struct kv_op op = {.kind = KV_OP_RANGE, .range = kv_op_range(key, end)};
    op.range.limit = limit;
    kv_op_encode(branch, &op);
}

static enum kv_error run(struct kv_fixture *f, struct buf *success)
{
    const struct kv_op op = {.kind = KV_OP_TXN, .txn = {.success = buf_view(success)}};
    enum kv_error error = kv_do(f, &op).error;
    buf_clear(success);
    return error;
}

/* The errors of the last entry's operations, as "0 16 16". */
static const char *errors_text(const struct kv_fixture *f)
{
    static char text[KV_TEXT_SIZE];
    struct reader reader = reader_of(buf_view(&f->replies));
    struct kv_reply reply;
    size_t len = 0;
    while (kv_reply_next(&reader, &reply) && len < sizeof(text) - 8) {
        len += (size_t)snprintf(
            text + len, sizeof(text) - len, len == 0 ? "%d" : " %d", (int)reply.error);
    }
    return text;
}

static void test_a_transaction_whose_answer_would_be_too_large_is_refused_whole(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct buf success = {0};
    kv_fixture_init(&f);
    put_big(&f, "a", MIB);

    for (int i = 0; i < KV_TXN_OPS_MAX - 1; i++) {
        add_range(&success, "a", "", 0);
    }
    struct kv_op put = kv_op_put("b", "1");
    kv_op_encode(&success, &put);
    assert_int_equal(run(&f, &success), KV_ANSWER_TOO_LARGE);

    assert_string_equal(kv_key_text(&f, "b"), "-");
    for (int i = 0; i < 20; i++) {
        add_range(&success, "a", "", 0);
    }
    assert_int_equal(run(&f, &success), KV_OK);
    buf_deinit(&success);
    kv_fixture_free(&f);
}

static void test_an_answer_counts_what_the_transaction_itself_puts(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct buf success = {0};
    kv_fixture_init(&f);
    struct kv_op put = kv_op_put("a", "");
    put.put.value = big_value(MIB);

    kv_op_encode(&success, &put);
    for (int i = 0; i < 40; i++) {
        add_range(&success, "a", NULL, 0);
    }
    assert_int_equal(run(&f, &success), KV_ANSWER_TOO_LARGE);

    kv_op_encode(&success, &put);
    add_range(&success, "a", NULL, 0);
    assert_int_equal(run(&f, &success), KV_OK);
    buf_deinit(&success);
    kv_fixture_free(&f);
}

static void test_an_answer_counts_what_a_deletion_brings_within_a_limit(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct buf success = {0};
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "small");
    put_big(&f, "b", 12 * MIB);

    struct kv_op del = kv_op_delete("a", NULL);
    kv_op_encode(&success, &del);
    for (int i = 0; i < 3; i++) {
        add_range(&success, "a", "", 1);
    }
    assert_int_equal(run(&f, &success), KV_ANSWER_TOO_LARGE);

    for (int i = 0; i < 3; i++) {
        add_range(&success, "a", "", 1);
    }
    assert_int_equal(run(&f, &success), KV_OK);
    buf_deinit(&success);
    kv_fixture_free(&f);
}

static void test_what_was_there_before_is_bounded_too(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (int i = 0; i < 3; i++) {
        char key[2] = {(char)('a' + i), 0};
        put_big(&f, key, 12 * MIB);
    }

    struct kv_op del = kv_op_delete("a", "");
    del.del.prev_kv = true;
    assert_int_equal(kv_do(&f, &del).error, KV_ANSWER_TOO_LARGE);
    struct kv_op put = kv_op_put("a", "");
    put.put.ignore_value = true; /* copies it, into a new version */
    struct kv_op before = kv_op_put("b", "2");
    before.put.prev_kv = true;
    kv_add(&f, &put);
    kv_add(&f, &before);
    kv_add(&f, &put);
    kv_commit(&f);

    assert_string_equal(errors_text(&f), "0 0 16");
    del.del.prev_kv = false;
    assert_int_equal(kv_do(&f, &del).count, 3);
    kv_fixture_free(&f);
}

static void test_ranges_of_an_entry_look_at_a_bounded_number_of_rows(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct buf compares = {0};
    struct buf success = {0};
    kv_fixture_init(&f);
    put_many(&f, "k", KV_ROWS_MAX + 1, 0);

    struct kv_op count = {.kind = KV_OP_RANGE, .range = kv_op_range("k", "")};
    count.range.count_only = true;
    kv_op_encode(&success, &count);
    assert_int_equal(run(&f, &success), KV_TOO_MANY_ROWS);

    struct kv_compare compare = kv_op_compare("k", KV_TARGET_VERSION, KV_COMPARE_EQUAL, 1);
    compare.range.end = slice_of("", 1);
    kv_compare_encode(&compares, &compare);
    const struct kv_op txn = {.kind = KV_OP_TXN, .txn = {.compares = buf_view(&compares)}};
    struct kv_op put = kv_op_put("a", "1");
    kv_add(&f, &put);
    kv_add(&f, &txn);
    kv_add(&f, &put);
    kv_commit(&f);
    assert_string_equal(errors_text(&f), "0 16 0"); /* and, brought again, first */
    assert_int_equal(kv_do(&f, &txn).error, KV_TOO_MANY_ROWS);

    struct kv_op_range sorted = kv_op_range("a", "");
    sorted.order = KV_SORT_DESCEND;
    assert_string_equal(kv_text(&f, &sorted), "error 14");
    buf_deinit(&compares);
    buf_deinit(&success);
    kv_fixture_free(&f);
}

static void test_rows_of_deleted_keys_count_as_well(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct buf success = {0};
    kv_fixture_init(&f);
    for (int i = 0; i < 2; i++) {
        char prefix[2] = {(char)('a' + i), 0};
        put_many(&f, prefix, KV_DELETE_KEYS_MAX - 1, 0);
        assert_int_equal(kv_delete(&f, prefix, ""), KV_DELETE_KEYS_MAX - 1);
    }

    struct kv_op del = kv_op_delete("a", "");
    assert_int_equal(kv_do(&f, &del).error, KV_TOO_MANY_ROWS);
    add_range(&success, "a", "", 0);
    assert_int_equal(run(&f, &success), KV_TOO_MANY_ROWS);
    buf_deinit(&success);
    kv_fixture_free(&f);
}

static void test_the_revocations_of_an_entry_share_one_bound(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (int64_t lease = 1; lease <= 3; lease++) {
        char prefix[2] = {(char)('a' + lease), 0};
        (void)kv_grant(&f, lease, 60);
        put_many(&f, prefix, 30000, lease);
    }

    for (int64_t lease = 1; lease <= 3; lease++) {
        const struct kv_op op = {.kind = KV_OP_LEASE_REVOKE, .lease = {.id = lease}};
        kv_add(&f, &op);
    }
    kv_commit(&f);

    assert_string_equal(errors_text(&f), "0 16 16");
    assert_int_equal(kv_revoke(&f, 2), KV_OK);
    assert_int_equal(kv_revoke(&f, 3), KV_OK);
    kv_fixture_free(&f);
}

static void test_a_lease_with_more_keys_than_the_bound_can_be_revoked(void **state)
{
    (void)state;
    struct kv_fixture f;
    struct buf success = {0};
    kv_fixture_init(&f);
    (void)kv_grant(&f, 1, 60);
    put_many(&f, "k", KV_DELETE_KEYS_MAX - 1, 1);
    for (int i = 0; i < 10; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "z%d", i);
        struct kv_op op = kv_op_put(key, "v");
        op.put.lease = 1;
        kv_op_encode(&success, &op);
    }
    assert_int_equal(run(&f, &success), KV_OK); /* each alone would be the last one allowed */

    assert_int_equal(kv_revoke(&f, 1), KV_OK);
    assert_string_equal(kv_key_text(&f, "z9"), "-");
    buf_deinit(&success);
    kv_fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_whose_answer_would_be_too_large_is_refused_whole),
        cmocka_unit_test(test_an_answer_counts_what_the_transaction_itself_puts),
        cmocka_unit_test(test_an_answer_counts_what_a_deletion_brings_within_a_limit),
        cmocka_unit_test(test_what_was_there_before_is_bounded_too),
        cmocka_unit_test(test_ranges_of_an_entry_look_at_a_bounded_number_of_rows),
        cmocka_unit_test(test_rows_of_deleted_keys_count_as_well),
        cmocka_unit_test(test_the_revocations_of_an_entry_share_one_bound),
        cmocka_unit_test(test_a_lease_with_more_keys_than_the_bound_can_be_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
