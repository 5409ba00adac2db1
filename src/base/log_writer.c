/* SPDX-License-Identifier: Apache-2.0 */
/* See log_writer.h. The queue is a ring of records, each a length and a line. The thread takes as
 * many whole lines as fit into one piece of a pipe and writes them without the lock. When the ring
 * runs empty it begins at its start again, so that a process whose log is read touches only the
 * first pages of it. */
#include "base/log_writer.h"

#include "base/check.h"
#include "base/log_internal.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

enum {
    RECORD_HEAD = sizeof(uint16_t),
    ERRORS_SHARE = 8,   /* one part of so many is kept for errors */
    PATIENCE_MS = 1000, /* with a descriptor that somebody else made non-blocking */
    STACK_BYTES = 128 * 1024,
    PATH_SIZE = 32,
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_cond_t emptied;
    char *ring; /* NULL: no thread, lines are written at once */
    size_t size;
    size_t head;
    size_t len;
    uint64_t dropped; /* lines, ever */
    uint64_t told;    /* of them, those that a line has told of */
    bool writing;     /* the thread has lines in hand */
    bool failed;      /* the last write did not succeed */
};

static struct queue queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .filled = PTHREAD_COND_INITIALIZER,
};

static struct metric dropped_total = {
    .name = "indaba_log_dropped_total",
    .help = "Log lines that found no room, because the log is not read or its disk hangs.",
    .kind = METRIC_COUNTER,
};

static void after_fork(void);
static void *run(void *ctx);
static size_t take(char *batch, unsigned *lines_out);
static bool push(const char *line, size_t len, size_t limit);
static void tell_dropped(size_t limit);
static void drop(unsigned lines);
static void ring_put(size_t at, const void *bytes, size_t len);
static void ring_get(size_t at, void *bytes, size_t len);
static bool lock_soon(void);
static bool wait_empty(const struct timespec *until);
static struct timespec after_ms(uint32_t wait_ms);
static bool write_patiently(int fd, const char *bytes, size_t len);
static bool write_past(int fd, const char *bytes, size_t len);
static ssize_t write_some(int fd, bool is_socket, const char *bytes, size_t len);

void log_writer_start(size_t queue_bytes)
{
    pthread_condattr_t monotonic;
    pthread_t thread;

    CHECK(queue.ring == NULL && queue_bytes / 2 >= LOG_LINE_BYTES_MAX);
    CHECK(pthread_condattr_init(&monotonic) == 0);
    CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&queue.emptied, &monotonic) == 0);
    CHECK(pthread_condattr_destroy(&monotonic) == 0);
    CHECK(pthread_atfork(NULL, NULL, after_fork) == 0);
    metric_register(&dropped_total);
    queue.size = queue_bytes;
    queue.ring = mem_new(queue_bytes);
    if (thread_start_sized("log", STACK_BYTES, run, NULL, &thread) != ERR_OK) {
        mem_free(queue.ring);
        queue.ring = NULL;
        return;
    }
    CHECK(pthread_detach(thread) == 0);
}

void log_writer_put(enum log_level level, const char *line, size_t len)
{
    CHECK(len > 0 && len <= LOG_LINE_BYTES_MAX);
    if (queue.ring == NULL) {
        (void)write_patiently(log_line_fd(), line, len);
        return;
    }
    CHECK(pthread_mutex_lock(&queue.lock) == 0);
    size_t limit = level == LOG_ERROR ? queue.size : queue.size - queue.size / ERRORS_SHARE;
    tell_dropped(limit);
    /* Once lines were dropped, all are until that is said, so that it is said where they are
     * missing. */
    bool gap = queue.dropped != queue.told && !queue.failed && level != LOG_ERROR;
    if (gap || !push(line, len, limit)) {
        drop(1);
    }
    CHECK(pthread_mutex_unlock(&queue.lock) == 0);
}

bool log_flush(uint32_t bound_ms)
{
    if (queue.ring == NULL) {
        return true;
    }
    struct timespec until = after_ms(bound_ms);
    CHECK(pthread_mutex_lock(&queue.lock) == 0);
    bool done = wait_empty(&until);
    CHECK(pthread_mutex_unlock(&queue.lock) == 0);
    return done;
}

void log_last_words(const char *bytes, size_t len)
{
    static _Atomic(bool) stuck;
    static _Atomic(bool) deaf;

    if (queue.ring != NULL && len <= LOG_LINE_BYTES_MAX && !atomic_load(&stuck) && lock_soon()) {
        struct timespec until = after_ms(LOG_FATAL_MS);
        bool done = push(bytes, len, queue.size) && wait_empty(&until);
        (void)pthread_mutex_unlock(&queue.lock);
        if (done) {
            return;
        }
        atomic_store(&stuck, true);
    }
    if (!atomic_load(&deaf) && !write_past(log_line_fd(), bytes, len)) {
        atomic_store(&deaf, true); /* what follows would only wait again */
    }
}

/* A child has no such thread, and somebody else's lock. */
static void after_fork(void)
{
    queue.ring = NULL;
}

static void *run(void *ctx)
{
    char batch[LOG_LINE_BYTES_MAX];

    (void)ctx;
    for (;;) {
        unsigned lines = 0;
        size_t len = take(batch, &lines);
        bool done = write_patiently(log_line_fd(), batch, len);
        CHECK(pthread_mutex_lock(&queue.lock) == 0);
        queue.writing = false;
        queue.failed = !done;
        if (!done) {
            drop(lines);
        } else if (queue.len == 0) {
            tell_dropped(queue.size);
        }
        CHECK(pthread_mutex_unlock(&queue.lock) == 0);
    }
    return NULL;
}

