/* SPDX-License-Identifier: Apache-2.0 */
/* Watches. A stream of a client has watchers; each wants the changes of a key or a range, from a
 * revision on, in order, without a gap and without repetition.
 *
 *                ┌── synced: wants what comes after hub->revision ──┐
 *   created ─────┤                    ▲ caught up    its stream is  │
 *                └── lagging: wants older ──┘        full, or slow  │
 *                         ▲─────────────────────────────────────────┘
 *
 * The hub reads each new piece of history once for all synced watchers, and in turn with that a
 * piece for one lagging watcher after another. Nothing is kept for a slow client: it lags, and its
 * changes are read from the history when it has taken in what it was sent; if they are compacted by
 * then, its watcher is cancelled with the compacted revision, as etcd does. */
#ifndef INDABA_ETCD_WATCH_ETCD_WATCH_H
#define INDABA_ETCD_WATCH_ETCD_WATCH_H

#include "etcd/etcd_op.h"

#include <sys/queue.h>

enum {
    WATCHERS_MAX = 200000,               /* of a member */
    WATCH_STREAM_BYTES_MAX = 256 * 1024, /* unsent; above it the stream's watchers lag */
    WATCH_SLICE_BYTES_MAX = 512 * 1024,
    WATCH_SLICE_EVENTS_MAX = 10000, /* looked at in one visit of the apply thread */
    /* A revision is never parted, so a slice may be larger by one. If that is larger than this, no
     * live slice has it: each watcher that wants of it reads it alone, as a laggard. */
    WATCH_REVISION_BYTES_MAX = 4 * 1024 * 1024,
    WATCH_RESPONSE_BYTES_MAX = FRONT_REPLY_BYTES_MAX - 64 * 1024,
    WATCH_FRAGMENT_BYTES_MAX = 2 * 1024 * 1024, /* etcd's: 1.5 MiB of a request, and 512 KiB */
    WATCH_QUEUE_BYTES_MAX = 4 * 1024 * 1024,    /* what would make more waits for the drain */
    WATCH_TURN_BYTES_MAX = 64 * 1024 * 1024,    /* copied of one live slice; the rest lag */
    WATCH_COMPARISONS_MAX = 500000,             /* of events with watchers, in one turn: some ms */
};

/* A response that is about no watcher. */
#define WATCH_ID_NONE (-1)

struct watch_list {
    struct watcher *first;
    struct watcher *last;
};

struct watcher {
    struct watch_stream *stream;
    TAILQ_ENTRY(watcher) siblings; /* of its stream */
    struct watcher *id_next;       /* of the same bucket */
    struct watcher *next;          /* in its bucket, the ranges, or the lagging */
    struct watcher *previous;
    struct watch_list *list; /* that it is in; NULL: it is catching up */
    struct watcher *touched_next;
    struct buf pending; /* events of the slice at hand, encoded */
    int64_t id;
    int64_t next_revision; /* synced: the larger of this and hub->revision + 1 */
    bool lagging;
    bool touched; /* by the live slice at hand */
    bool behind;  /* and is not to have it from there */
    bool prev_kv;
    bool fragment; /* large responses come in parts */
    bool no_put;
    bool no_delete;
    bool progress;
    uint32_t key_len;
    uint32_t end_len; /* 0: the key alone; else [key, end), or from the key on if end is "\0" */
    uint8_t bytes[];  /* key, end */
};

/* Where the responses of a stream go: a call (etcd_watch.c), or a test. */
struct watch_sink {
    /* All or none. On an error it is still to be ended. */
    enum error (*send_all)(void *to, const struct slice *messages, size_t count);
    size_t (*queued)(const void *to); /* bytes that its client has not taken in */
    size_t (*room)(const void *to);   /* for more of them */
    void (*end)(void *to, enum etcd_error error);
};

struct watch_stream {
    TAILQ_ENTRY(watch_stream) others;
    STAILQ_ENTRY(watch_stream) over;
    struct watch_hub *hub;
    const struct watch_sink *sink;
    void *to; /* NULL: over; it goes when nobody walks over the streams */
    TAILQ_HEAD(watcher_list, watcher) watchers;
    uint32_t lagging;         /* of them */
    struct watch_list parked; /* laggards that wait for the drain */
    /* One of them whose response did not fit any more: it is kept, and the next that is sent. */
    struct watcher *held;
    int64_t next_id;
    /* Progress was asked for when the member showed these revisions, first and last. */
    bool wants_progress;
    int64_t progress_first;
    int64_t progress_last;
    bool has_chosen_ids; /* by the client: ours must not meet them */
    bool full;           /* waits to drain; until then nothing is read for its laggards */
    bool needs_leader;
};

/* A piece of history, read by the apply thread. */
struct watch_event {
    int64_t revision;
    bool deleted;
    uint32_t key_at; /* all three are places in `bytes` */
    uint32_t key_len;
    uint32_t plain_at; /* as field `events` of a WatchResponse */
    uint32_t plain_len;
    uint32_t full_at; /* the same with prev_kv; only if the slice was asked for it */
    uint32_t full_len;
};

struct watch_slice {
    struct watch_hub *hub;
    int64_t from;
    bool prev_kv;
    struct slice key; /* of the one watcher that it is for, in own_keys */
    struct slice end;
    bool filtered;
    size_t response_bytes_max;
    uint32_t events_max; /* looked at; it ends with the revision that has the last */
    /* Its one revision is too large. Live: of its events there are only the keys. Filtered: there
     * is nothing, and cannot be. */
    bool too_large;
    enum kv_error error;
    struct kv_position position;
    int64_t reached; /* every revision up to it was looked at */
    struct watch_event *events;
    uint32_t count;
    uint32_t cap;
    uint32_t looked_at;
    struct buf bytes;
    struct buf own_keys; /* of key and end */
};

