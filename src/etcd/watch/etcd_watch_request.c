/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks on its stream of watches. */
#include "etcd/watch/etcd_watch.h"

#include "base/mem.h"
#include "rpc/proto_bytes.h"
#include "wire/wire_text.h"

#include <string.h>

enum { /* WatchResponse */
    RESPONSE_CREATED = 3,
    RESPONSE_CANCELED = 4,
    RESPONSE_REASON = 6
};

static void take(struct watch_stream *stream, const Etcdserverpb__WatchRequest *request);
static void create(struct watch_stream *stream, const Etcdserverpb__WatchCreateRequest *request);
static struct slice key_of(const Etcdserverpb__WatchCreateRequest *request);
static struct watcher *watcher_make(struct watch_stream *stream,
                                    const Etcdserverpb__WatchCreateRequest *request);
static bool choose_id(struct watch_stream *stream, int64_t wanted, int64_t *id_out);
static void refuse(struct watch_stream *stream, const char *reason);
static void cancel(struct watch_stream *stream, int64_t id);

void watch_stream_asked(struct watch_stream *stream, struct slice message)
{
    struct watch_hub *hub = stream->hub;
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
    watch_stream_join(watcher);
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
        return wanted > 0 && watch_stream_find(stream, wanted) == NULL;
    }
    while (stream->has_chosen_ids && watch_stream_find(stream, stream->next_id) != NULL) {
        stream->next_id++;
    }
    *id_out = stream->next_id++;
    return true;
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
    struct watcher *watcher = watch_stream_find(stream, id);
    if (watcher != NULL) {
        watch_cancel(watcher, 0, NULL);
    }
}
