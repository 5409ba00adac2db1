/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, many at a time: one confirmation that this member leads (or, on a follower, one question
 * to the leader for its index), and one visit of the apply thread, where every response is encoded.
 * What must come from the leader's memory is answered after the same confirmation. What is too much
 * for a visit goes on in the next, in the same order: so only one response of a batch is unfinished
 * at any time, and between visits the apply thread does what else there is.
 *
 * A leader visits the apply thread while it waits for its confirmation, which saves two changes of
 * thread. What the visit saw is as good as what one after the confirmation would see, if everything
 * up to the confirmed index had been given to the apply thread before it; else it goes again. */
#include "etcd/etcd_reads.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "etcd/etcd_visit.h"

struct etcd_reads {
    uint32_t in_flight; /* batches whose confirmation is under way, or still counts as such */
};

/* Reads that go together. `ops` is touched by the apply thread between a visit and its done. */
struct batch {
    struct etcd *etcd;
    struct etcd_ops ops;
    uint64_t seen_index;      /* the query sees the entries up to here, if not more */
    uint64_t confirmed_index; /* and must see those up to here */
    bool querying;            /* the apply thread has `ops` */
    bool queried;             /* and has had them */
    bool confirming;          /* the confirmation is still to come */
    bool refused;             /* the confirmation came, and was none */
    bool counted;             /* in etcd_reads.in_flight */
};

static struct batch *make(struct etcd *etcd, const struct etcd_ops *ops);
static bool can_visit(const struct etcd *etcd);
static bool can_confirm(const struct etcd *etcd);
static void sign(const struct batch *batch);
static void query(struct batch *batch);
static void on_confirmed(const struct node_port_answer *answer, void *ctx);
static void run_query(const struct tables *tables, void *ctx);
static void on_queried(void *ctx, uint64_t seen_index);
static void settle(struct batch *batch);
static bool has_queries(const struct batch *batch);
static void forget_replies(const struct batch *batch);
static void end_done(struct batch *batch);
static void uncount(struct batch *batch);
static void answer_leaders(struct batch *batch);
static void finish(struct batch *batch);

void etcd_reads_init(struct etcd *etcd)
{
    etcd->reads = mem_new(sizeof(*etcd->reads));
}

void etcd_reads_deinit(struct etcd *etcd)
{
    mem_free(etcd->reads);
    etcd->reads = NULL;
}

void etcd_reads_check_invariants(const struct etcd *etcd)
{
    CHECK(etcd->reads->in_flight <= ETCD_READS_IN_FLIGHT_MAX);
}

bool etcd_reads_can_go(const struct etcd *etcd)
{
    return can_visit(etcd) || can_confirm(etcd);
}

void etcd_reads_flush(struct etcd *etcd)
{
    struct etcd_ops ops;
    if (can_visit(etcd)) {
        etcd_ops_take(etcd, ETCD_OP_LOCAL, &ops);
        query(make(etcd, &ops));
    }
    if (can_confirm(etcd)) {
        etcd_ops_take(etcd, ETCD_OP_READ, &ops);
        struct batch *batch = make(etcd, &ops);
        etcd->reads->in_flight++;
        batch->counted = true;
        batch->confirming = true;
        node_port_read(etcd->port, (struct node_port_waiter){.done = on_confirmed, .ctx = batch});
        if (has_queries(batch)) {
            query(batch);
        }
    }
}

void etcd_reads_at(struct etcd *etcd, struct etcd_ops *ops, uint64_t index)
{
    struct batch *batch = make(etcd, ops);
    *ops = (struct etcd_ops){.count = 0};
    batch->confirming = true;
    node_port_read_at(
        etcd->port, index, (struct node_port_waiter){.done = on_confirmed, .ctx = batch});
}

static bool can_visit(const struct etcd *etcd)
{
    return etcd_ops_in(etcd, ETCD_OP_LOCAL) > 0 && !etcd_visits_wait(etcd);
}

static bool can_confirm(const struct etcd *etcd)
{
    return etcd_ops_in(etcd, ETCD_OP_READ) > 0 && etcd->reads->in_flight < ETCD_READS_IN_FLIGHT_MAX;
}

