/* SPDX-License-Identifier: Apache-2.0 */
/* What a member says on a stream of watches: see etcd_watch.h. */
#include "coordinator/etcd_watch.h"

#include "base/check.h"
#include "rpc/proto_bytes.h"

enum {
    RESPONSE_ID = 2 /* field of WatchResponse */
};

void watch_put_head(const struct watch_stream *stream, int64_t id, struct buf *out)
{
    watch_put_head_at(stream, id, stream->hub->revision, out);
}

void watch_put_head_at(const struct watch_stream *stream,
                       int64_t id,
                       int64_t revision,
                       struct buf *out)
{
    const struct etcd *etcd = stream->hub->etcd;
    struct node_view view;
    node_view(etcd->node, &view);
    const struct etcd_identity identity = etcd_identity(etcd, view.term);
    etcd_reply_put_header(out, &identity, revision);
    if (id != 0) {
        proto_put_number(out, RESPONSE_ID, (uint64_t)id);
    }
}

void watch_send(struct watch_stream *stream, struct slice response)
{
    CHECK(stream->hub->walking);
    struct server_call *call = stream->call;
    if (call == NULL) {
        return;
    }
    enum error error = server_call_send(call, response);
    if (error != ERR_OK) {
        watch_finish(stream, ETCD_SLOW_WATCHER);
    } else if (stream->call != NULL &&
               server_call_queued_bytes(stream->call) > WATCH_STREAM_BYTES_MAX) {
        stream->full = true;
    }
}

void watch_answer_progress(struct watch_stream *stream)
{
    for (const struct watcher *watcher = stream->watchers; watcher != NULL;
         watcher = watcher->stream_next) {
        if (watcher->lagging) {
            stream->progress_wanted = true;
            return;
        }
    }
    stream->progress_wanted = false;
    struct buf response = {0};
    watch_put_head(stream, WATCH_ID_NONE, &response);
    watch_send(stream, buf_view(&response));
    buf_deinit(&response);
}

void watch_finish(struct watch_stream *stream, enum etcd_error error)
{
    struct server_call *call = stream->call;
    if (call == NULL) {
        return;
    }
    stream->call = NULL;
    stream->hub->over++;
    etcd_call_fail(call, error);
}
