/* SPDX-License-Identifier: Apache-2.0 */
/* The node's side of snapshots: takes one when the log has grown and the last one has paid, reads
 * chunks for peers, writes those received, has a whole one installed. Files are read and written on
 * libuv's threads, the store on the apply thread; the core hears of each end as an event. While a
 * leader's state is disputed (divergence.h) it takes no snapshot and sends none: the log stays
 * whole, and whoever comes back makes its own state from it and settles which is right. A snapshot
 * is not taken while one is installed, nor the other way round: a reader keeps the store open, and
 * an install closes it. Two files are kept; so that one that is being sent is not removed, none is
 * taken while it would cost a peer its file and let nothing be forgotten. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    /* After a failed install. */
    INSTALL_PAUSE_MS = 5000,
    /* A store may become so many times as large as its snapshot while it is built from it. */
    STORE_FACTOR = 2,
};

enum snapshot_work_kind {
    WORK_TAKE,
    WORK_READ,
    WORK_WRITE,
};

struct snapshot_work {
    uv_work_t work;
    struct node *node;
    enum snapshot_work_kind kind;
    struct store_reader *reader;    /* TAKE: ended by the work */
    struct snapshot_header header;  /* TAKE */
    struct snapshot_info info;      /* TAKE: out; WRITE: size as announced */
    struct raft_snapshot_read read; /* READ */
    uint64_t offset;                /* WRITE */
    struct blob *chunk;             /* READ: out; WRITE */
    enum error error;
    struct reason reason;
};

static void
on_reader(struct store_reader *reader, const struct apply_position *position, void *ctx);
static void queue_read(struct node *node, const struct raft_snapshot_read *read);
static void queue_write(struct node *node, const struct raft_snapshot_write *write);
static void queue_held(struct node *node);
static struct snapshot_work *work_new(struct node *node, enum snapshot_work_kind kind);
static void queue(struct snapshot_work *work);
static void run(uv_work_t *request);
static void on_ran(uv_work_t *request, int status);
static void took(struct node *node, const struct snapshot_work *work);
static void offer(struct node *node);
static void install_if_free(struct node *node);
static void
on_installed(enum error error, const char *why, const struct apply_position *position, void *ctx);
static bool is_of_the_file(enum error error);
static void step(struct node *node, struct raft_event *event);

void node_snapshot_start(struct node *node, const struct snapshot_info *newest)
{
    struct node_snapshots *snapshots = &node->snapshots;
    (void)snprintf(
        snapshots->path, sizeof(snapshots->path), "%s", member_dir_snapshots_path(node->dir));
    (void)snprintf(snapshots->store_path,
                   sizeof(snapshots->store_path),
                   "%s",
                   member_dir_store_path(node->dir));
    snapshots->dir = (struct snapshot_dir){.disk = disk_real(), .path = snapshots->path};
    snapshots->newest = *newest;
    CHECK(uv_sem_init(&snapshots->taken, 0) == 0);
}

void node_snapshot_stop(struct node *node)
{
    /* The store is about to be closed: whoever still reads it ends first. */
    if (node->snapshots.taking_file) {
        uv_sem_wait(&node->snapshots.taken);
    }
    if (node->snapshots.held != NULL) {
        blob_unref(node->snapshots.held->chunk);
        mem_free(node->snapshots.held);
        node->snapshots.held = NULL;
    }
}

void node_snapshot_tick(struct node *node)
{
    struct node_snapshots *snapshots = &node->snapshots;
    struct raft_status status;
    queue_held(node);
    install_if_free(node);
    if (!node->loaded || snapshots->taking || snapshots->install.index != 0 ||
        divergence_is_disputed(&node->divergence)) {
        return;
    }
    raft_status(node->raft, &status);
    if (status.log_bytes < snapshots->log_bytes_base) {
        snapshots->log_bytes_base = status.log_bytes;
    }
    if (!node_snapshot_is_due(node, &status)) {
        return;
    }
    snapshots->wanted = false;
    if (node->applied > snapshots->newest.index) {
        snapshots->taking = true;
        applier_read(node->applier, on_reader, node);
    } else {
        /* The core gave up the one there is, and nothing was applied since. */
        node_snapshot_rest(node, clock_monotonic_ms(), true);
        offer(node);
    }
}

void node_snapshot_update(struct node *node, const struct raft_update *update)
{
    struct node_snapshots *snapshots = &node->snapshots;
    if (update->log_cut_index > snapshots->cut_index) {
        snapshots->cut_index = update->log_cut_index;
        wal_writer_cut(node->writer, update->log_cut_index + 1);
    }
    snapshots->wanted = snapshots->wanted || update->snapshot_wanted;
    for (uint32_t i = 0; i < update->snapshot_reads_count; i++) {
        queue_read(node, &update->snapshot_reads[i]);
    }
    if (update->snapshot_write.index != 0) {
        queue_write(node, &update->snapshot_write);
    }
    if (update->snapshot_install.index != 0) {
        CHECK(snapshots->install.index == 0);
        snapshots->install = update->snapshot_install;
        install_if_free(node);
    }
}

