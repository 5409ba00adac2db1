/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets what of the history: see etcd_watch.h. */
#include "coordinator/etcd_watch.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

static struct watch_list *list_of(struct watch_hub *hub, const struct watcher *watcher);
static void list_append(struct watch_list *list, struct watcher *watcher);
static void list_leave(struct watcher *watcher);
static void enter_synced(struct watch_hub *hub, struct watcher *watcher);
static void enter_lagging(struct watch_hub *hub, struct watcher *watcher, int64_t next_revision);
static struct watcher *next_laggard(struct watch_hub *hub);
static void leave(struct watch_hub *hub, struct watcher *watcher);
static bool is_done(const struct watch_hub *hub, const struct watcher *watcher);
static void read_live(struct watch_hub *hub);
static void read_lagging(struct watch_hub *hub, struct watcher *watcher);
static void take_live(struct watch_hub *hub, const struct watch_slice *slice);
static void take_lagging(struct watch_hub *hub, const struct watch_slice *slice);
static void match_event(struct watcher *first,
                        const struct watch_slice *slice,
                        const struct watch_event *event,
                        struct watcher **touched);
static bool take_event(struct watcher *watcher,
                       const struct watch_slice *slice,
                       const struct watch_event *event);
static void flush(struct watcher *watcher, int64_t reached);
static void answer_waiting_progress(struct watch_hub *hub);
static int64_t first_wanted(const struct watcher *watcher, const struct watch_slice *slice);

void watch_hub_add(struct watch_hub *hub, struct watcher *watcher)
{
    hub->count++;
    if (is_done(hub, watcher)) {
        enter_synced(hub, watcher);
    } else {
        enter_lagging(hub, watcher, watcher->next_revision);
    }
}

void watch_hub_remove(struct watch_hub *hub, struct watcher *watcher)
{
    leave(hub, watcher);
    if (hub->catching_up == watcher) {
        hub->catching_up = NULL;
    }
    hub->count--;
    buf_deinit(&watcher->pending);
    mem_free(watcher);
}

void watch_hub_on_drain(struct watch_stream *stream)
{
    if (!stream->full) {
        return;
    }
    stream->full = false;
    while (stream->parked.first != NULL) {
        struct watcher *watcher = stream->parked.first;
        list_leave(watcher);
        list_append(&stream->hub->lagging, watcher);
    }
    watch_hub_run(stream->hub);
}

void watch_hub_run(struct watch_hub *hub)
{
    if (hub->reading || hub->walking) {
        return;
    }
    if (hub->synced == 0 && hub->revision < (int64_t)hub->etcd->revision) {
        hub->revision = (int64_t)hub->etcd->revision;
    }
    bool live = hub->revision < (int64_t)hub->etcd->revision;
    struct watcher *laggard = live && !hub->laggards_turn ? NULL : next_laggard(hub);
    hub->laggards_turn = laggard == NULL;
    if (laggard != NULL) {
        read_lagging(hub, laggard);
    } else if (live) {
        read_live(hub);
    } else {
        answer_waiting_progress(hub);
    }
}

void watch_hub_on_slice(struct watch_slice *slice)
{
    struct watch_hub *hub = slice->hub;
    CHECK(!hub->walking);
    hub->walking = true;
    if (slice->filtered) {
        take_lagging(hub, slice);
    } else {
        take_live(hub, slice);
    }
    hub->walking = false;
    watch_slice_free(slice);
    watch_sweep(hub);
    watch_hub_run(hub);
}

static struct watch_list *list_of(struct watch_hub *hub, const struct watcher *watcher)
{
    if (watcher->end_len > 0) {
        return &hub->ranges;
    }
    return &hub->buckets[hash_xxh3(watcher->bytes, watcher->key_len, 0) % WATCH_BUCKETS];
}

static void list_append(struct watch_list *list, struct watcher *watcher)
{
    CHECK(watcher->list == NULL);
    watcher->list = list;
    watcher->next = NULL;
    watcher->previous = list->last;
    if (list->last != NULL) {
        list->last->next = watcher;
    } else {
        list->first = watcher;
    }
    list->last = watcher;
}

static void list_leave(struct watcher *watcher)
{
    struct watch_list *list = watcher->list;
    if (list == NULL) {
        return;
    }
    if (watcher->previous != NULL) {
        watcher->previous->next = watcher->next;
    } else {
        list->first = watcher->next;
    }
    if (watcher->next != NULL) {
        watcher->next->previous = watcher->previous;
    } else {
        list->last = watcher->previous;
    }
    watcher->list = NULL;
}

static void enter_synced(struct watch_hub *hub, struct watcher *watcher)
{
    watcher->lagging = false;
    hub->synced++;
    hub->synced_prev_kv += watcher->prev_kv ? 1 : 0;
    list_append(list_of(hub, watcher), watcher);
}

static void enter_lagging(struct watch_hub *hub, struct watcher *watcher, int64_t next_revision)
{
    struct watch_stream *stream = watcher->stream;
    watcher->lagging = true;
    watcher->next_revision = next_revision;
    list_append(stream->full ? &stream->parked : &hub->lagging, watcher);
}

/* Takes the next out of its list, and parks those before it whose streams have become full. */
static struct watcher *next_laggard(struct watch_hub *hub)
{
    struct watcher *watcher = hub->lagging.first;
    while (watcher != NULL && watcher->stream->full) {
        list_leave(watcher);
        list_append(&watcher->stream->parked, watcher);
        watcher = hub->lagging.first;
    }
    if (watcher != NULL) {
        list_leave(watcher);
    }
    return watcher;
}

static void leave(struct watch_hub *hub, struct watcher *watcher)
{
    list_leave(watcher);
    if (!watcher->lagging) {
        CHECK(hub->synced > 0);
        hub->synced--;
        hub->synced_prev_kv -= watcher->prev_kv ? 1 : 0;
    }
}

