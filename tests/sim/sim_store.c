/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_store.h. */
#include "tests/sim/sim_store.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    SEGMENT_BYTES = 64 * 1024,
    SEGMENT_HEADER_BYTES = 4096,
    CALLS_OF_AN_APPEND = 4,
    LIES_PERMILLE = 900,
};

static const char WAL_PATH[] = "wal";
static const char SNAPSHOTS_PATH[] = "snapshots";

static struct wal_options options_of(const struct sim_store *store);
static bool
lost_its_end(const struct sim_store *store, const struct wal_recovered *log, uint64_t last_index);
static uint64_t flush_end(struct sim_store *store, uint64_t now_us);
static void drop_first(struct sim_store *store, uint32_t count);

void sim_store_format(struct sim_store *store,
                      struct cluster_id cluster,
                      struct member_id member,
                      uint64_t seed,
                      bool lies)
{
    struct reason reason;
    uint64_t delay_min_us = store->delay_min_us;
    uint64_t delay_max_us = store->delay_max_us;

    sim_store_deinit(store);
    store->delay_min_us = delay_min_us;
    store->delay_max_us = delay_max_us;
    store->slow = 1;
    prng_init_stream(&store->prng, seed, "store");
    store->cluster = cluster;
    store->member = member;
    store->lies = lies;
    store->fault = fault_disk_new(seed);
    const struct wal_options options = options_of(store);
    enum error error = wal_format(&options, &reason);
    CHECK(error == ERR_OK);
    store->snapshots = (struct snapshot_dir){.disk = options.disk, .path = SNAPSHOTS_PATH};
}

void sim_store_deinit(struct sim_store *store)
{
    drop_first(store, store->writes_count);
    mem_free(store->writes);
    if (store->wal != NULL) {
        wal_close(store->wal);
    }
    if (store->fault != NULL) {
        fault_disk_free(store->fault);
    }
    *store = (struct sim_store){0};
}

enum error
sim_store_open(struct sim_store *store, struct reason *reason, struct wal_recovered *log_out)
{
    const struct wal_options options = options_of(store);
    struct wal_recovered log = {0};

    CHECK(store->wal == NULL && store->writes_count == 0);
    enum error error = wal_open(&options, reason, &log, &store->wal);
    if (error != ERR_OK) {
        return error;
    }
    if (lost_its_end(store, &log, wal_last_index(store->wal))) {
        error = reason_set(reason, ERR_CORRUPT, "its last batch rotted");
    }
    store->rotten = false;
    if (error != ERR_OK) {
        wal_recovered_deinit(&log);
        sim_store_close(store);
        return error;
    }
    store->cut_index = 0;
    store->cut_done = 0;
    *log_out = log;
    return ERR_OK;
}

void sim_store_close(struct sim_store *store)
{
    if (store->wal != NULL) {
        wal_close(store->wal);
        store->wal = NULL;
    }
}

uint64_t sim_store_write(struct sim_store *store, const struct raft_write *write, uint64_t now_us)
{
    if (store->writes_count == store->writes_cap) {
        store->writes_cap = store->writes_cap == 0 ? 16 : store->writes_cap * 2;
        store->writes = mem_resize(store->writes, store->writes_cap * sizeof(*store->writes));
    }
    struct raft_write *copy = &store->writes[store->writes_count++];
    *copy = *write;
    copy->entries = mem_new_array(write->entries_count, sizeof(*copy->entries));
    for (uint32_t i = 0; i < write->entries_count; i++) {
        copy->entries[i] = write->entries[i];
        (void)blob_ref(copy->entries[i].payload);
    }
    return flush_end(store, now_us);
}

enum error sim_store_complete(struct sim_store *store, uint64_t seq, struct reason *reason)
{
    uint32_t count = 0;

    while (count < store->writes_count && store->writes[count].seq <= seq) {
        count++;
    }
    if (count == 0 || (store->lies && prng_chance(&store->prng, LIES_PERMILLE))) {
        return ERR_OK;
    }
    enum error error = wal_append(store->wal, store->writes, count);
    if (error == ERR_OK && !wal_is_prepared(store->wal)) {
        /* If there is no room it is tried again with the next append. */
        enum error spare = wal_prepare(store->wal);
        CHECK(spare == ERR_OK || wal_reason(store->wal)->text[0] == '\0');
    }
    drop_first(store, count);
    if (error == ERR_OK && store->writes_count == 0 && store->cut_index > store->cut_done) {
        store->cut_done = store->cut_index;
        error = wal_cut(store->wal, store->cut_index + 1);
    }
    if (error != ERR_OK) {
        *reason = *wal_reason(store->wal);
    }
    return error;
}

