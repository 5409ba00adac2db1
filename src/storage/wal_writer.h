/* SPDX-License-Identifier: Apache-2.0 */
/* The append thread: takes Raft's writes in order, makes all that wait durable with one sync (group
 * commit: while one sync runs, the next batch gathers), and reports the highest completed seq. It
 * owns the log while it runs. Functions here are called from one other thread, the loop thread;
 * callbacks run on the append thread and must only pass the news on (uv_async_send). */
#ifndef INDABA_STORAGE_WAL_WRITER_H
#define INDABA_STORAGE_WAL_WRITER_H

#include "base/reason.h"
#include "storage/space.h"
#include "storage/wal.h"

#include <stdbool.h>

struct wal_writer;

enum {
    WAL_WRITER_QUEUE_WRITES = 16384,
    WAL_WRITER_QUEUE_BYTES = 64 * 1024 * 1024
};

struct wal_writer_options {
    struct wal *wal; /* taken; closed by wal_writer_stop */
    /* Everything up to `seq` is durable; the log's last durable entry is `durable_index`. */
    void (*on_durable)(uint64_t seq, uint64_t durable_index, void *ctx);
    /* The log is dead; called once, nothing follows. The owner shuts its sockets down and aborts.
     * `reason` holds until wal_writer_stop. */
    void (*on_fatal)(enum error error, const struct reason *reason, void *ctx);
    struct space *space; /* stepped by the thread; may be NULL; borrowed until wal_writer_stop */
    void *ctx;
    uint32_t queue_writes_max; /* 0: WAL_WRITER_QUEUE_WRITES */
    size_t queue_bytes_max;    /* 0: WAL_WRITER_QUEUE_BYTES; payload bytes */
};

/* Starts the thread. ERR_SYSTEM if there can be none; the log is then still the caller's. */
MUST_CHECK enum error wal_writer_start(const struct wal_writer_options *options,
                                       struct wal_writer **writer_out);

/* Queues a write; seq must grow from call to call. The write's array is borrowed for the call; the
 * writer takes payload references of its own. ERR_EXHAUSTED if the queue is full: nothing was
 * taken, the caller keeps the write. ERR_CLOSED after a fatal error. */
MUST_CHECK enum error wal_writer_submit(struct wal_writer *writer, const struct raft_write *write);

/* Whether the queue is less than half full: below that, a member accepts proposals. */
bool wal_writer_has_room(const struct wal_writer *writer);

/* Have segments below `index` removed (wal_cut) when the thread comes to it. */
void wal_writer_cut(struct wal_writer *writer, uint64_t index);

/* Asks the thread to look after its disk once: to probe it if nothing waits to be written, and to
 * step the space. */
void wal_writer_look(struct wal_writer *writer);
/* Whether writes or a look are under way or wait, and how many of them were completed so far: a
 * number that stands still while there is work is a disk that stalls. */
bool wal_writer_is_busy(const struct wal_writer *writer);
uint64_t wal_writer_progress(const struct wal_writer *writer);

/* The log's last durable entry, as of the last completed batch. Any thread. */
uint64_t wal_writer_durable_index(const struct wal_writer *writer);
/* Batches made durable so far; with the seqs it tells how many writes share a sync. Any thread. */
uint64_t wal_writer_batches(const struct wal_writer *writer);

/* Completes what is queued (unless the log is dead), ends the thread, closes the log. */
void wal_writer_stop(struct wal_writer *writer);

#endif
