/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of watches, and their watchers by id: who is there, and who is over. */
#include "etcd/watch/etcd_watch.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

static struct watcher **ids_of(const struct watch_stream *stream, int64_t id);
static void be_over(struct watch_stream *stream);
static void free_stream(struct watch_stream *stream);

struct watch_hub *watch_hub_new(struct etcd *etcd)
{
    struct watch_hub *hub = mem_new(sizeof(*hub));
    hub->etcd = etcd;
    hub->response_bytes_max = WATCH_RESPONSE_BYTES_MAX;
    TAILQ_INIT(&hub->streams);
    STAILQ_INIT(&hub->over);
    return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
    CHECK(TAILQ_EMPTY(&hub->streams));
    mem_free(hub);
}

struct watch_stream *
watch_stream_open(struct watch_hub *hub, const struct watch_sink *sink, void *to, bool needs_leader)
{
    CHECK(to != NULL);
    struct watch_stream *stream = mem_new(sizeof(*stream));
    stream->hub = hub;
    stream->sink = sink;
    stream->to = to;
    stream->needs_leader = needs_leader;
    TAILQ_INIT(&stream->watchers);
    TAILQ_INSERT_HEAD(&hub->streams, stream, others);
    return stream;
}

void watch_hub_check_invariants(const struct watch_hub *hub)
{
    uint32_t count = 0;
    uint32_t synced = 0;
    uint32_t synced_prev_kv = 0;
    uint32_t ranges = 0;
    uint32_t progress_wanted = 0;
    uint32_t over = 0;
    uint32_t over_listed = 0;
    const struct watch_stream *stream = NULL;
    TAILQ_FOREACH(stream, &hub->streams, others)
    {
        const struct watcher *watcher = NULL;
        uint32_t lagging = 0;
        TAILQ_FOREACH(watcher, &stream->watchers, siblings)
        {
            const bool is_synced = !watcher->lagging;
            CHECK(watcher->stream == stream);
            count++;
            lagging += watcher->lagging ? 1 : 0;
            synced += is_synced ? 1 : 0;
            synced_prev_kv += is_synced && watcher->prev_kv ? 1 : 0;
            ranges += is_synced && watcher->end_len > 0 ? 1 : 0;
        }
        CHECK(lagging == stream->lagging);
        progress_wanted += stream->wants_progress ? 1 : 0;
        over += stream->to == NULL ? 1 : 0;
    }
    STAILQ_FOREACH(stream, &hub->over, over)
    {
        CHECK(stream->to == NULL);
        over_listed++;
    }
    CHECK(count == hub->count && synced == hub->synced);
    CHECK(synced_prev_kv == hub->synced_prev_kv && ranges == hub->ranges_count);
    CHECK(progress_wanted == hub->progress_wanted && over == over_listed);
}

void watch_stream_gone(struct watch_stream *stream)
{
    struct watch_hub *hub = stream->hub;
    CHECK(stream->to != NULL);
    be_over(stream);
    if (!hub->walking) {
        watch_sweep(hub);
    }
}

void watch_finish(struct watch_stream *stream, enum etcd_error error)
{
    void *to = stream->to;
    if (to != NULL) {
        be_over(stream);
        stream->sink->end(to, error);
    }
}

void watch_stream_want_progress(struct watch_stream *stream, bool wanted)
{
    struct watch_hub *hub = stream->hub;
    if (stream->wants_progress != wanted) {
        CHECK(wanted || hub->progress_wanted > 0);
        hub->progress_wanted += wanted ? 1 : 0;
        hub->progress_wanted -= wanted ? 0 : 1;
        stream->wants_progress = wanted;
    }
}

struct watcher *watch_stream_find(const struct watch_stream *stream, int64_t id)
{
    struct watcher *watcher = *ids_of(stream, id);
    while (watcher != NULL && (watcher->id != id || watcher->stream != stream)) {
        watcher = watcher->id_next;
    }
    return watcher;
}

void watch_stream_join(struct watcher *watcher)
{
    struct watcher **ids = ids_of(watcher->stream, watcher->id);
    watcher->id_next = *ids;
    *ids = watcher;
    TAILQ_INSERT_HEAD(&watcher->stream->watchers, watcher, siblings);
}

void watch_stream_leave(struct watcher *watcher)
{
    struct watcher **link = ids_of(watcher->stream, watcher->id);
    while (*link != watcher) {
        CHECK(*link != NULL);
        link = &(*link)->id_next;
    }
    *link = watcher->id_next;
    TAILQ_REMOVE(&watcher->stream->watchers, watcher, siblings);
}

void watch_sweep(struct watch_hub *hub)
{
    CHECK(!hub->walking);
    struct watch_stream *stream = NULL;
    while ((stream = STAILQ_FIRST(&hub->over)) != NULL) {
        STAILQ_REMOVE_HEAD(&hub->over, over);
        free_stream(stream);
    }
}

static struct watcher **ids_of(const struct watch_stream *stream, int64_t id)
{
    const uint64_t key[] = {(uint64_t)(uintptr_t)stream, (uint64_t)id};
    return &stream->hub->ids[hash_xxh3(key, sizeof(key), 0) % WATCH_BUCKETS];
}

static void be_over(struct watch_stream *stream)
{
    CHECK(stream->to != NULL);
    stream->to = NULL;
    STAILQ_INSERT_TAIL(&stream->hub->over, stream, over);
}

static void free_stream(struct watch_stream *stream)
{
    struct watch_hub *hub = stream->hub;
    struct watcher *watcher = NULL;
    while ((watcher = TAILQ_FIRST(&stream->watchers)) != NULL) {
        watch_stream_leave(watcher);
        watch_hub_remove(hub, watcher);
    }
    watch_stream_want_progress(stream, false);
    TAILQ_REMOVE(&hub->streams, stream, others);
    mem_free(stream);
}
