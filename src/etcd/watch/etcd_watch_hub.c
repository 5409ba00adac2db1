/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets what of the history: see etcd_watch.h. */
#include "etcd/watch/etcd_watch.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

static const char TOO_LARGE[] = "etcdserver: the changes of one revision are more than a response "
                                "may have: watch fewer keys, or "
                                "without their previous values";

static struct watch_list *list_of(struct watch_hub *hub, const struct watcher *watcher);
static void list_append(struct watch_list *list, struct watcher *watcher);
static void list_leave(struct watcher *watcher);
static void count_synced(struct watch_hub *hub, const struct watcher *watcher, int change);
static void set_lagging(struct watcher *watcher, bool lagging);
static void enter_synced(struct watch_hub *hub, struct watcher *watcher);
static void enter_lagging(struct watch_hub *hub, struct watcher *watcher, int64_t next_revision);
static struct watcher *next_laggard(struct watch_hub *hub);
static void leave(struct watch_hub *hub, struct watcher *watcher);
static bool is_done(const struct watch_hub *hub, const struct watcher *watcher);
static void read_live(struct watch_hub *hub);
static void read_lagging(struct watch_hub *hub, struct watcher *watcher);
static void take_live(struct watch_hub *hub, const struct watch_slice *slice);
static void take_lagging(struct watch_hub *hub, const struct watch_slice *slice);
static void deliver(struct watch_hub *hub, struct watcher *watcher);
static void deliver_held(struct watch_hub *hub, struct watcher *watcher);
static void unpark(struct watch_stream *stream);
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
    struct watch_stream *stream = watcher->stream;
    set_lagging(watcher, false);
    if (stream->held == watcher) {
        stream->held = NULL;
        if (!stream->full) {
            unpark(stream);
        }
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
    unpark(stream);
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
    answer_waiting_progress(hub);
    bool live = hub->revision < (int64_t)hub->etcd->revision;
    struct watcher *laggard = live && !hub->laggards_turn ? NULL : next_laggard(hub);
    while (laggard != NULL && laggard->pending.len > 0) {
        deliver_held(hub, laggard);
        laggard = next_laggard(hub);
    }
    hub->laggards_turn = laggard == NULL;
    if (laggard != NULL) {
        read_lagging(hub, laggard);
    } else if (live) {
        read_live(hub);
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

/* It joined those that are synced (1), or left them (-1). */
static void count_synced(struct watch_hub *hub, const struct watcher *watcher, int change)
{
    hub->synced += (uint32_t)change;
    hub->synced_prev_kv += watcher->prev_kv ? (uint32_t)change : 0;
    hub->ranges_count += watcher->end_len > 0 ? (uint32_t)change : 0;
}

static void set_lagging(struct watcher *watcher, bool lagging)
{
    watcher->stream->lagging += lagging && !watcher->lagging ? 1 : 0;
    watcher->stream->lagging -= !lagging && watcher->lagging ? 1 : 0;
    watcher->lagging = lagging;
}

static void enter_synced(struct watch_hub *hub, struct watcher *watcher)
{
    set_lagging(watcher, false);
    count_synced(hub, watcher, 1);
    list_append(list_of(hub, watcher), watcher);
}

static void enter_lagging(struct watch_hub *hub, struct watcher *watcher, int64_t next_revision)
{
    struct watch_stream *stream = watcher->stream;
    set_lagging(watcher, true);
    watcher->next_revision = next_revision;
    list_append(stream->full ? &stream->parked : &hub->lagging, watcher);
}

/* Takes the next out of its list, and parks those before it whose streams take no more, or are kept
 * for another. */
static struct watcher *next_laggard(struct watch_hub *hub)
{
    struct watcher *watcher = hub->lagging.first;
    while (watcher != NULL && (watcher->stream->full || (watcher->stream->held != NULL &&
                                                         watcher->stream->held != watcher))) {
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
        count_synced(hub, watcher, -1);
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
    slice->events_max = WATCH_COMPARISONS_MAX / (hub->synced + 1);
    if (slice->events_max > WATCH_SLICE_EVENTS_MAX) {
        slice->events_max = WATCH_SLICE_EVENTS_MAX;
    }
    watch_slice_read(slice);
}

static void read_lagging(struct watch_hub *hub, struct watcher *watcher)
{
    struct watch_slice *slice = mem_new(sizeof(*slice));
    slice->hub = hub;
    slice->from = watcher->next_revision;
    slice->prev_kv = watcher->prev_kv;
    slice->filtered = true;
    slice->events_max = WATCH_SLICE_EVENTS_MAX;
    buf_append(&slice->own_keys, watcher->bytes, watcher->key_len + watcher->end_len);
    slice->key = slice_of(slice->own_keys.data, watcher->key_len);
    slice->end = slice_of(slice->own_keys.data + watcher->key_len, watcher->end_len);
    hub->catching_up = watcher;
    watch_slice_read(slice);
}

/* A slice for all who are synced. A compaction that came before it has left its rows in place, as a
 * rule: they are removed from the next entry on. Else those who want of them are told so, as
 * laggards. */
static void take_live(struct watch_hub *hub, const struct watch_slice *slice)
{
    if (slice->error != KV_OK) {
        struct watch_stream *stream = NULL;
        TAILQ_FOREACH(stream, &hub->streams, others)
        {
            struct watcher *watcher = NULL;
            TAILQ_FOREACH(watcher, &stream->watchers, siblings)
            {
                if (!watcher->lagging && watcher->next_revision <= slice->position.revision) {
                    leave(hub, watcher);
                    enter_lagging(hub, watcher, first_wanted(watcher, slice));
                }
            }
        }
        hub->revision = slice->position.revision;
        return;
    }
    struct watcher *touched = watch_match(hub, slice);
    hub->revision = slice->reached;
    for (struct watcher *watcher = touched; watcher != NULL; watcher = watcher->touched_next) {
        const struct watch_stream *stream = watcher->stream;
        if (stream->full || stream->held != NULL || watcher->behind ||
            !watch_has_room(stream, watcher->pending.len)) {
            buf_deinit(&watcher->pending);
            leave(hub, watcher);
            enter_lagging(hub, watcher, first_wanted(watcher, slice));
        } else {
            watch_send_events(watcher, hub->revision);
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
    if (slice->too_large) {
        watch_cancel(watcher, 0, TOO_LARGE);
        return;
    }
    if (watcher->stream->held == NULL) {
        for (uint32_t i = 0; i < slice->count; i++) {
            (void)watch_take_event(watcher, slice, &slice->events[i]);
        }
        watcher->next_revision = slice->reached + 1;
    }
    deliver(hub, watcher);
    hub->catching_up = NULL;
}

/* Sends what is pending, or keeps it until the stream has drained. It is in no list yet. */
static void deliver(struct watch_hub *hub, struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    if (watcher->pending.len > 0) {
        if (!watch_has_room(stream, watcher->pending.len)) {
            stream->full = true;
            stream->held = watcher;
            list_append(&stream->parked, watcher);
            return;
        }
        watch_send_events(watcher, watcher->next_revision - 1);
    }
    if (is_done(hub, watcher)) {
        enter_synced(hub, watcher);
    } else {
        enter_lagging(hub, watcher, watcher->next_revision);
    }
}

static void deliver_held(struct watch_hub *hub, struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    CHECK(stream->held == watcher);
    stream->held = NULL;
    hub->walking = true;
    deliver(hub, watcher);
    if (!stream->full) {
        unpark(stream);
    }
    hub->walking = false;
    watch_sweep(hub);
    answer_waiting_progress(hub);
}

/* The held one has been parked first, or is alone. */
static void unpark(struct watch_stream *stream)
{
    while (stream->parked.first != NULL) {
        struct watcher *watcher = stream->parked.first;
        list_leave(watcher);
        list_append(&stream->hub->lagging, watcher);
    }
}

static void answer_waiting_progress(struct watch_hub *hub)
{
    if (hub->progress_wanted == 0) {
        return;
    }
    hub->walking = true;
    struct watch_stream *stream = NULL;
    TAILQ_FOREACH(stream, &hub->streams, others)
    {
        watch_answer_progress(stream);
    }
    hub->walking = false;
    watch_sweep(hub);
}

/* Of a synced watcher that did not get this slice. */
static int64_t first_wanted(const struct watcher *watcher, const struct watch_slice *slice)
{
    return watcher->next_revision > slice->from ? watcher->next_revision : slice->from;
}
