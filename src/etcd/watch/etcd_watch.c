/* SPDX-License-Identifier: Apache-2.0 */
/* etcdserverpb.Watch: the streams of clients, and what they ask. Who gets which events is in
 * etcd_watch_hub.c. */
#include "etcd/watch/etcd_watch.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "etcd/etcd_call.h"
#include "rpc/proto_bytes.h"

#include <string.h>

enum { /* WatchResponse */
    RESPONSE_CREATED = 3,
    RESPONSE_CANCELED = 4,
    RESPONSE_COMPACTED = 5,
    RESPONSE_REASON = 6
};

static void on_start(struct server_call *call, void *ctx);
static void on_message(struct server_call *call, struct slice message, void *ctx);
static void on_end(struct server_call *call, void *ctx);
static void on_cancel(struct server_call *call, void *ctx);
static void on_drain(struct server_call *call, void *ctx);
static void take(struct watch_stream *stream, const Etcdserverpb__WatchRequest *request);
static void create(struct watch_stream *stream, const Etcdserverpb__WatchCreateRequest *request);
static struct slice key_of(const Etcdserverpb__WatchCreateRequest *request);
static struct watcher *watcher_make(struct watch_stream *stream,
                                    const Etcdserverpb__WatchCreateRequest *request);
static bool choose_id(struct watch_stream *stream, int64_t wanted, int64_t *id_out);
static struct watcher *find(const struct watch_stream *stream, int64_t id);
static struct watcher **ids_of(const struct watch_stream *stream, int64_t id);
static void join_stream(struct watcher *watcher);
static void leave_stream(struct watcher *watcher);
static void refuse(struct watch_stream *stream, const char *reason);
static void cancel(struct watch_stream *stream, int64_t id);
static void free_stream(struct watch_stream *stream);

void etcd_watch_init(struct etcd *etcd, struct server_method *methods, size_t *count)
{
    struct watch_hub *hub = mem_new(sizeof(*hub));
    hub->etcd = etcd;
    hub->response_bytes_max = WATCH_RESPONSE_BYTES_MAX;
    etcd->watches = hub;
    methods[(*count)++] = (struct server_method){
        .path = "/etcdserverpb.Watch/Watch",
        .kind = SERVER_BIDI,
        .on_start = on_start,
        .on_message = on_message,
        .on_end = on_end,
        .ctx = hub,
    };
}

void etcd_watch_deinit(struct etcd *etcd)
{
    CHECK(etcd->watches->streams == NULL);
    mem_free(etcd->watches);
    etcd->watches = NULL;
}

