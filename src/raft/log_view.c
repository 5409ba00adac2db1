/* SPDX-License-Identifier: Apache-2.0 */
/* Entries lie in one array that grows by doubling: an index is found by subtraction, a message
 * borrows a run of it without copying, and no step walks the log. */
#include "raft/log_view.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/membership.h"

#include <string.h>

enum {
    CAP_MIN = 64,
    /* Index, term, kind and lengths on the wire: an empty entry is not free. */
    ENTRY_OVERHEAD_BYTES = 32,
};

static void push_configuration(struct log_view *log,
                               uint64_t index,
                               const struct raft_configuration *configuration);

void log_view_init(struct log_view *log, uint64_t base_index, uint64_t base_term)
{
    CHECK((base_index == 0) == (base_term == 0));
    *log = (struct log_view){
        .base_index = base_index,
        .base_term = base_term,
        .unwritten_from = base_index + 1,
    };
}

void log_view_deinit(struct log_view *log)
{
    for (uint64_t i = 0; i < log->count; i++) {
        blob_unref(log->entries[i].payload);
    }
    mem_free(log->entries);
    mem_free(log->configurations);
    *log = (struct log_view){0};
}

void log_view_set_base(struct log_view *log,
                       uint64_t index,
                       const struct raft_configuration *configuration)
{
    CHECK(log->configurations_count == 0);
    CHECK(log->count == 0);
    CHECK(index >= log->base_index);
    push_configuration(log, index, configuration);
}

uint64_t log_view_last_index(const struct log_view *log)
{
    return log->base_index + log->count;
}

uint64_t log_view_last_term(const struct log_view *log)
{
    return log_view_term(log, log_view_last_index(log));
}

uint64_t log_view_term(const struct log_view *log, uint64_t index)
{
    if (index == log->base_index) {
        return log->base_term;
    }
    const struct raft_entry *entry = log_view_at(log, index);
    return entry == NULL ? 0 : entry->term;
}

bool log_view_matches(const struct log_view *log, uint64_t index, uint64_t term)
{
    if (index < log->base_index || index > log_view_last_index(log)) {
        return false;
    }
    return log_view_term(log, index) == term;
}

struct raft_entry *log_view_at(const struct log_view *log, uint64_t index)
{
    if (index <= log->base_index || index > log_view_last_index(log)) {
        return NULL;
    }
    struct raft_entry *entry = &log->entries[index - log->base_index - 1];
    CHECK(entry->index == index);
    return entry;
}

void log_view_append(struct log_view *log, const struct raft_entry *entry)
{
    CHECK(entry->index == log_view_last_index(log) + 1);
    CHECK(entry->term >= log_view_last_term(log));
    CHECK(entry->payload != NULL);

    if (log->count == log->cap) {
        log->cap = log->cap == 0 ? CAP_MIN : log->cap * 2;
        log->entries = mem_resize(log->entries, log->cap * sizeof(*log->entries));
    }
    log->entries[log->count] = *entry;
    blob_ref(entry->payload);
    log->count++;
    log->bytes += log_view_entry_bytes(entry);

    if (entry->kind == RAFT_ENTRY_CONFIGURATION && entry->index > log->configurations[0].index) {
        struct raft_configuration configuration;
        enum error error = raft_configuration_decode(blob_view(entry->payload), &configuration);
        CHECK(error == ERR_OK);
        push_configuration(log, entry->index, &configuration);
    }
}

void log_view_cut(struct log_view *log, uint64_t index)
{
    CHECK(index > log->base_index);
    CHECK(index <= log_view_last_index(log));

    while (log_view_last_index(log) >= index) {
        log->count--;
        log->bytes -= log_view_entry_bytes(&log->entries[log->count]);
        blob_unref(log->entries[log->count].payload);
    }
    while (log->configurations[log->configurations_count - 1].index >= index) {
        log->configurations_count--;
        CHECK(log->configurations_count > 0);
    }
    /* Entries that were never given to the disk need no truncation there. */
    if (index < log->unwritten_from) {
        log->unwritten_from = index;
        if (log->truncate_from == 0 || index < log->truncate_from) {
            log->truncate_from = index;
        }
    }
}

