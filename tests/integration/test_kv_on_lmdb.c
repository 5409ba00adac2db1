/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value store on LMDB: the same entries as on tables in memory give the same hash after
 * each, with deletions, transactions, leases and compactions that are swept meanwhile; a process
 * that dies between commits comes back at its last commit and reaches the same hash by applying the
 * rest again. And what a put costs does not grow with the number of keys but for the depth of a
 * tree: figures are printed, KEYS=n asks for more of them. SEED=n repeats a run. */
#include "base/check.h"
#include "base/clock.h"
#include "base/prng.h"
#include "state/apply.h"
#include "state/kv.h"
#include "state/ledger.h"
#include "state/tables_memory.h"
#include "storage/store.h"
#include "tests/support/support_seed.h"
#include "tests/support/support_tmpdir.h"
#include "wire/wire_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    ENTRIES = 1500,
    KEYS = 500,
    LEASES = 5,
    TERM = 2,
    COMMIT_EVERY = 40,
    DIE_EVERY = 300,
    KEYS_DEFAULT = 100000,
    OPS_PER_ENTRY = 64,
    VALUE_SIZE = 256,
    RANGE_PREFIX = 14 /* bytes of a key that neighbours share */
};

struct replica {
    struct tables tables;
    uint64_t hash; /* after the last entry */
};

static struct store *open_store(const char *path)
{
    struct store_options options = {.path = path};
    struct reason reason = {0};
    struct store *store = NULL;
    if (store_open(&options, &reason, &store) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
    assert_int_equal(store_begin(store, 0), ERR_OK);
    return store;
}

/* As the coordinator does: bytes of the log to a command, which borrows from them. */
static void apply(struct replica *member, uint64_t index, struct slice payload)
{
    static struct command command;
    static struct command_result result;
    struct shard_id changed;
    assert_int_equal(wire_command_decode(payload, &command), ERR_OK);
    struct apply_entry entry = {
        .index = index, .term = TERM, .raft_kind = 2, .command = &command, .payload = payload};
    apply_entry(&member->tables, &entry, &result, &changed);
    assert_int_equal(result.error, ERR_OK);
    struct apply_position position;
    apply_position(&member->tables, &position);
    member->hash = position.state_hash;
}

static struct slice key_of(uint64_t number, char *text, size_t size)
{
    int len =
        snprintf(text, size, "/keys/%016llx", (unsigned long long)number * 0x9e3779b97f4a7c15);
    return slice_of(text, (size_t)len);
}

static void add_put(struct buf *batch, struct slice key, int64_t lease)
{
    static const char value[VALUE_SIZE];
    struct kv_op op = {.kind = KV_OP_PUT};
    op.put.key = key;
    op.put.value = slice_of(value, sizeof(value));
    op.put.lease = lease;
    kv_op_encode(batch, &op);
}

static void add_random(struct prng *prng, struct buf *batch, int64_t revision)
{
    char text[32];
    char end[32];
    struct slice key = key_of(prng_below(prng, KEYS), text, sizeof(text));
    uint64_t roll = prng_below(prng, 100);
    struct kv_op op = {.kind = KV_OP_DELETE, .del.range.key = key};
    if (roll < 70) {
        add_put(batch, key, roll < 20 ? 1 + (int64_t)prng_below(prng, LEASES) : 0);
        return;
    }
    if (roll < 80) {
        /* A few neighbours with it. */
        memcpy(end, text, RANGE_PREFIX);
        end[RANGE_PREFIX - 1]++;
        op.del.range.end = slice_of(end, RANGE_PREFIX);
    } else if (roll >= 90) {
        op.kind = roll < 94 ? KV_OP_LEASE_GRANT : KV_OP_LEASE_REVOKE;
        op.lease.id = 1 + (int64_t)prng_below(prng, LEASES);
        op.lease.ttl = 60;
        if (roll >= 98) {
            op.kind = KV_OP_COMPACT;
            op.compact_revision = revision - (int64_t)prng_below(prng, 200);
        }
    }
    kv_op_encode(batch, &op);
}

static void encode(struct buf *log_bytes, const struct buf *batch, uint64_t wall_ms)
{
    struct command command = {
        .kind = COMMAND_KV,
        .leader_term = TERM,
        .wall_ms = wall_ms,
        .kv = {.batch = buf_view(batch)},
    };
    struct buf bytes = {0};
    wire_command_encode(&command, &bytes);
    buf_put_bytes(log_bytes, buf_view(&bytes));
    buf_deinit(&bytes);
}

/* What a log has: a byte string for each entry. */
static void make_log(struct buf *log_bytes)
{
    struct prng prng;
    struct buf batch = {0};
    prng_init(&prng, support_seed());
    for (uint64_t i = 0; i < ENTRIES; i++) {
        buf_clear(&batch);
        for (uint64_t ops = 1 + prng_below(&prng, 12); ops > 0; ops--) {
            add_random(&prng, &batch, (int64_t)i * 4);
        }
        encode(log_bytes, &batch, 1000 + i * 100);
    }
    buf_deinit(&batch);
}

/* Dies: what was not committed is lost, and applied again. Returns the index to go on from. */
static uint64_t die(struct store **store, const char *path, struct replica *member)
{
    store_abort(*store);
    store_close(*store);
    *store = open_store(path);
    member->tables = *store_tables(*store);
    return store_committed_index(*store);
}

static void test_lmdb_and_memory_agree_after_every_entry_and_every_crash(void **state)
{
    (void)state;
    const char *folder = support_tmpdir("kv");
    struct buf log_bytes = {0};
    make_log(&log_bytes);
    struct tables_memory *memory = tables_memory_new();
    struct replica one = {.tables = tables_memory_tables(memory)};
    struct store *store = open_store(folder);
    struct replica two = {.tables = *store_tables(store)};
    static uint64_t hashes[ENTRIES + 1];
    static struct slice entries[ENTRIES + 1];
    struct reader reader = reader_of(buf_view(&log_bytes));
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        entries[index] = reader_bytes(&reader);
        apply(&one, index, entries[index]);
        hashes[index] = one.hash;
    }
    assert_int_equal(reader_finish(&reader), ERR_OK);
    uint64_t next_death = DIE_EVERY;
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        apply(&two, index, entries[index]);
        assert_int_equal(two.hash, hashes[index]);
        if (index % COMMIT_EVERY == 0) {
            assert_int_equal(store_commit(store, index, index), ERR_OK);
            assert_int_equal(store_begin(store, 0), ERR_OK);
        }
        if (index == next_death + COMMIT_EVERY / 2) {
            next_death += DIE_EVERY;
            index = die(&store, folder, &two);
        }
    }
    struct kv_position position;
    kv_position(&two.tables, &position);
    assert_true(position.compacted > 0 && position.swept > 0);
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE];
    assert_true(ledger_verify(&two.tables, &head, problem));
    store_abort(store);
    store_close(store);
    tables_memory_free(memory);
    buf_deinit(&log_bytes);
}