void etcd_watch_end_all(struct etcd *etcd, enum etcd_error error, bool only_needing_leader)
{
    struct watch_hub *hub = etcd->watches;
    hub->walking = true;
    for (struct watch_stream *stream = hub->streams; stream != NULL; stream = stream->next) {
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
    hub->walking = true;
    for (struct watch_stream *stream = hub->streams; stream != NULL; stream = stream->next) {
        for (const struct watcher *watcher = stream->watchers; watcher != NULL;
             watcher = watcher->stream_next) {
            if (watcher->progress && !watcher->lagging && !stream->full) {
                struct buf response = {0};
                watch_put_head(stream, watcher->id, &response);
                watch_send(stream, buf_view(&response));
                buf_deinit(&response);
            }
        }
    }
    hub->walking = false;
    watch_sweep(hub);
    watch_hub_run(hub);
}

void etcd_watch_advance(struct etcd *etcd)
{
    watch_hub_run(etcd->watches);
}

void watch_cancel(struct watcher *watcher, int64_t compacted, const char *reason)
{
    struct watch_stream *stream = watcher->stream;
    leave_stream(watcher);
    struct buf response = {0};
    watch_put_head(stream, watcher->id, &response);
    proto_put_number(&response, RESPONSE_CANCELED, 1);
    if (compacted != 0) {
        proto_put_number(&response, RESPONSE_COMPACTED, (uint64_t)compacted);
    }
    proto_put_text(&response, RESPONSE_REASON, reason == NULL ? "" : reason);
    watch_send(stream, buf_view(&response));
    buf_deinit(&response);
    watch_hub_remove(stream->hub, watcher);
}

void watch_sweep(struct watch_hub *hub)
{
    CHECK(!hub->walking);
    struct watch_stream *next = NULL;
    for (struct watch_stream *stream = hub->streams; stream != NULL && hub->over > 0;
         stream = next) {
        next = stream->next;
        if (stream->call == NULL) {
            hub->over--;
            free_stream(stream);
        }
    }
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
    struct watch_stream *stream = mem_new(sizeof(*stream));
    stream->hub = hub;
    stream->call = call;
    stream->needs_leader = etcd_call_needs_leader(call);
    stream->next = hub->streams;
    if (hub->streams != NULL) {
        hub->streams->previous = stream;
    }
    hub->streams = stream;
    server_call_set_user(call, stream);
    server_call_set_cancel(call, on_cancel, stream);
    server_call_set_drain(call, on_drain, stream);
}

static void on_message(struct server_call *call, struct slice message, void *ctx)
{
    struct watch_hub *hub = ctx;
    struct watch_stream *stream = server_call_user(call);
    struct wire_arena arena;
    ProtobufCMessage *request = NULL;
    wire_arena_init(&arena, wire_arena_cap_for(message.len));
    hub->walking = true;
    if (wire_unpack(&etcdserverpb__watch_request__descriptor, message, &arena, &request) !=
        ERR_OK) {
        watch_finish(stream, ETCD_INVALID);
    } else {
        take(stream, (const void *)request);
    }
    hub->walking = false;
    wire_arena_deinit(&arena);
    watch_sweep(hub);
    watch_hub_run(hub);
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
    struct watch_hub *hub = stream->hub;
    CHECK(stream->call == call);
    stream->call = NULL;
    hub->over++;
    if (!hub->walking) {
        hub->over--;
        free_stream(stream);
    }
}

static void on_drain(struct server_call *call, void *ctx)
{
    (void)call;
    struct watch_stream *stream = ctx;
    watch_hub_on_drain(stream);
}

static void take(struct watch_stream *stream, const Etcdserverpb__WatchRequest *request)
{
    switch (request->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(stream, request->create_request);
        return;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(stream, request->cancel_request->watch_id);
        return;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        watch_ask_progress(stream);
        return;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION__NOT_SET:
    case _ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION__CASE_IS_INT_SIZE:
        return; /* one of a newer client: etcd passes over it, too */
    }
}

static void create(struct watch_stream *stream, const Etcdserverpb__WatchCreateRequest *request)
{
    struct watch_hub *hub = stream->hub;
    int64_t id = 0;
    if (hub->count >= WATCHERS_MAX) {
        refuse(stream, "etcdserver: this member has as many watchers as it may");
        return;
    }
    if (watch_range_is_empty(key_of(request), etcd_slice(request->range_end))) {
        refuse(stream, "mvcc: watcher range is empty");
        return;
    }
    if (!choose_id(stream, request->watch_id, &id)) {
        refuse(stream, "mvcc: duplicate watch ID provided on the WatchStream");
        return;
    }
    struct watcher *watcher = watcher_make(stream, request);
    watcher->id = id;
    join_stream(watcher);
    struct buf response = {0};
    watch_put_head_at(stream, id, (int64_t)hub->etcd->revision, &response);
    proto_put_number(&response, RESPONSE_CREATED, 1);
    watch_send(stream, buf_view(&response));
    buf_deinit(&response);
    watch_hub_add(hub, watcher);
}

/* The smallest key is one zero byte; an empty one stands for it. */
static struct slice key_of(const Etcdserverpb__WatchCreateRequest *request)
{
    static const uint8_t smallest[1] = {0};
    struct slice key = etcd_slice(request->key);
    return key.len == 0 ? slice_of(smallest, sizeof(smallest)) : key;
}

static struct watcher *watcher_make(struct watch_stream *stream,
                                    const Etcdserverpb__WatchCreateRequest *request)
{
    const struct etcd *etcd = stream->hub->etcd;
    const struct slice key = key_of(request);
    const struct slice end = etcd_slice(request->range_end);
    struct watcher *watcher = mem_new(sizeof(*watcher) + key.len + end.len);
    watcher->stream = stream;
    watcher->next_revision =
        request->start_revision > 0 ? request->start_revision : (int64_t)etcd->revision + 1;
    watcher->prev_kv = request->prev_kv;
    watcher->progress = request->progress_notify;
    watcher->fragment = request->fragment;
    for (size_t i = 0; i < request->n_filters; i++) {
        /* One that a newer client may know is passed over, as in etcd. */
        switch (request->filters[i]) {
        case ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT:
            watcher->no_put = true;
            break;
        case ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE:
            watcher->no_delete = true;
            break;
        case _ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE_IS_INT_SIZE:
            break;
        }
    }
    watcher->key_len = (uint32_t)key.len;
    watcher->end_len = (uint32_t)end.len;
    memcpy(watcher->bytes, key.data, key.len);
    if (end.len > 0) {
        memcpy(watcher->bytes + key.len, end.data, end.len);
    }
    return watcher;
}

static bool choose_id(struct watch_stream *stream, int64_t wanted, int64_t *id_out)
{
    if (wanted != 0) {
        stream->has_chosen_ids = true;
        *id_out = wanted;
        return wanted > 0 && find(stream, wanted) == NULL;
    }
    while (stream->has_chosen_ids && find(stream, stream->next_id) != NULL) {
        stream->next_id++;
    }
    *id_out = stream->next_id++;
    return true;
}

static struct watcher *find(const struct watch_stream *stream, int64_t id)
{
    struct watcher *watcher = *ids_of(stream, id);
    while (watcher != NULL && (watcher->id != id || watcher->stream != stream)) {
        watcher = watcher->id_next;
    }
    return watcher;
}

static struct watcher **ids_of(const struct watch_stream *stream, int64_t id)
{
    const uint64_t key[] = {(uint64_t)(uintptr_t)stream, (uint64_t)id};
    return &stream->hub->ids[hash_xxh3(key, sizeof(key), 0) % WATCH_BUCKETS];
}

static void join_stream(struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    struct watcher **ids = ids_of(stream, watcher->id);
    watcher->id_next = *ids;
    *ids = watcher;
    watcher->stream_next = stream->watchers;
    if (stream->watchers != NULL) {
        stream->watchers->stream_previous = watcher;
    }
    stream->watchers = watcher;
}

static void leave_stream(struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    struct watcher **link = ids_of(stream, watcher->id);
    while (*link != watcher) {
        CHECK(*link != NULL);
        link = &(*link)->id_next;
    }
    *link = watcher->id_next;
    if (watcher->stream_previous != NULL) {
        watcher->stream_previous->stream_next = watcher->stream_next;
    } else {
        stream->watchers = watcher->stream_next;
    }
    if (watcher->stream_next != NULL) {
        watcher->stream_next->stream_previous = watcher->stream_previous;
    }
}

/* A watcher that never was: created and cancelled in one word, as etcd says it. */
static void refuse(struct watch_stream *stream, const char *reason)
{
    struct buf response = {0};
    watch_put_head(stream, WATCH_ID_NONE, &response);
    proto_put_number(&response, RESPONSE_CREATED, 1);
    proto_put_number(&response, RESPONSE_CANCELED, 1);
    proto_put_text(&response, RESPONSE_REASON, reason);
    watch_send(stream, buf_view(&response));
    buf_deinit(&response);
}

static void cancel(struct watch_stream *stream, int64_t id)
{
    struct watcher *watcher = find(stream, id);
    if (watcher != NULL) {
        watch_cancel(watcher, 0, NULL);
    }
}

static void free_stream(struct watch_stream *stream)
{
    struct watch_hub *hub = stream->hub;
    while (stream->watchers != NULL) {
        struct watcher *watcher = stream->watchers;
        leave_stream(watcher);
        watch_hub_remove(hub, watcher);
    }
    hub->progress_wanted -= stream->progress_first != 0 ? 1 : 0;
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        hub->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    mem_free(stream);
}