static void on_reader(struct store_reader *reader, const struct apply_position *position, void *ctx)
{
    struct node *node = ctx;
    struct node_snapshots *snapshots = &node->snapshots;
    /* One that joins replays a log whose founders it does not know: until it has applied an entry
     * that names the members it has nothing to put into a snapshot. */
    if (node->closing || position->index <= snapshots->newest.index ||
        raft_configuration_at(node->raft, position->index)->count == 0) {
        store_reader_end(reader);
        snapshots->taking = false;
        if (!node->closing) {
            install_if_free(node);
        }
        return;
    }
    struct snapshot_work *work = work_new(node, WORK_TAKE);
    work->reader = reader;
    work->header.cluster = node->config->cluster;
    work->header.index = position->index;
    work->header.term = position->term;
    struct buf configuration = {0};
    raft_configuration_encode(raft_configuration_at(node->raft, position->index), &configuration);
    CHECK(configuration.len <= sizeof(work->header.configuration));
    memcpy(work->header.configuration, configuration.data, configuration.len);
    work->header.configuration_len = (uint32_t)configuration.len;
    buf_deinit(&configuration);
    snapshots->taking_file = true;
    snapshots->began_ms = clock_monotonic_ms();
    queue(work);
}

static void queue_read(struct node *node, const struct raft_snapshot_read *read)
{
    struct snapshot_work *work = work_new(node, WORK_READ);
    work->read = *read;
    /* The core asks again in a while. */
    work->error = divergence_is_disputed(&node->divergence) ? ERR_PRECONDITION : ERR_OK;
    queue(work);
}

static void queue_write(struct node *node, const struct raft_snapshot_write *write)
{
    struct snapshot_work *work = work_new(node, WORK_WRITE);
    work->info =
        (struct snapshot_info){.index = write->index, .term = write->term, .size = write->size};
    work->offset = write->offset;
    work->chunk = blob_ref(write->chunk);
    CHECK(node->snapshots.held == NULL);
    node->snapshots.held = work;
    queue_held(node);
}

/* What was received is kept meanwhile, and the core takes no more than a few chunks on top. */
static void queue_held(struct node *node)
{
    struct snapshot_work *work = node->snapshots.held;
    if (work != NULL &&
        node_snapshot_has_room(node,
                               NODE_ROOM_RECEIVE,
                               work->info.size - work->offset + work->info.size * STORE_FACTOR)) {
        node->snapshots.held = NULL;
        queue(work);
    }
}

static struct snapshot_work *work_new(struct node *node, enum snapshot_work_kind kind)
{
    struct snapshot_work *work = mem_new(sizeof(*work));
    work->node = node;
    work->kind = kind;
    work->work.data = work;
    return work;
}

static void queue(struct snapshot_work *work)
{
    /* The node's memory stays until its works have come back, as for its handles. */
    work->node->handles_open++;
    CHECK(uv_queue_work(net_loop(work->node->options.net), &work->work, run, on_ran) == 0);
}

/* On a thread of libuv. */
static void run(uv_work_t *request)
{
    struct snapshot_work *work = request->data;
    const struct snapshot_dir *dir = &work->node->snapshots.dir;
    switch (work->kind) {
    case WORK_TAKE:
        work->error = snapshot_dir_take(
            dir, &work->header, store_reader_tables(work->reader), &work->reason, &work->info);
        store_reader_end(work->reader);
        uv_sem_post(&work->node->snapshots.taken);
        break;
    case WORK_READ:
        if (work->error == ERR_OK) {
            work->error = snapshot_dir_read(
                dir, work->read.index, work->read.offset, work->read.length, &work->chunk);
        }
        break;
    case WORK_WRITE:
        work->error = snapshot_dir_receive(dir, &work->info, work->offset, blob_view(work->chunk));
        break;
    }
}

static void on_ran(uv_work_t *request, int status)
{
    struct snapshot_work *work = request->data;
    struct node *node = work->node;
    struct raft_event event = {.now_ms = clock_monotonic_ms()};
    CHECK(status == 0);
    if (!node->closing) {
        switch (work->kind) {
        case WORK_TAKE:
            took(node, work);
            break;
        case WORK_READ:
            event.type = RAFT_EVENT_SNAPSHOT_READ;
            event.snapshot_read.peer = work->read.peer;
            event.snapshot_read.index = work->read.index;
            event.snapshot_read.offset = work->read.offset;
            event.snapshot_read.chunk = work->chunk;
            event.snapshot_read.error = work->error;
            step(node, &event);
            break;
        case WORK_WRITE:
            event.type = RAFT_EVENT_SNAPSHOT_WRITTEN;
            event.snapshot_written.index = work->info.index;
            event.snapshot_written.offset = work->offset + work->chunk->len;
            event.snapshot_written.error = work->error;
            step(node, &event);
            break;
        }
    }
    blob_unref(work->chunk);
    mem_free(work);
    node_release(node);
}

