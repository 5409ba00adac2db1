/* SPDX-License-Identifier: Apache-2.0 */
/* Leases, compaction, and what can be watched. */
#include "kv_fixture.h"

#include <stdio.h>

static bool add_lease(int64_t id, int64_t ttl, void *ctx)
{
    int64_t *sum = ctx;
    *sum = *sum * 1000 + id * 10 + ttl;
    return true;
}

static bool count_key(struct slice key, void *ctx)
{
    (void)key;
    (*(int *)ctx)++;
    return true;
}

static int keys_of(struct kv_fixture *f, int64_t lease)
{
    int count = 0;
    kv_lease_keys(&f->tables, lease, count_key, &count);
    return count;
}

static void test_the_store_chooses_an_id_for_a_lease_without_one(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    int64_t first = kv_grant(&f, 0, 60);
    int64_t second = kv_grant(&f, 0, 60);
    assert_true(first > 0 && second > 0 && first != second);
    int64_t ttl;
    assert_int_equal(kv_lease_get(&f.tables, first, &ttl), ERR_OK);
    assert_int_equal(ttl, 60);
    kv_fixture_free(&f);
}

static void test_a_lease_is_granted_once_and_within_the_bound(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_grant(&f, 1, 5);
    struct kv_op op = {.kind = KV_OP_LEASE_GRANT, .lease = {.id = 1, .ttl = 5}};
    assert_int_equal(kv_do(&f, &op).error, KV_LEASE_EXISTS);
    op.lease.id = 2;
    op.lease.ttl = KV_LEASE_TTL_MAX + 1;
    assert_int_equal(kv_do(&f, &op).error, KV_LEASE_TTL);
    (void)kv_grant(&f, 2, 6);
    int64_t sum = 0;
    kv_leases(&f.tables, 0, add_lease, &sum);
    assert_int_equal(sum, 15026);
    sum = 0;
    kv_leases(&f.tables, 1, add_lease, &sum);
    assert_int_equal(sum, 26);
    kv_fixture_free(&f);
}

static void test_granting_makes_no_revision(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_grant(&f, 1, 5);
    assert_int_equal(kv_put(&f, "a", "1"), 2);
    kv_fixture_free(&f);
}

static void test_revoking_deletes_the_keys_of_a_lease_in_one_revision(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_grant(&f, 1, 5);
    (void)kv_grant(&f, 2, 5);
    (void)kv_put_leased(&f, "b", 1);
    (void)kv_put_leased(&f, "a", 1);
    (void)kv_put_leased(&f, "c", 2);
    assert_int_equal(kv_revoke(&f, 1), KV_OK);
    assert_string_equal(kv_events_text(&f, 5), "5:-a 5:-b");
    assert_int_equal(kv_revoke(&f, 1), KV_LEASE_NOT_FOUND);
    assert_int_equal(keys_of(&f, 1), 0);
    assert_int_equal(keys_of(&f, 2), 1);
    struct kv_op op = kv_op_put("a", "1");
    op.put.lease = 1;
    assert_int_equal(kv_do(&f, &op).error, KV_LEASE_NOT_FOUND);
    kv_fixture_free(&f);
}

static void test_a_put_moves_a_key_from_one_lease_to_another_or_to_none(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_grant(&f, 1, 5);
    (void)kv_grant(&f, 2, 5);
    (void)kv_put_leased(&f, "a", 1);
    (void)kv_put_leased(&f, "a", 2);
    assert_int_equal(keys_of(&f, 1), 0);
    assert_int_equal(keys_of(&f, 2), 1);
    assert_int_equal(kv_revoke(&f, 1), KV_OK);
    assert_string_equal(kv_key_text(&f, "a"), "leased 2 3 2 2");
    (void)kv_put(&f, "a", "free");
    assert_int_equal(keys_of(&f, 2), 0);
    (void)kv_put_leased(&f, "a", 2);
    assert_int_equal(kv_delete(&f, "a", NULL), 1);
    assert_int_equal(keys_of(&f, 2), 0);
    kv_fixture_free(&f);
}

