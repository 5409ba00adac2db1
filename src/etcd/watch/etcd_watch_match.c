/* SPDX-License-Identifier: Apache-2.0 */
/* Which watchers want the events of a live slice: see etcd_watch.h. Watchers of one key are found
 * by it; those of ranges are all looked at, which bounds what a slice may have (watch_hub_run),
 * save for a revision with very many keys: there each range looks for its first key instead. */
#include "etcd/watch/etcd_watch.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

/* A slice under way. */
struct matching {
    const struct watch_slice *slice;
    struct watcher *touched;
    size_t bytes; /* copied */
};

static void
offer(struct matching *matching, struct watcher *first, const struct watch_event *event);
static void touch(struct matching *matching, struct watcher *watcher);
static void find_behind(struct matching *matching, struct watcher *first);
static bool has_key(const struct matching *matching,
                    const struct watch_event *const *sorted,
                    const struct watcher *watcher);
static int compare_keys(const void *a, const void *b, void *ctx);
static struct slice key_of(const struct watch_slice *slice, const struct watch_event *event);
static bool wants(const struct watcher *watcher, const struct watch_event *event);

struct watcher *watch_match(struct watch_hub *hub, const struct watch_slice *slice)
{
    struct matching matching = {.slice = slice};
    bool crowded = (uint64_t)slice->count * hub->ranges_count > 2ULL * WATCH_COMPARISONS_MAX;
    for (uint32_t i = 0; i < slice->count; i++) {
        const struct watch_event *event = &slice->events[i];
        uint64_t hash = hash_xxh3(slice->bytes.data + event->key_at, event->key_len, 0);
        offer(&matching, hub->buckets[hash % WATCH_BUCKETS].first, event);
        if (!crowded) {
            offer(&matching, hub->ranges.first, event);
        }
    }
    if (crowded) {
        find_behind(&matching, hub->ranges.first);
    }
    for (struct watcher *watcher = matching.touched; watcher != NULL;
         watcher = watcher->touched_next) {
        watcher->touched = false;
    }
    return matching.touched;
}

bool watch_take_event(struct watcher *watcher,
                      const struct watch_slice *slice,
                      const struct watch_event *event)
{
    if (!wants(watcher, event)) {
        return false;
    }
    bool full = watcher->prev_kv;
    buf_append(&watcher->pending,
               slice->bytes.data + (full ? event->full_at : event->plain_at),
               full ? event->full_len : event->plain_len);
    return true;
}

static void offer(struct matching *matching, struct watcher *first, const struct watch_event *event)
{
    const struct watch_slice *slice = matching->slice;
    const struct slice key = key_of(slice, event);
    for (struct watcher *watcher = first; watcher != NULL; watcher = watcher->next) {
        const struct slice from = slice_of(watcher->bytes, watcher->key_len);
        const struct slice end = slice_of(watcher->bytes + watcher->key_len, watcher->end_len);
        if (watcher->next_revision > event->revision || !watch_range_has(from, end, key) ||
            !wants(watcher, event)) {
            continue;
        }
        touch(matching, watcher);
        bool unread = watcher->prev_kv && !slice->prev_kv; /* it came after the slice was begun */
        if (slice->too_large || unread || matching->bytes > WATCH_TURN_BYTES_MAX) {
            watcher->behind = true;
        } else if (!watcher->behind) {
            (void)watch_take_event(watcher, slice, event);
            matching->bytes += watcher->prev_kv ? event->full_len : event->plain_len;
        }
    }
}

static void touch(struct matching *matching, struct watcher *watcher)
{
    if (!watcher->touched) {
        watcher->touched = true;
        watcher->behind = false;
        watcher->touched_next = matching->touched;
        matching->touched = watcher;
    }
}

/* Of many events and many ranges, who is touched at all: they get theirs as laggards. */
static void find_behind(struct matching *matching, struct watcher *first)
{
    const struct watch_slice *slice = matching->slice;
    const struct watch_event **sorted = mem_new_array(slice->count, sizeof(const void *));
    for (uint32_t i = 0; i < slice->count; i++) {
        sorted[i] = &slice->events[i];
    }
    qsort_r(sorted, slice->count, sizeof(const void *), compare_keys, matching);
    for (struct watcher *watcher = first; watcher != NULL; watcher = watcher->next) {
        if (watcher->next_revision <= slice->reached && has_key(matching, sorted, watcher)) {
            touch(matching, watcher);
            watcher->behind = true;
        }
    }
    mem_free(sorted);
}

/* Whether any key is in its range, wanted or not. */
static bool has_key(const struct matching *matching,
                    const struct watch_event *const *sorted,
                    const struct watcher *watcher)
{
    const struct slice from = slice_of(watcher->bytes, watcher->key_len);
    const struct slice end = slice_of(watcher->bytes + watcher->key_len, watcher->end_len);
    uint32_t low = 0;
    uint32_t high = matching->slice->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(key_of(matching->slice, sorted[middle]), from) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < matching->slice->count &&
           watch_range_has(from, end, key_of(matching->slice, sorted[low]));
}

static int compare_keys(const void *a, const void *b, void *ctx)
{
    const struct matching *matching = ctx;
    const struct watch_event *const *one = a;
    const struct watch_event *const *other = b;
    return slice_compare(key_of(matching->slice, *one), key_of(matching->slice, *other));
}

static struct slice key_of(const struct watch_slice *slice, const struct watch_event *event)
{
    return slice_of(slice->bytes.data + event->key_at, event->key_len);
}

static bool wants(const struct watcher *watcher, const struct watch_event *event)
{
    return event->deleted ? !watcher->no_delete : !watcher->no_put;
}
