/* SPDX-License-Identifier: Apache-2.0 */
/* Puts, deletions and reads: what etcd's clients rely on, each rule as a sentence. */
#include "kv_fixture.h"

#include "base/check.h"

static void test_an_empty_store_is_at_revision_one(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_position position;
    kv_position(&f.tables, &position);
    assert_int_equal(position.revision, 1);
    assert_int_equal(kv_put(&f, "a", "1"), 2);
    kv_fixture_free(&f);
}

static void test_each_put_makes_a_revision_and_counts_versions(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    assert_int_equal(kv_put(&f, "a", "1"), 2);
    assert_int_equal(kv_put(&f, "b", "2"), 3);
    assert_int_equal(kv_put(&f, "a", "3"), 4);
    assert_string_equal(kv_key_text(&f, "a"), "3 2 4 2 0");
    assert_string_equal(kv_key_text(&f, "b"), "2 3 3 1 0");
    kv_fixture_free(&f);
}

static void test_a_key_that_was_deleted_begins_again_at_version_one(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    (void)kv_put(&f, "a", "2");
    assert_int_equal(kv_delete(&f, "a", NULL), 1);
    assert_string_equal(kv_key_text(&f, "a"), "-");
    assert_int_equal(kv_put(&f, "a", "3"), 5);
    assert_string_equal(kv_key_text(&f, "a"), "3 5 5 1 0");
    kv_fixture_free(&f);
}

static void test_deleting_what_is_not_there_makes_no_revision(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    struct kv_op op = kv_op_delete("b", NULL);
    struct kv_reply reply = kv_do(&f, &op);
    assert_int_equal(reply.count, 0);
    assert_int_equal(reply.revision, 2);
    assert_int_equal(kv_delete(&f, "a", NULL), 1);
    assert_int_equal(kv_delete(&f, "a", NULL), 0);
    assert_int_equal(kv_put(&f, "a", "1"), 4);
    kv_fixture_free(&f);
}

static void test_deleting_a_range_is_one_revision(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "a1", "1");
    (void)kv_put(&f, "a2", "2");
    (void)kv_put(&f, "b", "3");
    struct kv_op op = kv_op_delete("a", "b");
    op.del.prev_kv = true;
    struct kv_reply reply = kv_do(&f, &op);
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.revision, 5);
    assert_string_equal(kv_pairs_text(reply.pairs), "a1=1 a2=2");
    assert_string_equal(kv_events_text(&f, 5), "5:-a1 5:-a2");
    struct kv_op_range all = kv_op_range("a", "");
    assert_string_equal(kv_text(&f, &all), "b=3");
    kv_fixture_free(&f);
}

static void test_a_put_gives_back_the_pair_before_only_if_asked(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_op op = kv_op_put("a", "1");
    op.put.prev_kv = true;
    assert_string_equal(kv_pairs_text(kv_do(&f, &op).pairs), "");
    op.put.value = slice_of_string("2");
    assert_string_equal(kv_pairs_text(kv_do(&f, &op).pairs), "a=1");
    op.put.prev_kv = false;
    assert_int_equal(kv_do(&f, &op).pairs.len, 0);
    kv_fixture_free(&f);
}

static void test_a_put_can_keep_the_value_of_a_key_that_is_there(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_op op = kv_op_put("a", "");
    op.put.ignore_value = true;
    assert_int_equal(kv_do(&f, &op).error, KV_KEY_NOT_FOUND);
    (void)kv_put(&f, "a", "kept");
    (void)kv_grant(&f, 7, 60);
    op.put.lease = 7;
    assert_int_equal(kv_do(&f, &op).error, KV_OK);
    assert_string_equal(kv_key_text(&f, "a"), "kept 2 3 2 7");
    op.put.value = slice_of_string("other");
    assert_int_equal(kv_do(&f, &op).error, KV_VALUE_PROVIDED);
    kv_fixture_free(&f);
}

static void test_a_put_can_keep_the_lease_of_a_key_that_is_there(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_op op = kv_op_put("a", "new");
    op.put.ignore_lease = true;
    assert_int_equal(kv_do(&f, &op).error, KV_KEY_NOT_FOUND);
    (void)kv_grant(&f, 7, 60);
    (void)kv_put_leased(&f, "a", 7);
    assert_int_equal(kv_do(&f, &op).error, KV_OK);
    assert_string_equal(kv_key_text(&f, "a"), "new 2 3 2 7");
    op.put.lease = 7;
    assert_int_equal(kv_do(&f, &op).error, KV_LEASE_PROVIDED);
    kv_fixture_free(&f);
}

