/* SPDX-License-Identifier: Apache-2.0 */
/* Which way an operation goes, and the flush that brings a turn's operations together: see
 * etcd_internal.h. What finds no leader waits for one until its deadline, so that a client sees an
 * election as a pause and not as an error. */
#include "etcd/etcd_internal.h"

#include "base/check.h"
#include "base/clock.h"

enum {
    FLUSH_ROUNDS_MAX = 8
};

static bool is_local(const struct etcd_op *op);
static void answer_simple(struct etcd *etcd);
static bool has_work(const struct etcd *etcd);

void etcd_route(struct etcd_op *op)
{
    struct etcd *etcd = op->etcd;
    const struct node_office office = node_port_office(etcd->port);
    if (is_local(op)) {
        etcd_ops_push(&etcd->local, op);
    } else if (op->method->kind == ETCD_MEMBER) {
        etcd_ops_push(&etcd->simple, op);
    } else if (office.leads) {
        etcd_ops_push(op->method->kind == ETCD_WRITE ? &etcd->writes : &etcd->reads, op);
    } else if (op->passed_on) {
        etcd_ops_push(&etcd->misled, op); /* its sender finds the next leader by itself */
    } else if (office.leader == NULL) {
        etcd_ops_push(&etcd->homeless, op);
    } else if (op->method->kind == ETCD_READ) {
        etcd_ops_push(&etcd->indexed, op);
    } else {
        etcd_ops_push(&etcd->forwards, op);
    }
}

void etcd_route_again(struct etcd_ops *ops)
{
    struct etcd_ops all = *ops;
    *ops = (struct etcd_ops){0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        if (op->etcd->draining) {
            etcd_op_fail(op, ETCD_STOPPED);
        } else {
            etcd_route(op);
        }
    }
}

bool etcd_route_flush(struct etcd *etcd)
{
    bool any = has_work(etcd);
    for (uint32_t round = 0; round < FLUSH_ROUNDS_MAX && has_work(etcd); round++) {
        etcd_ops_fail(&etcd->misled, ETCD_NOT_LEADER);
        answer_simple(etcd);
        etcd_writes_flush(etcd);
        etcd_reads_flush(etcd);
        etcd_forward_flush(etcd);
    }
    any |= etcd_relay_flush(etcd);
    return any;
}

void etcd_route_leader_changed(struct etcd *etcd)
{
    etcd_lease_leader_changed(etcd);
    etcd_route_again(&etcd->homeless);
    etcd_route_again(&etcd->reads);
    etcd_route_again(&etcd->writes);
    etcd_route_again(&etcd->crowded);
    etcd_route_again(&etcd->forwards);
    etcd_route_again(&etcd->indexed);
}

void etcd_route_later(struct etcd *etcd, struct etcd_ops *ops)
{
    for (struct etcd_op *op = etcd_ops_pop(ops); op != NULL; op = etcd_ops_pop(ops)) {
        etcd_ops_push(&etcd->homeless, op);
    }
}

void etcd_route_on_timer(struct etcd *etcd)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct etcd_ops all = etcd->homeless;
    etcd->homeless = (struct etcd_ops){0};
    for (struct etcd_op *op = etcd_ops_pop(&all); op != NULL; op = etcd_ops_pop(&all)) {
        if (etcd->draining || op->deadline_ms <= now_ms) {
            etcd_op_fail(op, etcd->draining ? ETCD_STOPPED : ETCD_TIMEOUT);
        } else {
            etcd_route(op);
        }
    }
}

static bool is_local(const struct etcd_op *op)
{
    return op->method->is_local != NULL && op->method->is_local(op);
}

static void answer_simple(struct etcd *etcd)
{
    for (struct etcd_op *op = etcd_ops_pop(&etcd->simple); op != NULL;
         op = etcd_ops_pop(&etcd->simple)) {
        op->method->answer(op);
    }
}

/* What may be brought now; the rest waits for something in flight to come back. */
static bool has_work(const struct etcd *etcd)
{
    return (etcd->local.count > 0 && !etcd_visits_wait(etcd)) || etcd->writes.count > 0 ||
           etcd->misled.count > 0 || etcd->simple.count > 0 ||
           (etcd->crowded.count > 0 && !etcd->crowded_in_flight) ||
           (etcd->reads.count > 0 && etcd->reads_in_flight < ETCD_READS_IN_FLIGHT_MAX) ||
           (etcd->forwards.count > 0 && etcd->forwards_in_flight < ETCD_FORWARDS_IN_FLIGHT_MAX) ||
           (etcd->indexed.count > 0 && etcd->indexes_in_flight < ETCD_READS_IN_FLIGHT_MAX);
}
