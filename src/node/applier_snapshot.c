/* SPDX-License-Identifier: Apache-2.0 */
/* The apply thread's part in snapshots: a reader of what it has made durable, and a store replaced
 * by what was received. */
#include "node/applier_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

static enum error replace_store(struct applier_job *job);
static enum error reopen(struct applier *applier, struct applier_job *job);

void applier_read(struct applier *applier, applier_read_fn done, void *ctx)
{
    struct applier_job *job = mem_new(sizeof(*job));
    job->kind = APPLIER_JOB_READ;
    job->read_done = done;
    job->ctx = ctx;
    applier_submit(applier, job);
}

void applier_install(struct applier *applier,
                     const struct applier_install *install,
                     applier_installed_fn done,
                     void *ctx)
{
    struct applier_job *job = mem_new(sizeof(*job));
    job->kind = APPLIER_JOB_INSTALL;
    job->install = *install;
    job->install_done = done;
    job->ctx = ctx;
    applier_submit(applier, job);
}

void applier_run_read(struct applier *applier, struct applier_job *job)
{
    if (applier->dirty) {
        applier_commit(applier);
    }
    enum error error = store_reader_begin(applier->options.store, &job->reader);
    if (error != ERR_OK) {
        applier->options.on_fatal(
            error, store_reason(applier->options.store)->text, applier->options.ctx);
        return;
    }
    apply_position(store_reader_tables(job->reader), &job->position);
    CHECK(job->position.index == applier->applied_index);
}

void applier_run_install(struct applier *applier, struct applier_job *job)
{
    if (applier->dirty) {
        applier_commit(applier);
    }
    CHECK(job->install.info.index > applier->applied_index);
    job->error = snapshot_dir_accept(
        job->install.snapshots, &job->install.info, job->install.cluster, &job->reason);
    if (job->error != ERR_OK) {
        return;
    }
    uint64_t before = applier->applied_index;
    store_close(applier->options.store);
    job->error = replace_store(job);
    enum error error = reopen(applier, job);
    if (error == ERR_OK && job->error != ERR_OK && applier->applied_index != before) {
        /* It failed between the two stores: neither is the one that the caller counts on. The next
         * start settles it. */
        error = job->error;
    }
    if (error != ERR_OK) {
        applier->options.on_fatal(error, job->reason.text, applier->options.ctx);
    }
}

static enum error replace_store(struct applier_job *job)
{
    const struct applier_install *install = &job->install;
    char path[SNAPSHOT_PATH_SIZE];
    struct snapshot_header header;
    snapshot_dir_path(install->snapshots, &install->info, path);
    return store_install(
        install->snapshots->disk, path, install->store_path, &job->reason, &header);
}

/* The new store, or after an error the old one. */
static enum error reopen(struct applier *applier, struct applier_job *job)
{
    const struct store_options options = {.path = job->install.store_path};
    struct reason reason = {0};
    struct store *store = NULL;
    enum error error = store_open(&options, &reason, &store);
    if (error == ERR_OK) {
        error = store_begin(store, clock_monotonic_ms());
    }
    if (error != ERR_OK) {
        job->reason = reason;
        return error;
    }
    applier->options.store = store;
    apply_position(store_tables(store), &job->position);
    store_abort(store);
    applier->applied_index = store_committed_index(store);
    CHECK(job->position.index == applier->applied_index);
    applier->dirty = false;
    store_usage(store, &applier->used_bytes, &applier->map_bytes);
    return ERR_OK;
}
