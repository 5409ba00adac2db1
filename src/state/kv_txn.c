/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: compare, take a branch, refuse all of it or do all of it, in one revision. The path
 * is chosen by the state before the transaction, nested compares too, as in etcd. */
#include "base/check.h"
#include "base/mem.h"
#include "state/kv_range.h"
#include "state/kv_write.h"

enum {
    PATHS_MAX = KV_TXN_TOTAL_MAX + 1
};

/* The branches taken by a transaction and by those within it, in the order in which a walk meets
 * them: decided once, before anything is written. */
struct path {
    bool taken[PATHS_MAX];
    uint32_t count;
    uint32_t next;
    struct written *written; /* by the puts so far, for the ranges behind them */
    uint32_t written_count;
    uint32_t written_cap;
    uint64_t deleted; /* keys, by the deletions so far */
};

struct written {
    struct slice key;
    uint64_t value_bytes;
};

/* What a range would answer. */
struct sizing {
    uint64_t bytes_max;
    uint64_t bytes;
};

struct comparing {
    const struct tables *tables;
    const struct kv_compare *compare;
    bool any;
    bool all;
};

static enum kv_error compares_hold(struct kv_writer *writer, struct slice compares, bool *hold_out);
static enum kv_error
compare_holds(struct kv_writer *writer, const struct kv_compare *compare, bool *holds_out);
static bool compare_key(struct slice key, const struct kv_version *version, void *ctx);
static bool compare_pair(const struct kv_compare *compare,
                         const struct kv_version *version,
                         struct slice value);
static enum kv_error
choose(struct kv_writer *writer, const struct kv_op_txn *txn, struct path *path);
static enum kv_error choose_op(struct kv_writer *writer, const struct kv_op *op, struct path *path);
static enum kv_error
choose_put(struct kv_writer *writer, const struct kv_op_put *put, struct path *path);
static enum kv_error
choose_delete(struct kv_writer *writer, const struct kv_op_delete *del, struct path *path);
static enum kv_error
choose_range(struct kv_writer *writer, const struct kv_op_range *range, const struct path *path);
static uint64_t written_bytes(const struct kv_op_range *range, const struct path *path);
static bool size_pair(const struct kv_pair *pair, void *ctx);
static void run_txn(struct kv_writer *writer,
                    const struct kv_op_txn *txn,
                    struct path *path,
                    struct kv_reply *reply,
                    struct buf *replies);
static void
run_op(struct kv_writer *writer, const struct kv_op *op, struct path *path, struct buf *replies);
static void run_range(struct kv_writer *writer,
                      const struct kv_op_range *range,
                      struct kv_reply *reply,
                      struct buf *pairs);
static bool encode_pair(const struct kv_pair *pair, void *ctx);

enum kv_error kv_txn_run(struct kv_writer *writer,
                         const struct kv_op_txn *txn,
                         struct kv_reply *reply,
                         struct buf *replies)
{
    struct path path = {.count = 0};
    enum kv_error error = choose(writer, txn, &path);
    if (error == KV_OK) {
        run_txn(writer, txn, &path, reply, replies);
    }
    mem_free(path.written);
    return error;
}

/* Takes branches, and asks of what will be done whether the state and the budget allow it. */
static enum kv_error
choose(struct kv_writer *writer, const struct kv_op_txn *txn, struct path *path)
{
    bool succeeded = false;
    enum kv_error compared = compares_hold(writer, txn->compares, &succeeded);
    if (compared != KV_OK) {
        return compared;
    }
    CHECK(path->count < PATHS_MAX);
    path->taken[path->count++] = succeeded;
    struct reader reader = reader_of(succeeded ? txn->success : txn->failure);
    struct kv_op op;
    while (kv_op_next(&reader, &op)) {
        enum kv_error error = choose_op(writer, &op, path);
        if (error != KV_OK) {
            return error;
        }
    }
    return KV_OK;
}

