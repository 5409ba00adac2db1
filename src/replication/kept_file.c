/* SPDX-License-Identifier: Apache-2.0 */
/* See kept_file.h. */
#include "replication/kept_file.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/durable_file.h"
#include "replication/work.h"

#include <limits.h>
#include <stdio.h>

struct kept_file {
    char path[PATH_MAX];
    const struct kept_format *format;
    struct worker *worker;
    struct buf bytes; /* the thread's while it works */
    kept_file_done *done;
    void *ctx;
    bool failed; /* the last time, which was told */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static enum error write_bytes(struct work *work, void *job);
static void on_written(enum error error, const char *message, void *job);
static void on_closed(void *ctx);

enum error kept_file_read(const char *path, const struct kept_format *format, void *value_out)
{
    uint8_t bytes[KEPT_FILE_SIZE_MAX];
    size_t len = 0;
    enum error error = durable_file_read(path, bytes, sizeof(bytes), &len);
    if (error == ERR_LIMIT) {
        return ERR_CORRUPT; /* longer than any of ours */
    }
    TRY(error);
    return format->decode(slice_of(bytes, len), value_out);
}

enum error kept_file_write(const char *path, const struct kept_format *format, const void *value)
{
    struct buf bytes = {0};
    format->encode(value, &bytes);
    CHECK(bytes.len <= KEPT_FILE_SIZE_MAX);
    enum error error = durable_file_write(path, bytes.data, bytes.len, NULL);
    buf_deinit(&bytes);
    return error;
}

struct kept_file *kept_file_new(struct uv_loop_s *loop,
                                const char *path,
                                const struct kept_format *format,
                                kept_file_done *done,
                                void *ctx)
{
    struct kept_file *file = mem_new(sizeof(*file));
    int len = snprintf(file->path, sizeof(file->path), "%s", path);
    CHECK(len > 0 && (size_t)len < sizeof(file->path));
    file->format = format;
    file->worker = worker_new(loop);
    file->done = done;
    file->ctx = ctx;
    return file;
}

bool kept_file_is_idle(const struct kept_file *file)
{
    return worker_is_idle(file->worker);
}

void kept_file_save(struct kept_file *file, const void *value)
{
    CHECK(file->closed == NULL);
    CHECK(kept_file_is_idle(file));
    file->bytes.len = 0;
    file->format->encode(value, &file->bytes);
    CHECK(file->bytes.len <= KEPT_FILE_SIZE_MAX);
    worker_run(file->worker, write_bytes, on_written, file);
}

void kept_file_free(struct kept_file *file, void (*closed)(void *ctx), void *ctx)
{
    file->closed = closed;
    file->closed_ctx = ctx;
    worker_free(file->worker, on_closed, file);
}

/* On the thread. */
static enum error write_bytes(struct work *work, void *job)
{
    const struct kept_file *file = job;
    (void)work;
    return FAILPOINT_AROUND(
        "kept.write", durable_file_write(file->path, file->bytes.data, file->bytes.len, NULL));
}

static void on_written(enum error error, const char *message, void *job)
{
    struct kept_file *file = job;
    (void)message;
    /* A disk that is full stays full for a while, and each turn tries again. */
    if (error != ERR_OK && !file->failed) {
        log_event(LOG_ERROR,
                  "state.not_saved",
                  "path=%s error=%s",
                  log_quote(file->path),
                  error_name(error));
    } else if (error == ERR_OK && file->failed) {
        log_event(LOG_INFO, "state.saved_again", "path=%s", log_quote(file->path));
    }
    file->failed = error != ERR_OK;
    if (file->closed == NULL) {
        file->done(error, file->ctx);
    }
}

static void on_closed(void *ctx)
{
    struct kept_file *file = ctx;
    void (*closed)(void *ctx) = file->closed;
    void *closed_ctx = file->closed_ctx;
    buf_deinit(&file->bytes);
    mem_free(file);
    closed(closed_ctx);
}
