/* SPDX-License-Identifier: Apache-2.0 */
/* etcdserverpb.Watch: the calls of clients. What they ask is in etcd_watch_request.c, who gets
 * which events in etcd_watch_hub.c. */
#include "etcd/watch/etcd_watch.h"

#include "base/check.h"
#include "etcd/etcd_call.h"

static void on_start(struct server_call *call, void *ctx);
static void on_message(struct server_call *call, struct slice message, void *ctx);
static void on_end(struct server_call *call, void *ctx);
static void on_cancel(struct server_call *call, void *ctx);
static void on_drain(struct server_call *call, void *ctx);
static enum error send_all(void *to, const struct slice *messages, size_t count);
static size_t queued(const void *to);
static size_t room(const void *to);
static void end(void *to, enum etcd_error error);

static const struct watch_sink calls = {
    .send_all = send_all,
    .queued = queued,
    .room = room,
    .end = end,
};

void etcd_watch_init(struct etcd *etcd, struct server_method *methods, size_t *count)
{
    etcd->watches = watch_hub_new(etcd);
    methods[(*count)++] = (struct server_method){
        .path = "/etcdserverpb.Watch/Watch",
        .kind = SERVER_BIDI,
        .on_start = on_start,
        .on_message = on_message,
        .on_end = on_end,
        .ctx = etcd->watches,
    };
}

void etcd_watch_deinit(struct etcd *etcd)
{
    watch_hub_free(etcd->watches);
    etcd->watches = NULL;
}

void etcd_watch_end_all(struct etcd *etcd, enum etcd_error error, bool only_needing_leader)
{
    struct watch_hub *hub = etcd->watches;
    struct watch_stream *stream = NULL;
    hub->walking = true;
    TAILQ_FOREACH(stream, &hub->streams, others)
    {
        if (!only_needing_leader || stream->needs_leader) {
            watch_finish(stream, error);
        }
    }
    hub->walking = false;
    watch_sweep(hub);
}

void etcd_watch_progress(struct etcd *etcd)
{
    struct watch_hub *hub = etcd->watches;
    struct watch_stream *stream = NULL;
    hub->walking = true;
    TAILQ_FOREACH(stream, &hub->streams, others)
    {
        watch_tell_progress(stream);
    }
    hub->walking = false;
    watch_sweep(hub);
    watch_hub_run(hub);
}

void etcd_watch_advance(struct etcd *etcd)
{
    watch_hub_run(etcd->watches);
}

static void on_start(struct server_call *call, void *ctx)
{
    struct watch_hub *hub = ctx;
    if (!etcd_call_may_begin(hub->etcd, call)) {
        return;
    }
    if (hub->etcd->draining) {
        etcd_call_fail(call, ETCD_STOPPED);
        return;
    }
    struct watch_stream *stream =
        watch_stream_open(hub, &calls, call, etcd_call_needs_leader(call));
    server_call_set_user(call, stream);
    server_call_set_cancel(call, on_cancel, stream);
    server_call_set_drain(call, on_drain, stream);
}

static void on_message(struct server_call *call, struct slice message, void *ctx)
{
    (void)ctx;
    watch_stream_asked(server_call_user(call), message);
}

/* A client that asks for nothing more still wants to hear: the stream goes on until it cancels. */
static void on_end(struct server_call *call, void *ctx)
{
    (void)call;
    (void)ctx;
}

static void on_cancel(struct server_call *call, void *ctx)
{
    struct watch_stream *stream = ctx;
    CHECK(stream->to == call);
    watch_stream_gone(stream);
}

static void on_drain(struct server_call *call, void *ctx)
{
    (void)call;
    watch_hub_on_drain(ctx);
}

static enum error send_all(void *to, const struct slice *messages, size_t count)
{
    return server_call_send_all(to, messages, count);
}

static size_t queued(const void *to)
{
    return server_call_queued_bytes(to);
}

static size_t room(const void *to)
{
    return server_call_room(to);
}

static void end(void *to, enum etcd_error error)
{
    etcd_call_fail(to, error);
}
