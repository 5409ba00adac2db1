/* SPDX-License-Identifier: Apache-2.0 */
/* See marks_file.h. Layout: magic, version, fields by the codec, XXH3 over all before it. */
#include "replication/marks_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/durable_file.h"
#include "replication/work.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    MARKS_VERSION = 1,
    MARKS_SIZE_MAX = 512,
    CHECKSUM_SIZE = 8,
    SAVE_EVERY_MS = 1000,
};

#define MARKS_MAGIC UINT32_C(0x4b524d49) /* "IMRK" */

struct marks_keeper {
    char path[PATH_MAX];
    struct worker *worker;
    struct marks saving; /* the thread's while it works */
    struct marks saved;
    bool failed;
    uint64_t begun_ms;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static enum error decode(struct slice bytes, struct marks *marks);
static void put_position(struct buf *buf, struct position position);
static struct position get_position(struct reader *reader);
static enum error save(struct work *work, void *job);
static void on_saved(enum error error, const char *message, void *job);
static void on_closed(void *ctx);

enum error marks_file_load(const char *path, struct marks *marks_out)
{
    uint8_t bytes[MARKS_SIZE_MAX];
    size_t len = 0;
    struct marks marks = {0};

    enum error error = durable_file_read(path, bytes, sizeof(bytes), &len);
    if (error == ERR_LIMIT) {
        return ERR_CORRUPT;
    }
    TRY(error);
    TRY(decode(slice_of(bytes, len), &marks));
    *marks_out = marks;
    return ERR_OK;
}

enum error marks_file_save(const char *path, const struct marks *marks)
{
    struct buf buf = {0};

    CHECK(marks->count <= MARKS_MAX);
    buf_put_u32(&buf, MARKS_MAGIC);
    buf_put_u32(&buf, MARKS_VERSION);
    put_position(&buf, marks->acked);
    buf_put_u32(&buf, marks->count);
    for (uint32_t i = 0; i < marks->count; i++) {
        buf_put_u32(&buf, marks->items[i].instance.value);
        buf_put_u64(&buf, marks->items[i].incarnation.value);
        put_position(&buf, marks->items[i].position);
    }
    buf_put_u64(&buf, hash_xxh3(buf.data, buf.len, 0));
    CHECK(buf.len <= MARKS_SIZE_MAX);
    enum error error = durable_file_write(path, buf.data, buf.len, NULL);
    buf_deinit(&buf);
    return error;
}

struct marks_keeper *marks_keeper_new(struct uv_loop_s *loop, const char *path)
{
    struct marks_keeper *keeper = mem_new(sizeof(*keeper));

    (void)snprintf(keeper->path, sizeof(keeper->path), "%s", path);
    keeper->worker = worker_new(loop);
    return keeper;
}

void marks_keeper_give(struct marks_keeper *keeper, const struct marks *marks)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (keeper->closed != NULL || !worker_is_idle(keeper->worker) ||
        (keeper->begun_ms != 0 && now_ms - keeper->begun_ms < SAVE_EVERY_MS) ||
        marks_equal(marks, &keeper->saved)) {
        return;
    }
    keeper->begun_ms = now_ms;
    keeper->saving = *marks;
    worker_run(keeper->worker, save, on_saved, keeper);
}

void marks_keeper_free(struct marks_keeper *keeper, void (*closed)(void *ctx), void *ctx)
{
    keeper->closed = closed;
    keeper->closed_ctx = ctx;
    worker_free(keeper->worker, on_closed, keeper);
}

static enum error decode(struct slice bytes, struct marks *marks)
{
    if (bytes.len < CHECKSUM_SIZE) {
        return ERR_CORRUPT;
    }
    struct slice body = slice_of(bytes.data, bytes.len - CHECKSUM_SIZE);
    struct reader tail = reader_of(slice_of(bytes.data + body.len, CHECKSUM_SIZE));
    if (reader_u64(&tail) != hash_xxh3(body.data, body.len, 0)) {
        return ERR_CORRUPT;
    }
    struct reader reader = reader_of(body);
    if (reader_u32(&reader) != MARKS_MAGIC) {
        return ERR_CORRUPT;
    }
    if (reader_u32(&reader) != MARKS_VERSION) {
        return ERR_VERSION;
    }
    marks->acked = get_position(&reader);
    marks->count = reader_u32(&reader);
    if (marks->count > MARKS_MAX) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < marks->count; i++) {
        marks->items[i].instance.value = reader_u32(&reader);
        marks->items[i].incarnation.value = reader_u64(&reader);
        marks->items[i].position = get_position(&reader);
    }
    return reader_finish(&reader);
}

static void put_position(struct buf *buf, struct position position)
{
    buf_put_u32(buf, position.timeline);
    buf_put_u64(buf, position.lsn);
}

static struct position get_position(struct reader *reader)
{
    uint32_t timeline = reader_u32(reader);
    uint64_t lsn = reader_u64(reader);
    return (struct position){.timeline = timeline, .lsn = lsn};
}

/* On the thread. */
static enum error save(struct work *work, void *job)
{
    const struct marks_keeper *keeper = job;

    (void)work;
    return marks_file_save(keeper->path, &keeper->saving);
}

static void on_saved(enum error error, const char *message, void *job)
{
    struct marks_keeper *keeper = job;

    (void)message;
    if (error == ERR_OK) {
        keeper->saved = keeper->saving;
    } else if (!keeper->failed) {
        log_event(LOG_ERROR,
                  "marks.not_saved",
                  "path=%s error=%s",
                  log_quote(keeper->path),
                  error_name(error));
    }
    keeper->failed = error != ERR_OK;
}

static void on_closed(void *ctx)
{
    struct marks_keeper *keeper = ctx;
    void (*closed)(void *ctx) = keeper->closed;
    void *closed_ctx = keeper->closed_ctx;

    mem_free(keeper);
    closed(closed_ctx);
}