static struct batch *make(struct etcd *etcd, const struct etcd_ops *ops)
{
    struct batch *batch = mem_new(sizeof(*batch));
    batch->etcd = etcd;
    batch->ops = *ops;
    sign(batch);
    return batch;
}

/* The apply thread does not look at what the loop owns: it finds who answers in the operation. */
static void sign(const struct batch *batch)
{
    const struct node_office office = node_port_office(batch->etcd->port);
    const struct etcd_identity identity = etcd_identity(batch->etcd, office.term);
    struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &batch->ops.list, others)
    {
        op->identity = identity;
    }
}

static void query(struct batch *batch)
{
    batch->querying = true;
    etcd_visit(batch->etcd, run_query, on_queried, batch);
}

static void on_confirmed(const struct node_port_answer *answer, void *ctx)
{
    struct batch *batch = ctx;
    batch->confirming = false;
    batch->refused = answer->error != ERR_OK;
    batch->confirmed_index = answer->index;
    settle(batch);
}

/* On the apply thread. */
static void run_query(const struct tables *tables, void *ctx)
{
    const struct batch *batch = ctx;
    uint64_t rows = ETCD_VISIT_ROWS;
    struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &batch->ops.list, others)
    {
        if (rows == 0) {
            return;
        }
        if (op->method->kind == ETCD_LEADER || op->part.done) {
            continue;
        }
        if (atomic_load_explicit(&op->cancelled, memory_order_relaxed)) {
            op->part.done = true;
            continue;
        }
        op->part.cursor.rows = rows;
        op->method->query(op, tables);
        rows = op->part.cursor.rows;
        rows -= rows > 0;
    }
}

static void on_queried(void *ctx, uint64_t seen_index)
{
    struct batch *batch = ctx;
    batch->querying = false;
    batch->seen_index = seen_index;
    batch->queried = true;
    settle(batch);
}

/* Goes on when both the confirmation and the apply thread have said what they have to say. */
static void settle(struct batch *batch)
{
    if (batch->confirming || batch->querying) {
        return;
    }
    if (batch->refused) {
        forget_replies(batch);
        etcd_ops_enter(&batch->ops, ETCD_OP_RETURNED);
        finish(batch);
        return;
    }
    answer_leaders(batch);
    bool seen = batch->queried && batch->seen_index >= batch->confirmed_index;
    if (batch->ops.count > 0 && !seen) {
        forget_replies(batch);
        query(batch);
        return;
    }
    end_done(batch);
    if (batch->ops.count > 0) {
        MARK("etcd.read_goes_on");
        uncount(batch);
        query(batch);
        return;
    }
    finish(batch);
}

/* Those that are read to their end, and those that nobody waits for any longer. */
static void end_done(struct batch *batch)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct etcd_ops all = batch->ops;
    struct etcd_ops done = {.count = 0};
    batch->ops = (struct etcd_ops){.count = 0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        if (!op->part.done && op->deadline_ms <= now_ms) {
            op->error = ETCD_TIMEOUT;
            op->part.done = true;
        }
        etcd_ops_push(op->part.done ? &done : &batch->ops, op);
    }
    etcd_ops_end(&done);
}

static bool has_queries(const struct batch *batch)
{
    const struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &batch->ops.list, others)
    {
        if (op->method->kind != ETCD_LEADER) {
            return true;
        }
    }
    return false;
}

static void forget_replies(const struct batch *batch)
{
    struct etcd_op *op = NULL;
    STAILQ_FOREACH(op, &batch->ops.list, others)
    {
        buf_clear(&op->reply);
        op->error = ETCD_OK;
        kv_cursor_deinit(&op->part.cursor);
        op->part = (struct etcd_part){.done = false};
    }
}

/* Takes out, and ends, what needs no visit of the store. */
static void answer_leaders(struct batch *batch)
{
    struct etcd_ops all = batch->ops;
    batch->ops = (struct etcd_ops){.count = 0};
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
    uncount(batch);
    mem_free(batch);
}

/* Others may be confirmed: what goes on needs no confirmation any more. */
static void uncount(struct batch *batch)
{
    if (batch->counted) {
        CHECK(batch->etcd->reads->in_flight > 0);
        batch->etcd->reads->in_flight--;
        batch->counted = false;
    }
}
