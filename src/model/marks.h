/* SPDX-License-Identifier: Apache-2.0 */
/* What the data folders of a shard are known to have held durably once: low-water marks. A folder
 * that ends below a mark of it is an older copy of itself, whatever else it says (safety.md 2).
 * Marks are kept by every sidecar, by the leader and by the records of failovers, so that no single
 * machine that is rolled back takes them with it. All of them are ends of records, never positions
 * in the middle of one: no database could report such a position as its end. */
#ifndef INDABA_MODEL_MARKS_H
#define INDABA_MODEL_MARKS_H

#include "model/position.h"
#include "model/sync_record.h"

enum {
    MARKS_MAX = 9 /* one an instance: SHARD_INSTANCES_MAX, checked where both are known */
};

struct mark {
    struct instance_id instance;
    struct incarnation incarnation;
    struct position position;
};

struct marks {
    struct position acked; /* what the primary of the time had acknowledged */
    struct mark items[MARKS_MAX];
    uint32_t count;
};

/* Notes that this folder held everything up to `position`. A mark only grows; one of another
 * incarnation of the instance is replaced. Nothing happens without an incarnation, a timeline, or
 * room. */
void marks_raise(struct marks *marks, struct sync_member folder, struct position position);
/* The same for all that `more` knows, `acked` included. */
void marks_merge(struct marks *marks, const struct marks *more);
/* Timeline 0: nothing is known of this folder. */
struct position marks_of(const struct marks *marks, struct sync_member folder);
/* The highest of all, `acked` included. */
struct position marks_highest(const struct marks *marks);
bool marks_equal(const struct marks *a, const struct marks *b);

#endif
