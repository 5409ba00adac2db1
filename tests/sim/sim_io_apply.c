/* SPDX-License-Identifier: Apache-2.0 */
/* A member's tables (node/node_io.h): in memory, where production has LMDB, and without a thread,
 * but in the same order: entries, queries between them, readers. They survive a kill and are gone
 * after a loss of power. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>

enum {
    APPLY_US_MIN = 1 * SIM_MS,
    APPLY_US_MAX = 100 * SIM_MS,
};

static enum error settle_store(void *ctx, struct reason *reason);
static enum error clear_store(void *ctx, struct reason *reason);
static enum error install_store(void *ctx, const char *snapshot, struct reason *reason);
static enum error open_store(void *ctx, struct reason *reason, struct apply_position *position_out);
static void close_store(void *ctx);
static void apply(void *ctx, const struct raft_entry *entries, uint32_t count);
static void query(void *ctx, applier_query_fn run, applier_done_fn done, void *query_ctx);
static void read_state(void *ctx);
static void end_read(void *ctx, void *reader);
static struct sim_job *job_new(struct sim_member *member, int kind);
static void job_free(struct sim_job *job);
static bool put_row(enum table table, struct slice key, struct slice value, void *ctx);
static void work_entries(struct sim *sim, struct sim_member *member, struct sim_job *job);
static void rest(struct sim *sim, struct sim_member *member);
static void after_entry(void *ctx, const struct applier_result *result);
static void on_too_new(void *ctx, const char *why);

void sim_io_apply_fill(struct node_io *io)
{
    io->ground.settle_store = settle_store;
    io->ground.clear_store = clear_store;
    io->ground.install_store = install_store;
    io->ground.open_store = open_store;
    io->ground.close_store = close_store;
    io->apply = apply;
    io->query = query;
    io->read = read_state;
    io->end_read = end_read;
}

bool sim_io_work(struct sim *sim, struct sim_member *member)
{
    struct sim_job *job = STAILQ_FIRST(&member->jobs);

    if (job == NULL || sim->now_us < member->apply_busy_us) {
        return false;
    }
    STAILQ_REMOVE_HEAD(&member->jobs, others);
    switch (job->kind) {
    case JOB_ENTRIES:
        work_entries(sim, member, job);
        rest(sim, member);
        break;
    case JOB_QUERY:
        job->run(&member->tables, job->ctx);
        job->done(job->ctx);
        break;
    case JOB_READ: {
        struct apply_position position;
        apply_position(&member->tables, &position);
        node_read_began(member->core, member, &position);
        break;
    }
    }
    job_free(job);
    return true;
}

/* Who asked for a query lets go of what it had for it. */
void sim_io_drop_jobs(struct sim_member *member)
{
    while (!STAILQ_EMPTY(&member->jobs)) {
        struct sim_job *job = STAILQ_FIRST(&member->jobs);
        STAILQ_REMOVE_HEAD(&member->jobs, others);
        if (job->kind == JOB_QUERY) {
            job->done(job->ctx);
        }
        job_free(job);
    }
}

enum error sim_io_load(struct sim_member *member, const char *path, struct reason *reason)
{
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    struct snapshot_header header;
    struct apply_position position;
    const struct sim *sim = member->sim;

    const struct snapshot_taker taker = {.row = put_row, .row_ctx = &tables};
    enum error error = snapshot_file_load(member->io.ground.disk, path, reason, &header, &taker);
    if (error != ERR_OK) {
        tables_memory_free(memory);
        return error;
    }
    tables_memory_free(member->tables_memory);
    member->tables_memory = memory;
    member->tables = tables;
    apply_position(&member->tables, &position);
    CHECK(position.index == header.index);
    member->wrong = sim_wrong_is(sim, &member->tables);
    if (member->wrong && sim->wrong_states == 0) {
        sim_fail(member->sim,
                 "member %u: the snapshot at %" PRIu64 " holds something else",
                 member->node,
                 position.index);
    }
    return ERR_OK;
}

static enum error settle_store(void *ctx, struct reason *reason)
{
    (void)ctx;
    (void)reason;
    return ERR_OK;
}

static enum error clear_store(void *ctx, struct reason *reason)
{
    struct sim_member *member = ctx;

