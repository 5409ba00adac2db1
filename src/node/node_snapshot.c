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
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum {
    INSTALL_PAUSE_MS = 5000, /* after one that failed */
    /* A store may become so many times as large as its snapshot while it is built from it. */
    STORE_FACTOR = 2,
};

static void queue_read(struct node *node, const struct raft_snapshot_read *read);
static void queue_write(struct node *node, const struct raft_snapshot_write *write);
static void queue_held(struct node *node);
static void answer(struct node *node, struct node_file_job *job);
static void took(struct node *node, const struct node_file_job *job);
static void offer(struct node *node, node_stepped_fn stepped);
static void
begin_log_anew(struct node *node, const struct node_event *event, const struct raft_update *update);
static void install_if_free(struct node *node);
static bool is_of_the_file(enum error error);

void node_snapshot_start(struct node *node, const struct snapshot_info *newest)
{
    struct node_snapshots *snapshots = &node->snapshots;
    snapshots->newest = *newest;
}

void node_snapshot_stop(struct node *node)
{
    if (node->snapshots.held != NULL) {
        node_file_free(node->snapshots.held);
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
        node->io->read(node->ctx);
    } else {
        /* The core gave up the one there is, and nothing was applied since. */
        node_snapshot_rest(node, node_now_ms(node), true);
        offer(node, NULL);
    }
}

