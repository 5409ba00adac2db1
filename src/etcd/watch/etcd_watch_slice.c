/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of history for watchers: read and encoded on the apply thread, whole revisions only, and
 * never so much that others wait long. */
#include "etcd/watch/etcd_watch.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    RESPONSE_EVENTS = 11 /* field of WatchResponse */
};

struct visit {
    struct watch_slice *slice;
    const struct tables *tables;
    int64_t revision; /* of the latest event */
    uint32_t count;   /* of the slice, before that revision */
    size_t bytes;     /* likewise */
    bool stopped;
};

static bool is_open(struct slice end);
static void run(const struct tables *tables, void *ctx);
static bool visit_event(const struct kv_event *event, void *ctx);
static void add(struct visit *visit, const struct kv_event *event);
static void encode(struct visit *visit, const struct kv_event *event, struct watch_event *to);
static void done(const struct node_port_answer *answer, void *ctx);

void watch_slice_read(struct watch_slice *slice)
{
    slice->hub->reading = true;
    slice->response_bytes_max = slice->hub->response_bytes_max;
    node_port_query(
        slice->hub->etcd->port, run, (struct node_port_waiter){.done = done, .ctx = slice});
}

void watch_slice_free(struct watch_slice *slice)
{
    buf_deinit(&slice->bytes);
    buf_deinit(&slice->own_keys);
    mem_free(slice->events);
    mem_free(slice);
}

bool watch_range_is_empty(struct slice key, struct slice end)
{
    return !is_open(end) && end.len > 0 && slice_compare(key, end) >= 0;
}

bool watch_range_has(struct slice key, struct slice end, struct slice candidate)
{
    if (end.len == 0) {
        return slice_equal(key, candidate);
    }
    return slice_compare(key, candidate) <= 0 &&
           (is_open(end) || slice_compare(candidate, end) < 0);
}

/* One zero byte stands for no end. */
static bool is_open(struct slice end)
{
    return end.len == 1 && end.data[0] == 0;
}

/* On the apply thread, as are the next two. */
static void run(const struct tables *tables, void *ctx)
{
    struct watch_slice *slice = ctx;
    struct visit visit = {.slice = slice, .tables = tables};
    kv_position(tables, &slice->position);
    slice->reached = slice->from - 1;
    slice->error = slice->filtered ? kv_events(tables, slice->from, visit_event, &visit)
                                   : kv_events_unswept(tables, slice->from, visit_event, &visit);
    if (slice->error == KV_OK && !visit.stopped) {
        slice->reached = slice->position.revision;
    }
}

static bool visit_event(const struct kv_event *event, void *ctx)
{
    struct visit *visit = ctx;
    struct watch_slice *slice = visit->slice;
    if (event->pair.mod_revision != visit->revision) {
        /* Everything before this revision is complete. */
        slice->reached = event->pair.mod_revision - 1;
        if (slice->bytes.len > WATCH_SLICE_BYTES_MAX || slice->looked_at > slice->events_max ||
            slice->too_large) {
            visit->stopped = true;
            return false;
        }
        visit->revision = event->pair.mod_revision;
        visit->count = slice->count;
        visit->bytes = slice->bytes.len;
    }
    slice->looked_at++;
    if (slice->filtered && !watch_range_has(slice->key, slice->end, event->pair.key)) {
        return true;
    }
    add(visit, event);
    size_t bytes = slice->bytes.len - visit->bytes;
    bool too_large =
        bytes > (slice->filtered ? slice->response_bytes_max : WATCH_REVISION_BYTES_MAX);
    if (too_large && visit->count > 0) {
        /* The next slice begins with it. */
        slice->count = visit->count;
        slice->bytes.len = visit->bytes;
        visit->stopped = true;
        return false;
    }
    slice->too_large = too_large;
    visit->stopped = too_large && slice->filtered;
    return !visit->stopped;
}

static void add(struct visit *visit, const struct kv_event *event)
{
    struct watch_slice *slice = visit->slice;
    if (slice->count == slice->cap) {
        slice->cap = slice->cap == 0 ? 16 : slice->cap * 2;
        slice->events = mem_resize(slice->events, slice->cap * sizeof(*slice->events));
    }
    struct watch_event *to = &slice->events[slice->count++];
    *to = (struct watch_event){
        .revision = event->pair.mod_revision,
        .deleted = event->deleted,
        .key_at = (uint32_t)slice->bytes.len,
        .key_len = (uint32_t)event->pair.key.len,
    };
    buf_append(&slice->bytes, event->pair.key.data, event->pair.key.len);
    if (!slice->too_large) {
        encode(visit, event, to);
    }
}

/* A slice of one watcher has only what that one is sent. */
static void encode(struct visit *visit, const struct kv_event *event, struct watch_event *to)
{
    struct watch_slice *slice = visit->slice;
    struct kv_pair before;
    bool has_before =
        slice->prev_kv &&
        kv_get(visit->tables, event->pair.key, event->pair.mod_revision - 1, &before) == ERR_OK;
    to->plain_at = (uint32_t)slice->bytes.len;
    if (!slice->filtered || !has_before) {
        etcd_reply_put_event(&slice->bytes, RESPONSE_EVENTS, event, NULL);
    }
    to->plain_len = (uint32_t)slice->bytes.len - to->plain_at;
    to->full_at = to->plain_at;
    to->full_len = to->plain_len;
    if (has_before) {
        to->full_at = (uint32_t)slice->bytes.len;
        etcd_reply_put_event(&slice->bytes, RESPONSE_EVENTS, event, &before);
        to->full_len = (uint32_t)slice->bytes.len - to->full_at;
    }
}

static void done(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    struct watch_slice *slice = ctx;
    slice->hub->reading = false;
    watch_hub_on_slice(slice);
}