static void took(struct node *node, const struct snapshot_work *work)
{
    struct node_snapshots *snapshots = &node->snapshots;
    uv_sem_wait(&snapshots->taken);
    snapshots->taking = false;
    snapshots->taking_file = false;
    node_snapshot_rest(node, snapshots->began_ms, work->error != ERR_OK);
    if (work->error != ERR_OK) {
        log_event(LOG_ERROR,
                  "snapshot.failed",
                  "index=%" PRIu64 " error=%s why=%s",
                  work->header.index,
                  error_name(work->error),
                  log_quote(work->reason.text));
    } else {
        snapshots->newest = work->info;
        log_event(LOG_INFO,
                  "snapshot.taken",
                  "index=%" PRIu64 " bytes=%" PRIu64,
                  work->info.index,
                  work->info.size);
        offer(node);
        struct raft_status status;
        raft_status(node->raft, &status);
        snapshots->log_bytes_base = status.log_bytes;
    }
    install_if_free(node);
}

/* The newest one, to the core. */
static void offer(struct node *node)
{
    const struct snapshot_info *newest = &node->snapshots.newest;
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_TAKEN,
        .now_ms = clock_monotonic_ms(),
        .snapshot_taken = {.index = newest->index, .term = newest->term, .size = newest->size},
    };
    step(node, &event);
}

static void install_if_free(struct node *node)
{
    struct node_snapshots *snapshots = &node->snapshots;
    if (snapshots->install.index == 0 || snapshots->taking || snapshots->installing ||
        clock_monotonic_ms() < snapshots->install_at_ms ||
        !node_snapshot_has_room(node, NODE_ROOM_INSTALL, snapshots->install.size * STORE_FACTOR)) {
        return;
    }
    const struct applier_install install = {
        .snapshots = &snapshots->dir,
        .info = {.index = snapshots->install.index, .term = snapshots->install.term},
        .cluster = node->config->cluster,
        .store_path = snapshots->store_path,
    };
    snapshots->installing = true;
    applier_install(node->applier, &install, on_installed, node);
}

static void
on_installed(enum error error, const char *why, const struct apply_position *position, void *ctx)
{
    struct node *node = ctx;
    struct node_snapshots *snapshots = &node->snapshots;
    if (node->closing) {
        return;
    }
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_INSTALLED,
        .now_ms = clock_monotonic_ms(),
        .snapshot_installed = {.index = snapshots->install.index, .error = error},
    };
    if (error == ERR_OK) {
        CHECK(position->index == snapshots->install.index);
        node->applied = position->index;
        node->applied_term = position->term;
        node->state_hash = position->state_hash;
        divergence_reset(&node->divergence);
        memset(snapshots->needs, 0, sizeof(snapshots->needs));
        node->submitted = position->index;
        snapshots->newest = (struct snapshot_info){
            .index = position->index, .term = position->term, .size = snapshots->install.size};
        log_event(LOG_INFO, "snapshot.installed", "index=%" PRIu64, position->index);
    } else {
        log_event(LOG_ERROR,
                  "snapshot.refused",
                  "index=%" PRIu64 " error=%s why=%s",
                  snapshots->install.index,
                  error_name(error),
                  log_quote(why));
        if (!is_of_the_file(error)) {
            snapshots->installing = false;
            snapshots->install_at_ms = event.now_ms + INSTALL_PAUSE_MS;
            return;
        }
    }
    snapshots->install = (struct raft_snapshot_install){0};
    snapshots->installing = false;
    if (error == ERR_OK) {
        /* Whoever mirrors the state gets it anew, before any entry that follows. */
        node->loaded = false;
        node_office_load(node);
    }
    step(node, &event);
    struct raft_status status;
    raft_status(node->raft, &status);
    snapshots->log_bytes_base = status.log_bytes;
}

/* Else it is of this member, and may pass: the same file is tried again, not fetched anew. */
static bool is_of_the_file(enum error error)
{
    return error == ERR_CORRUPT || error == ERR_WRONG_CLUSTER || error == ERR_NOT_FOUND;
}

static void step(struct node *node, struct raft_event *event)
{
    struct raft_update update;
    node_step(node, event, &update);
}
