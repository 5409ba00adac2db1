/* SPDX-License-Identifier: Apache-2.0 */
/* Work on files, on threads of libuv: snapshots taken, chunks of them read and written,
 * small files read and removed. */
#include "node/node_uv.h"

#include "base/check.h"
#include "base/mem.h"

struct work {
    uv_work_t work;
    struct node_uv *uv;
    struct node_file_job *job;
};

static void begin_file(void *ctx, struct node_file_job *job);
static void run(uv_work_t *request);
static void on_ran(uv_work_t *request, int status);

void node_uv_file_fill(struct node_io *io)
{
    io->begin_file = begin_file;
}

void node_uv_file_stop(struct node_uv *uv)
{
    if (uv->reading_store) {
        uv_sem_wait(&uv->store_read);
    }
}

static void begin_file(void *ctx, struct node_file_job *job)
{
    struct work *work = mem_new(sizeof(*work));
    work->uv = ctx;
    work->job = job;
    work->work.data = work;
    if (job->kind == NODE_FILE_TAKE) {
        CHECK(!work->uv->reading_store);
        work->uv->reading_store = true;
    }
    /* The memory stays until its works have come back, as for its handles. */
    work->uv->handles_open++;
    CHECK(uv_queue_work(net_loop(work->uv->options.net), &work->work, run, on_ran) == 0);
}

/* On a thread of libuv. */
static void run(uv_work_t *request)
{
    struct work *work = request->data;
    struct node_file_job *job = work->job;
    const struct snapshot_dir *dir = &work->uv->snapshots;
    switch (job->kind) {
    case NODE_FILE_TAKE:
        job->error = snapshot_dir_take(
            dir, &job->header, store_reader_tables(job->reader), &job->reason, &job->info);
        store_reader_end(job->reader);
        uv_sem_post(&work->uv->store_read);
        break;
    case NODE_FILE_READ:
        if (job->error == ERR_OK) {
            job->error = snapshot_dir_read(
                dir, job->read.index, job->read.offset, job->read.length, &job->chunk);
        }
        break;
    case NODE_FILE_WRITE:
        job->error = snapshot_dir_receive(dir, &job->info, job->offset, blob_view(job->chunk));
        break;
    case NODE_FILE_VOUCHES:
    case NODE_FILE_UNMARK:
        node_file_small(&work->uv->io.ground, job);
        break;
    }
}

static void on_ran(uv_work_t *request, int status)
{
    struct work *work = request->data;
    struct node_uv *uv = work->uv;
    CHECK(status == 0);
    if (uv->closing) {
        node_file_free(work->job);
    } else {
        if (work->job->kind == NODE_FILE_TAKE) {
            uv_sem_wait(&uv->store_read);
            uv->reading_store = false;
        }
        node_file_done(uv->node, work->job);
    }
    mem_free(work);
    node_uv_release(uv);
}