static enum kv_error choose_op(struct kv_writer *writer, const struct kv_op *op, struct path *path)
{
    switch (op->kind) {
    case KV_OP_PUT:
        return choose_put(writer, &op->put, path);
    case KV_OP_DELETE:
        return choose_delete(writer, &op->del, path);
    case KV_OP_RANGE:
        return choose_range(writer, &op->range, path);
    case KV_OP_TXN:
        return choose(writer, &op->txn, path);
    case KV_OP_COMPACT:
    case KV_OP_LEASE_GRANT:
    case KV_OP_LEASE_REVOKE:
    case KV_OP_ACTOR:
    case KV_OP_SWEEP:
        break;
    }
    UNREACHABLE("kv_op_check lets no others into a transaction");
}

static enum kv_error
choose_put(struct kv_writer *writer, const struct kv_op_put *put, struct path *path)
{
    uint64_t left = writer->left.bytes;
    enum kv_error error = kv_put_check(writer, put);
    if (error != KV_OK) {
        return error;
    }
    if (path->written_count == path->written_cap) {
        path->written_cap = path->written_cap == 0 ? 16 : path->written_cap * 2;
        path->written = mem_resize(path->written, path->written_cap * sizeof(*path->written));
    }
    path->written[path->written_count++] = (struct written){
        .key = put->key,
        .value_bytes = put->ignore_value ? left - writer->left.bytes : put->value.len,
    };
    return KV_OK;
}

static enum kv_error
choose_delete(struct kv_writer *writer, const struct kv_op_delete *del, struct path *path)
{
    uint64_t left = writer->left.deletes;
    enum kv_error error = kv_delete_check(writer, del);
    path->deleted += left - writer->left.deletes;
    return error;
}

/* What it would answer now, and what the puts before it add. With a limit, each change before it
 * can bring in one pair more than are within the limit now. */
static enum kv_error
choose_range(struct kv_writer *writer, const struct kv_op_range *range, const struct path *path)
{
    enum kv_error error = kv_revision_check(&writer->position, range->revision);
    if (error != KV_OK) {
        return error;
    }
    struct kv_op_range before = *range;
    struct sizing sizing = {.bytes_max = writer->left.bytes};
    bool sees_changes = range->revision <= 0;
    if (sees_changes) {
        sizing.bytes = written_bytes(range, path);
        int64_t changes = (int64_t)(path->deleted + path->written_count);
        before.limit = range->limit > 0 && range->limit < INT64_MAX - changes
                           ? range->limit + changes
                           : range->limit;
    }
    struct kv_cursor cursor = {.rows = writer->left.rows,
                               .revision = sees_changes ? KV_NOW : range->revision};
    kv_range_run(writer->tables, &before, &cursor, size_pair, &sizing);
    kv_cursor_deinit(&cursor);
    writer->left.rows = cursor.rows;
    return cursor.cut ? kv_refusal(writer, KV_TOO_MANY_ROWS) : kv_take_bytes(writer, sizing.bytes);
}

static uint64_t written_bytes(const struct kv_op_range *range, const struct path *path)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < path->written_count && !range->count_only; i++) {
        const struct written *written = &path->written[i];
        if (kv_range_has(&range->range, written->key)) {
            bytes += kv_pair_bytes(&(struct kv_pair){.key = written->key});
            bytes += range->keys_only ? 0 : written->value_bytes;
        }
    }
    return bytes;
}

static bool size_pair(const struct kv_pair *pair, void *ctx)
{
    struct sizing *sizing = ctx;
    sizing->bytes += kv_pair_bytes(pair);
    return sizing->bytes <= sizing->bytes_max;
}

static void run_txn(struct kv_writer *writer,
                    const struct kv_op_txn *txn,
                    struct path *path,
                    struct kv_reply *reply,
                    struct buf *replies)
{
    CHECK(path->next < path->count);
    reply->succeeded = path->taken[path->next++];
    struct reader reader = reader_of(reply->succeeded ? txn->success : txn->failure);
    struct kv_op op;
    while (kv_op_next(&reader, &op)) {
        run_op(writer, &op, path, replies);
    }
    reply->replies = buf_view(replies);
}

