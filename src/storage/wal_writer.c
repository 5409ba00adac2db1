/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_writer.h. Two lists of writes change places: the loop thread fills one under the lock
 * while the append thread makes the other durable without it. */
#include "storage/wal_writer.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/wal_batch.h"

#include <pthread.h>
#include <stdatomic.h>

struct write_list {
    struct raft_write *writes;
    uint32_t count;
    uint32_t cap;
};

struct wal_writer {
    struct wal_writer_options options;
    pthread_t thread;
    pthread_mutex_t lock; /* guards queue, cut_index, look, last_seq, stopping, dead */
    pthread_cond_t wake;
    struct write_list queue;
    uint64_t cut_index; /* 0: nothing to cut */
    bool look;
    uint64_t last_seq;
    bool stopping;
    bool dead;
    struct write_list working;       /* the append thread's own */
    _Atomic uint64_t pending_writes; /* queued and being written */
    _Atomic uint64_t pending_bytes;
    _Atomic uint64_t durable_index;
    _Atomic uint64_t batches;
    _Atomic bool looking; /* asked for and not done */
    _Atomic uint64_t progress;
};

/* What the thread takes on in one go, besides the writes. */
struct errand {
    uint64_t cut_index;
    bool look;
};

static void *run(void *argument);
static bool wait_for_work(struct wal_writer *writer, struct errand *errand_out);
static bool idle(const struct wal_writer *writer);
static void prepare(struct wal_writer *writer);
static enum error work(struct wal_writer *writer, const struct errand *errand);
static enum error look(struct wal_writer *writer);
static enum error
write_group(struct wal_writer *writer, const struct raft_write *writes, uint32_t count);
static void list_push(struct write_list *list, const struct raft_write *write);
static void list_clear(struct write_list *list);
static size_t payload_bytes(const struct raft_write *write);
static void give_up(struct wal_writer *writer, enum error error);

enum error wal_writer_start(const struct wal_writer_options *options,
                            struct wal_writer **writer_out)
{
    CHECK(options->wal != NULL);
    CHECK(options->on_durable != NULL && options->on_fatal != NULL);

    struct wal_writer *writer = mem_new(sizeof(*writer));
    writer->options = *options;
    if (writer->options.queue_writes_max == 0) {
        writer->options.queue_writes_max = WAL_WRITER_QUEUE_WRITES;
    }
    if (writer->options.queue_bytes_max == 0) {
        writer->options.queue_bytes_max = WAL_WRITER_QUEUE_BYTES;
    }
    atomic_init(&writer->durable_index, wal_last_index(options->wal));
    CHECK(pthread_mutex_init(&writer->lock, NULL) == 0);
    CHECK(pthread_cond_init(&writer->wake, NULL) == 0);

    enum error error = thread_start("append", run, writer, &writer->thread);
    if (error != ERR_OK) {
        (void)pthread_cond_destroy(&writer->wake);
        (void)pthread_mutex_destroy(&writer->lock);
        mem_free(writer);
        return error;
    }
    *writer_out = writer;
    return ERR_OK;
}

enum error wal_writer_submit(struct wal_writer *writer, const struct raft_write *write)
{
    size_t bytes = payload_bytes(write);
    enum error error = ERR_OK;
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
    uint64_t writes_pending = atomic_load(&writer->pending_writes);
    if (writer->dead) {
        error = ERR_CLOSED;
    } else if (writes_pending >= writer->options.queue_writes_max ||
               (writes_pending > 0 &&
                atomic_load(&writer->pending_bytes) + bytes > writer->options.queue_bytes_max)) {
        error = ERR_EXHAUSTED;
    } else {
        CHECK(write->seq > writer->last_seq);
        CHECK(!writer->stopping);
        writer->last_seq = write->seq;
        list_push(&writer->queue, write);
        (void)atomic_fetch_add(&writer->pending_writes, 1);
        (void)atomic_fetch_add(&writer->pending_bytes, bytes);
    }
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
    /* After the lock is free: the thread that wakes needs it at once. */
    CHECK(pthread_cond_signal(&writer->wake) == 0);
    return error;
}

bool wal_writer_has_room(const struct wal_writer *writer)
{
    return atomic_load(&writer->pending_writes) < writer->options.queue_writes_max / 2 &&
           atomic_load(&writer->pending_bytes) < writer->options.queue_bytes_max / 2;
}

void wal_writer_cut(struct wal_writer *writer, uint64_t index)
{
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
    if (index > writer->cut_index) {
        writer->cut_index = index;
        CHECK(pthread_cond_signal(&writer->wake) == 0);
    }
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
}

void wal_writer_look(struct wal_writer *writer)
{
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
    writer->look = true;
    atomic_store(&writer->looking, true);
    CHECK(pthread_cond_signal(&writer->wake) == 0);
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
}

bool wal_writer_is_busy(const struct wal_writer *writer)
{
    return atomic_load(&writer->pending_writes) > 0 || atomic_load(&writer->looking);
}

uint64_t wal_writer_progress(const struct wal_writer *writer)
{
    return atomic_load(&writer->progress);
}

uint64_t wal_writer_durable_index(const struct wal_writer *writer)
{
    return atomic_load(&writer->durable_index);
}

uint64_t wal_writer_batches(const struct wal_writer *writer)
{
    return atomic_load(&writer->batches);
}

