/* SPDX-License-Identifier: Apache-2.0 */
/* What a sidecar keeps on disk: small files in its state folder, each replaced as a whole. Reading
 * them is for the start, before there is a loop; from then on they are written by threads of their
 * own, and whoever relies on what is in one waits for `done`. So a disk that hangs delays what has
 * to be durable first, and nothing else: renewals and the talk with the guardian go on. */
#ifndef INDABA_REPLICATION_KEPT_FILE_H
#define INDABA_REPLICATION_KEPT_FILE_H

#include "base/buf.h"

#include <stdbool.h>

enum {
    KEPT_FILE_SIZE_MAX = 8 * 1024,
};

/* What is in a file of one kind. */
struct kept_format {
    /* The whole file. */
    void (*encode)(const void *value, struct buf *out);
    /* ERR_CORRUPT, ERR_VERSION; `value_out` is untouched then. */
    enum error (*decode)(struct slice bytes, void *value_out);
};

/* Blocking. ERR_NOT_FOUND: never written; ERR_CORRUPT: damaged; ERR_VERSION: of a later version;
 * errors of the disk. `value_out` is untouched then. */
MUST_CHECK enum error
kept_file_read(const char *path, const struct kept_format *format, void *value_out);
/* Blocking; durable when it returns ERR_OK. After an error the old content may or may not have been
 * replaced. */
MUST_CHECK enum error
kept_file_write(const char *path, const struct kept_format *format, const void *value);

struct uv_loop_s;
struct kept_file;

/* On the loop. ERR_OK: durable now. After an error it is not known which of the two is there. */
typedef void kept_file_done(enum error error, void *ctx);

/* `path` is copied, `format` must outlive it. `done` comes once for each save. */
struct kept_file *kept_file_new(struct uv_loop_s *loop,
                                const char *path,
                                const struct kept_format *format,
                                kept_file_done *done,
                                void *ctx);
/* True if nothing is being written. */
bool kept_file_is_idle(const struct kept_file *file);
/* Begins to write `value` (encoded before it returns). Only when idle. Never waits. */
void kept_file_save(struct kept_file *file, const void *value);
/* What is being written is finished first, and `done` is not called for it; then `closed`, from
 * the loop. */
void kept_file_free(struct kept_file *file, void (*closed)(void *ctx), void *ctx);

#endif
