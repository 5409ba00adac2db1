/* SPDX-License-Identifier: Apache-2.0 */
/* What a member says on a stream of watches: see etcd_watch.h. */
#include "etcd/watch/etcd_watch.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/proto_bytes.h"

enum {
    RESPONSE_ID = 2, /* fields of WatchResponse */
    RESPONSE_CANCELED = 4,
    RESPONSE_COMPACTED = 5,
    RESPONSE_REASON = 6,
    RESPONSE_FRAGMENT = 7
};

static void send_all(struct watch_stream *stream, const struct slice *responses, size_t count);
static size_t part_end(struct slice events, size_t from);
static size_t event_end(struct slice events, size_t at);

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
    const struct node_office office = node_port_office(etcd->port);
    const struct etcd_identity identity = etcd_identity(etcd, office.term);
    etcd_reply_put_header(out, &identity, revision);
    if (id != 0) {
        proto_put_number(out, RESPONSE_ID, (uint64_t)id);
    }
}

void watch_send(struct watch_stream *stream, struct slice response)
{
    send_all(stream, &response, 1);
}

bool watch_has_room(const struct watch_stream *stream, size_t len)
{
    size_t queued = stream->to == NULL ? 0 : stream->sink->queued(stream->to);
    return queued == 0 ||
           (queued + len <= WATCH_QUEUE_BYTES_MAX && len <= stream->sink->room(stream->to));
}

/* A client puts the parts together again, and gets confused by what comes between them. */
void watch_send_events(struct watcher *watcher, int64_t reached)
{
    struct watch_stream *stream = watcher->stream;
    const struct slice events = buf_view(&watcher->pending);
    const size_t parts_max = 2 * events.len / WATCH_FRAGMENT_BYTES_MAX + 1;
    struct slice *parts = mem_new_array(parts_max, sizeof(*parts));
    struct buf bytes = {0};
    size_t count = 0;
    for (size_t from = 0, end = 0; from < events.len; from = end) {
        end = watcher->fragment ? part_end(events, from) : events.len;
        size_t start = bytes.len;
        watch_put_head_at(stream, watcher->id, reached, &bytes);
        if (end < events.len) {
            proto_put_number(&bytes, RESPONSE_FRAGMENT, 1);
        }
        buf_append(&bytes, events.data + from, end - from);
        CHECK(count < parts_max);
        parts[count++].len = bytes.len - start;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        parts[i].data = bytes.data + at;
        at += parts[i].len;
    }
    buf_deinit(&watcher->pending);
    send_all(stream, parts, count);
    buf_deinit(&bytes);
    mem_free(parts);
}

void watch_cancel(struct watcher *watcher, int64_t compacted, const char *reason)
{
    struct watch_stream *stream = watcher->stream;
    watch_stream_leave(watcher);
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

void watch_tell_progress(struct watch_stream *stream)
{
    const struct watcher *watcher = NULL;
    TAILQ_FOREACH(watcher, &stream->watchers, siblings)
    {
        if (watcher->progress && !watcher->lagging && !stream->full) {
            struct buf response = {0};
            watch_put_head(stream, watcher->id, &response);
            watch_send(stream, buf_view(&response));
            buf_deinit(&response);
        }
    }
}

void watch_ask_progress(struct watch_stream *stream)
{
    stream->progress_last = (int64_t)stream->hub->etcd->revision;
    if (!stream->wants_progress) {
        stream->progress_first = stream->progress_last;
        watch_stream_want_progress(stream, true);
    }
    watch_answer_progress(stream);
}

/* Events of a revision may still be on their way from the history when the write that made it is
 * answered: then the answer waits for them, as etcd's does, whose writes and watches share a lock.
 */
void watch_answer_progress(struct watch_stream *stream)
{
    struct watch_hub *hub = stream->hub;
    if (!stream->wants_progress || stream->lagging > 0 || hub->revision < stream->progress_first) {
        return;
    }
    bool is_last = hub->revision >= stream->progress_last;
    stream->progress_first = stream->progress_last;
    watch_stream_want_progress(stream, !is_last);
    struct buf response = {0};
    watch_put_head(stream, WATCH_ID_NONE, &response);
    watch_send(stream, buf_view(&response));
    buf_deinit(&response);
}

static void send_all(struct watch_stream *stream, const struct slice *responses, size_t count)
{
    CHECK(stream->hub->walking);
    if (stream->to == NULL) {
        return;
    }
    enum error error = stream->sink->send_all(stream->to, responses, count);
    if (error != ERR_OK) {
        watch_finish(stream, ETCD_SLOW_WATCHER);
    } else if (stream->to != NULL && stream->sink->queued(stream->to) > WATCH_STREAM_BYTES_MAX) {
        stream->full = true;
    }
}

/* As many whole events as fit, but one. */
static size_t part_end(struct slice events, size_t from)
{
    size_t end = event_end(events, from);
    while (end < events.len) {
        size_t next = event_end(events, end);
        if (next - from > WATCH_FRAGMENT_BYTES_MAX) {
            break;
        }
        end = next;
    }
    return end;
}

/* Of the event at `at`, as we encoded it: a tag of one byte, its length, itself. */
static size_t event_end(struct slice events, size_t at)
{
    size_t len = 0;
    unsigned shift = 0;
    uint8_t byte = 0;
    do {
        byte = events.data[++at];
        len |= (size_t)(byte & 0x7fU) << shift;
        shift += 7;
    } while (byte >= 0x80);
    CHECK(at + 1 + len <= events.len);
    return at + 1 + len;
}
