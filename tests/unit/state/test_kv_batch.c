/* SPDX-License-Identifier: Apache-2.0 */
/* A batch: many operations in one entry; and how its entries are folded into the ledger. */
#include "kv_fixture.h"

#include "state/ledger.h"
#include "state/ledger_run.h"

static void test_a_batch_is_many_operations_each_for_itself(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_op actor = {.kind = KV_OP_ACTOR, .actor = slice_of_string("spiffe://x/app")};
    struct kv_op good = kv_op_put("a", "1");
    struct kv_op bad = kv_op_put("", "2");
    struct kv_op last = kv_op_put("a", "3");
    kv_add(&f, &actor);
    kv_add(&f, &good);
    kv_add(&f, &bad);
    kv_add(&f, &last);
    kv_commit(&f);
    struct reader reader = reader_of(buf_view(&f.replies));
    struct kv_reply reply;
    assert_true(kv_reply_next(&reader, &reply));
    assert_int_equal(reply.revision, 2);
    assert_true(kv_reply_next(&reader, &reply));
    assert_int_equal(reply.error, KV_EMPTY_KEY);
    assert_true(kv_reply_next(&reader, &reply));
    assert_int_equal(reply.revision, 3);
    assert_false(kv_reply_next(&reader, &reply));
    assert_string_equal(kv_key_text(&f, "a"), "3 2 3 2 0");
    kv_fixture_free(&f);
}

static void test_a_batch_that_cannot_be_read_to_its_end_changes_nothing(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_op op = kv_op_put("a", "1");
    kv_add(&f, &op);
    buf_put_u8(&f.batch, 99);
    kv_commit(&f);
    assert_int_equal(f.result.error, ERR_PROTOCOL);
    assert_int_equal(f.replies.len, 0);
    assert_string_equal(kv_key_text(&f, "a"), "-");
    kv_fixture_free(&f);
}

static void test_a_batch_of_a_former_leader_changes_nothing(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    struct kv_op op = kv_op_put("a", "1");
    kv_op_encode(&f.batch, &op);
    struct command command = {
        .kind = COMMAND_KV, .leader_term = 2, .kv = {.batch = buf_view(&f.batch)}};
    struct apply_entry entry = {.index = ++f.index, .term = 3, .raft_kind = 2, .command = &command};
    struct shard_id changed;
    apply_entry(&f.tables, &entry, &f.result, &changed);
    assert_int_equal(f.result.error, ERR_STALE_LEADER);
    assert_string_equal(kv_key_text(&f, "a"), "-");
    kv_fixture_free(&f);
}

static void test_a_deletion_of_too_many_keys_is_refused(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    for (uint32_t key = 0; key < KV_DELETE_KEYS_MAX; key++) {
        uint8_t bytes[] = {'k', (uint8_t)(key >> 16), (uint8_t)(key >> 8), (uint8_t)key};
        struct kv_op op = kv_op_put("", "v");
        op.put.key = slice_of(bytes, sizeof(bytes));
        kv_add(&f, &op);
        if (key % KV_BATCH_OPS_MAX == KV_BATCH_OPS_MAX - 1) {
            kv_commit(&f);
        }
    }
    (void)kv_put(&f, "l", "v");
    struct kv_op op = kv_op_delete("k", "");
    assert_int_equal(kv_do(&f, &op).error, KV_TOO_MANY_OPS);
    assert_string_equal(kv_key_text(&f, "l"), "v 50002 50002 1 0");
    assert_int_equal(kv_delete(&f, "k", "l"), KV_DELETE_KEYS_MAX);
    kv_fixture_free(&f);
}

static void test_a_lease_takes_no_more_keys_than_one_revocation_can_delete(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    (void)kv_grant(&f, 1, 60);
    for (uint32_t key = 0; key < KV_DELETE_KEYS_MAX; key++) {
        uint8_t bytes[] = {'k', (uint8_t)(key >> 16), (uint8_t)(key >> 8), (uint8_t)key};
        struct kv_op op = kv_op_put("", "v");
        op.put.key = slice_of(bytes, sizeof(bytes));
        op.put.lease = 1;
        kv_add(&f, &op);
        if (key % KV_BATCH_OPS_MAX == KV_BATCH_OPS_MAX - 1) {
            kv_commit(&f);
        }
    }
    struct kv_op op = kv_op_put("l", "v");
    op.put.lease = 1;
    assert_int_equal(kv_do(&f, &op).error, KV_TOO_MANY_OPS);
    op.put.key = slice_of("k\0\0\7", 4); /* has the lease */
    assert_int_equal(kv_do(&f, &op).error, KV_OK);
    assert_int_equal(kv_delete(&f, "k", "l"), KV_DELETE_KEYS_MAX);
    (void)kv_put_leased(&f, "l", 1);
    assert_int_equal(kv_revoke(&f, 1), KV_OK);
    assert_int_equal(tables_memory_count(f.memory, TABLE_LEASE_KEY), 0);
    assert_int_equal(tables_memory_count(f.memory, TABLE_LEASE), 0);
    kv_fixture_free(&f);
}

static void put_times(struct kv_fixture *f, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        (void)kv_put(f, "a", "1");
    }
}

static void noop(struct kv_fixture *f)
{
    struct apply_entry entry = {.index = ++f->index, .term = f->term, .raft_kind = 1};
    struct shard_id changed;
    apply_entry(&f->tables, &entry, &f->result, &changed);
}