/* Waits for lines and takes what fits; returns its bytes. */
static size_t take(char *batch, unsigned *lines_out)
{
    size_t taken = 0;
    unsigned lines = 0;

    CHECK(pthread_mutex_lock(&queue.lock) == 0);
    while (queue.len == 0) {
        CHECK(pthread_cond_broadcast(&queue.emptied) == 0);
        CHECK(pthread_cond_wait(&queue.filled, &queue.lock) == 0);
    }
    while (queue.len > 0) {
        uint16_t len = 0;
        ring_get(queue.head, &len, sizeof(len));
        if (taken + len > LOG_LINE_BYTES_MAX) {
            break;
        }
        ring_get((queue.head + RECORD_HEAD) % queue.size, batch + taken, len);
        queue.head = (queue.head + RECORD_HEAD + len) % queue.size;
        queue.len -= RECORD_HEAD + len;
        taken += len;
        lines++;
    }
    if (queue.len == 0) {
        queue.head = 0;
    }
    queue.writing = true;
    CHECK(pthread_mutex_unlock(&queue.lock) == 0);
    *lines_out = lines;
    return taken;
}

static bool push(const char *line, size_t len, size_t limit)
{
    uint16_t head = (uint16_t)len;

    if (queue.len + RECORD_HEAD + len > limit) {
        return false;
    }
    ring_put((queue.head + queue.len) % queue.size, &head, sizeof(head));
    ring_put((queue.head + queue.len + RECORD_HEAD) % queue.size, line, len);
    queue.len += RECORD_HEAD + len;
    (void)pthread_cond_signal(&queue.filled);
    return true;
}

/* Where the lines are missing: behind those that were queued before them. */
static void tell_dropped(size_t limit)
{
    char line[LOG_LINE_BYTES_MAX];
    char pairs[64];

    /* Not before the reader has caught up a little: else every other line would be this one. */
    if (queue.dropped == queue.told || queue.failed || queue.len > limit / 2 ||
        queue.len + RECORD_HEAD + LOG_LINE_BYTES_MAX > limit) {
        return;
    }
    (void)snprintf(pairs, sizeof(pairs), "lines=%" PRIu64, queue.dropped - queue.told);
    size_t len = log_line_make(line, LOG_WARN, "log.dropped", pairs);
    line[len] = '\n';
    if (push(line, len + 1, limit)) {
        queue.told = queue.dropped;
    }
}

static void drop(unsigned lines)
{
    queue.dropped += lines;
    metric_add(&dropped_total, lines);
}

static void ring_put(size_t at, const void *bytes, size_t len)
{
    size_t first = len < queue.size - at ? len : queue.size - at;
    memcpy(queue.ring + at, bytes, first);
    memcpy(queue.ring, (const char *)bytes + first, len - first);
}

static void ring_get(size_t at, void *bytes, size_t len)
{
    size_t first = len < queue.size - at ? len : queue.size - at;
    memcpy(bytes, queue.ring + at, first);
    memcpy((char *)bytes + first, queue.ring, len - first);
}

/* Whoever holds the lock may be who ends here: then past it. By the wall clock, since the thread
 * sanitizer knows no other lock with a bound. */
static bool lock_soon(void)
{
    struct timespec until;
    if (pthread_mutex_trylock(&queue.lock) == 0) {
        return true;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    return pthread_mutex_timedlock(&queue.lock, &until) == 0;
}

/* With the lock. */
static bool wait_empty(const struct timespec *until)
{
    while (queue.len > 0 || queue.writing) {
        if (pthread_cond_timedwait(&queue.emptied, &queue.lock, until) != 0) {
            return queue.len == 0 && !queue.writing;
        }
    }
    return true;
}

static struct timespec after_ms(uint32_t wait_ms)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = now.tv_nsec + (int64_t)wait_ms * NS_PER_MS;
    return (struct timespec){.tv_sec = now.tv_sec + ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* A log that cannot be written is no reason to stop; the rest is dropped. */
static bool write_patiently(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (written < 0 && errno == EAGAIN && poll(&room, 1, PATIENCE_MS) == 1) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes += written;
        len -= (size_t)written;
    }
    return true;
}

/* Past the queue, which may be stuck in this very descriptor. A pipe and a terminal are opened
 * anew, since a flag on ours would be one on that of others. */
static bool write_past(int fd, const char *bytes, size_t len)
{
    struct stat info;
    char path[PATH_SIZE];

    if (fstat(fd, &info) != 0 || (S_ISREG(info.st_mode) && queue.ring != NULL)) {
        return false; /* if our thread hangs in that disk, we would too */
    }
    int own = -1;
    if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    int to = own >= 0 ? own : fd;
    while (len > 0) {
        ssize_t written = write_some(to, S_ISSOCK(info.st_mode), bytes, len);
        if (written <= 0) {
            break;
        }
        bytes += written;
        len -= (size_t)written;
    }
    if (own >= 0) {
        (void)close(own);
    }
    return len == 0;
}

/* Waits for room at most once, and not long. */
static ssize_t write_some(int fd, bool is_socket, const char *bytes, size_t len)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (poll(&room, 1, LOG_FATAL_MS) != 1) {
        return -1;
    }
    return is_socket ? send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) : write(fd, bytes, len);
}
