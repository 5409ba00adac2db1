/* SPDX-License-Identifier: Apache-2.0 */
/* Where a PostgreSQL instance stands: timeline and LSN. Timeline numbers are reserved by the log,
 * one per decided epoch and ascending (safety.md 2), so within a shard (timeline, LSN) orders
 * positions as (epoch of the timeline, LSN) does. Compared as integers, never as text. */
#ifndef INDABA_MODEL_POSITION_H
#define INDABA_MODEL_POSITION_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct position {
    uint32_t timeline; /* 0: nothing known */
    uint64_t lsn;
};

enum {
    POSITION_TEXT_SIZE = 32
};

/* Negative, 0, positive. */
int position_compare(struct position a, struct position b);
/* "5:1/2C000148"; returns `text`, which holds POSITION_TEXT_SIZE bytes. */
char *position_format(struct position position, char *text);
/* PostgreSQL's text form of an LSN, "16/B374D848". ERR_INVALID otherwise. */
MUST_CHECK enum error position_parse_lsn(const char *text, uint64_t *lsn_out);

/* One step of a shard's history: what epoch opened which timeline, and where it left its parent. */
struct fork {
    uint64_t epoch;
    uint32_t timeline;
    uint32_t parent_timeline;
    uint64_t fork_lsn;
};

/* True if an instance at `position` may follow the timeline opened by `fork` without a rebuild: it
 * is on that timeline, or on its parent at or before the fork point. */
bool position_can_follow(struct position position, const struct fork *fork);

/* The same for the newest of a chain of forks, oldest first, each the child of the one before: an
 * instance on any of their parents may follow if it stands at or before where that one was left. */
bool position_can_follow_history(struct position position,
                                 const struct fork *forks,
                                 uint32_t forks_count);

/* True if only PostgreSQL can tell whether it can follow: the promotion that left its timeline was
 * never reported. */
bool position_is_in_gap(struct position position, const struct fork *forks, uint32_t forks_count);

#endif
