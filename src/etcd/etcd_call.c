/* SPDX-License-Identifier: Apache-2.0 */
/* Unary calls of etcd's clients: who asks, one operation, its answer. A cancelled call loses its
 * `call` alone, since a write under way cannot be taken back. */
#include "etcd/etcd_call.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "etcd/etcd_route.h"

#include <string.h>

static bool is_client(struct etcd *etcd, struct server_call *call);
static bool
is_allowed_method(struct etcd *etcd, struct server_call *call, const struct etcd_method *method);
static void on_done(struct etcd_op *op);
static void on_cancel(struct server_call *call, void *ctx);

void etcd_call_on_message(struct server_call *call, struct slice message, void *ctx)
{
    const struct etcd_binding *binding = ctx;
    struct etcd *etcd = binding->etcd;
    front_count_request(etcd->front);
    if (!etcd_call_may_begin(etcd, call) || !is_allowed_method(etcd, call, binding->method)) {
        return;
    }
    if (etcd->ops >= ETCD_OPS_MAX || etcd->draining) {
        etcd_call_fail(call, etcd->draining ? ETCD_STOPPED : ETCD_TOO_MANY);
        return;
    }
    struct etcd_op *op = etcd_op_new(etcd, binding->method);
    op->owner = call;
    op->done = on_done;
    const char *actor = server_call_peer(call);
    if (!etcd_op_take(op, actor[0] == '\0' ? "without-tls" : actor, message)) {
        etcd_call_fail(call, op->error);
        etcd_op_free(op);
        return;
    }
    uint64_t remaining_ms = server_call_remaining_ms(call);
    if (remaining_ms < ETCD_TIMEOUT_MS) {
        op->deadline_ms = clock_monotonic_ms() + remaining_ms;
    }
    server_call_set_cancel(call, on_cancel, op);
    etcd_route(op);
}

bool etcd_call_may_begin(struct etcd *etcd, struct server_call *call)
{
    if (!is_client(etcd, call)) {
        return false;
    }
    const struct node_office office = node_port_office(etcd->port);
    if (office.leader == NULL && etcd_call_needs_leader(call)) {
        etcd_call_fail(call, ETCD_NO_LEADER);
        return false;
    }
    return true;
}

bool etcd_call_needs_leader(const struct server_call *call)
{
    const char *has_leader = server_call_metadata(call, "hasleader");
    return has_leader != NULL && strcmp(has_leader, "true") == 0;
}

static bool is_client(struct etcd *etcd, struct server_call *call)
{
    if (etcd->bench != NULL && server_call_server(call) == etcd->bench) {
        return true;
    }
    switch (front_role_of(etcd->front, server_call_peer(call))) {
    case FRONT_OPERATOR:
    case FRONT_MEMBER:
    case FRONT_CLIENT:
        return true;
    case FRONT_SIDECAR:
    case FRONT_NOBODY:
        break;
    }
    front_denied(etcd->front, call, "not a client, operator or member on record");
    etcd_call_fail(call, ETCD_DENIED);
    return false;
}

/* Of whoever may use this API at all. */
static bool
is_allowed_method(struct etcd *etcd, struct server_call *call, const struct etcd_method *method)
{
    enum front_role role = front_role_of(etcd->front, server_call_peer(call));
    if (!method->of_operators || role == FRONT_OPERATOR || role == FRONT_MEMBER) {
        return true;
    }
    front_denied(etcd->front, call, "not an operator or member");
    etcd_call_fail(call, ETCD_DENIED);
    return false;
}

void etcd_call_fail(struct server_call *call, enum etcd_error error)
{
    server_call_finish(call, etcd_error_status(error), etcd_error_text(error), slice_of(NULL, 0));
}

static void on_done(struct etcd_op *op)
{
    struct server_call *call = op->owner;
    if (call != NULL && op->error == ETCD_OK && op->reply.len > server_call_room(call)) {
        /* The client does not read, or many do not. A write was done all the same. */
        op->error = op->method->kind == ETCD_WRITE ? ETCD_OUTCOME_UNKNOWN : ETCD_TOO_MANY;
    }
    if (call != NULL && op->error != ETCD_OK) {
        etcd_call_fail(call, op->error);
    } else if (call != NULL) {
        server_call_reply(call, buf_view(&op->reply));
    }
    etcd_op_free(op);
}

static void on_cancel(struct server_call *call, void *ctx)
{
    struct etcd_op *op = ctx;
    CHECK(op->owner == call);
    op->owner = NULL;
    atomic_store_explicit(&op->cancelled, true, memory_order_relaxed);
}