static void test_keys_are_read_by_etcds_range_conventions(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    const char *keys[] = {"a", "aa", "ab", "b", "c"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        (void)kv_put(&f, keys[i], "");
    }
    struct kv_op_range range = kv_op_range("a", NULL);
    assert_string_equal(kv_text(&f, &range), "a=");
    range = kv_op_range("a", "b"); /* the prefix */
    assert_string_equal(kv_text(&f, &range), "a= aa= ab=");
    range = kv_op_range("ab", ""); /* from it on */
    assert_string_equal(kv_text(&f, &range), "ab= b= c=");
    range.range.key = slice_of("", 1); /* everything */
    assert_string_equal(kv_text(&f, &range), "a= aa= ab= b= c=");
    range = kv_op_range("c", "a");
    assert_string_equal(kv_text(&f, &range), "");
    range = kv_op_range("", NULL);
    assert_string_equal(kv_text(&f, &range), "error 1");
    kv_fixture_free(&f);
}

static void test_zero_bytes_in_keys_keep_the_order_of_bytes(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    const char bytes[][3] = {{'a', 0, 0}, {'a', 0, 1}, {'a', 1, 0}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 1; len <= 3; len++) {
            struct kv_op op = kv_op_put("", "");
            op.put.key = slice_of(bytes[i], len);
            (void)kv_do(&f, &op);
        }
    }
    struct kv_op_range range = kv_op_range("a", "");
    range.count_only = true;
    struct kv_range_result result;
    assert_int_equal(kv_read(&f.tables, &range, &result, NULL, NULL), KV_OK);
    assert_int_equal(result.count, 6); /* a, a0, a00, a01, a1, a10 */
    range.range = (struct kv_range){slice_of(bytes[0], 2), slice_of(bytes[2], 2)};
    assert_int_equal(kv_read(&f.tables, &range, &result, NULL, NULL), KV_OK);
    assert_int_equal(result.count, 3); /* a0, a00, a01 */
    struct kv_pair pair;
    struct slice key = slice_of(bytes[0], 3);
    assert_int_equal(kv_get(&f.tables, key, INT64_MAX, &pair), ERR_OK);
    assert_true(slice_equal(pair.key, key));
    kv_fixture_free(&f);
}

static void test_the_past_can_be_read_at_any_revision(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (int i = 0; i < 40; i++) { /* many versions: the index has to seek over them */
        (void)kv_put(&f, "a", i % 2 == 0 ? "even" : "odd");
    }
    (void)kv_put(&f, "b", "last");
    (void)kv_delete(&f, "a", NULL);
    struct kv_op_range range = kv_op_range("a", "");
    assert_string_equal(kv_text(&f, &range), "b=last");
    range.revision = 2;
    assert_string_equal(kv_text(&f, &range), "a=even");
    range.revision = 41;
    assert_string_equal(kv_text(&f, &range), "a=odd");
    range.revision = 42;
    assert_string_equal(kv_text(&f, &range), "a=odd b=last");
    range.range.end.len = 0;
    range.revision = 3;
    assert_string_equal(kv_text(&f, &range), "a=odd");
    range.revision = 1;
    assert_string_equal(kv_text(&f, &range), "");
    range.revision = 44;
    assert_string_equal(kv_text(&f, &range), "error 8");
    kv_fixture_free(&f);
}

static void test_a_limit_says_that_there_is_more_and_counts_all(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    (void)kv_put(&f, "b", "2");
    (void)kv_put(&f, "c", "3");
    struct kv_op_range range = kv_op_range("a", "");
    range.limit = 2;
    assert_string_equal(kv_text(&f, &range), "a=1 b=2+");
    range.limit = 3;
    assert_string_equal(kv_text(&f, &range), "a=1 b=2 c=3");
    range.limit = 1;
    range.order = KV_SORT_DESCEND;
    assert_string_equal(kv_text(&f, &range), "c=3+");
    range.count_only = true;
    assert_string_equal(kv_text(&f, &range), "");
    kv_fixture_free(&f);
}