enum {
    WATCH_BUCKETS = 16384
};

struct watch_hub {
    struct etcd *etcd;
    TAILQ_HEAD(watch_streams_open, watch_stream) streams;
    STAILQ_HEAD(watch_streams_over, watch_stream) over; /* of them: those that wait to be freed */
    struct watch_list buckets[WATCH_BUCKETS];           /* synced, of one key */
    struct watcher *ids[WATCH_BUCKETS];                 /* all, by stream and id */
    struct watch_list ranges;                           /* synced, of more */
    struct watch_list lagging;   /* each gets one slice in turn; those of full streams are parked */
    struct watcher *catching_up; /* the slice under way is for it; NULL if it is gone */
    uint32_t synced;
    uint32_t synced_prev_kv;
    uint32_t ranges_count;
    size_t response_bytes_max; /* of the events in one; tests lower it */
    uint32_t count;
    uint32_t progress_wanted; /* streams that wait for an answer */
    int64_t revision;         /* delivered to all synced watchers */
    bool reading;             /* a slice is under way */
    bool laggards_turn;       /* live slices and those of laggards take turns */
    bool walking;             /* streams that end meanwhile are freed later */
};

void etcd_watch_init(struct etcd *etcd, struct server_method *methods, size_t *count);
void etcd_watch_deinit(struct etcd *etcd);
/* etcd->revision has grown. */
void etcd_watch_advance(struct etcd *etcd);
/* A word to those watchers that asked for one now and then. */
void etcd_watch_progress(struct etcd *etcd);
/* Ends all streams, or those whose clients want a leader. */
void etcd_watch_end_all(struct etcd *etcd, enum etcd_error error, bool only_needing_leader);

/* etcd_watch_stream.c: streams, and their watchers by id. */
struct watch_hub *watch_hub_new(struct etcd *etcd);
/* No stream may be left. */
void watch_hub_free(struct watch_hub *hub);
/* That what it counts is there. */
void watch_hub_check_invariants(const struct watch_hub *hub);
struct watch_stream *watch_stream_open(struct watch_hub *hub,
                                       const struct watch_sink *sink,
                                       void *to,
                                       bool needs_leader);
/* Its client, or what led to him, is gone: the sink is not used any more. */
void watch_stream_gone(struct watch_stream *stream);
/* Ends the stream; it is freed by watch_sweep. */
void watch_finish(struct watch_stream *stream, enum etcd_error error);
/* Whether its client waits for word of its progress. */
void watch_stream_want_progress(struct watch_stream *stream, bool wanted);
/* NULL if it has none of that id. */
struct watcher *watch_stream_find(const struct watch_stream *stream, int64_t id);
/* Under its id, which is free. */
void watch_stream_join(struct watcher *watcher);
void watch_stream_leave(struct watcher *watcher);
/* Frees what is over. */
void watch_sweep(struct watch_hub *hub);

/* etcd_watch_request.c: what a client asks on its stream. */
void watch_stream_asked(struct watch_stream *stream, struct slice message);

/* etcd_watch_slice.c: starts to read; watch_hub_on_slice gets it and owns it. */
void watch_slice_read(struct watch_slice *slice);
void watch_slice_free(struct watch_slice *slice);
/* No key can be in it. */
bool watch_range_is_empty(struct slice key, struct slice end);
bool watch_range_has(struct slice key, struct slice end, struct slice candidate);

/* etcd_watch_match.c: gives the events of a live slice to those who want them: returns the touched,
 * each once. What the `behind` among them got is not all. */
struct watcher *watch_match(struct watch_hub *hub, const struct watch_slice *slice);
/* Appends the event to what is pending, unless the watcher does not want its kind. */
bool watch_take_event(struct watcher *watcher,
                      const struct watch_slice *slice,
                      const struct watch_event *event);

/* etcd_watch_hub.c */
void watch_hub_on_slice(struct watch_slice *slice);
/* Starts what can be started. */
void watch_hub_run(struct watch_hub *hub);
void watch_hub_add(struct watch_hub *hub, struct watcher *watcher);
/* Takes it out of every list, and frees it. */
void watch_hub_remove(struct watch_hub *hub, struct watcher *watcher);
/* The stream has drained. */
void watch_hub_on_drain(struct watch_stream *stream);

/* etcd_watch_send.c: header and watch id of a response. Its revision says that everything up to it
 * was sent: a client goes on after that of a response without events. */
void watch_put_head(const struct watch_stream *stream, int64_t id, struct buf *out);
void watch_put_head_at(const struct watch_stream *stream,
                       int64_t id,
                       int64_t revision,
                       struct buf *out);
/* Sends a response. On failure the stream is over: to be called only while hub->walking, so that
 * it and its watchers stay until watch_sweep. */
void watch_send(struct watch_stream *stream, struct slice response);
/* Whether a response of `len` bytes may be sent now, and not only when the stream has drained. */
bool watch_has_room(const struct watch_stream *stream, size_t len);
/* Sends what is pending, in parts if it is large and the client wants that: all that the watcher
 * wants up to `reached`. As watch_send otherwise. */
void watch_send_events(struct watcher *watcher, int64_t reached);
/* Ends the watcher with a word to its client. `reason` may be NULL. */
void watch_cancel(struct watcher *watcher, int64_t compacted, const char *reason);
/* How far the stream has come, for a client that asked: once that is what the member showed when it
 * was asked, so that nobody is told less than he was already answered elsewhere. One answer may do
 * for several questions. */
void watch_ask_progress(struct watch_stream *stream);
void watch_answer_progress(struct watch_stream *stream);
/* To each of its watchers that wants to hear of it now and then. */
void watch_tell_progress(struct watch_stream *stream);
#endif
