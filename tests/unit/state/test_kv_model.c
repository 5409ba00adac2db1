/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary operations against a model that answers by brute force: after each entry the replies
 * are what the model says; reads of the present and the past, and the events since some revision,
 * agree; compaction, however far it is swept, changes no answer; a second member, which crashed and
 * applied again, has the same bytes; the ledger is whole.
 * SEED=n repeats a run, OPS=n makes it longer (a million takes some minutes). */
#include "base/check.h"
#include "base/prng.h"
#include "kv_fixture.h"
#include "kv_model.h"
#include "state/ledger.h"
#include "tests/support/support_seed.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    OPS_DEFAULT = 20000,
    OPS_PER_WORLD = 1500 /* the model walks all changes for every answer */
};

struct run {
    struct prng prng;
    struct kv_fixture f;
    struct kv_model model;
    struct tables_memory *other; /* the second member: applies the same, later */
    struct buf log;              /* batches since it last caught up, as byte strings */
    uint64_t other_index;
    uint32_t value;
    uint64_t txns_succeeded;
    uint64_t refused;
    uint64_t events;
};

static uint32_t below(struct run *run, uint32_t bound)
{
    return (uint32_t)prng_below(&run->prng, bound);
}

struct expecting {
    const struct kv_model *model;
    int64_t revision;
    int next; /* key */
};

static bool expect_pair(const struct kv_pair *pair, void *ctx)
{
    struct expecting *expecting = ctx;
    struct model_pair wanted = kv_model_get(expecting->model, expecting->next, expecting->revision);
    while (!wanted.exists) {
        assert_true(++expecting->next < MODEL_KEYS);
        wanted = kv_model_get(expecting->model, expecting->next, expecting->revision);
    }
    kv_model_assert_pair(pair, expecting->next, &wanted);
    expecting->next++;
    return true;
}

static void check_range(struct run *run)
{
    char first[MODEL_KEY_SIZE];
    char last[MODEL_KEY_SIZE];
    struct kv_model *model = &run->model;
    struct expecting expecting = {.model = model, .next = (int)below(run, MODEL_KEYS)};
    int begin = expecting.next;
    int end = begin + 1 + (int)below(run, (uint32_t)(MODEL_KEYS - begin));
    int64_t revision = (int64_t)below(run, (uint32_t)model->revision + 3);
    struct kv_op_range range = {.range = {.key = kv_model_key(begin, first)}, .revision = revision};
    if (end > begin + 1) {
        range.range.end = kv_model_key(end, last);
    }
    expecting.revision = revision == 0 ? INT64_MAX : revision;
    struct kv_range_result result;
    enum kv_error error = kv_read(&run->f.tables, &range, &result, expect_pair, &expecting);
    if (revision > model->revision) {
        assert_int_equal(error, KV_FUTURE_REVISION);
    } else if (revision != 0 && revision < model->compacted) {
        assert_int_equal(error, KV_COMPACTED);
    } else {
        assert_int_equal(error, KV_OK);
        int64_t count = 0;
        for (int key = begin; key < end; key++) {
            count += kv_model_get(model, key, expecting.revision).exists;
        }
        assert_int_equal(result.count, count);
        for (int key = expecting.next; key < end; key++) {
            assert_false(kv_model_get(model, key, expecting.revision).exists);
        }
    }
}

struct watching {
    struct run *run;
    size_t next;
};

static bool expect_event(const struct kv_event *event, void *ctx)
{
    struct watching *watching = ctx;
    char bytes[MODEL_KEY_SIZE];
    assert_true(watching->next < watching->run->model.count);
    const struct model_change *change = &watching->run->model.changes[watching->next++];
    assert_int_equal(event->pair.mod_revision, change->revision);
    assert_int_equal(event->deleted, change->deleted);
    assert_true(slice_equal(event->pair.key, kv_model_key(change->key, bytes)));
    watching->run->events++;
    return true;
}

/* Above the compacted revision every change is there; at it, all that are not superseded. */
static void check_events(struct run *run)
{
    const struct kv_model *model = &run->model;
    int64_t from = model->compacted + 1;
    from += (int64_t)below(run, (uint32_t)(model->revision - model->compacted) + 1);
    struct watching watching = {.run = run};
    while (watching.next < model->count && model->changes[watching.next].revision < from) {
        watching.next++;
    }
    assert_int_equal(kv_events(&run->f.tables, from, expect_event, &watching), KV_OK);
    assert_int_equal(watching.next, model->count);
    if (model->compacted > 0) {
        enum kv_error error =
            kv_events(&run->f.tables, model->compacted - 1, expect_event, &watching);
        assert_int_equal(error, KV_COMPACTED);
    }
}

/* A put that the model allows or not; in a transaction or by itself. Says what must be refused. */
static enum kv_error random_put(struct run *run, int key, struct kv_op *op, char *bytes, char *text)
{
    int64_t lease = below(run, 3) == 0 ? 1 + below(run, MODEL_LEASES) : 0;
    *op = (struct kv_op){.kind = KV_OP_PUT};
    op->put.key = kv_model_key(key, bytes);
    op->put.lease = lease;
    op->put.value = kv_model_value(++run->value, text);
    op->put.prev_kv = below(run, 2) == 0;
    return lease != 0 && !run->model.leases[lease] ? KV_LEASE_NOT_FOUND : KV_OK;
}

