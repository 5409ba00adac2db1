/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: a range as of a revision, one key, the changes since a revision. What is neither sorted
 * nor filtered is handed out as the index is walked; else the versions (not the values) are
 * collected first. */
#include "state/kv_range.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct found {
    struct kv_version version;
    struct slice value; /* if sorted by it */
    struct slice key;
};

/* One request under way. */
struct reading {
    const struct tables *tables;
    const struct kv_op_range *request;
    struct kv_cursor *cursor;
    kv_visit visit;
    void *visit_ctx;
    bool stopped; /* by the visitor */
    struct found *found;
    size_t found_count;
    size_t found_cap;
};

static enum kv_error begin(const struct kv_position *position,
                           const struct kv_op_range *request,
                           struct kv_cursor *cursor);
static enum kv_error run_sorted(const struct tables *tables,
                                const struct kv_op_range *request,
                                struct kv_cursor *cursor,
                                kv_visit visit,
                                void *visit_ctx);
static bool walk_streamed(struct slice key, const struct kv_version *version, void *ctx);
static bool walk_collected(struct slice key, const struct kv_version *version, void *ctx);
static bool passes(const struct kv_op_range *request, const struct kv_version *version);
static void hand_out(struct reading *reading, struct slice key, const struct kv_version *version);
static void sort_and_hand_out(struct reading *reading);
static int compare_found(const void *a, const void *b, void *ctx);
static int compare_numbers(int64_t a, int64_t b);

enum kv_error kv_range(const struct tables *tables,
                       const struct kv_op_range *request,
                       struct kv_cursor *cursor,
                       kv_visit visit,
                       void *visit_ctx)
{
    struct kv_position position;
    kv_position(tables, &position);
    if (cursor->begun) {
        if (cursor->revision < position.compacted) {
            return KV_COMPACTED;
        }
    } else {
        enum kv_error error = begin(&position, request, cursor);
        if (error != KV_OK) {
            return error;
        }
    }
    if (!kv_range_is_streamed(request)) {
        return run_sorted(tables, request, cursor, visit, visit_ctx);
    }
    kv_range_run(tables, request, cursor, visit, visit_ctx);
    return KV_OK;
}

void kv_cursor_deinit(struct kv_cursor *cursor)
{
    buf_deinit(&cursor->next);
}

enum kv_error kv_revision_check(const struct kv_position *position, int64_t revision)
{
    if (revision <= 0) {
        return KV_OK; /* now */
    }
    if (revision > position->revision) {
        return KV_FUTURE_REVISION;
    }
    return revision < position->compacted ? KV_COMPACTED : KV_OK;
}

/* etcd sorts by key without being asked, and up if only told by what. */
bool kv_range_is_streamed(const struct kv_op_range *request)
{
    bool by_key = request->target == KV_TARGET_KEY && request->order != KV_SORT_DESCEND;
    return by_key || request->count_only;
}

void kv_range_run(const struct tables *tables,
                  const struct kv_op_range *request,
                  struct kv_cursor *cursor,
                  kv_visit visit,
                  void *visit_ctx)
{
    struct reading reading = {
        .tables = tables,
        .request = request,
        .cursor = cursor,
        .visit = visit,
        .visit_ctx = visit_ctx,
    };
    struct buf next = {0};
    struct kv_walk walk = {
        .range = request->range,
        .revision = cursor->revision,
        .rows = &cursor->rows,
        .next = &next,
    };
    if (cursor->cut) {
        walk.range.key = buf_view(&cursor->next);
    }
    bool streamed = kv_range_is_streamed(request);
    cursor->cut =
        !kv_index_walk(tables, &walk, streamed ? walk_streamed : walk_collected, &reading);
    if (reading.found_count > 0 && !cursor->cut) {
        sort_and_hand_out(&reading);
    }
    mem_free(reading.found);
    buf_deinit(&cursor->next);
    cursor->next = next;
}

enum error
kv_get(const struct tables *tables, struct slice key, int64_t revision, struct kv_pair *pair_out)
{
    struct kv_position position;
    struct kv_version version;
    kv_position(tables, &position);
    if (revision < position.compacted || key.len == 0 || kv_rows_key_size(key) > KV_KEY_MAX) {
        return ERR_NOT_FOUND;
    }
    TRY(kv_index_find(tables, key, revision, &version));
    if (version.deleted) {
        return ERR_NOT_FOUND;
    }
    struct kv_event event;
    kv_history_get(tables, version.revision, version.sub, &event);
    *pair_out = event.pair;
    return ERR_OK;
}

enum kv_error
kv_events(const struct tables *tables, int64_t revision, kv_event_visit visit, void *visit_ctx)
{
    struct kv_position position;
    kv_position(tables, &position);
    if (revision < position.compacted) {
        return KV_COMPACTED;
    }
    kv_history_walk(tables, revision < 0 ? 0 : revision, 0, visit, visit_ctx);
    return KV_OK;
}

