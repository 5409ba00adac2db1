/* SPDX-License-Identifier: Apache-2.0 */
/* etcdserverpb.Lease/LeaseKeepAlive: a stream of questions, each an operation of its own that finds
 * the leader like any other, and an answer to each. */
#include "etcd/etcd_keep_alive.h"

#include "base/check.h"
#include "base/mem.h"
#include "etcd/etcd_call.h"
#include "etcd/etcd_methods.h"
#include "etcd/etcd_route.h"

enum {
    OPEN_MAX = 1000 /* unanswered questions of a stream; a client has no reason to have more */
};

struct keep_alive {
    TAILQ_ENTRY(keep_alive) others;
    struct etcd *etcd;
    struct server_call *call; /* NULL once it is over */
    bool needs_leader;
    uint32_t open;
    bool ended; /* the client asks no more */
};

/* All that are open. */
struct etcd_keep_alives {
    TAILQ_HEAD(keep_alive_list, keep_alive) streams;
};

static void on_start(struct server_call *call, void *ctx);
static void on_message(struct server_call *call, struct slice message, void *ctx);
static void on_end(struct server_call *call, void *ctx);
static void on_cancel(struct server_call *call, void *ctx);
static void on_answered(struct etcd_op *op);
static void finish(struct keep_alive *stream, enum etcd_error error);
static void free_if_over(struct keep_alive *stream);

void etcd_keep_alive_init(struct etcd *etcd, struct server_method *methods, size_t *count)
{
    etcd->keep_alives = mem_new(sizeof(*etcd->keep_alives));
    TAILQ_INIT(&etcd->keep_alives->streams);
    methods[(*count)++] = (struct server_method){
        .path = ETCD_KEEP_ALIVE,
        .kind = SERVER_BIDI,
        .on_start = on_start,
        .on_message = on_message,
        .on_end = on_end,
        .ctx = etcd,
    };
}

void etcd_keep_alive_deinit(struct etcd *etcd)
{
    mem_free(etcd->keep_alives);
    etcd->keep_alives = NULL;
}

/* What they asked and what was not answered yet ends with them. */
void etcd_keep_alive_no_leader(struct etcd *etcd)
{
    struct keep_alive *next = NULL;
    for (struct keep_alive *stream = TAILQ_FIRST(&etcd->keep_alives->streams); stream != NULL;
         stream = next) {
        next = TAILQ_NEXT(stream, others);
        if (stream->needs_leader) {
            finish(stream, ETCD_NO_LEADER);
            free_if_over(stream);
        }
    }
}

static void on_start(struct server_call *call, void *ctx)
{
    struct etcd *etcd = ctx;
    if (!etcd_call_may_begin(etcd, call)) {
        return;
    }
    struct keep_alive *stream = mem_new(sizeof(*stream));
    stream->etcd = etcd;
    stream->call = call;
    stream->needs_leader = etcd_call_needs_leader(call);
    TAILQ_INSERT_HEAD(&etcd->keep_alives->streams, stream, others);
    server_call_set_user(call, stream);
    server_call_set_cancel(call, on_cancel, stream);
}

static void on_message(struct server_call *call, struct slice message, void *ctx)
{
    (void)ctx;
    struct keep_alive *stream = server_call_user(call);
    struct etcd *etcd = stream->etcd;
    if (stream->open >= OPEN_MAX || etcd->ops >= ETCD_OPS_MAX || etcd->draining) {
        finish(stream, etcd->draining ? ETCD_STOPPED : ETCD_TOO_MANY);
        free_if_over(stream);
        return;
    }
    struct etcd_op *op = etcd_op_new(etcd, etcd_method_of_path(ETCD_KEEP_ALIVE));
    op->owner = stream;
    op->done = on_answered;
    if (!etcd_op_take(op, server_call_peer(call), message)) {
        etcd_op_free(op);
        finish(stream, ETCD_INVALID);
        free_if_over(stream);
        return;
    }
    stream->open++;
    etcd_route(op);
}

static void on_end(struct server_call *call, void *ctx)
{
    (void)ctx;
    struct keep_alive *stream = server_call_user(call);
    stream->ended = true;
    if (stream->open == 0) {
        finish(stream, ETCD_OK);
        free_if_over(stream);
    }
}

static void on_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    struct keep_alive *stream = ctx;
    stream->call = NULL;
    free_if_over(stream);
}

static void on_answered(struct etcd_op *op)
{
    struct keep_alive *stream = op->owner;
    CHECK(stream->open > 0);
    stream->open--;
    if (stream->call != NULL) {
        /* Counted while the call may end inside of sending. */
        stream->open++;
        enum error error = op->error == ETCD_OK
                               ? server_call_send(stream->call, buf_view(&op->reply))
                               : ERR_UNAVAILABLE;
        if (error != ERR_OK) {
            finish(stream, op->error == ETCD_OK ? ETCD_TOO_MANY : op->error);
        }
        stream->open--;
        if (stream->ended && stream->open == 0) {
            finish(stream, ETCD_OK);
        }
    }
    etcd_op_free(op);
    free_if_over(stream);
}

static void finish(struct keep_alive *stream, enum etcd_error error)
{
    struct server_call *call = stream->call;
    if (call != NULL) {
        stream->call = NULL;
        etcd_call_fail(call, error);
    }
}

static void free_if_over(struct keep_alive *stream)
{
    if (stream->call != NULL || stream->open > 0) {
        return;
    }
    TAILQ_REMOVE(&stream->etcd->keep_alives->streams, stream, others);
    mem_free(stream);
}