static void test_the_cost_of_a_put_follows_the_depth_of_a_tree_only(void **state)
{
    (void)state;
    const char *wanted = getenv("KEYS");
    uint64_t keys = wanted == NULL ? KEYS_DEFAULT : strtoull(wanted, NULL, 10);
    const char *folder = support_tmpdir("kv-cost");
    struct store *store = open_store(folder);
    struct replica member = {.tables = *store_tables(store)};
    struct buf batch = {0};
    struct buf log_bytes = {0};
    uint64_t apply_ns[4] = {0};
    uint64_t index = 0;
    for (uint64_t key = 0; key < keys; key += OPS_PER_ENTRY) {
        buf_clear(&batch);
        buf_clear(&log_bytes);
        for (uint64_t i = 0; i < OPS_PER_ENTRY; i++) {
            char text[32];
            add_put(&batch, key_of(key + i, text, sizeof(text)), 0);
        }
        encode(&log_bytes, &batch, 1000 + key);
        struct reader reader = reader_of(buf_view(&log_bytes));
        uint64_t begun_ns = clock_boottime_ns();
        apply(&member, ++index, reader_bytes(&reader));
        apply_ns[key * ARRAY_LEN(apply_ns) / keys] += clock_boottime_ns() - begun_ns;
        if (store_wants_commit(store, 0)) {
            assert_int_equal(store_commit(store, index, index), ERR_OK);
            assert_int_equal(store_begin(store, 0), ERR_OK);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(apply_ns); i++) {
        print_message("put number %8llu: %.2f us\n",
                      (unsigned long long)(keys * (i + 1) / ARRAY_LEN(apply_ns)),
                      (double)apply_ns[i] * ARRAY_LEN(apply_ns) / (double)keys / 1000.0);
    }
    /* Wide: the machine does other things, too. Quadratic costs would be far above. */
    assert_true(apply_ns[3] < apply_ns[0] * 20 + 1000000000);
    store_abort(store);
    store_close(store);
    buf_deinit(&batch);
    buf_deinit(&log_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lmdb_and_memory_agree_after_every_entry_and_every_crash),
        cmocka_unit_test(test_the_cost_of_a_put_follows_the_depth_of_a_tree_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