static void test_a_range_is_sorted_by_what_is_asked(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "c", "2");
    (void)kv_put(&f, "a", "3");
    (void)kv_put(&f, "b", "1");
    (void)kv_put(&f, "c", "2");

    const struct {
        enum kv_target target;
        enum kv_sort_order order;
        const char *text;
    } cases[] = {
        {KV_TARGET_KEY, KV_SORT_DESCEND, "c=2 b=1 a=3"},
        {KV_TARGET_KEY, KV_SORT_ASCEND, "a=3 b=1 c=2"},
        {KV_TARGET_CREATE, KV_SORT_NONE, "c=2 a=3 b=1"},
        {KV_TARGET_CREATE, KV_SORT_DESCEND, "b=1 a=3 c=2"},
        {KV_TARGET_MOD, KV_SORT_ASCEND, "a=3 b=1 c=2"},
        {KV_TARGET_VERSION, KV_SORT_DESCEND, "c=2 a=3 b=1"},
        {KV_TARGET_VALUE, KV_SORT_ASCEND, "b=1 c=2 a=3"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kv_op_range range = kv_op_range("a", "");
        range.target = cases[i].target;
        range.order = cases[i].order;
        assert_string_equal(kv_text(&f, &range), cases[i].text);
    }
    struct kv_op_range none = kv_op_range("x", "y");
    none.target = KV_TARGET_MOD;
    assert_string_equal(kv_text(&f, &none), "");
    struct kv_op_range range = kv_op_range("a", "");
    range.target = KV_TARGET_LEASE;
    assert_string_equal(kv_text(&f, &range), "error 13");
    kv_fixture_free(&f);
}

static void test_revisions_filter_what_is_shown_but_not_the_count(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    (void)kv_put(&f, "b", "2");
    (void)kv_put(&f, "a", "3"); /* created 2, modified 4 */
    struct kv_op_range range = kv_op_range("a", "");
    range.mod_min = 4;
    assert_string_equal(kv_text(&f, &range), "a=3");
    range.mod_min = 0;
    range.mod_max = 3;
    assert_string_equal(kv_text(&f, &range), "b=2");
    range.mod_max = 0;
    range.create_min = 3;
    assert_string_equal(kv_text(&f, &range), "b=2");
    range.create_min = 0;
    range.create_max = 2;
    range.keys_only = true;
    range.count_only = false;
    assert_string_equal(kv_text(&f, &range), "a=");
    range.count_only = true;
    struct kv_range_result result;
    assert_int_equal(kv_read(&f.tables, &range, &result, NULL, NULL), KV_OK);
    assert_int_equal(result.count, 2);
    kv_fixture_free(&f);
}

static void test_keys_longer_than_a_row_are_refused(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    char key[KV_KEY_MAX + 1];
    memset(key, 'k', sizeof(key));
    struct kv_op op = kv_op_put("", "v");
    op.put.key = slice_of(key, KV_KEY_MAX);
    assert_int_equal(kv_do(&f, &op).error, KV_OK);
    op.put.key = slice_of(key, KV_KEY_MAX + 1);
    assert_int_equal(kv_do(&f, &op).error, KV_KEY_TOO_LONG);
    for (size_t i = 0; i < KV_KEY_MAX; i += 2) {
        key[i] = '\0'; /* zeros that stand alone take twice the room */
    }
    op.put.key = slice_of(key, KV_KEY_MAX);
    assert_int_equal(kv_do(&f, &op).error, KV_KEY_TOO_LONG);
    kv_fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_store_is_at_revision_one),
        cmocka_unit_test(test_each_put_makes_a_revision_and_counts_versions),
        cmocka_unit_test(test_a_key_that_was_deleted_begins_again_at_version_one),
        cmocka_unit_test(test_deleting_what_is_not_there_makes_no_revision),
        cmocka_unit_test(test_deleting_a_range_is_one_revision),
        cmocka_unit_test(test_a_put_gives_back_the_pair_before_only_if_asked),
        cmocka_unit_test(test_a_put_can_keep_the_value_of_a_key_that_is_there),
        cmocka_unit_test(test_a_put_can_keep_the_lease_of_a_key_that_is_there),
        cmocka_unit_test(test_keys_are_read_by_etcds_range_conventions),
        cmocka_unit_test(test_zero_bytes_in_keys_keep_the_order_of_bytes),
        cmocka_unit_test(test_the_past_can_be_read_at_any_revision),
        cmocka_unit_test(test_a_limit_says_that_there_is_more_and_counts_all),
        cmocka_unit_test(test_a_range_is_sorted_by_what_is_asked),
        cmocka_unit_test(test_revisions_filter_what_is_shown_but_not_the_count),
        cmocka_unit_test(test_keys_longer_than_a_row_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
