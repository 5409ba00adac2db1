/* SPDX-License-Identifier: Apache-2.0 */
/* Writes, many at a time: the operations of a turn become one entry of the log, and what the store
 * answers is dealt out again in the same order. */
#include "etcd/etcd_writes.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "etcd/etcd_delete.h"
#include "etcd/etcd_propose.h"

#include <string.h>

struct etcd_writes {
    bool crowded_in_flight; /* one entry of those at a time */
};

/* Operations that share a log entry. */
struct batch {
    struct etcd *etcd;
    struct etcd_ops ops;
    bool crowded; /* the one entry under way of those that found no place before */
};

static void refuse_growth(struct etcd *etcd);
static void propose(struct etcd *etcd, enum etcd_op_state from);
static void put_batch(const struct etcd_ops *ops, struct buf *out);
static uint64_t last_deadline(const struct etcd_ops *ops);
static void on_applied(const struct node_port_answer *answer, void *ctx);
static void deal_out(struct batch *batch, const struct node_port_answer *answer);
static bool bring_again(struct etcd_op *op, const struct kv_reply *reply);

void etcd_writes_init(struct etcd *etcd)
{
    etcd->writes = mem_new(sizeof(*etcd->writes));
}

void etcd_writes_deinit(struct etcd *etcd)
{
    mem_free(etcd->writes);
    etcd->writes = NULL;
}

bool etcd_writes_can_go(const struct etcd *etcd)
{
    return etcd_ops_in(etcd, ETCD_OP_WRITE) > 0 ||
           (etcd_ops_in(etcd, ETCD_OP_CROWDED) > 0 && !etcd->writes->crowded_in_flight);
}

void etcd_writes_flush(struct etcd *etcd)
{
    if (etcd_ops_in(etcd, ETCD_OP_WRITE) > 0 && node_port_space_is_low(etcd->port)) {
        refuse_growth(etcd);
    }
    if (etcd_ops_in(etcd, ETCD_OP_CROWDED) > 0 && !etcd->writes->crowded_in_flight) {
        etcd->writes->crowded_in_flight = true;
        propose(etcd, ETCD_OP_CROWDED);
    }
    while (etcd_ops_in(etcd, ETCD_OP_WRITE) > 0) {
        propose(etcd, ETCD_OP_WRITE);
    }
}

/* With little disk space. What frees some, deletions and compactions, passes. */
static void refuse_growth(struct etcd *etcd)
{
    struct etcd_ops all = etcd->queues[ETCD_OP_WRITE];
    etcd->queues[ETCD_OP_WRITE] = (struct etcd_ops){.count = 0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        struct reader reader = reader_of(buf_view(&op->encoded));
        struct kv_op kv;
        CHECK(kv_op_next(&reader, &kv));
        if (kv_op_grows(&kv)) {
            etcd_op_fail(op, ETCD_NO_SPACE);
        } else {
            etcd_ops_push(&etcd->queues[ETCD_OP_WRITE], op);
        }
    }
}

static void propose(struct etcd *etcd, enum etcd_op_state from)
{
    struct batch *batch = mem_new(sizeof(*batch));
    batch->etcd = etcd;
    batch->crowded = from == ETCD_OP_CROWDED;
    etcd_ops_take_batch(etcd, from, &batch->ops);
    struct buf ops = {0};
    put_batch(&batch->ops, &ops);
    etcd_propose(etcd,
                 buf_view(&ops),
                 last_deadline(&batch->ops),
                 (struct node_port_waiter){.done = on_applied, .ctx = batch});
    buf_deinit(&ops);
}

/* The actor is named once for all that follow it. */
static void put_batch(const struct etcd_ops *ops, struct buf *out)
{
    const char *actor = NULL;
    const struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &ops->list, others)
    {
        if (actor == NULL || strcmp(actor, op->actor) != 0) {
            actor = op->actor;
            const struct kv_op who = {.kind = KV_OP_ACTOR, .actor = slice_of_string(actor)};
            kv_op_encode(out, &who);
        }
        buf_append(out, op->encoded.data, op->encoded.len);
    }
}

static uint64_t last_deadline(const struct etcd_ops *ops)
{
    uint64_t last_ms = 0;
    const struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &ops->list, others)
    {
        last_ms = op->deadline_ms > last_ms ? op->deadline_ms : last_ms;
    }
    return last_ms;
}

static void on_applied(const struct node_port_answer *answer, void *ctx)
{
    struct batch *batch = ctx;
    struct etcd *etcd = batch->etcd;
    if (batch->crowded) {
        etcd->writes->crowded_in_flight = false;
    }
    /* Refused at apply: ours was a term that had ended. */
    enum error error = answer->error;
    if (error == ERR_OK && answer->result->error != ERR_OK) {
        error = ERR_NOT_LEADER;
    }
    if (error == ERR_OK) {
        deal_out(batch, answer);
    } else if (error == ERR_NOT_LEADER) {
        etcd_ops_enter(&batch->ops, ETCD_OP_WAITING); /* surely not applied */
    } else if (error == ERR_TIMEOUT) {
        etcd_ops_fail(&batch->ops, ETCD_TIMEOUT); /* surely not proposed */
    } else if (error == ERR_EXHAUSTED) {
        etcd_ops_fail(&batch->ops, ETCD_TOO_MANY);
    } else {
        etcd_ops_fail(&batch->ops, ETCD_OUTCOME_UNKNOWN);
    }
    mem_free(batch);
}

/* Of one reply, its exact bytes: a member that passed the operation on gets them as they are. */
static void deal_out(struct batch *batch, const struct node_port_answer *answer)
{
    struct reader reader = reader_of(answer->replies);
    const struct etcd_identity identity = etcd_identity(batch->etcd, answer->term);
    for (struct etcd_op *op = etcd_ops_pop(&batch->ops); op != NULL;
         op = etcd_ops_pop(&batch->ops)) {
        size_t from = reader.offset;
        struct kv_reply reply;
        CHECK(kv_reply_next(&reader, &reply));
        const struct slice bytes = slice_of(answer->replies.data + from, reader.offset - from);
        op->identity = identity;
        if (bring_again(op, &reply)) {
            continue;
        }
        etcd_write_deal(op, bytes);
        etcd_op_end(op);
    }
    CHECK(reader_finish(&reader) == ERR_OK);
}

/* What was refused for the sake of the batch is brought in one entry at a time, in order: what
 * clients ask for at once must not become many long entries one after another, with the renewals
 * of databases behind them. */
static bool bring_again(struct etcd_op *op, const struct kv_reply *reply)
{
    if (reply->error == KV_BATCH_FULL) {
        MARK("etcd.crowded");
        if (op->deadline_ms <= clock_monotonic_ms()) {
            etcd_op_fail(op, ETCD_TIMEOUT); /* surely not applied */
        } else {
            etcd_op_enter(op, ETCD_OP_CROWDED);
        }
        return true;
    }
    bool too_much = reply->error == KV_TOO_MANY_OPS || reply->error == KV_TOO_MANY_ROWS;
    return reply->kind == KV_OP_DELETE && too_much && etcd_delete_in_parts(op);
}