void sim_store_crash(struct sim_store *store, bool power, bool torn)
{
    if (store->wal != NULL && torn && store->writes_count > 0) {
        uint32_t count = (uint32_t)prng_between(&store->prng, 1, store->writes_count);
        fault_disk_fail_nth(
            store->fault, prng_between(&store->prng, 1, CALLS_OF_AN_APPEND), ERR_IO);
        /* Some of it may be whole: a write that nobody was told of. */
        if (wal_append(store->wal, store->writes, count) == ERR_OK) {
            fault_disk_fail_nth(store->fault, 0, ERR_IO);
        }
    }
    if (store->wal != NULL) {
        wal_close(store->wal);
        store->wal = NULL;
    }
    if (power) {
        fault_disk_crash(store->fault);
    } else {
        fault_disk_kill(store->fault);
    }
    drop_first(store, store->writes_count);
    store->flushing_until_us = 0;
    store->queued_until_us = 0;
}

struct pick {
    struct prng *prng;
    uint64_t seen;
    char path[SNAPSHOT_PATH_SIZE];
};

static void pick_one(const char *name, void *ctx)
{
    struct pick *pick = ctx;

    pick->seen++;
    if (prng_below(pick->prng, pick->seen) == 0) {
        (void)snprintf(pick->path, sizeof(pick->path), "%s/%s", WAL_PATH, name);
    }
}

void sim_store_rot(struct sim_store *store)
{
    const struct wal_options options = options_of(store);
    const struct disk *disk = fault_disk_ops(store->fault);
    struct pick pick = {.prng = &store->prng};
    struct wal_recovered before = {0};
    struct reason reason = {0};
    struct wal *wal = NULL;

    CHECK(store->wal == NULL);
    if (wal_open(&options, &reason, &before, &wal) != ERR_OK) {
        return; /* it cannot start as it is */
    }
    store->rotten = true;
    store->was_rotten = true;
    store->rotten_last_index = wal_last_index(wal);
    store->rotten_hard_state = before.hard_state;
    wal_recovered_deinit(&before);
    wal_close(wal);
    enum error error = disk->list(disk->ctx, WAL_PATH, pick_one, &pick);
    CHECK(error == ERR_OK && pick.seen > 0);
    struct slice bytes = fault_disk_view(store->fault, pick.path);
    uint8_t mask = (uint8_t)prng_between(&store->prng, 1, UINT8_MAX);
    fault_disk_flip(store->fault, pick.path, prng_below(&store->prng, bytes.len / 2), mask);
}

/* Whether the log of a damaged disk has lost something and does not know. */
static bool
lost_its_end(const struct sim_store *store, const struct wal_recovered *log, uint64_t last_index)
{
    const struct raft_hard_state *state = &log->hard_state;

    return store->rotten &&
           (last_index < store->rotten_last_index || state->term < store->rotten_hard_state.term ||
            (state->term == store->rotten_hard_state.term &&
             !member_id_equal(state->vote, store->rotten_hard_state.vote)));
}

void sim_store_cut(struct sim_store *store, uint64_t index)
{
    store->cut_index = index > store->cut_index ? index : store->cut_index;
}

static struct wal_options options_of(const struct sim_store *store)
{
    return (struct wal_options){
        .disk = fault_disk_ops(store->fault),
        .path = WAL_PATH,
        .cluster = store->cluster,
        .member = store->member,
        .segment_bytes = SEGMENT_BYTES,
        .seed = store->member.lo + 1,
    };
}

static uint64_t flush_end(struct sim_store *store, uint64_t now_us)
{
    uint64_t delay_us =
        prng_between(&store->prng, store->delay_min_us, store->delay_max_us) * store->slow;

    if (now_us >= store->flushing_until_us && store->queued_until_us != 0) {
        store->flushing_until_us = store->queued_until_us;
        store->queued_until_us = 0;
    }
    if (now_us >= store->flushing_until_us) {
        store->flushing_until_us = now_us + delay_us;
        return store->flushing_until_us;
    }
    if (store->queued_until_us == 0) {
        store->queued_until_us = store->flushing_until_us + delay_us;
    }
    return store->queued_until_us;
}

static void drop_first(struct sim_store *store, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < store->writes[i].entries_count; k++) {
            blob_unref(store->writes[i].entries[k].payload);
        }
        mem_free(store->writes[i].entries);
    }
    store->writes_count -= count;
    if (store->writes_count > 0) {
        memmove(
            store->writes, store->writes + count, store->writes_count * sizeof(store->writes[0]));
    }
}