void node_snapshot_update(struct node *node, const struct raft_update *update)
{
    struct node_snapshots *snapshots = &node->snapshots;
    if (update->log_cut_index > snapshots->cut_index) {
        snapshots->cut_index = update->log_cut_index;
        node->io->cut_log(node->ctx, update->log_cut_index + 1);
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

void node_read_began(struct node *node, void *reader, const struct apply_position *position)
{
    struct node_snapshots *snapshots = &node->snapshots;
    /* One that joins replays a log whose founders it does not know: until it has applied an entry
     * that names the members it has nothing to put into a snapshot. */
    if (node->closing || position->index <= snapshots->newest.index ||
        raft_configuration_at(node->raft, position->index)->count == 0) {
        node->io->end_read(node->ctx, reader);
        snapshots->taking = false;
        if (!node->closing) {
            install_if_free(node);
        }
        return;
    }
    struct node_file_job *job = mem_new(sizeof(*job));
    job->kind = NODE_FILE_TAKE;
    job->reader = reader;
    job->header.cluster = node->config->cluster;
    job->header.index = position->index;
    job->header.term = position->term;
    struct buf configuration = {0};
    raft_configuration_encode(raft_configuration_at(node->raft, position->index), &configuration);
    CHECK(configuration.len <= sizeof(job->header.configuration));
    memcpy(job->header.configuration, configuration.data, configuration.len);
    job->header.configuration_len = (uint32_t)configuration.len;
    buf_deinit(&configuration);
    snapshots->began_ms = node_now_ms(node);
    node->io->begin_file(node->ctx, job);
}

static void queue_read(struct node *node, const struct raft_snapshot_read *read)
{
    struct node_file_job *job = mem_new(sizeof(*job));
    job->kind = NODE_FILE_READ;
    job->read = *read;
    /* The core asks again in a while. */
    job->error = divergence_is_disputed(&node->divergence) ? ERR_PRECONDITION : ERR_OK;
    node->io->begin_file(node->ctx, job);
}

static void queue_write(struct node *node, const struct raft_snapshot_write *write)
{
    struct node_file_job *job = mem_new(sizeof(*job));
    job->kind = NODE_FILE_WRITE;
    job->info =
        (struct snapshot_info){.index = write->index, .term = write->term, .size = write->size};
    job->offset = write->offset;
    job->chunk = blob_ref(write->chunk);
    CHECK(node->snapshots.held == NULL);
    node->snapshots.held = job;
    queue_held(node);
}

/* What was received is kept meanwhile, and the core takes no more than a few chunks on top. */
static void queue_held(struct node *node)
{
    struct node_file_job *job = node->snapshots.held;
    if (job != NULL &&
        node_snapshot_has_room(node,
                               NODE_ROOM_RECEIVE,
                               job->info.size - job->offset + job->info.size * STORE_FACTOR)) {
        node->snapshots.held = NULL;
        node->io->begin_file(node->ctx, job);
    }
}

void node_snapshot_file_done(struct node *node, struct node_file_job *job)
{
    if (job->kind == NODE_FILE_TAKE) {
        took(node, job);
    } else {
        answer(node, job);
    }
}

/* A chunk was read, or written. */
static void answer(struct node *node, struct node_file_job *job)
{
    struct node_event event = {0};
    if (job->kind == NODE_FILE_READ) {
        event.core.type = RAFT_EVENT_SNAPSHOT_READ;
        event.core.snapshot_read.peer = job->read.peer;
        event.core.snapshot_read.index = job->read.index;
        event.core.snapshot_read.offset = job->read.offset;
        event.core.snapshot_read.error = job->error;
        event.chunk = job->chunk;
        job->chunk = NULL;
    } else {
        event.core.type = RAFT_EVENT_SNAPSHOT_WRITTEN;
        event.core.snapshot_written.index = job->info.index;
        event.core.snapshot_written.offset = job->offset + job->chunk->len;
        event.core.snapshot_written.error = job->error;
    }
    node_post(node, &event);
}

static void took(struct node *node, const struct node_file_job *job)
{
    struct node_snapshots *snapshots = &node->snapshots;
    snapshots->taking = false;
    node_snapshot_rest(node, snapshots->began_ms, job->error != ERR_OK);
    if (job->error != ERR_OK) {
        log_event(LOG_ERROR,
                  "snapshot.failed",
                  "index=%" PRIu64 " error=%s why=%s",
                  job->header.index,
                  error_name(job->error),
                  log_quote(job->reason.text));
    } else {
        snapshots->newest = job->info;
        log_event(LOG_INFO,
                  "snapshot.taken",
                  "index=%" PRIu64 " bytes=%" PRIu64,
                  job->info.index,
                  job->info.size);
        offer(node, begin_log_anew);
    }
    install_if_free(node);
}

/* The newest one, to the core. */
static void offer(struct node *node, node_stepped_fn stepped)
{
    const struct snapshot_info *newest = &node->snapshots.newest;
    const struct node_event event = {
        .core = {.type = RAFT_EVENT_SNAPSHOT_TAKEN,
                 .snapshot_taken = {.index = newest->index,
                                    .term = newest->term,
                                    .size = newest->size}},
        .stepped = stepped,
    };
    node_post(node, &event);
}

/* What the log holds from now on counts towards the next one. */
static void
begin_log_anew(struct node *node, const struct node_event *event, const struct raft_update *update)
{
    (void)event;
    (void)update;
    struct raft_status status;
    raft_status(node->raft, &status);
    node->snapshots.log_bytes_base = status.log_bytes;
}

static void install_if_free(struct node *node)
{
    struct node_snapshots *snapshots = &node->snapshots;
    if (snapshots->install.index == 0 || snapshots->taking || snapshots->installing ||
        node_now_ms(node) < snapshots->install_at_ms ||
        !node_snapshot_has_room(node, NODE_ROOM_INSTALL, snapshots->install.size * STORE_FACTOR)) {
        return;
    }
    const struct snapshot_info info = {.index = snapshots->install.index,
                                       .term = snapshots->install.term};
    snapshots->installing = true;
    node->io->install(node->ctx, &info);
}

void node_installed(struct node *node,
                    enum error error,
                    const char *why,
                    const struct apply_position *position)
{
    struct node_snapshots *snapshots = &node->snapshots;
    if (node->closing) {
        return;
    }
    const struct node_event event = {
        .core = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
                 .snapshot_installed = {.index = snapshots->install.index, .error = error}},
        .stepped = begin_log_anew,
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
            snapshots->install_at_ms = node_now_ms(node) + INSTALL_PAUSE_MS;
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
    node_post(node, &event);
    node_run(node);
}

/* Else it is of this member, and may pass: the same file is tried again, not fetched anew. */
static bool is_of_the_file(enum error error)
{
    return error == ERR_CORRUPT || error == ERR_WRONG_CLUSTER || error == ERR_NOT_FOUND;
}