    (void)reason;
    tables_memory_free(member->tables_memory);
    member->tables_memory = NULL;
    member->wrong = false;
    return ERR_OK;
}

static enum error install_store(void *ctx, const char *snapshot, struct reason *reason)
{
    return sim_io_load(ctx, snapshot, reason);
}

static enum error open_store(void *ctx, struct reason *reason, struct apply_position *position_out)
{
    struct sim_member *member = ctx;

    (void)reason;
    if (member->tables_memory == NULL) {
        member->tables_memory = tables_memory_new();
    }
    member->tables = tables_memory_tables(member->tables_memory);
    apply_position(&member->tables, position_out);
    return ERR_OK;
}

static void close_store(void *ctx)
{
    (void)ctx;
}

static void apply(void *ctx, const struct raft_entry *entries, uint32_t count)
{
    struct sim_job *job = job_new(ctx, JOB_ENTRIES);

    job->entries = mem_dup(entries, count * sizeof(*entries));
    job->count = count;
    for (uint32_t i = 0; i < count; i++) {
        (void)blob_ref(entries[i].payload);
    }
}

static void query(void *ctx, applier_query_fn run, applier_done_fn done, void *query_ctx)
{
    struct sim_job *job = job_new(ctx, JOB_QUERY);

    job->run = run;
    job->done = done;
    job->ctx = query_ctx;
}

static void read_state(void *ctx)
{
    (void)job_new(ctx, JOB_READ);
}

static void end_read(void *ctx, void *reader)
{
    CHECK(ctx == reader);
}

static struct sim_job *job_new(struct sim_member *member, int kind)
{
    struct sim_job *job = mem_new(sizeof(*job));

    job->kind = kind;
    STAILQ_INSERT_TAIL(&member->jobs, job, others);
    return job;
}

static void job_free(struct sim_job *job)
{
    for (uint32_t i = 0; i < job->count; i++) {
        blob_unref(job->entries[i].payload);
    }
    mem_free(job->entries);
    mem_free(job);
}

static bool put_row(enum table table, struct slice key, struct slice value, void *ctx)
{
    tables_put(ctx, table, key, value);
    return true;
}

static void work_entries(struct sim *sim, struct sim_member *member, struct sim_job *job)
{
    const struct applier_pass pass = {.tables = &member->tables,
                                      .after_entry = after_entry,
                                      .on_too_new = on_too_new,
                                      .ctx = member};

    for (uint32_t done = 0; done < job->count && !member->dying;) {
        struct applier_batch *batch = NULL;
        uint32_t count = applier_batch_run(&pass, job->entries + done, job->count - done, &batch);
        for (uint32_t i = 0; i < count; i++) {
            const struct applier_result *result = &batch->results[i];
            if (result->kind == COMMAND_NONE && job->entries[done + i].kind == RAFT_ENTRY_COMMAND) {
                sim_fail(sim, "entry %" PRIu64 " does not decode", result->index);
            }
            sim_serve_effect(sim, result);
        }
        for (uint32_t i = 0; i < batch->views_count; i++) {
            sim_check_view(sim, &batch->views[i]);
        }
        done += count;
        node_applied(member->core, batch);
        applier_batch_free(batch);
    }
}

/* A slow thread is at it for a while. */
static void rest(struct sim *sim, struct sim_member *member)
{
    if (!member->apply_slow) {
        return;
    }
    member->apply_busy_us = sim->now_us + sim_draw(sim, APPLY_US_MIN, APPLY_US_MAX);
    sim_at(sim,
           member->apply_busy_us,
           (struct sim_item){
               .kind = EV_MEMBER_APPLY, .node = member->node, .number = member->generation});
}

static void after_entry(void *ctx, const struct applier_result *result)
{
    struct sim_member *member = ctx;

    sim_check_applied(member->sim, member, result->index, result->term);
    if (result->result.error != ERR_OK) {
        sim_trace(member->sim,
                  "member %u: entry %" PRIu64 " refused: %s",
                  member->node,
                  result->index,
                  result->result.message);
    }
}

static void on_too_new(void *ctx, const char *why)
{
    struct sim_member *member = ctx;
    sim_fail(member->sim, "member %u: %s", member->node, why);
}