static struct ledger_head verified(struct kv_fixture *f)
{
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE];
    if (!ledger_verify(&f->tables, &head, problem)) {
        fail_msg("%s", problem);
    }
    return head;
}

static void assert_problem(struct kv_fixture *f, const char *text)
{
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE];
    if (ledger_verify(&f->tables, &head, problem) || strstr(problem, text) == NULL) {
        fail_msg("wanted '%s', got '%s'", text, problem);
    }
}

static void test_a_run_of_batches_is_one_leaf_before_that_of_another_entry(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    noop(&f);
    put_times(&f, 5);
    assert_int_equal(verified(&f).size, 1);
    noop(&f);
    struct ledger_head head = verified(&f);
    assert_int_equal(head.size, 3);
    assert_int_equal(head.index, 7);
    struct ledger_leaf leaf;
    assert_int_equal(query_ledger_leaf(&f.tables, 1, &leaf), ERR_OK);
    assert_string_equal(leaf.kind, "kv.digest");
    assert_int_equal(leaf.index, 6);
    struct ledger_run run;
    struct sha256 root;
    assert_int_equal(ledger_run_decode(leaf.payload, &run, &root), ERR_OK);
    assert_int_equal(run.first, 2);
    assert_int_equal(run.entries, 5);
    assert_int_equal(run.commands, 5);
    kv_fixture_free(&f);
}

static void test_a_run_ends_when_it_is_full_or_old(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    put_times(&f, LEDGER_RUN_COMMANDS_MAX - 1);
    assert_int_equal(verified(&f).size, 0);
    put_times(&f, 1);
    assert_int_equal(verified(&f).size, 1);
    put_times(&f, 1);
    f.wall_ms += LEDGER_RUN_AGE_MS;
    put_times(&f, 1);
    assert_int_equal(verified(&f).size, 2);
    kv_fixture_free(&f);
}

static void test_each_entry_of_a_run_is_proven_by_its_digest_leaf(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    put_times(&f, 13);
    noop(&f);
    struct ledger_leaf leaf;
    struct ledger_run run;
    struct sha256 root;
    assert_int_equal(query_ledger_leaf(&f.tables, 0, &leaf), ERR_OK);
    assert_int_equal(ledger_run_decode(leaf.payload, &run, &root), ERR_OK);
    for (uint64_t index = 1; index <= 13; index++) {
        struct ledger_place place;
        assert_int_equal(ledger_find(&f.tables, index, &place), ERR_OK);
        assert_true(place.in_run);
        assert_int_equal(place.number, 0);
        struct sha256 hash = place.entry_hash;
        assert_memory_equal(&place.run_root, &root, sizeof(root));
        uint64_t number = index - place.run_first;
        assert_true(merkle_inclusion_holds(&hash, number, place.run_entries, &place.proof, &root));
        hash.bytes[0] ^= 1;
        assert_false(merkle_inclusion_holds(&hash, number, place.run_entries, &place.proof, &root));
    }
    struct ledger_place place;
    assert_int_equal(ledger_find(&f.tables, 14, &place), ERR_OK);
    assert_false(place.in_run);
    assert_int_equal(place.number, 1);
    assert_int_equal(ledger_find(&f.tables, 15, &place), ERR_NOT_FOUND);
    kv_fixture_free(&f);
}

static void test_a_changed_or_missing_entry_of_a_run_is_found(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    put_times(&f, 5);
    noop(&f);
    put_times(&f, 2); /* the open run: indexes 7 and 8 */
    struct sha256 forged = {.bytes = {1}};
    struct state_key key = key_u64(3);
    struct slice value;
    struct buf kept = {0};
    assert_int_equal(tables_get(&f.tables, TABLE_LEDGER_RUN, key_view(&key), &value), ERR_OK);
    buf_append(&kept, value.data, value.len);
    tables_put(&f.tables, TABLE_LEDGER_RUN, key_view(&key), slice_of(forged.bytes, SHA256_SIZE));
    assert_problem(&f, "leaf 0 (index 1): its digest does not match the entries of its run");
    tables_put(&f.tables, TABLE_LEDGER_RUN, key_view(&key), buf_view(&kept));
    (void)verified(&f);
    key = key_u64(8);
    tables_del(&f.tables, TABLE_LEDGER_RUN, key_view(&key));
    assert_problem(&f, "the open run from index 7: an entry is missing");
    buf_deinit(&kept);
    kv_fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_is_many_operations_each_for_itself),
        cmocka_unit_test(test_a_batch_that_cannot_be_read_to_its_end_changes_nothing),
        cmocka_unit_test(test_a_batch_of_a_former_leader_changes_nothing),
        cmocka_unit_test(test_a_deletion_of_too_many_keys_is_refused),
        cmocka_unit_test(test_a_lease_takes_no_more_keys_than_one_revocation_can_delete),
        cmocka_unit_test(test_a_run_of_batches_is_one_leaf_before_that_of_another_entry),
        cmocka_unit_test(test_a_run_ends_when_it_is_full_or_old),
        cmocka_unit_test(test_each_entry_of_a_run_is_proven_by_its_digest_leaf),
        cmocka_unit_test(test_a_changed_or_missing_entry_of_a_run_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