static void test_compaction_ends_the_past_but_not_the_present(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_put(&f, "a", "1");
    (void)kv_put(&f, "a", "2");
    (void)kv_put(&f, "b", "3");
    (void)kv_put(&f, "a", "4");
    assert_int_equal(kv_compact_at(&f, 6), KV_FUTURE_REVISION);
    assert_int_equal(kv_compact_at(&f, 4), KV_OK);
    assert_int_equal(kv_compact_at(&f, 4), KV_COMPACTED);
    assert_int_equal(kv_compact_at(&f, 3), KV_COMPACTED);
    struct kv_op_range range = kv_op_range("a", "");
    range.revision = 3;
    assert_string_equal(kv_text(&f, &range), "error 7");
    range.revision = 4;
    assert_string_equal(kv_text(&f, &range), "a=2 b=3");
    range.revision = 0;
    assert_string_equal(kv_text(&f, &range), "a=4 b=3");
    assert_string_equal(kv_events_text(&f, 3), "error 7");
    assert_string_equal(kv_events_text(&f, 4), "4:b=3 5:a=4");
    struct kv_pair pair;
    assert_int_equal(kv_get(&f.tables, slice_of_string("a"), 3, &pair), ERR_NOT_FOUND);
    kv_fixture_free(&f);
}

static void test_compaction_removes_every_row_that_nothing_can_read(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (int i = 0; i < 5000; i++) {
        (void)kv_put(&f, i % 2 == 0 ? "even" : "odd", "v");
    }
    (void)kv_put(&f, "gone", "v");
    (void)kv_delete(&f, "gone", NULL); /* revision 5003 */
    assert_int_equal(kv_compact_at(&f, 5003), KV_OK);
    assert_true(kv_sweep_pending(&f.tables)); /* one entry does not stall the thread for all */
    kv_sweep_all(&f);
    /* Both keys, and the deletion at the compacted revision, which can be watched. */
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_HISTORY), 3);
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_INDEX), 3);
    assert_string_equal(kv_events_text(&f, 5003), "5003:-gone");
    (void)kv_put(&f, "even", "w");
    assert_int_equal(kv_compact_at(&f, 5004), KV_OK);
    kv_sweep_all(&f);
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_HISTORY), 2);
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_INDEX), 2);
    kv_fixture_free(&f);
}

static void test_a_second_compaction_while_the_first_is_swept_loses_nothing(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (int i = 0; i < 3000; i++) {
        (void)kv_put(&f, "a", "v");
        (void)kv_put(&f, "b", "v");
    }
    assert_int_equal(kv_compact_at(&f, 3000), KV_OK);
    assert_int_equal(kv_compact_at(&f, 6000), KV_OK);
    struct kv_op_range range = kv_op_range("a", "");
    range.revision = 6000;
    assert_string_equal(kv_text(&f, &range), "a=v b=v");
    kv_sweep_all(&f);
    assert_string_equal(kv_text(&f, &range), "a=v b=v");
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_HISTORY), 3);
    kv_fixture_free(&f);
}

static void test_a_deletion_of_many_keys_is_swept_in_pieces(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (int i = 0; i < 9000; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        (void)kv_put(&f, key, "v");
    }
    assert_int_equal(kv_delete(&f, "k", ""), 9000);
    (void)kv_put(&f, "z", "v");
    assert_int_equal(kv_compact_at(&f, 9003), KV_OK);
    kv_sweep_all(&f);
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_HISTORY), 1);
    assert_int_equal(tables_memory_count(f.memory, TABLE_KV_INDEX), 1);
    kv_fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_store_chooses_an_id_for_a_lease_without_one),
        cmocka_unit_test(test_a_lease_is_granted_once_and_within_the_bound),
        cmocka_unit_test(test_granting_makes_no_revision),
        cmocka_unit_test(test_revoking_deletes_the_keys_of_a_lease_in_one_revision),
        cmocka_unit_test(test_a_put_moves_a_key_from_one_lease_to_another_or_to_none),
        cmocka_unit_test(test_compaction_ends_the_past_but_not_the_present),
        cmocka_unit_test(test_compaction_removes_every_row_that_nothing_can_read),
        cmocka_unit_test(test_a_second_compaction_while_the_first_is_swept_loses_nothing),
        cmocka_unit_test(test_a_deletion_of_many_keys_is_swept_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