/* All parts see what the first one does, also if the request names no revision. */
static enum kv_error begin(const struct kv_position *position,
                           const struct kv_op_range *request,
                           struct kv_cursor *cursor)
{
    enum kv_error error = kv_range_check(request);
    if (error == KV_OK) {
        error = kv_revision_check(position, request->revision);
    }
    if (error == KV_OK) {
        cursor->begun = true;
        cursor->revision = request->revision <= 0 ? position->revision : request->revision;
        cursor->result.revision = position->revision;
    }
    return error;
}

static enum kv_error run_sorted(const struct tables *tables,
                                const struct kv_op_range *request,
                                struct kv_cursor *cursor,
                                kv_visit visit,
                                void *visit_ctx)
{
    uint64_t before = cursor->rows;
    cursor->rows = KV_ROWS_MAX;
    kv_range_run(tables, request, cursor, visit, visit_ctx);
    uint64_t used = KV_ROWS_MAX - cursor->rows;
    cursor->rows = before > used ? before - used : 0;
    return cursor->cut ? KV_TOO_MANY_ROWS : KV_OK;
}

/* A row that was swept removed what was before it, or itself. */
enum kv_error kv_events_unswept(const struct tables *tables,
                                int64_t revision,
                                kv_event_visit visit,
                                void *visit_ctx)
{
    struct kv_position position;
    kv_position(tables, &position);
    CHECK(revision >= 0);
    if (position.swept > revision || (position.swept == revision && position.swept_sub > 0)) {
        return KV_COMPACTED;
    }
    kv_history_walk(tables, revision, 0, visit, visit_ctx);
    return KV_OK;
}

static bool walk_streamed(struct slice key, const struct kv_version *version, void *ctx)
{
    struct reading *reading = ctx;
    const struct kv_op_range *request = reading->request;
    reading->cursor->result.count++;
    if (request->count_only || !passes(request, version)) {
        return true;
    }
    if (request->limit > 0 && reading->cursor->visited == request->limit) {
        reading->cursor->result.more = true;
        return true; /* the rest is counted */
    }
    hand_out(reading, key, version);
    return !reading->stopped;
}

static bool walk_collected(struct slice key, const struct kv_version *version, void *ctx)
{
    struct reading *reading = ctx;
    (void)key;
    reading->cursor->result.count++;
    if (!passes(reading->request, version)) {
        return true;
    }
    if (reading->found_count == reading->found_cap) {
        reading->found_cap = reading->found_cap == 0 ? 16 : reading->found_cap * 2;
        reading->found = mem_resize(reading->found, reading->found_cap * sizeof(*reading->found));
    }
    struct kv_event event;
    kv_history_get(reading->tables, version->revision, version->sub, &event);
    reading->found[reading->found_count++] = (struct found){
        .version = *version,
        .value = event.pair.value,
        .key = event.pair.key,
    };
    return true;
}

static bool passes(const struct kv_op_range *request, const struct kv_version *version)
{
    return (request->mod_min == 0 || version->revision >= request->mod_min) &&
           (request->mod_max == 0 || version->revision <= request->mod_max) &&
           (request->create_min == 0 || version->create_revision >= request->create_min) &&
           (request->create_max == 0 || version->create_revision <= request->create_max);
}

static void hand_out(struct reading *reading, struct slice key, const struct kv_version *version)
{
    struct kv_event event;
    if (reading->request->keys_only) {
        event.pair = (struct kv_pair){
            .key = key,
            .create_revision = version->create_revision,
            .mod_revision = version->revision,
            .version = version->version,
            .lease = version->lease,
        };
    } else {
        kv_history_get(reading->tables, version->revision, version->sub, &event);
    }
    reading->cursor->visited++;
    reading->stopped = !reading->visit(&event.pair, reading->visit_ctx);
}

static void sort_and_hand_out(struct reading *reading)
{
    const struct kv_op_range *request = reading->request;
    qsort_r(reading->found,
            reading->found_count,
            sizeof(*reading->found),
            compare_found,
            (void *)(uintptr_t)request);
    size_t count = reading->found_count;
    if (request->limit > 0 && (uint64_t)request->limit < count) {
        count = (size_t)request->limit;
        reading->cursor->result.more = true;
    }
    for (size_t i = 0; i < count && !reading->stopped; i++) {
        hand_out(reading, reading->found[i].key, &reading->found[i].version);
    }
}

/* Ties are in the order of keys. */
static int compare_found(const void *a, const void *b, void *ctx)
{
    const struct found *one = a;
    const struct found *other = b;
    const struct kv_op_range *request = ctx;
    int order = 0;
    switch (request->target) {
    case KV_TARGET_VERSION:
        order = compare_numbers(one->version.version, other->version.version);
        break;
    case KV_TARGET_CREATE:
        order = compare_numbers(one->version.create_revision, other->version.create_revision);
        break;
    case KV_TARGET_MOD:
        order = compare_numbers(one->version.revision, other->version.revision);
        break;
    case KV_TARGET_VALUE:
        order = slice_compare(one->value, other->value);
        break;
    case KV_TARGET_KEY:
    case KV_TARGET_LEASE:
        break;
    }
    bool down = request->order == KV_SORT_DESCEND;
    if (order == 0 && request->target == KV_TARGET_KEY) {
        order = slice_compare(one->key, other->key);
    }
    if (order == 0) {
        return slice_compare(one->key, other->key);
    }
    return down ? -order : order;
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}
