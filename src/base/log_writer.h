/* SPDX-License-Identifier: Apache-2.0 */
/* The way of log lines out of the process. Whoever logs must never wait for whoever reads: a pipe
 * that nobody empties or a disk that hangs would stop the loop that keeps a lease. So lines go into
 * a bounded queue, and a thread of its own writes them, in order. What finds no room is dropped,
 * counted, and said once there is room again. A process that never starts the thread (a command, a
 * test, the simulator) writes its lines at once. Thread safe. */
#ifndef INDABA_BASE_LOG_WRITER_H
#define INDABA_BASE_LOG_WRITER_H

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    LOG_QUEUE_BYTES = 512 * 1024,
    LOG_FLUSH_MS = 500, /* what an orderly end waits for its last lines at most */
    LOG_FATAL_MS = 200, /* what the end of a process that doubts itself waits */
};

/* Starts the thread; once per process, before its loop. `queue_bytes` is at least twice a line.
 * Without a thread (the system gives none) lines go on being written at once. */
void log_writer_start(size_t queue_bytes);
/* Takes one whole line, its newline included, at most 4096 bytes. Never waits once the thread was
 * started. The last eighth of the queue is for errors. */
void log_writer_put(enum log_level level, const char *line, size_t len);
/* Waits until everything is written, but not longer than this. False: something is left. */
bool log_flush(uint32_t bound_ms);
/* What a process says before its abort: behind what is queued if that gets out within LOG_FATAL_MS,
 * else past it, and in no case waiting for a reader. Does not allocate. */
void log_last_words(const char *bytes, size_t len);

#endif