static struct kv_reply reply_of(struct run *run, const struct kv_op *op)
{
    buf_put_bytes(&run->log, (struct slice){0});
    size_t start = run->log.len;
    kv_op_encode(&run->log, op);
    uint32_t len = (uint32_t)(run->log.len - start);
    memcpy(run->log.data + start - sizeof(len), &len, sizeof(len));
    struct kv_reply reply = kv_do(&run->f, op);
    run->refused += reply.error != KV_OK;
    return reply;
}

static void assert_before(struct slice pairs, int key, const struct model_pair *before)
{
    struct reader reader = reader_of(pairs);
    struct kv_pair pair;
    assert_int_equal(kv_pair_next(&reader, &pair), before->exists);
    if (before->exists) {
        kv_model_assert_pair(&pair, key, before);
    }
}

static void do_put(struct run *run)
{
    char bytes[MODEL_KEY_SIZE];
    char text[MODEL_VALUE_SIZE];
    struct kv_op op;
    int key = (int)below(run, MODEL_KEYS);
    enum kv_error wanted = random_put(run, key, &op, bytes, text);
    struct model_pair before = kv_model_get(&run->model, key, INT64_MAX);
    bool ignores_value = below(run, 8) == 0;
    uint32_t value = ignores_value ? before.value : run->value;
    if (ignores_value) {
        op.put.ignore_value = true;
        op.put.value.len = 0;
        wanted = wanted == KV_OK && !before.exists ? KV_KEY_NOT_FOUND : wanted;
    }
    struct kv_reply reply = reply_of(run, &op);
    assert_int_equal(reply.error, wanted);
    if (wanted != KV_OK) {
        return;
    }
    kv_model_put(&run->model, key, value, op.put.lease);
    if (op.put.prev_kv) {
        assert_before(reply.pairs, key, &before);
    }
}

static void do_delete(struct run *run)
{
    char first[MODEL_KEY_SIZE];
    char last[MODEL_KEY_SIZE];
    int begin = (int)below(run, MODEL_KEYS);
    int end = begin + 1 + (below(run, 3) == 0 ? (int)below(run, 4) : 0);
    end = end > MODEL_KEYS ? MODEL_KEYS : end;
    struct kv_op op = {.kind = KV_OP_DELETE, .del = {.range = {.key = kv_model_key(begin, first)}}};
    if (end > begin + 1) {
        op.del.range.end = kv_model_key(end, last);
    }
    struct kv_reply reply = reply_of(run, &op);
    assert_int_equal(reply.error, KV_OK);
    assert_int_equal(reply.count, kv_model_delete(&run->model, begin, end));
}

