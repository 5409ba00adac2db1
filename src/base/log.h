/* SPDX-License-Identifier: Apache-2.0 */
/* One event per line, for the operator at night:
 *   2026-11-21T03:00:00.123Z info event=lease.closed shard=orders epoch=7 member=n1
 * Event names are stable ("noun.verb"); values with spaces are quoted and control bytes escaped.
 * Never a secret. error: act now; warn: look tomorrow; info: state changes; debug: the rest.
 * Thread safe; a line is never mixed with others, and once log_writer_start was called nobody waits
 * for its reader. Lines beyond 4096 bytes are cut with "…". */
#ifndef INDABA_BASE_LOG_H
#define INDABA_BASE_LOG_H

#include <stdint.h>

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

/* log_event(LOG_INFO, "lease.closed", "shard=%s epoch=%" PRIu64, name, epoch): `format` makes the
 * key=value pairs. Values that may hold spaces are passed through log_quote. */
__attribute__((format(printf, 3, 4))) void
log_event(enum log_level level, const char *event, const char *format, ...);

/* Quotes a value if it needs it. Lives in a ring of 8 per thread: use it within one log call. */
const char *log_quote(const char *value);

void log_set_level(enum log_level level);
/* File descriptor that lines go to; stderr until set. */
void log_set_fd(int fd);
/* Appended to each line, e.g. "member=n1"; copied, at most 127 bytes. */
void log_set_suffix(const char *suffix);
/* Tests: receive each line instead of writing it. NULL restores. */
void log_set_sink(void (*sink)(enum log_level level, const char *line, void *ctx), void *ctx);

/* MARK("raft.truncate_conflict") counts that a line of code was reached; tests and the simulator
 * ask for marks never hit. Cheap enough to stay in release. */
struct log_mark {
    const char *name;
    uint64_t hits;
    struct log_mark *next;
};

void log_mark_hit(struct log_mark *mark);
/* The list of all marks hit so far in this process. */
const struct log_mark *log_mark_list(void);

#define MARK(mark_name)                                       \
    do {                                                      \
        static struct log_mark mark_ = {.name = (mark_name)}; \
        log_mark_hit(&mark_);                                 \
    } while (0)

#endif
