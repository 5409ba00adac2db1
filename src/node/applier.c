/* SPDX-License-Identifier: Apache-2.0 */
/* See applier.h. Two queues of jobs: one towards the apply thread, one back to the loop. */
#include "node/applier_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static void *run(void *argument);
static struct applier_job *next_job(struct applier *applier, bool *stopping_out);
static void end_readers(struct applier *applier);
static void wait_for_job(struct applier *applier);
static void work(struct applier *applier, struct applier_job *job);
static void work_entries(struct applier *applier, struct applier_job *job);
static void put_off(struct applier *applier, struct applier_job *job, uint32_t count);
static void after_entry(void *ctx, const struct applier_result *result);
static void on_too_new(void *ctx, const char *why);
static void begin(struct applier *applier);
static void commit_if_due(struct applier *applier, bool force);
static void post_back(struct applier *applier, struct applier_job *job);
static void push(struct applier_queue *queue, struct applier_job *job);
static void on_async(uv_async_t *async);
static void finish_job(struct applier *applier, struct applier_job *job);
static void free_queue(struct applier_queue *queue);
static void on_closed(uv_handle_t *handle);

enum error applier_start(const struct applier_options *options, struct applier **applier_out)
{
    CHECK(options->store != NULL);
    CHECK(options->on_batch != NULL && options->on_fatal != NULL);
    struct applier *applier = mem_new(sizeof(*applier));
    applier->options = *options;
    applier->durable_index = options->durable_index;
    applier->applied_index = store_committed_index(options->store);

    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_mutex_init(&applier->lock, NULL) == 0);
    CHECK(pthread_cond_init(&applier->wake, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    CHECK(uv_async_init(options->loop, &applier->async, on_async) == 0);
    applier->async.data = applier;

    enum error error = thread_start("apply", run, applier, &applier->thread);
    if (error != ERR_OK) {
        uv_close((uv_handle_t *)&applier->async, on_closed);
        return error;
    }
    *applier_out = applier;
    return ERR_OK;
}

void applier_apply(struct applier *applier, const struct raft_entry *entries, uint32_t count)
{
    CHECK(count > 0 && count <= APPLIER_BATCH_MAX);
    struct applier_job *job = mem_new(sizeof(*job));
    job->kind = APPLIER_JOB_ENTRIES;
    job->entries = mem_dup(entries, count * sizeof(*entries));
    job->entries_count = count;
    for (uint32_t i = 0; i < count; i++) {
        (void)blob_ref(job->entries[i].payload);
    }
    applier_submit(applier, job);
}

void applier_query(struct applier *applier,
                   applier_query_fn run_fn,
                   applier_done_fn done,
                   void *ctx)
{
    struct applier_job *job = mem_new(sizeof(*job));
    job->kind = APPLIER_JOB_QUERY;
    job->run = run_fn;
    job->done = done;
    job->ctx = ctx;
    applier_submit(applier, job);
}

/* The signal comes after the lock is free: the thread that wakes needs it at once. */
void applier_submit(struct applier *applier, struct applier_job *job)
{
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    push(&applier->todo, job);
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
    CHECK(pthread_cond_signal(&applier->wake) == 0);
}

void applier_stop(struct applier *applier)
{
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    applier->stopping = true;
    CHECK(pthread_cond_signal(&applier->wake) == 0);
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
    CHECK(pthread_join(applier->thread, NULL) == 0);
    free_queue(&applier->todo);
    free_queue(&applier->finished);
    (void)pthread_cond_destroy(&applier->wake);
    (void)pthread_mutex_destroy(&applier->lock);
    uv_close((uv_handle_t *)&applier->async, on_closed);
}

void applier_job_free(struct applier_job *job)
{
    for (uint32_t i = 0; i < job->entries_count; i++) {
        blob_unref(job->entries[i].payload);
    }
    mem_free(job->entries);
    if (job->batch != NULL) {
        applier_batch_free(job->batch);
    }
    mem_free(job);
}

static void *run(void *argument)
{
    struct applier *applier = argument;
    bool stopping = false;
    while (true) {
        struct applier_job *job = next_job(applier, &stopping);
        if (job != NULL) {
            work(applier, job);
            commit_if_due(applier, false);
            post_back(applier, job);
        } else if (stopping) {
            break;
        } else {
            commit_if_due(applier, false);
        }
    }
    commit_if_due(applier, true);
    end_readers(applier);
    /* Here, not in applier_stop: LMDB's transaction belongs to the thread that began it. */
    store_close(applier->options.store);
    return NULL;
}

/* Of reads that were done but will not be delivered any more. */
static void end_readers(struct applier *applier)
{
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    for (struct applier_job *job = applier->finished.first; job != NULL; job = job->next) {
        if (job->reader != NULL) {
            store_reader_end(job->reader);
            job->reader = NULL;
        }
    }
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
}

/* Waits for a job until the open transaction is due. NULL: none came, or none is left to do. */
static struct applier_job *next_job(struct applier *applier, bool *stopping_out)
{
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    if (applier->todo.first == NULL && !applier->stopping) {
        wait_for_job(applier);
    }
    struct applier_job *job = applier->todo.first;
    if (job != NULL) {
        applier->todo.first = job->next;
        if (applier->todo.first == NULL) {
            applier->todo.last = NULL;
        }
        job->next = NULL;
    }
    *stopping_out = applier->stopping;
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
    return job;
}

static void wait_for_job(struct applier *applier)
{
    if (!applier->dirty) {
        CHECK(pthread_cond_wait(&applier->wake, &applier->lock) == 0);
        return;
    }
    struct timespec until;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_nsec += (long)STORE_COMMIT_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int result = pthread_cond_timedwait(&applier->wake, &applier->lock, &until);
    CHECK(result == 0 || result == ETIMEDOUT);
}

static void work(struct applier *applier, struct applier_job *job)
{
    if (job->kind == APPLIER_JOB_INSTALL) {
        applier_run_install(applier, job);
        return;
    }
    begin(applier);
    const struct tables *tables = store_tables(applier->options.store);
    switch (job->kind) {
    case APPLIER_JOB_ENTRIES:
        work_entries(applier, job);
        break;
    case APPLIER_JOB_QUERY:
        job->run(tables, job->ctx);
        break;
    case APPLIER_JOB_READ:
        applier_run_read(applier, job);
        break;
    case APPLIER_JOB_INSTALL:
        UNREACHABLE("done before");
    }
}

static void work_entries(struct applier *applier, struct applier_job *job)
{
    CHECK(job->batch == NULL);
    CHECK(job->entries[0].index == applier->applied_index + 1);
    const struct applier_pass pass = {
        .tables = store_tables(applier->options.store),
        .after_entry = after_entry,
        .on_too_new = on_too_new,
        .ctx = applier,
    };
    FAILPOINT("apply.entries.before");
    uint32_t count = applier_batch_run(&pass, job->entries, job->entries_count, &job->batch);
    FAILPOINT("apply.entries.after");
    if (count < job->entries_count) {
        MARK("applier.put_off");
        put_off(applier, job, count);
    }
    job->batch->store_used_bytes = applier->used_bytes;
    job->batch->store_map_bytes = applier->map_bytes;
}

/* The entries behind the first `count` become the next job. */
static void put_off(struct applier *applier, struct applier_job *job, uint32_t count)
{
    CHECK(count > 0 && count < job->entries_count);
    struct applier_job *rest = mem_new(sizeof(*rest));
    rest->kind = APPLIER_JOB_ENTRIES;
    rest->entries_count = job->entries_count - count;
    rest->entries = mem_dup(&job->entries[count], rest->entries_count * sizeof(*rest->entries));
    job->entries_count = count;
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    rest->next = applier->todo.first;
    applier->todo.first = rest;
    if (applier->todo.last == NULL) {
        applier->todo.last = rest;
    }
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
}

/* Entries can bring a megabyte each: all of a job would not fit a transaction's map. */
static void after_entry(void *ctx, const struct applier_result *result)
{
    struct applier *applier = ctx;
    applier->applied_index = result->index;
    applier->dirty = true;
    commit_if_due(applier, false);
    begin(applier);
}

static void on_too_new(void *ctx, const char *why)
{
    struct applier *applier = ctx;
    applier->options.on_fatal(ERR_VERSION, why, applier->options.ctx);
}

static void begin(struct applier *applier)
{
    enum error error = store_begin(applier->options.store, clock_monotonic_ms());
    if (error != ERR_OK) {
        applier->options.on_fatal(
            error, store_reason(applier->options.store)->text, applier->options.ctx);
    }
}

static void commit_if_due(struct applier *applier, bool force)
{
    if (!applier->dirty) {
        return;
    }
    if (force || store_wants_commit(applier->options.store, clock_monotonic_ms())) {
        applier_commit(applier);
    }
}

void applier_commit(struct applier *applier)
{
    uint64_t durable = applier->durable_index(applier->options.ctx);
    enum error error = store_commit(applier->options.store, applier->applied_index, durable);
    if (error != ERR_OK) {
        applier->options.on_fatal(
            error, store_reason(applier->options.store)->text, applier->options.ctx);
        return;
    }
    applier->dirty = false;
    store_usage(applier->options.store, &applier->used_bytes, &applier->map_bytes);
}

static void post_back(struct applier *applier, struct applier_job *job)
{
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    push(&applier->finished, job);
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
    CHECK(uv_async_send(&applier->async) == 0);
}

static void push(struct applier_queue *queue, struct applier_job *job)
{
    CHECK(job->next == NULL);
    if (queue->last == NULL) {
        queue->first = job;
    } else {
        queue->last->next = job;
    }
    queue->last = job;
}

static void on_async(uv_async_t *async)
{
    struct applier *applier = async->data;
    CHECK(pthread_mutex_lock(&applier->lock) == 0);
    struct applier_job *job = applier->finished.first;
    applier->finished = (struct applier_queue){0};
    CHECK(pthread_mutex_unlock(&applier->lock) == 0);
    while (job != NULL) {
        struct applier_job *next = job->next;
        job->next = NULL;
        finish_job(applier, job);
        job = next;
    }
}

static void finish_job(struct applier *applier, struct applier_job *job)
{
    switch (job->kind) {
    case APPLIER_JOB_ENTRIES:
        applier->options.on_batch(job->batch, applier->options.ctx);
        break;
    case APPLIER_JOB_QUERY:
        job->done(job->ctx);
        break;
    case APPLIER_JOB_READ:
        job->read_done(job->reader, &job->position, job->ctx);
        job->reader = NULL;
        break;
    case APPLIER_JOB_INSTALL:
        job->install_done(job->error, job->reason.text, &job->position, job->ctx);
        break;
    }
    applier_job_free(job);
}

static void free_queue(struct applier_queue *queue)
{
    while (queue->first != NULL) {
        struct applier_job *job = queue->first;
        queue->first = job->next;
        applier_job_free(job);
    }
    queue->last = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}
