/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_last_good.h. Both copies lie in the state folder, which is ours. */
#include "replication/postgres/pg_last_good.h"

#include "base/log.h"
#include "base/plain_file.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AUTO_FILE    "postgresql.auto.conf"
#define TRIED_FILE   "settings.tried"
#define GOOD_FILE    "settings.good"
#define REFUSED_FILE "settings.refused"

enum {
    SETTINGS_MAX = 1024 * 1024, /* more than that is not kept */
    FAILURES_MIN = 2,
};

static enum error read_settings(const struct pg_place *place, struct buf *out);
static enum error read_kept(const struct pg_place *place, const char *name, struct buf *out);
static enum error set_back(struct work *work,
                           const struct pg_place *place,
                           const struct buf *now,
                           const struct buf *good);
static enum error
keep(struct work *work, const struct pg_place *place, const char *name, const struct buf *text);
static bool equal(const struct buf *a, const struct buf *b);

enum error pg_last_good_begin(struct work *work, const struct pg_place *place, uint32_t failures)
{
    struct buf now = {0};
    struct buf good = {0};
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/" TRIED_FILE, place->state);
    enum error error = ERR_OK;
    bool known = read_kept(place, GOOD_FILE, &good) == ERR_OK;
    if (read_settings(place, &now) != ERR_OK) {
        error = ERR_OK; /* the server will say what it cannot read */
    } else if (known && equal(&now, &good)) {
        (void)unlink(path); /* what was tried before was not these */
    } else if (failures < FAILURES_MIN) {
        error = keep(work, place, TRIED_FILE, &now);
    } else {
        error = set_back(work, place, &now, &good);
    }
    buf_deinit(&now);
    buf_deinit(&good);
    return error;
}

void pg_last_good_worked(const struct pg_place *place)
{
    char tried[PG_PATH_SIZE * 2];
    char good[PG_PATH_SIZE * 2];

    (void)snprintf(tried, sizeof(tried), "%s/" TRIED_FILE, place->state);
    (void)snprintf(good, sizeof(good), "%s/" GOOD_FILE, place->state);
    /* Mostly there is none, and a disk that hangs would hold even that rename up. */
    if (access(tried, F_OK) == 0) {
        (void)rename(tried, good);
    }
}

void pg_last_good_tell(const struct pg_place *place, char *text, size_t size)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/" REFUSED_FILE, place->state);
    text[0] = '\0';
    if (access(path, F_OK) == 0) {
        (void)snprintf(text,
                       size,
                       "it did not start with what ALTER SYSTEM had set: set back, and kept in "
                       "%.140s until you remove it",
                       path);
    }
}

/* Without the file nothing is set by it. What cannot be read is left alone. */
static enum error read_settings(const struct pg_place *place, struct buf *out)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/" AUTO_FILE, place->data);
    as_user_enter(&place->user);
    enum error error = plain_file_read(path, SETTINGS_MAX, out);
    as_user_leave(&place->user);
    return error == ERR_NOT_FOUND ? ERR_OK : error;
}

static enum error read_kept(const struct pg_place *place, const char *name, struct buf *out)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/%s", place->state, name);
    return plain_file_read(path, SETTINGS_MAX, out);
}

/* Where none came up yet, without any. */
static enum error set_back(struct work *work,
                           const struct pg_place *place,
                           const struct buf *now,
                           const struct buf *good)
{
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};
    char path[PG_PATH_SIZE * 2];

    if (now->len == 0) {
        return ERR_OK; /* it is not for want of them */
    }
    TRY(keep(work, place, REFUSED_FILE, now));
    TRY(keep(work, place, TRIED_FILE, good));
    (void)snprintf(path, sizeof(path), "%s/" AUTO_FILE, place->data);
    as_user_enter(&place->user);
    bool written = durable_file_write(path, good->data, good->len, &owner) == ERR_OK;
    as_user_leave(&place->user);
    if (!written) {
        return work_fail(work, ERR_IO, "cannot write %.128s: %s", path, strerrordesc_np(errno));
    }
    log_event(LOG_WARN, "settings.set_back", "file=%s", log_quote(path));
    return ERR_OK;
}

static enum error
keep(struct work *work, const struct pg_place *place, const char *name, const struct buf *text)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/%s", place->state, name);
    if (durable_file_write(path, text->data, text->len, NULL) != ERR_OK) {
        return work_fail(work, ERR_IO, "cannot write %.128s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

static bool equal(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
