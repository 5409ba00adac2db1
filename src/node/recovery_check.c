/* SPDX-License-Identifier: Apache-2.0 */
/* See recovery_check.h. */
#include "node/recovery_check.h"

#include "base/check.h"

#include <inttypes.h>

static enum error check_end(const struct recovery_facts *facts, struct reason *reason);
static enum error check_terms(const struct recovery_facts *facts, struct reason *reason);
static bool goes_through(const struct recovery_facts *facts);
static bool goes_back_in_terms(const struct recovery_facts *facts);
static uint64_t last_index(const struct recovery_facts *facts);

enum error recovery_check(const struct recovery_facts *facts, struct reason *reason)
{
    CHECK(facts->stored_index >= facts->snapshot_index);
    if (facts->log.first_index > facts->snapshot_index + 1) {
        return reason_set(reason,
                          ERR_CORRUPT,
                          "%s: the log begins at index %" PRIu64 ", and the snapshot of what was "
                          "before is missing (the newest in snapshots/ ends at %" PRIu64
                          "; 0: there is none). Put it back if it was taken away, or this folder "
                          "restored without it; else move the folder away and join as a new "
                          "member, with a new id",
                          facts->dir,
                          facts->log.first_index,
                          facts->snapshot_index);
    }
    TRY(check_end(facts, reason));
    return check_terms(facts, reason);
}

/* What a store holds was durable in the log before, or came with the snapshot. */
static enum error check_end(const struct recovery_facts *facts, struct reason *reason)
{
    bool goes_on = goes_through(facts);
    if (!goes_on && facts->stored_index == facts->snapshot_index) {
        return ERR_OK;
    }
    if (!goes_on || goes_back_in_terms(facts)) {
        return reason_set(reason,
                          ERR_CORRUPT,
                          "%s: the log does not go on from the newest snapshot, index %" PRIu64
                          " of term %" PRIu64 ", but the store has index %" PRIu64
                          ": files of several members or times are mixed here. Join as a new "
                          "member, with a new id",
                          facts->dir,
                          facts->snapshot_index,
                          facts->snapshot_term,
                          facts->stored_index);
    }
    if (facts->stored_index > last_index(facts)) {
        return reason_set(reason,
                          ERR_CORRUPT,
                          "%s: the store has applied index %" PRIu64 " but the log ends at %" PRIu64
                          ": part of the log is missing. Do not start this member with this "
                          "folder; join as a new member, with a new id",
                          facts->dir,
                          facts->stored_index,
                          last_index(facts));
    }
    return ERR_OK;
}

static enum error check_terms(const struct recovery_facts *facts, struct reason *reason)
{
    uint64_t index = facts->stored_index;
    uint64_t term = facts->stored_term;
    if (index > facts->snapshot_index) {
        CHECK(index >= facts->log.first_index && index <= last_index(facts));
        term = facts->log.entries[index - facts->log.first_index].term;
    } else if (index > 0) {
        term = facts->snapshot_term;
    }
    if (term == facts->stored_term) {
        return ERR_OK;
    }
    return reason_set(reason,
                      ERR_CORRUPT,
                      "%s: at index %" PRIu64 " the store has term %" PRIu64
                      ", log or snapshot have term %" PRIu64
                      ": remove both files in %s and start again, the state is rebuilt from "
                      "snapshot and log",
                      facts->dir,
                      index,
                      facts->stored_term,
                      term,
                      facts->store_path);
}

static bool goes_through(const struct recovery_facts *facts)
{
    return raft_log_goes_through(&facts->log, facts->snapshot_index, facts->snapshot_term);
}

/* A log that begins right behind the snapshot, in a term before the snapshot's. */
static bool goes_back_in_terms(const struct recovery_facts *facts)
{
    return facts->log.entries_count > 0 && facts->log.first_index > facts->snapshot_index &&
           facts->log.entries[0].term < facts->snapshot_term;
}

static uint64_t last_index(const struct recovery_facts *facts)
{
    return facts->log.first_index + facts->log.entries_count - 1;
}
