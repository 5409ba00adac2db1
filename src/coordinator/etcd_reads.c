/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, many at a time: one confirmation that this member leads (or, on a follower, one question
 * to the leader for its index), then one visit of the apply thread, where every response is
 * encoded. What must come from the leader's memory is answered after the same confirmation. */
#include "coordinator/etcd_internal.h"

#include "base/check.h"
#include "base/mem.h"

/* Reads that go together. Touched by the apply thread between node_query and its done. */
struct batch {
    struct etcd *etcd;
    struct etcd_ops ops;
    bool confirmed; /* counted in reads_in_flight */
};

static void start(struct etcd *etcd, struct etcd_ops *ops, bool confirmed);
static void sign(const struct batch *batch);
static void on_confirmed(enum error error, void *ctx);
static void run_query(const struct tables *tables, void *ctx);
static void on_queried(void *ctx);
static void answer_leaders(struct batch *batch);
static void finish(struct batch *batch);

void etcd_reads_flush(struct etcd *etcd)
{
    if (etcd->local.count > 0) {
        start(etcd, &etcd->local, false);
    }
    if (etcd->reads.count > 0 && etcd->reads_in_flight < ETCD_READS_IN_FLIGHT_MAX) {
        etcd->reads_in_flight++;
        start(etcd, &etcd->reads, true);
    }
}

void etcd_reads_at(struct etcd *etcd, struct etcd_ops *ops, uint64_t index)
{
    struct batch *batch = mem_new(sizeof(*batch));
    batch->etcd = etcd;
    batch->ops = *ops;
    *ops = (struct etcd_ops){0};
    sign(batch);
    node_read_at(etcd->node, index, on_confirmed, batch);
}

static void start(struct etcd *etcd, struct etcd_ops *ops, bool confirmed)
{
    struct batch *batch = mem_new(sizeof(*batch));
    batch->etcd = etcd;
    batch->ops = *ops;
    batch->confirmed = confirmed;
    *ops = (struct etcd_ops){0};
    sign(batch);
    if (confirmed) {
        node_read(etcd->node, on_confirmed, batch);
    } else {
        node_query(etcd->node, run_query, on_queried, batch);
    }
}

/* The apply thread does not look at what the loop owns: it finds who answers in the operation. */
static void sign(const struct batch *batch)
{
    struct node_view view;
    node_view(batch->etcd->node, &view);
    const struct etcd_identity identity = etcd_identity(batch->etcd, view.term);
    for (struct etcd_op *op = batch->ops.first; op != NULL; op = op->next) {
        op->identity = identity;
    }
}

static void on_confirmed(enum error error, void *ctx)
{
    struct batch *batch = ctx;
    if (error != ERR_OK) {
        etcd_route_again(&batch->ops);
        finish(batch);
        return;
    }
    answer_leaders(batch);
    if (batch->ops.count == 0) {
        finish(batch);
        return;
    }
    node_query(batch->etcd->node, run_query, on_queried, batch);
}

/* On the apply thread. */
static void run_query(const struct tables *tables, void *ctx)
{
    const struct batch *batch = ctx;
    for (struct etcd_op *op = batch->ops.first; op != NULL; op = op->next) {
        op->method->query(op, tables);
    }
}

static void on_queried(void *ctx)
{
    struct batch *batch = ctx;
    etcd_ops_done(&batch->ops);
    finish(batch);
}

/* Takes out, and ends, what needs no visit of the store. */
static void answer_leaders(struct batch *batch)
{
    struct etcd_ops all = batch->ops;
    batch->ops = (struct etcd_ops){0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        if (op->method->kind == ETCD_LEADER) {
            op->method->answer(op);
        } else {
            etcd_ops_push(&batch->ops, op);
        }
    }
}

static void finish(struct batch *batch)
{
    if (batch->confirmed) {
        CHECK(batch->etcd->reads_in_flight > 0);
        batch->etcd->reads_in_flight--;
    }
    mem_free(batch);
}
