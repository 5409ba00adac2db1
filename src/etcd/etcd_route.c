/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_route.h, and etcd_op.h for the diagram. What finds no leader waits for one until its
 * deadline, so that a client sees an election as a pause and not as an error. */
#include "etcd/etcd_route.h"

#include "base/check.h"
#include "base/clock.h"
#include "etcd/etcd_forward.h"
#include "etcd/etcd_reads.h"
#include "etcd/etcd_writes.h"

enum {
    FLUSH_ROUNDS_MAX = 8
};

static enum etcd_op_state way_of(const struct etcd_op *op);
static bool is_local(const struct etcd_op *op);
static void route_returned(struct etcd *etcd);
static void refuse_misled(struct etcd *etcd);
static void answer_members(struct etcd *etcd);
static bool has_work(const struct etcd *etcd);

void etcd_route(struct etcd_op *op)
{
    etcd_op_enter(op, way_of(op));
}

bool etcd_route_flush(struct etcd *etcd)
{
    bool any = has_work(etcd);
    for (uint32_t round = 0; round < FLUSH_ROUNDS_MAX && has_work(etcd); round++) {
        route_returned(etcd);
        refuse_misled(etcd);
        answer_members(etcd);
        etcd_writes_flush(etcd);
        etcd_reads_flush(etcd);
        etcd_forward_flush(etcd);
    }
    return any;
}

void etcd_route_leader_changed(struct etcd *etcd)
{
    static const enum etcd_op_state by_leader[] = {ETCD_OP_WAITING,
                                                   ETCD_OP_READ,
                                                   ETCD_OP_WRITE,
                                                   ETCD_OP_CROWDED,
                                                   ETCD_OP_FORWARD,
                                                   ETCD_OP_INDEX};

    for (size_t i = 0; i < ARRAY_LEN(by_leader); i++) {
        etcd_ops_enter(&etcd->queues[by_leader[i]], ETCD_OP_RETURNED);
    }
}

void etcd_route_on_timer(struct etcd *etcd)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct etcd_ops all = etcd->queues[ETCD_OP_WAITING];
    struct etcd_op *op = NULL;
    etcd->queues[ETCD_OP_WAITING] = (struct etcd_ops){.count = 0};
    while ((op = etcd_ops_pop(&all)) != NULL) {
        if (etcd->draining || op->deadline_ms <= now_ms) {
            etcd_op_fail(op, etcd->draining ? ETCD_STOPPED : ETCD_TIMEOUT);
        } else {
            etcd_op_enter(op, ETCD_OP_RETURNED);
        }
    }
}

static enum etcd_op_state way_of(const struct etcd_op *op)
{
    const struct node_office office = node_port_office(op->etcd->port);
    if (is_local(op)) {
        return ETCD_OP_LOCAL;
    }
    if (op->method->kind == ETCD_MEMBER) {
        return ETCD_OP_MEMBER;
    }
    if (office.leads) {
        return op->method->kind == ETCD_WRITE ? ETCD_OP_WRITE : ETCD_OP_READ;
    }
    if (op->passed_on) {
        return ETCD_OP_MISLED; /* its sender finds the next leader by itself */
    }
    if (office.leader == NULL) {
        return ETCD_OP_WAITING;
    }
    return op->method->kind == ETCD_READ ? ETCD_OP_INDEX : ETCD_OP_FORWARD;
}

static bool is_local(const struct etcd_op *op)
{
    return op->method->is_local != NULL && op->method->is_local(op);
}

static void route_returned(struct etcd *etcd)
{
    struct etcd_op *op = NULL;
    while ((op = etcd_ops_pop(&etcd->queues[ETCD_OP_RETURNED])) != NULL) {
        if (etcd->draining) {
            etcd_op_fail(op, ETCD_STOPPED);
        } else {
            etcd_route(op);
        }
    }
}

static void refuse_misled(struct etcd *etcd)
{
    etcd_ops_fail(&etcd->queues[ETCD_OP_MISLED], ETCD_NOT_LEADER);
}

static void answer_members(struct etcd *etcd)
{
    struct etcd_op *op = NULL;
    while ((op = etcd_ops_pop(&etcd->queues[ETCD_OP_MEMBER])) != NULL) {
        op->method->answer(op);
    }
}

/* What may be brought now; the rest waits for something in flight to come back. */
static bool has_work(const struct etcd *etcd)
{
    return etcd_ops_in(etcd, ETCD_OP_RETURNED) > 0 || etcd_ops_in(etcd, ETCD_OP_MISLED) > 0 ||
           etcd_ops_in(etcd, ETCD_OP_MEMBER) > 0 || etcd_writes_can_go(etcd) ||
           etcd_reads_can_go(etcd) || etcd_forward_can_go(etcd);
}