/* It needs nothing that synced watchers have had already. */
static bool is_done(const struct watch_hub *hub, const struct watcher *watcher)
{
    return watcher->next_revision > hub->revision;
}

static void read_live(struct watch_hub *hub)
{
    struct watch_slice *slice = mem_new(sizeof(*slice));
    slice->hub = hub;
    slice->from = hub->revision + 1;
    slice->prev_kv = hub->synced_prev_kv > 0;
    watch_slice_read(slice);
}

static void read_lagging(struct watch_hub *hub, struct watcher *watcher)
{
    struct watch_slice *slice = mem_new(sizeof(*slice));
    slice->hub = hub;
    slice->from = watcher->next_revision;
    slice->prev_kv = watcher->prev_kv;
    slice->filtered = true;
    buf_append(&slice->own_keys, watcher->bytes, watcher->key_len + watcher->end_len);
    slice->key = slice_of(slice->own_keys.data, watcher->key_len);
    slice->end = slice_of(slice->own_keys.data + watcher->key_len, watcher->end_len);
    hub->catching_up = watcher;
    watch_slice_read(slice);
}

/* A slice for all who are synced. The compacted history cannot be ahead of them: it was theirs, and
 * if it is gone nevertheless they are told so as laggards. */
static void take_live(struct watch_hub *hub, const struct watch_slice *slice)
{
    struct watcher *touched = NULL;
    if (slice->error != KV_OK) {
        for (struct watch_stream *stream = hub->streams; stream != NULL; stream = stream->next) {
            for (struct watcher *watcher = stream->watchers; watcher != NULL;
                 watcher = watcher->stream_next) {
                if (!watcher->lagging && watcher->next_revision <= slice->position.revision) {
                    leave(hub, watcher);
                    enter_lagging(hub, watcher, first_wanted(watcher, slice));
                }
            }
        }
        hub->revision = slice->position.revision;
        return;
    }
    for (uint32_t i = 0; i < slice->count; i++) {
        const struct watch_event *event = &slice->events[i];
        uint64_t hash = hash_xxh3(slice->bytes.data + event->key_at, event->key_len, 0);
        match_event(hub->buckets[hash % WATCH_BUCKETS].first, slice, event, &touched);
        match_event(hub->ranges.first, slice, event, &touched);
    }
    hub->revision = slice->reached;
    for (struct watcher *watcher = touched; watcher != NULL; watcher = watcher->touched_next) {
        if (watcher->stream->full) {
            buf_deinit(&watcher->pending);
            leave(hub, watcher);
            enter_lagging(hub, watcher, first_wanted(watcher, slice));
        } else {
            flush(watcher, hub->revision);
        }
    }
}

static void take_lagging(struct watch_hub *hub, const struct watch_slice *slice)
{
    struct watcher *watcher = hub->catching_up;
    if (watcher == NULL) {
        return; /* it went away meanwhile */
    }
    if (slice->error != KV_OK) {
        watch_cancel(watcher, slice->position.compacted, etcd_error_text(ETCD_COMPACTED));
        return;
    }
    for (uint32_t i = 0; i < slice->count; i++) {
        (void)take_event(watcher, slice, &slice->events[i]);
    }
    watcher->next_revision = slice->reached + 1;
    if (watcher->pending.len > 0) {
        flush(watcher, slice->reached);
    }
    hub->catching_up = NULL;
    if (is_done(hub, watcher)) {
        enter_synced(hub, watcher);
    } else {
        enter_lagging(hub, watcher, watcher->next_revision);
    }
}

static void match_event(struct watcher *first,
                        const struct watch_slice *slice,
                        const struct watch_event *event,
                        struct watcher **touched)
{
    const struct slice key = slice_of(slice->bytes.data + event->key_at, event->key_len);
    for (struct watcher *watcher = first; watcher != NULL; watcher = watcher->next) {
        const struct slice from = slice_of(watcher->bytes, watcher->key_len);
        const struct slice end = slice_of(watcher->bytes + watcher->key_len, watcher->end_len);
        bool fresh = watcher->pending.len == 0;
        if (watcher->next_revision <= event->revision && watch_range_has(from, end, key) &&
            take_event(watcher, slice, event) && fresh) {
            watcher->touched_next = *touched;
            *touched = watcher;
        }
    }
}

static bool take_event(struct watcher *watcher,
                       const struct watch_slice *slice,
                       const struct watch_event *event)
{
    if (event->deleted ? watcher->no_delete : watcher->no_put) {
        return false;
    }
    bool full = watcher->prev_kv;
    buf_append(&watcher->pending,
               slice->bytes.data + (full ? event->full_at : event->plain_at),
               full ? event->full_len : event->plain_len);
    return true;
}

/* Sends what is pending: all that the watcher wants up to `reached`. */
static void flush(struct watcher *watcher, int64_t reached)
{
    struct watch_stream *stream = watcher->stream;
    struct buf response = watcher->pending;
    watcher->pending = (struct buf){0};
    watch_put_head_at(stream, watcher->id, reached, &response);
    watch_send(stream, buf_view(&response));
    buf_deinit(&response);
}

static void answer_waiting_progress(struct watch_hub *hub)
{
    hub->walking = true;
    for (struct watch_stream *stream = hub->streams; stream != NULL; stream = stream->next) {
        if (stream->progress_wanted) {
            watch_answer_progress(stream);
        }
    }
    hub->walking = false;
    watch_sweep(hub);
}

/* Of a synced watcher that did not get this slice. */
static int64_t first_wanted(const struct watcher *watcher, const struct watch_slice *slice)
{
    return watcher->next_revision > slice->from ? watcher->next_revision : slice->from;
}