static void
run_op(struct kv_writer *writer, const struct kv_op *op, struct path *path, struct buf *replies)
{
    struct kv_reply reply = {.kind = op->kind};
    struct buf inner = {0};
    if (op->kind == KV_OP_PUT) {
        kv_put_run(writer, &op->put, &inner);
        reply.pairs = buf_view(&inner);
    } else if (op->kind == KV_OP_DELETE) {
        reply.count = kv_delete_run(writer, &op->del, &inner);
        reply.pairs = buf_view(&inner);
    } else if (op->kind == KV_OP_RANGE) {
        run_range(writer, &op->range, &reply, &inner);
    } else {
        CHECK(op->kind == KV_OP_TXN);
        run_txn(writer, &op->txn, path, &reply, &inner);
    }
    reply.revision = kv_writer_header(writer);
    kv_reply_encode(replies, &reply);
    buf_deinit(&inner);
}

static void run_range(struct kv_writer *writer,
                      const struct kv_op_range *range,
                      struct kv_reply *reply,
                      struct buf *pairs)
{
    struct kv_cursor cursor = {.rows = UINT64_MAX,
                               .revision = range->revision <= 0 ? KV_NOW : range->revision};
    kv_range_run(writer->tables, range, &cursor, encode_pair, pairs);
    kv_cursor_deinit(&cursor);
    reply->count = cursor.result.count;
    reply->more = cursor.result.more;
    reply->pairs = buf_view(pairs);
}

static bool encode_pair(const struct kv_pair *pair, void *ctx)
{
    kv_pair_encode(ctx, pair);
    return true;
}

static enum kv_error compares_hold(struct kv_writer *writer, struct slice compares, bool *hold_out)
{
    struct reader reader = reader_of(compares);
    struct kv_compare compare;
    bool hold = true;
    while (hold && kv_compare_next(&reader, &compare)) {
        enum kv_error error = compare_holds(writer, &compare, &hold);
        if (error != KV_OK) {
            return error;
        }
    }
    *hold_out = hold;
    return KV_OK;
}

/* A key that is not there compares as zeros; its value as nothing at all, which never holds. */
static enum kv_error
compare_holds(struct kv_writer *writer, const struct kv_compare *compare, bool *holds_out)
{
    struct comparing comparing = {.tables = writer->tables, .compare = compare, .all = true};
    enum kv_error error = kv_writer_walk(writer, &compare->range, compare_key, &comparing);
    if (error != KV_OK) {
        return error;
    }
    const struct kv_version none = {0};
    *holds_out = comparing.any ? comparing.all
                               : compare->target != KV_TARGET_VALUE &&
                                     compare_pair(compare, &none, (struct slice){0});
    return KV_OK;
}

static bool compare_key(struct slice key, const struct kv_version *version, void *ctx)
{
    struct comparing *comparing = ctx;
    (void)key;
    struct kv_event event = {0};
    if (comparing->compare->target == KV_TARGET_VALUE) {
        kv_history_get(comparing->tables, version->revision, version->sub, &event);
    }
    comparing->any = true;
    comparing->all = compare_pair(comparing->compare, version, event.pair.value);
    return comparing->all;
}

static bool
compare_pair(const struct kv_compare *compare, const struct kv_version *version, struct slice value)
{
    int64_t number = 0;
    int order = 0;
    switch (compare->target) {
    case KV_TARGET_VERSION:
        number = version->version;
        break;
    case KV_TARGET_CREATE:
        number = version->create_revision;
        break;
    case KV_TARGET_MOD:
        number = version->revision;
        break;
    case KV_TARGET_LEASE:
        number = version->lease;
        break;
    case KV_TARGET_VALUE:
        order = slice_compare(value, compare->value);
        break;
    case KV_TARGET_KEY:
        UNREACHABLE("kv_op_check refuses it");
    }
    if (compare->target != KV_TARGET_VALUE) {
        order = (number > compare->number) - (number < compare->number);
    }
    switch (compare->result) {
    case KV_COMPARE_EQUAL:
        return order == 0;
    case KV_COMPARE_GREATER:
        return order > 0;
    case KV_COMPARE_LESS:
        return order < 0;
    case KV_COMPARE_NOT_EQUAL:
        return order != 0;
    }
    UNREACHABLE("kv_op_check lets only these pass");
}
