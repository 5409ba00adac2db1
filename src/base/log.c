/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines and marks. A line is put together on the stack and leaves in one piece (log_writer.c),
 * so lines of several threads and processes never mix. Whatever a caller passes, a line stays one
 * line: control bytes leave escaped. */
#include "base/log.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log_internal.h"
#include "base/log_writer.h"
#include "base/plain_text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SUFFIX_SIZE = 128,
    QUOTE_RING = 8,
    QUOTE_SIZE = 1024,
    ESCAPE_MAX = 4, /* "\x1b" */
};

#define CUT_MARK "…"

/* A text that grows to its limit and then ends in "…"; room for that is kept. */
struct text {
    char *bytes;
    size_t len;
    size_t limit;
    bool cut;
};

typedef void (*log_sink)(enum log_level level, const char *line, void *ctx);

static _Atomic(enum log_level) level_shown = LOG_INFO;
static _Atomic(int) line_fd = STDERR_FILENO;
static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;
static char line_suffix[SUFFIX_SIZE];
static log_sink line_sink;
static void *line_sink_ctx;
static _Atomic(struct log_mark *) marks;

static void put_bytes(struct text *text, const char *bytes, size_t len);
static void put_escaped(struct text *text, const char *value, bool quoted);
static void emit(enum log_level level, char *line, size_t len);
static bool needs_quotes(const char *value);
static const char *level_name(enum log_level level);

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char line[LOG_LINE_BYTES_MAX];
    char pairs[LOG_LINE_BYTES_MAX];
    va_list args;

    if (level < atomic_load_explicit(&level_shown, memory_order_relaxed)) {
        return;
    }
    va_start(args, format);
    int len = vsnprintf(pairs, sizeof(pairs), format, args);
    va_end(args);
    CHECK(len >= 0);
    emit(level, line, log_line_make(line, level, event, pairs));
}

size_t log_line_make(char *line, enum log_level level, const char *event, const char *pairs)
{
    char suffix[SUFFIX_SIZE];
    char wall[CLOCK_WALL_TEXT_SIZE];

    CHECK(pthread_mutex_lock(&settings_lock) == 0);
    memcpy(suffix, line_suffix, sizeof(suffix));
    CHECK(pthread_mutex_unlock(&settings_lock) == 0);

    int head = snprintf(line,
                        LOG_LINE_BYTES_MAX,
                        "%s %s event=%.256s",
                        clock_format_wall(clock_wall_ms(), wall),
                        level_name(level),
                        event);
    CHECK(head > 0);
    /* The suffix tells whose line it is, so a long value is cut before it, not with it. */
    size_t suffix_len = strlen(suffix);
    struct text text = {.bytes = line, .len = (size_t)head};
    text.limit = LOG_LINE_BYTES_MAX - 1 - (suffix_len > 0 ? suffix_len + 1 : 0);
    if (pairs[0] != '\0') {
        put_bytes(&text, " ", 1);
        put_escaped(&text, pairs, false);
    }
    if (suffix_len > 0) {
        int tail = snprintf(line + text.len, LOG_LINE_BYTES_MAX - text.len, " %s", suffix);
        CHECK(tail > 0 && (size_t)tail < LOG_LINE_BYTES_MAX - text.len);
        text.len += (size_t)tail;
    }
    CHECK(text.len < LOG_LINE_BYTES_MAX);
    return text.len;
}

int log_line_fd(void)
{
    return atomic_load(&line_fd);
}

const char *log_quote(const char *value)
{
    static _Thread_local char ring[QUOTE_RING][QUOTE_SIZE];
    static _Thread_local unsigned next;

    if (!needs_quotes(value)) {
        return value;
    }
    char *quoted = ring[next++ % QUOTE_RING];
    /* Room for the closing quote and the NUL. */
    struct text text = {.bytes = quoted, .limit = QUOTE_SIZE - 2};
    put_bytes(&text, "\"", 1);
    put_escaped(&text, value, true);
    quoted[text.len++] = '"';
    quoted[text.len] = '\0';
    return quoted;
}

