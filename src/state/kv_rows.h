/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the key-value store. Two for each change: one in the index, small, which finds the
 * versions of a key, newest first; one in the history, in the order of revisions, with the value.
 * So the present, any past revision and a watch each are one walk in order, and a put is one row
 * added to each of the two tables. Internal to state/kv_*. */
#ifndef INDABA_STATE_KV_ROWS_H
#define INDABA_STATE_KV_ROWS_H

#include "state/change.h"
#include "state/kv.h"

/* Reads at this revision see everything, what the running transaction did included. */
#define KV_NOW INT64_MAX

/* What the index knows of one version of a key. */
struct kv_version {
    int64_t revision;
    uint32_t sub;
    bool deleted;
    int64_t create_revision;
    int64_t version; /* 1 for the put that creates it; 0 if deleted */
    int64_t lease;
};

/* Bytes that a key takes as part of a row's key; above KV_KEY_MAX it cannot be stored. */
size_t kv_rows_key_size(struct slice key);

/* The newest version of the key at or below `revision`, a deletion too. ERR_NOT_FOUND. */
MUST_CHECK enum error kv_index_find(const struct tables *tables,
                                    struct slice key,
                                    int64_t revision,
                                    struct kv_version *version_out);
void kv_index_put(struct change *change, struct slice key, const struct kv_version *version);
void kv_index_del(struct change *change, struct slice key, int64_t revision);

/* Return true to go on, false to stop. */
typedef bool (*kv_index_visit)(struct slice key, const struct kv_version *version, void *visit_ctx);

/* Which keys a walk visits, and how far it goes. */
struct kv_walk {
    struct kv_range range;
    int64_t revision;
    uint64_t *rows;   /* that it may look at, counted down, also by the visitor; NULL: all */
    struct buf *next; /* NULL, or what takes the key to go on with if rows ran out */
};

/* Visits the keys of the range that are there at the revision, in order. The visitor must not
 * write. False: rows ran out. It ends between keys, so it may look at a few more, and one that goes
 * on with 16 or more gets further. */
bool kv_index_walk(const struct tables *tables,
                   const struct kv_walk *walk,
                   kv_index_visit visit,
                   void *visit_ctx);

/* The change at (revision, sub); it must be there. */
void kv_history_get(const struct tables *tables,
                    int64_t revision,
                    uint32_t sub,
                    struct kv_event *event_out);
/* `scratch` is overwritten. */
void kv_history_put(struct change *change, const struct kv_event *event, struct buf *scratch);
void kv_history_del(struct change *change, int64_t revision, uint32_t sub);
/* Visits the changes from (revision, sub) on, in order. The visitor must not write. */
void kv_history_walk(const struct tables *tables,
                     int64_t revision,
                     uint32_t sub,
                     kv_event_visit visit,
                     void *visit_ctx);

void kv_position_put(struct change *change, const struct kv_position *position);

#endif
