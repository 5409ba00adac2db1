/* SPDX-License-Identifier: Apache-2.0 */
/* Every entry is a leaf, whatever became of it; roots and proofs come from what is stored; and a
 * flipped byte in a leaf, a node or the root is found and named. */
#include "state_fixture.h"

#include "state/change.h"
#include "state/ledger.h"

#include <stdio.h>

static struct ledger_leaf leaf_at(struct fixture *f, uint64_t number)
{
    struct ledger_leaf leaf;
    assert_int_equal(query_ledger_leaf(f->tables, number, &leaf), ERR_OK);
    return leaf;
}

static struct ledger_leaf last_leaf(struct fixture *f)
{
    struct ledger_head head;
    query_ledger_head(f->tables, &head);
    assert_int_equal(head.size, f->index);
    return leaf_at(f, head.size - 1);
}

/* Behind the state machine's back. */
static void flip(struct fixture *f, enum table table, struct slice key, size_t offset)
{
    struct slice value;
    assert_int_equal(tables_get(f->tables, table, key, &value), ERR_OK);
    assert_true(offset < value.len);
    struct buf copy = {0};
    buf_append(&copy, value.data, value.len);
    copy.data[offset] ^= 0x10;
    tables_put(f->tables, table, key, buf_view(&copy));
    buf_deinit(&copy);
}

static void assert_problem(struct fixture *f, const char *text)
{
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE];
    if (ledger_verify(f->tables, &head, problem) || strstr(problem, text) == NULL) {
        fail_msg("wanted '%s', got '%s'", text, problem);
    }
}

static void test_every_entry_is_a_leaf_whatever_became_of_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);

    fixture_noop(&f);
    assert_string_equal(last_leaf(&f).kind, "noop");

    struct apply_entry entry = {.index = ++f.index, .term = f.term, .raft_kind = 3};
    entry.payload = slice_of_string("members");
    apply_entry(f.tables, &entry, &f.result, &f.changed);
    assert_string_equal(last_leaf(&f).kind, "configuration");
    assert_true(slice_equal(last_leaf(&f).payload, slice_of_string("members")));

    entry = (struct apply_entry){
        .index = ++f.index, .term = f.term, .raft_kind = 2, .undecodable = true};
    entry.payload = slice_of_string("\xff\xfe");
    apply_entry(f.tables, &entry, &f.result, &f.changed);
    assert_int_equal(f.result.error, ERR_PROTOCOL);
    assert_string_equal(last_leaf(&f).kind, "undecodable");
    assert_true(slice_equal(last_leaf(&f).payload, slice_of_string("\xff\xfe")));

    fixture_begin(&f)->epoch.value = 9;
    fixture_refused(&f, ERR_STALE_EPOCH, "");
    assert_string_equal(last_leaf(&f).kind, "failover.begin");
    assert_int_equal(last_leaf(&f).result, ERR_STALE_EPOCH);
    assert_string_equal(last_leaf(&f).message, f.result.message);
    assert_string_equal(last_leaf(&f).actor, "tester");
    assert_int_equal(last_leaf(&f).term, f.term);
    assert_int_equal(last_leaf(&f).index, f.index);

    (void)fixture_begin(&f);
    fixture_passes(&f);
    assert_int_equal(last_leaf(&f).result, ERR_OK);
    assert_int_equal(last_leaf(&f).wall_ms, f.command.wall_ms);
    fixture_free(&f);
}

static void test_an_order_of_a_former_leader_is_a_leaf_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    (void)fixture_begin(&f);
    f.command.leader_term = f.term - 1;
    fixture_refused(&f, ERR_STALE_LEADER, "ordered in term 2, committed in term 3");
    assert_int_equal(last_leaf(&f).result, ERR_STALE_LEADER);
    (void)fixture_begin(&f);
    f.command.leader_term = f.term + 1;
    fixture_refused(&f, ERR_STALE_LEADER, "");
    fixture_free(&f);
}

static void test_a_refusal_is_a_leaf_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_REFUSAL;
    f.command.refusal.count = 3;
    fixture_passes(&f);
    assert_string_equal(last_leaf(&f).kind, "refusal");
    fixture_free(&f);
}

static void test_roots_at_any_size_and_proofs_come_from_what_is_stored(void **state)
{
    (void)state;
    struct fixture f;
    struct sha256 roots[64];
    fixture_empty(&f);
    for (uint64_t size = 1; size < 64; size++) {
        fixture_noop(&f);
        struct ledger_head head;
        query_ledger_head(f.tables, &head);
        assert_int_equal(head.size, size);
        roots[size] = head.root;
    }
    for (uint64_t size = 1; size < 64; size++) {
        struct sha256 root;
        struct merkle_proof proof;
        assert_int_equal(query_ledger_root_at(f.tables, size, &root), ERR_OK);
        assert_memory_equal(root.bytes, roots[size].bytes, SHA256_SIZE);
        struct sha256 leaf = merkle_leaf_hash(leaf_at(&f, size - 1).bytes);
        assert_int_equal(ledger_inclusion(f.tables, size - 1, 63, &proof), ERR_OK);
        assert_true(merkle_inclusion_holds(&leaf, size - 1, 63, &proof, &roots[63]));
        struct merkle_claim first = {.size = size, .root = roots[size]};
        struct merkle_claim second = {.size = 63, .root = roots[63]};
        assert_int_equal(ledger_consistency(f.tables, size, 63, &proof), ERR_OK);
        assert_true(merkle_consistency_holds(&first, &second, &proof));
    }
    struct sha256 root;
    struct merkle_proof proof;
    struct ledger_leaf leaf;
    assert_int_equal(query_ledger_root_at(f.tables, 64, &root), ERR_NOT_FOUND);
    assert_int_equal(ledger_inclusion(f.tables, 0, 64, &proof), ERR_RANGE);
    assert_int_equal(ledger_consistency(f.tables, 1, 64, &proof), ERR_RANGE);
    assert_int_equal(query_ledger_leaf(f.tables, 63, &leaf), ERR_NOT_FOUND);
    fixture_free(&f);
}