void log_set_level(enum log_level level)
{
    atomic_store(&level_shown, level);
}

void log_set_fd(int fd)
{
    atomic_store(&line_fd, fd);
}

void log_set_suffix(const char *suffix)
{
    char cut[SUFFIX_SIZE];
    struct text text = {.bytes = cut, .limit = SUFFIX_SIZE - 1};

    put_escaped(&text, suffix, false);
    cut[text.len] = '\0';
    CHECK(pthread_mutex_lock(&settings_lock) == 0);
    memcpy(line_suffix, cut, sizeof(line_suffix));
    CHECK(pthread_mutex_unlock(&settings_lock) == 0);
}

void log_set_sink(void (*sink)(enum log_level level, const char *line, void *ctx), void *ctx)
{
    CHECK(pthread_mutex_lock(&settings_lock) == 0);
    line_sink = sink;
    line_sink_ctx = ctx;
    CHECK(pthread_mutex_unlock(&settings_lock) == 0);
}

void log_mark_hit(struct log_mark *mark)
{
    if (__atomic_fetch_add(&mark->hits, 1, __ATOMIC_RELAXED) != 0) {
        return;
    }
    /* Only the first hit gets here, once per mark: link it. */
    mark->next = atomic_load(&marks);
    while (!atomic_compare_exchange_weak(&marks, &mark->next, mark)) {
    }
}

const struct log_mark *log_mark_list(void)
{
    return atomic_load(&marks);
}

static void put_bytes(struct text *text, const char *bytes, size_t len)
{
    if (text->cut) {
        return;
    }
    if (text->len + len > text->limit - (sizeof(CUT_MARK) - 1)) {
        text->cut = true;
        memcpy(text->bytes + text->len, CUT_MARK, sizeof(CUT_MARK) - 1);
        text->len += sizeof(CUT_MARK) - 1;
        return;
    }
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

/* Control bytes become \n, \t, \r or \xNN; inside quotes also the quote and the backslash. */
static void put_escaped(struct text *text, const char *value, bool quoted)
{
    static const char digits[] = "0123456789abcdef";

    for (const char *c = value; *c != '\0' && !text->cut; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '\n') {
            put_bytes(text, "\\n", 2);
        } else if (byte == '\t') {
            put_bytes(text, "\\t", 2);
        } else if (byte == '\r') {
            put_bytes(text, "\\r", 2);
        } else if (plain_text_shown(c, strnlen(c, ESCAPE_MAX)) == 0) {
            char escape[ESCAPE_MAX] = {'\\', 'x', digits[byte >> 4], digits[byte & 0xf]};
            put_bytes(text, escape, sizeof(escape));
        } else if (quoted && (byte == '"' || byte == '\\')) {
            char escape[2] = {'\\', *c};
            put_bytes(text, escape, sizeof(escape));
        } else {
            /* A character of several bytes stays whole, or is cut whole. */
            size_t len = plain_text_shown(c, strnlen(c, ESCAPE_MAX));
            put_bytes(text, c, len);
            c += len - 1;
        }
    }
}

static void emit(enum log_level level, char *line, size_t len)
{
    CHECK(pthread_mutex_lock(&settings_lock) == 0);
    log_sink sink = line_sink;
    void *ctx = line_sink_ctx;
    CHECK(pthread_mutex_unlock(&settings_lock) == 0);

    if (sink != NULL) {
        line[len] = '\0';
        sink(level, line, ctx);
        return;
    }
    line[len] = '\n';
    log_writer_put(level, line, len + 1);
}

static bool needs_quotes(const char *value)
{
    if (value[0] == '\0') {
        return true;
    }
    for (const char *c = value; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte <= ' ' || byte == 0x7f || byte == '"' || byte == '\\' || byte == '=') {
            return true;
        }
    }
    return strlen(value) >= QUOTE_SIZE;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    UNREACHABLE("each level has a name");
}
