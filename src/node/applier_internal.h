/* SPDX-License-Identifier: Apache-2.0 */
/* What applier.c (thread, queues) and applier_snapshot.c share. */
#ifndef INDABA_NODE_APPLIER_INTERNAL_H
#define INDABA_NODE_APPLIER_INTERNAL_H

#include "base/reason.h"
#include "node/applier.h"

#include <pthread.h>
#include <uv.h>

enum applier_job_kind {
    APPLIER_JOB_ENTRIES,
    APPLIER_JOB_QUERY,
    APPLIER_JOB_READ,
    APPLIER_JOB_INSTALL,
};

struct applier_job {
    struct applier_job *next;
    enum applier_job_kind kind;
    struct raft_entry *entries;
    uint32_t entries_count;
    struct applier_batch *batch; /* made by the apply thread */
    applier_query_fn run;
    applier_done_fn done;
    void *ctx;
    /* READ and INSTALL (applier_snapshot.c). */
    struct applier_install install;
    struct store_reader *reader;
    struct apply_position position;
    enum error error;
    struct reason reason;
    applier_read_fn read_done;
    applier_installed_fn install_done;
};

struct applier_queue {
    struct applier_job *first;
    struct applier_job *last;
};

struct applier {
    struct applier_options options;
    uint64_t (*durable_index)(void *ctx);
    pthread_t thread;
    pthread_mutex_t lock; /* guards todo, finished, stopping */
    pthread_cond_t wake;
    struct applier_queue todo;
    struct applier_queue finished;
    bool stopping;
    uv_async_t async;
    /* The apply thread's own. */
    uint64_t applied_index;
    bool dirty;
    uint64_t used_bytes;
    uint64_t map_bytes;
};

/* On the apply thread: the store durable, a reader of it in job->reader. */
void applier_run_read(struct applier *applier, struct applier_job *job);
/* On the apply thread, between transactions: the snapshot is the store. */
void applier_run_install(struct applier *applier, struct applier_job *job);
/* Makes the open transaction durable. */
void applier_commit(struct applier *applier);
/* Queues a job; the applier's from then on. */
void applier_submit(struct applier *applier, struct applier_job *job);
void applier_job_free(struct applier_job *job);

#endif