/* if version(a) == n then { put b; delete c; read } else { read } */
static void do_txn(struct run *run)
{
    char names[3][MODEL_KEY_SIZE];
    char text[MODEL_VALUE_SIZE];
    struct kv_model *model = &run->model;
    int keys[3] = {(int)below(run, MODEL_KEYS), (int)below(run, MODEL_KEYS), 0};
    keys[2] = (keys[1] + 1 + (int)below(run, MODEL_KEYS - 1)) % MODEL_KEYS;
    struct model_pair compared = kv_model_get(model, keys[0], INT64_MAX);
    struct kv_compare compare = {
        .range = {.key = kv_model_key(keys[0], names[0])},
        .target = KV_TARGET_VERSION,
        .number = below(run, 2) == 0 ? compared.version : (int64_t)below(run, 3),
    };
    bool succeeds = compare.number == compared.version;
    struct kv_op put;
    enum kv_error wanted = random_put(run, keys[1], &put, names[1], text);
    wanted = succeeds ? wanted : KV_OK;
    struct kv_op del = {.kind = KV_OP_DELETE, .del.range.key = kv_model_key(keys[2], names[2])};
    struct kv_op read = {.kind = KV_OP_RANGE, .range.range.key = put.put.key};
    struct buf parts[3] = {0};
    kv_compare_encode(&parts[0], &compare);
    kv_op_encode(&parts[1], &put);
    kv_op_encode(&parts[1], &del);
    kv_op_encode(&parts[1], &read);
    kv_op_encode(&parts[2], &read);
    struct kv_op txn = {.kind = KV_OP_TXN};
    txn.txn = (struct kv_op_txn){buf_view(&parts[0]), buf_view(&parts[1]), buf_view(&parts[2])};
    struct kv_reply reply = reply_of(run, &txn);
    assert_int_equal(reply.error, wanted);
    if (wanted == KV_OK) {
        assert_int_equal(reply.succeeded, succeeds);
        int deleted = 0;
        if (succeeds) {
            kv_model_put(model, keys[1], run->value, put.put.lease);
            deleted = kv_model_delete(model, keys[2], keys[2] + 1);
        }
        run->txns_succeeded += succeeds;
        struct reader reader = reader_of(reply.replies);
        struct kv_reply inner;
        while (kv_reply_next(&reader, &inner)) {
            if (inner.kind == KV_OP_RANGE) {
                struct model_pair now = kv_model_get(model, keys[1], INT64_MAX);
                assert_before(inner.pairs, keys[1], &now);
            } else if (inner.kind == KV_OP_DELETE) {
                assert_int_equal(inner.count, deleted);
            }
        }
        assert_int_equal(reader_finish(&reader), ERR_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_deinit(&parts[i]);
    }
}

static void do_lease(struct run *run)
{
    int64_t id = 1 + (int64_t)below(run, MODEL_LEASES);
    bool granted = run->model.leases[id];
    bool grant = below(run, 2) == 0;
    struct kv_op op = {.kind = grant ? KV_OP_LEASE_GRANT : KV_OP_LEASE_REVOKE};
    op.lease.id = id;
    op.lease.ttl = 60;
    enum kv_error error = reply_of(run, &op).error;
    if (grant) {
        assert_int_equal(error, granted ? KV_LEASE_EXISTS : KV_OK);
        run->model.leases[id] = true;
    } else {
        assert_int_equal(error, granted ? KV_OK : KV_LEASE_NOT_FOUND);
        kv_model_revoke(&run->model, id);
    }
}

static void do_compact(struct run *run)
{
    struct kv_model *model = &run->model;
    int64_t revision = (int64_t)below(run, (uint32_t)model->revision + 2);
    struct kv_op op = {.kind = KV_OP_COMPACT, .compact_revision = revision};
    enum kv_error error = reply_of(run, &op).error;
    if (revision <= model->compacted) {
        assert_int_equal(error, KV_COMPACTED);
    } else if (revision > model->revision) {
        assert_int_equal(error, KV_FUTURE_REVISION);
    } else {
        assert_int_equal(error, KV_OK);
        model->compacted = revision;
    }
}

/* The second member applies what it missed, by itself, from what it had. */
static void catch_up(struct run *run)
{
    struct tables tables = tables_memory_tables(run->other);
    struct reader reader = reader_of(buf_view(&run->log));
    while (reader.offset < reader.len) {
        struct command command = {
            .kind = COMMAND_KV, .leader_term = run->f.term, .wall_ms = run->f.wall_ms};
        command.kv.batch = reader_bytes(&reader);
        struct apply_entry entry = {
            .index = ++run->other_index, .term = run->f.term, .raft_kind = 2};
        entry.command = &command;
        entry.payload = command.kv.batch;
        struct command_result result;
        struct shard_id changed;
        apply_entry(&tables, &entry, &result, &changed);
    }
    assert_int_equal(reader_finish(&reader), ERR_OK);
    buf_clear(&run->log);
    struct apply_position one;
    struct apply_position two;
    apply_position(&run->f.tables, &one);
    apply_position(&tables, &two);
    assert_int_equal(one.index, two.index);
    assert_int_equal(one.state_hash, two.state_hash);
    struct tables_memory *restarted = tables_memory_dup(run->other);
    tables_memory_free(run->other);
    run->other = restarted;
}

static void do_one(struct run *run)
{
    uint32_t roll = below(run, 100);
    if (roll < 45) {
        do_put(run);
    } else if (roll < 65) {
        do_delete(run);
    } else if (roll < 85) {
        do_txn(run);
    } else if (roll < 99) {
        do_lease(run);
    } else {
        do_compact(run);
    }
    kv_model_finish(&run->model);
    struct kv_position position;
    kv_position(&run->f.tables, &position);
    assert_int_equal(position.revision, run->model.revision);
    assert_int_equal(position.compacted, run->model.compacted);
}

static void run_world(struct run *run, uint64_t ops)
{
    kv_fixture_init(&run->f);
    kv_model_init(&run->model);
    run->other = tables_memory_new();
    run->other_index = 0;
    for (uint64_t i = 0; i < ops; i++) {
        do_one(run);
        check_range(run);
        if (below(run, 50) == 0) {
            check_events(run);
            catch_up(run);
        }
    }
    catch_up(run);
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE];
    assert_true(ledger_verify(&run->f.tables, &head, problem));
    tables_memory_free(run->other);
    kv_model_free(&run->model);
    kv_fixture_free(&run->f);
}

static void test_the_store_answers_as_a_list_of_all_changes_would(void **state)
{
    (void)state;
    static struct run run;
    const char *text = getenv("OPS");
    uint64_t ops = text == NULL ? OPS_DEFAULT : strtoull(text, NULL, 10);
    prng_init(&run.prng, support_seed());
    for (uint64_t done = 0; done < ops; done += OPS_PER_WORLD) {
        run_world(&run, ops - done < OPS_PER_WORLD ? ops - done : OPS_PER_WORLD);
    }
    buf_deinit(&run.log);
    print_message("%" PRIu64 " transactions succeeded, %" PRIu64 " refused, %" PRIu64 " events\n",
                  run.txns_succeeded,
                  run.refused,
                  run.events);
    assert_true(ops < OPS_DEFAULT ||
                (run.txns_succeeded > 100 && run.refused > 100 && run.events > 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_store_answers_as_a_list_of_all_changes_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
