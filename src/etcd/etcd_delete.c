/* SPDX-License-Identifier: Apache-2.0 */
/* Deletions of more keys than one entry of the log may delete: the store refuses them, since its
 * thread also renews the leases of databases and must not be busy for long. A client who asked for
 * it gets it in parts, each at a revision of its own; the keys of the original range only ever
 * become fewer. On the leader; nothing else of etcd's API is more than one entry. */
#include "etcd/etcd_delete.h"

#include "base/check.h"
#include "base/mem.h"
#include "etcd/etcd_kv.h"
#include "etcd/etcd_propose.h"
#include "etcd/etcd_visit.h"

#include <string.h>

enum {
    PART_KEYS = KV_DELETE_KEYS_MAX / 2,
    PART_ROWS = KV_ROWS_MAX / 2
};

struct deletion {
    struct etcd_op *op;
    struct kv_op_delete whole; /* borrowed from op->encoded */
    struct buf from;           /* first key of this part; empty: the first of all */
    struct kv_cursor cursor;   /* cut: cursor.next is the first key of the next part */
    uint32_t seen;
    int64_t deleted;
};

static void next_part(struct deletion *deletion);
static struct kv_range rest_of(const struct deletion *deletion);
static void find_boundary(const struct tables *tables, void *ctx);
static bool count_key(const struct kv_pair *pair, void *ctx);
static void on_found(void *ctx, uint64_t seen_index);
static void propose_part(struct deletion *deletion);
static void next_from(struct deletion *deletion);
static void refused(struct deletion *deletion, enum kv_error error);
static void on_part_done(const struct node_port_answer *answer, void *ctx);
static void end(struct deletion *deletion, enum etcd_error error, const struct kv_reply *last);

bool etcd_delete_in_parts(struct etcd_op *op)
{
    struct reader reader = reader_of(buf_view(&op->encoded));
    struct kv_op kv;
    CHECK(kv_op_next(&reader, &kv));
    if (kv.kind != KV_OP_DELETE || kv.del.prev_kv) {
        return false; /* what was there before would not fit into an answer */
    }
    struct deletion *deletion = mem_new(sizeof(*deletion));
    deletion->op = op;
    deletion->whole = kv.del;
    next_part(deletion);
    return true;
}

static void next_part(struct deletion *deletion)
{
    deletion->seen = 0;
    kv_cursor_deinit(&deletion->cursor);
    deletion->cursor = (struct kv_cursor){.rows = PART_ROWS};
    etcd_visit(deletion->op->etcd, find_boundary, on_found, deletion);
}

static struct kv_range rest_of(const struct deletion *deletion)
{
    struct kv_range rest = deletion->whole.range;
    if (deletion->from.len > 0) {
        rest.key = buf_view(&deletion->from);
    }
    return rest;
}

/* On the apply thread. */
static void find_boundary(const struct tables *tables, void *ctx)
{
    struct deletion *deletion = ctx;
    const struct kv_op_range range = {.range = rest_of(deletion), .keys_only = true};
    CHECK(kv_range(tables, &range, &deletion->cursor, count_key, deletion) == KV_OK);
}

static bool count_key(const struct kv_pair *pair, void *ctx)
{
    struct deletion *deletion = ctx;
    (void)pair;
    if (++deletion->seen == PART_KEYS) {
        deletion->cursor.rows = 0; /* the next one begins the next part */
    }
    return true;
}

/* A stretch without keys, where only deletions are remembered, is passed over. */
static void on_found(void *ctx, uint64_t seen_index)
{
    (void)seen_index;
    struct deletion *deletion = ctx;
    if (deletion->seen == 0 && deletion->cursor.cut) {
        next_from(deletion);
    } else {
        propose_part(deletion);
    }
}

static void next_from(struct deletion *deletion)
{
    struct slice next = buf_view(&deletion->cursor.next);
    buf_clear(&deletion->from);
    buf_append(&deletion->from, next.data, next.len);
    next_part(deletion);
}

static void propose_part(struct deletion *deletion)
{
    struct etcd_op *op = deletion->op;
    struct kv_op part = {.kind = KV_OP_DELETE, .del = {.range = rest_of(deletion)}};
    if (deletion->cursor.cut) {
        part.del.range.end = buf_view(&deletion->cursor.next);
    }
    const struct kv_op who = {.kind = KV_OP_ACTOR, .actor = slice_of_string(op->actor)};
    struct buf ops = {0};
    kv_op_encode(&ops, &who);
    kv_op_encode(&ops, &part);
    etcd_propose(op->etcd,
                 buf_view(&ops),
                 UINT64_MAX,
                 (struct node_port_waiter){.done = on_part_done, .ctx = deletion});
    buf_deinit(&ops);
}

static void on_part_done(const struct node_port_answer *answer, void *ctx)
{
    struct deletion *deletion = ctx;
    struct reader reader = reader_of(answer->replies);
    struct kv_reply reply;
    if (answer->error != ERR_OK || answer->result->error != ERR_OK) {
        /* Some parts are done: the client looks, and asks again. */
        end(deletion, ETCD_OUTCOME_UNKNOWN, NULL);
        return;
    }
    CHECK(kv_reply_next(&reader, &reply));
    if (reply.error != KV_OK) {
        refused(deletion, reply.error);
        return;
    }
    deletion->deleted += reply.count;
    if (deletion->cursor.cut) {
        next_from(deletion);
    } else {
        end(deletion, ETCD_OK, &reply);
    }
}

/* Others wrote much into the part after its boundary was found: then it ends sooner. */
static void refused(struct deletion *deletion, enum kv_error error)
{
    if (error == KV_TOO_MANY_OPS || error == KV_TOO_MANY_ROWS) {
        next_part(deletion);
    } else {
        end(deletion, etcd_error_of_kv(error), NULL);
    }
}

static void end(struct deletion *deletion, enum etcd_error error, const struct kv_reply *last)
{
    struct etcd_op *op = deletion->op;
    op->error = error;
    if (last != NULL) {
        struct kv_reply reply = *last;
        struct buf bytes = {0};
        reply.count = deletion->deleted;
        kv_reply_encode(&bytes, &reply);
        etcd_write_deal(op, buf_view(&bytes));
        buf_deinit(&bytes);
    }
    kv_cursor_deinit(&deletion->cursor);
    buf_deinit(&deletion->from);
    mem_free(deletion);
    etcd_op_end(op);
}