void log_view_compact(struct log_view *log, uint64_t index)
{
    CHECK(index >= log->base_index && index <= log_view_last_index(log));
    CHECK(index < log->unwritten_from);
    uint64_t base_term = log_view_term(log, index);
    uint64_t gone = index - log->base_index;
    for (uint64_t i = 0; i < gone; i++) {
        log->bytes -= log_view_entry_bytes(&log->entries[i]);
        blob_unref(log->entries[i].payload);
    }
    log->count -= gone;
    if (log->count > 0) {
        memmove(log->entries, log->entries + gone, log->count * sizeof(*log->entries));
    }
    log->base_index = index;
    log->base_term = base_term;

    uint32_t old = 0;
    while (old + 1 < log->configurations_count && log->configurations[old + 1].index <= index) {
        old++;
    }
    log->configurations_count -= old;
    memmove(log->configurations,
            log->configurations + old,
            log->configurations_count * sizeof(*log->configurations));
}

void log_view_restart(struct log_view *log,
                      uint64_t index,
                      uint64_t term,
                      const struct raft_configuration *configuration)
{
    CHECK(index > 0 && term > 0);
    /* It may be one of ours, which is about to go. */
    struct raft_configuration in_force = *configuration;
    log_view_deinit(log);
    log_view_init(log, index, term);
    log_view_set_base(log, index, &in_force);
    log->restart_index = index;
    log->restart_term = term;
}

uint64_t log_view_floor_of_term(const struct log_view *log, uint64_t index, uint64_t term)
{
    uint64_t last = log_view_last_index(log);
    uint64_t low = log->base_index;
    uint64_t high = index < last ? index : last;
    if (high <= low) {
        return low;
    }
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (log_view_term(log, middle) <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

uint32_t
log_view_batch(const struct log_view *log, uint64_t index, uint64_t bytes_max, uint64_t *bytes_out)
{
    CHECK(index > log->base_index);
    uint64_t bytes = 0;
    uint32_t count = 0;
    uint64_t last = log_view_last_index(log);
    for (uint64_t at = index; at <= last; at++) {
        uint64_t more = log_view_entry_bytes(&log->entries[at - log->base_index - 1]);
        if (count > 0 && bytes + more > bytes_max) {
            break;
        }
        bytes += more;
        count++;
    }
    *bytes_out = bytes;
    return count;
}

uint64_t log_view_entry_bytes(const struct raft_entry *entry)
{
    return ENTRY_OVERHEAD_BYTES + (uint64_t)entry->payload->len;
}

const struct raft_configuration *log_view_configuration(const struct log_view *log)
{
    CHECK(log->configurations_count > 0);
    return &log->configurations[log->configurations_count - 1].configuration;
}

uint64_t log_view_configuration_index(const struct log_view *log)
{
    CHECK(log->configurations_count > 0);
    return log->configurations[log->configurations_count - 1].index;
}

const struct raft_configuration *log_view_configuration_at(const struct log_view *log,
                                                           uint64_t index)
{
    CHECK(index >= log->configurations[0].index);
    uint32_t at = log->configurations_count - 1;
    while (log->configurations[at].index > index) {
        CHECK(at > 0);
        at--;
    }
    return &log->configurations[at].configuration;
}

void log_view_check_invariants(const struct log_view *log)
{
    uint64_t last = log_view_last_index(log);
    CHECK(log->count <= log->cap);
    CHECK(log->unwritten_from > log->base_index && log->unwritten_from <= last + 1);
    CHECK(log->truncate_from == 0 || log->truncate_from >= log->unwritten_from);
    CHECK(log->configurations_count > 0);
    CHECK(log->configurations_count == 1 || log->configurations[1].index > log->base_index);
    CHECK(log->configurations[log->configurations_count - 1].index <= last);
    CHECK(log->count == 0 || log->entries[log->count - 1].index == last);
    CHECK(log->count == 0 || log->entries[0].index == log->base_index + 1);
    CHECK(log->count == 0 || log->entries[0].term >= log->base_term);
    CHECK(log->count > 0 || log->bytes == 0);
}

static void push_configuration(struct log_view *log,
                               uint64_t index,
                               const struct raft_configuration *configuration)
{
    if (log->configurations_count == log->configurations_cap) {
        log->configurations_cap = log->configurations_cap == 0 ? 4 : log->configurations_cap * 2;
        log->configurations =
            mem_resize(log->configurations, log->configurations_cap * sizeof(*log->configurations));
    }
    log->configurations[log->configurations_count] =
        (struct log_configuration){.index = index, .configuration = *configuration};
    log->configurations_count++;
}