void wal_writer_stop(struct wal_writer *writer)
{
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
    writer->stopping = true;
    CHECK(pthread_cond_signal(&writer->wake) == 0);
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
    CHECK(pthread_join(writer->thread, NULL) == 0);

    list_clear(&writer->queue);
    mem_free(writer->queue.writes);
    mem_free(writer->working.writes);
    wal_close(writer->options.wal);
    (void)pthread_cond_destroy(&writer->wake);
    (void)pthread_mutex_destroy(&writer->lock);
    mem_free(writer);
}

static void *run(void *argument)
{
    struct wal_writer *writer = argument;
    struct errand errand;
    while (wait_for_work(writer, &errand)) {
        enum error error = work(writer, &errand);
        if (error != ERR_OK) {
            give_up(writer, error);
            break;
        }
        prepare(writer);
    }
    return NULL;
}

/* Takes what is queued into writer->working; false when stopped with nothing left to do. */
static bool wait_for_work(struct wal_writer *writer, struct errand *errand_out)
{
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
    while (writer->queue.count == 0 && writer->cut_index == 0 && !writer->look &&
           !writer->stopping) {
        CHECK(pthread_cond_wait(&writer->wake, &writer->lock) == 0);
    }
    bool has_work = writer->queue.count > 0 || writer->cut_index > 0 || writer->look;
    struct write_list taken = writer->queue;
    writer->queue = writer->working;
    writer->working = taken;
    *errand_out = (struct errand){.cut_index = writer->cut_index, .look = writer->look};
    writer->cut_index = 0;
    writer->look = false;
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
    return has_work;
}

static bool idle(const struct wal_writer *writer)
{
    return atomic_load(&writer->pending_writes) == 0;
}

/* One step after each batch, all of them when nothing waits. Without a spare segment the next one
 * is made when it is needed: slower, and if there is no room, fatal then; nothing to do about it
 * now. */
static void prepare(struct wal_writer *writer)
{
    struct wal *wal = writer->options.wal;
    do {
        if (wal_prepare(wal) != ERR_OK) {
            return;
        }
    } while (idle(writer) && !wal_is_prepared(wal));
}

static enum error work(struct wal_writer *writer, const struct errand *errand)
{
    struct write_list *list = &writer->working;
    uint32_t done = 0;
    while (done < list->count) {
        /* Batch by batch, so that the first is reported while later ones are still being written.
         */
        const struct raft_write *writes = list->writes + done;
        uint32_t group = wal_batch_group(writes, list->count - done, WAL_BATCH_BYTES_MAX);
        TRY(write_group(writer, writes, group));
        done += group;
    }
    list_clear(list);
    if (errand->cut_index > 0) {
        TRY(FAILPOINT_AROUND("wal.cut", wal_cut(writer->options.wal, errand->cut_index)));
    }
    return errand->look ? look(writer) : ERR_OK;
}

/* While there is something to write, that is probe enough. */
static enum error look(struct wal_writer *writer)
{
    if (idle(writer)) {
        TRY(wal_probe(writer->options.wal));
    }
    if (writer->options.space != NULL) {
        space_step(writer->options.space);
    }
    (void)atomic_fetch_add(&writer->progress, 1);
    atomic_store(&writer->looking, false);
    return ERR_OK;
}

static enum error
write_group(struct wal_writer *writer, const struct raft_write *writes, uint32_t count)
{
    struct wal *wal = writer->options.wal;
    uint64_t syncs = wal_syncs_count(wal);
    FAILPOINT_IF(writes[0].has_hard_state, "wal.vote.before");
    FAILPOINT_IF(writes[0].truncate_from != 0, "wal.truncate.before");
    TRY(wal_append(wal, writes, count));
    FAILPOINT_IF(writes[0].has_hard_state, "wal.vote.after");
    FAILPOINT_IF(writes[0].truncate_from != 0, "wal.truncate.after");
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += payload_bytes(&writes[i]);
    }
    (void)atomic_fetch_add(&writer->batches, wal_syncs_count(wal) - syncs);
    (void)atomic_fetch_add(&writer->progress, 1);
    (void)atomic_fetch_sub(&writer->pending_writes, count);
    (void)atomic_fetch_sub(&writer->pending_bytes, bytes);
    atomic_store(&writer->durable_index, wal_last_index(wal));
    writer->options.on_durable(writes[count - 1].seq, wal_last_index(wal), writer->options.ctx);
    return ERR_OK;
}

static void list_push(struct write_list *list, const struct raft_write *write)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 16 : list->cap * 2;
        list->writes = mem_resize(list->writes, list->cap * sizeof(struct raft_write));
    }
    struct raft_write copy = *write;
    copy.entries = NULL;
    if (write->entries_count > 0) {
        copy.entries = mem_dup(write->entries, write->entries_count * sizeof(struct raft_entry));
    }
    for (uint32_t i = 0; i < write->entries_count; i++) {
        (void)blob_ref(copy.entries[i].payload);
    }
    list->writes[list->count++] = copy;
}

static void list_clear(struct write_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        for (uint32_t entry = 0; entry < list->writes[i].entries_count; entry++) {
            blob_unref(list->writes[i].entries[entry].payload);
        }
        mem_free(list->writes[i].entries);
    }
    list->count = 0;
}

static size_t payload_bytes(const struct raft_write *write)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < write->entries_count; i++) {
        bytes += write->entries[i].payload->len;
    }
    return bytes;
}

static void give_up(struct wal_writer *writer, enum error error)
{
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
    writer->dead = true;
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
    list_clear(&writer->working);
    writer->options.on_fatal(error, wal_reason(writer->options.wal), writer->options.ctx);
}
