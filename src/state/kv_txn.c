/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: compare, take a branch, refuse all of it or do all of it, in one revision. The path
 * is chosen by the state before the transaction, nested compares too, as in etcd. */
#include "base/check.h"
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
    uint32_t deletes; /* keys, at most */
};

struct comparing {
    const struct tables *tables;
    const struct kv_compare *compare;
    bool any;
    bool all;
};

static bool compares_hold(const struct tables *tables, struct slice compares);
static bool compare_holds(const struct tables *tables, const struct kv_compare *compare);
static bool compare_key(struct slice key, const struct kv_version *version, void *ctx);
static bool compare_pair(const struct kv_compare *compare,
                         const struct kv_version *version,
                         struct slice value);
static enum kv_error
choose(const struct kv_writer *writer, const struct kv_op_txn *txn, struct path *path);
static enum kv_error
choose_op(const struct kv_writer *writer, const struct kv_op *op, struct path *path);
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
    return error;
}

/* Takes branches, and asks of what will be done whether the state allows it. */
static enum kv_error
choose(const struct kv_writer *writer, const struct kv_op_txn *txn, struct path *path)
{
    bool succeeded = compares_hold(writer->tables, txn->compares);
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

static enum kv_error
choose_op(const struct kv_writer *writer, const struct kv_op *op, struct path *path)
{
    switch (op->kind) {
    case KV_OP_PUT:
        return kv_put_check(writer, &op->put);
    case KV_OP_DELETE:
        return kv_delete_check(writer, &op->del, &path->deletes);
    case KV_OP_RANGE:
        return kv_revision_check(&writer->position, op->range.revision);
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
    struct kv_range_result result;
    kv_range_run(writer->tables, range, &result, encode_pair, pairs);
    reply->count = result.count;
    reply->more = result.more;
    reply->pairs = buf_view(pairs);
}

static bool encode_pair(const struct kv_pair *pair, void *ctx)
{
    kv_pair_encode(ctx, pair);
    return true;
}

static bool compares_hold(const struct tables *tables, struct slice compares)
{
    struct reader reader = reader_of(compares);
    struct kv_compare compare;
    while (kv_compare_next(&reader, &compare)) {
        if (!compare_holds(tables, &compare)) {
            return false;
        }
    }
    return true;
}

/* A key that is not there compares as zeros; its value as nothing at all, which never holds. */
static bool compare_holds(const struct tables *tables, const struct kv_compare *compare)
{
    struct comparing comparing = {.tables = tables, .compare = compare, .all = true};
    kv_index_walk(tables, &compare->range, KV_NOW, compare_key, &comparing);
    if (comparing.any) {
        return comparing.all;
    }
    struct kv_version none = {0};
    return compare->target != KV_TARGET_VALUE && compare_pair(compare, &none, (struct slice){0});
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
