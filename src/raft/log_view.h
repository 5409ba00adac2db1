/* SPDX-License-Identifier: Apache-2.0 */
/* The log in memory: entries after a base (0, or what snapshots have made superfluous), the
 * configurations among them, and where the part begins that no write has been issued for. Terms
 * never fall along the log, so a search by term is a binary search. */
#ifndef INDABA_RAFT_LOG_VIEW_H
#define INDABA_RAFT_LOG_VIEW_H

#include "raft/types.h"

/* A configuration and the index from which on it is in force. */
struct log_configuration {
    uint64_t index;
    struct raft_configuration configuration;
};

struct log_view {
    uint64_t base_index; /* the entry before the first one held */
    uint64_t base_term;
    struct raft_entry *entries; /* entries[i] has index base_index + 1 + i */
    uint64_t count;
    uint64_t cap;
    uint64_t bytes;         /* of all entries held, as log_view_entry_bytes */
    uint64_t restart_index; /* begun anew after here since the last write; or 0 */
    uint64_t restart_term;
    uint64_t unwritten_from;                  /* entries from here on are in no write yet */
    uint64_t truncate_from;                   /* lowest index cut since the last write, 0: none */
    struct log_configuration *configurations; /* ascending; the first one is the base's */
    uint32_t configurations_count;
    uint32_t configurations_cap;
};

void log_view_init(struct log_view *log, uint64_t base_index, uint64_t base_term);
void log_view_deinit(struct log_view *log);
/* Sets the configuration in force at `index` (the base, or a snapshot after it: configurations
 * among entries up to there are history); once, before the first append. */
void log_view_set_base(struct log_view *log,
                       uint64_t index,
                       const struct raft_configuration *configuration);

uint64_t log_view_last_index(const struct log_view *log);
uint64_t log_view_last_term(const struct log_view *log);
/* Term of the entry at `index`; 0 at index 0 or where the log does not reach. */
uint64_t log_view_term(const struct log_view *log, uint64_t index);
/* True if the log reaches `index` (or its base is there) with that term. */
bool log_view_matches(const struct log_view *log, uint64_t index, uint64_t term);
/* NULL if not held. Borrowed until the next append or cut. */
struct raft_entry *log_view_at(const struct log_view *log, uint64_t index);

/* Appends the next entry and takes a reference to its payload. A configuration comes into force at
 * once; its payload must decode (membership.h). */
void log_view_append(struct log_view *log, const struct raft_entry *entry);
/* Drops every entry at or above `index`, with the configurations among them. */
void log_view_cut(struct log_view *log, uint64_t index);

/* Forgets every entry up to `index`, which becomes the base. */
void log_view_compact(struct log_view *log, uint64_t index);
/* Forgets all entries and begins anew after `index`, with the configuration in force there. */
void log_view_restart(struct log_view *log,
                      uint64_t index,
                      uint64_t term,
                      const struct raft_configuration *configuration);

/* The largest index at or below `index` whose term is at or below `term`, for fast backtracking;
 * at least the base. */
uint64_t log_view_floor_of_term(const struct log_view *log, uint64_t index, uint64_t term);

/* How many entries from `index` on make a message of at most `bytes_max` payload bytes (at least
 * one if there is any); their bytes go to *bytes_out. */
uint32_t
log_view_batch(const struct log_view *log, uint64_t index, uint64_t bytes_max, uint64_t *bytes_out);
/* What an entry costs in windows and messages: its payload and a fixed overhead. */
uint64_t log_view_entry_bytes(const struct raft_entry *entry);

/* The configuration in force: that of the latest configuration entry, committed or not. */
const struct raft_configuration *log_view_configuration(const struct log_view *log);
/* Since which index it is. */
uint64_t log_view_configuration_index(const struct log_view *log);

/* The configuration in force at `index`, which must not be before the base. */
const struct raft_configuration *log_view_configuration_at(const struct log_view *log,
                                                           uint64_t index);

void log_view_check_invariants(const struct log_view *log);

#endif