static void test_an_untouched_ledger_verifies(void **state)
{
    (void)state;
    struct fixture f;
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE];
    fixture_empty(&f);
    assert_true(ledger_verify(f.tables, &head, problem));
    assert_int_equal(head.size, 0);
    fixture_free(&f);

    fixture_steady(&f, SHARD_SYNC);
    assert_true(ledger_verify(f.tables, &head, problem));
    assert_int_equal(head.size, f.index);
    fixture_free(&f);
}

static enum ledger_verdict
verify_in_parts(struct fixture *f, uint32_t growth, uint32_t *parts_out, char *problem)
{
    struct ledger_verification far = {.leaves = 0};
    struct ledger_head head;
    enum ledger_verdict verdict = LEDGER_GOES_ON;
    for (*parts_out = 0; verdict == LEDGER_GOES_ON; (*parts_out)++) {
        verdict = ledger_verify_part(f->tables, &far, 4, &head, problem);
        if (*parts_out < growth) {
            fixture_noop(f);
        }
    }
    return verdict;
}

static void test_a_ledger_that_grows_is_verified_in_parts(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t parts = 0;
    char problem[LEDGER_PROBLEM_SIZE];
    fixture_steady(&f, SHARD_SYNC);
    uint64_t before = f.index;
    assert_int_equal(verify_in_parts(&f, 3, &parts, problem), LEDGER_AGREES);
    assert_int_equal(f.index, before + 3);
    assert_int_equal(parts, (f.index + 1) / 2); /* a leaf and its entry are two rows */

    struct state_key key = key_u64(before - 1);
    flip(&f, TABLE_LEDGER_LEAF, key_view(&key), leaf_at(&f, before - 1).bytes.len - 1);
    assert_int_equal(verify_in_parts(&f, 3, &parts, problem), LEDGER_DIFFERS);
    assert_non_null(strstr(problem, "its bytes"));
    fixture_free(&f);
}

static void test_a_flipped_byte_in_any_leaf_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    for (uint64_t number = 0; number < f.index; number++) {
        struct state_key key = key_u64(number);
        size_t offset = leaf_at(&f, number).bytes.len - 1 - number % 8;
        char text[64];
        (void)snprintf(text,
                       sizeof(text),
                       "leaf %u (index %u): its bytes",
                       (unsigned)number,
                       (unsigned)number + 1);
        flip(&f, TABLE_LEDGER_LEAF, key_view(&key), offset);
        assert_problem(&f, text);
        flip(&f, TABLE_LEDGER_LEAF, key_view(&key), offset);
    }
    struct state_key key = key_u64(3);
    tables_del(f.tables, TABLE_LEDGER_LEAF, key_view(&key));
    assert_problem(&f, "leaf 3 (index 4): it is missing");
    fixture_free(&f);
}

static void test_a_missing_leaf_is_told_from_one_that_never_was(void **state)
{
    (void)state;
    struct fixture f;
    struct ledger_place place;
    fixture_steady(&f, SHARD_SYNC);
    assert_int_equal(ledger_find(f.tables, f.index, &place), ERR_OK);
    assert_int_equal(ledger_find(f.tables, f.index + 1, &place), ERR_NOT_FOUND);
    struct state_key key = key_u64(place.number);
    tables_del(f.tables, TABLE_LEDGER_LEAF, key_view(&key));
    assert_int_equal(ledger_find(f.tables, f.index, &place), ERR_CORRUPT);
    fixture_free(&f);
}

static void test_a_flipped_byte_in_a_node_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct state_key key = key_u8_u64(1, 2);
    flip(&f, TABLE_LEDGER_NODE, key_view(&key), 31);
    assert_problem(&f, "node 2 of level 1");
    flip(&f, TABLE_LEDGER_NODE, key_view(&key), 31);

    key = key_u8_u64(0, 5); /* the stored hash of a leaf: its parent tells that the leaf is right */
    flip(&f, TABLE_LEDGER_NODE, key_view(&key), 0);
    assert_problem(&f, "node 5 of level 0");
    flip(&f, TABLE_LEDGER_NODE, key_view(&key), 0);

    key = key_u8_u64(3, 0);
    tables_del(f.tables, TABLE_LEDGER_NODE, key_view(&key));
    assert_problem(&f, "node 0 of level 3: it is missing");
    fixture_free(&f);
}

static void test_a_flipped_byte_in_the_root_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    char text[64];
    (void)snprintf(text, sizeof(text), "root of size %u", (unsigned)f.index);
    flip(&f, TABLE_META, slice_of_string("ledger"), 8 + 17);
    assert_problem(&f, text);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_entry_is_a_leaf_whatever_became_of_it),
        cmocka_unit_test(test_an_order_of_a_former_leader_is_a_leaf_and_changes_nothing),
        cmocka_unit_test(test_a_refusal_is_a_leaf_of_its_own),
        cmocka_unit_test(test_roots_at_any_size_and_proofs_come_from_what_is_stored),
        cmocka_unit_test(test_an_untouched_ledger_verifies),
        cmocka_unit_test(test_a_ledger_that_grows_is_verified_in_parts),
        cmocka_unit_test(test_a_flipped_byte_in_any_leaf_is_named),
        cmocka_unit_test(test_a_missing_leaf_is_told_from_one_that_never_was),
        cmocka_unit_test(test_a_flipped_byte_in_a_node_is_named),
        cmocka_unit_test(test_a_flipped_byte_in_the_root_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
