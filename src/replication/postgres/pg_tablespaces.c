/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_tablespaces.h. Where the links point is the database's user's choice: whatever is moved is
 * moved by that user, in a program of his, never by us. */
#include "replication/postgres/pg_tablespaces.h"

#include "base/buf.h"
#include "base/clock.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_files.h"
#include "replication/proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MOVE_MS = 24 * 3600 * 1000, /* from one file system to another it is a copy */
    NOTE_MAX = 64 * 1024,
    NOTE_PATH_SIZE = PG_PATH_SIZE * 2,
};

/* $1: the data folder, $2: where to */
static const char PUT_ASIDE[] =
    "for link in \"$1\"/pg_tblspc/*; do\n"
    "  [ -L \"$link\" ] || continue\n"
    "  to=\"$2/${link##*/}\"\n"
    "  mkdir -p \"$to\" && mv \"$(readlink \"$link\")\"/PG_* \"$to\"/ &&\n"
    "  ln -sfn \"$to\" \"$link\" || exit 1\n"
    "done";

/* Places on stdin, $1: where to */
static const char MAKE_ROOM[] = "n=0\n"
                                "while IFS= read -r place; do\n"
                                "  n=$((n + 1))\n"
                                "  ls -d \"$place\"/PG_* >/dev/null 2>&1 || continue\n"
                                "  mkdir -p \"$1/$n\" && mv \"$place\"/PG_* \"$1/$n\"/ || exit 1\n"
                                "done";

static enum error
make_aside(struct work *work, const struct pg_place *place, const char *name, char *path);
static void read_places(const struct pg_place *place, struct buf *text);
static void note_path(const struct pg_place *place, char *path);

void pg_tablespaces_note(const struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];
    struct buf now = {0};
    struct buf noted = {0};
    size_t len = 0;

    read_places(place, &now);
    note_path(place, path);
    buf_reserve(&noted, NOTE_MAX);
    enum error error = durable_file_read(path, noted.data, NOTE_MAX, &len);
    bool same = error == ERR_OK && len == now.len && memcmp(noted.data, now.data, len) == 0;
    if (!same && (now.len > 0 || error == ERR_OK)) {
        (void)!durable_file_write(path, now.data, now.len, NULL); /* next time, then */
    }
    buf_deinit(&now);
    buf_deinit(&noted);
}

enum error
pg_tablespaces_put_aside(struct work *work, const struct pg_place *place, const char *name)
{
    char aside[PG_PATH_SIZE * 2];
    struct buf places = {0};

    read_places(place, &places);
    bool none = places.len == 0;
    buf_deinit(&places);
    if (none) {
        return ERR_OK;
    }
    TRY(make_aside(work, place, name, aside));
    const char *const argv[] = {
        "/bin/sh", "-c", PUT_ASIDE, "tablespaces", place->data, aside, NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = MOVE_MS};
    return proc_run(work, &request, NULL);
}

enum error pg_tablespaces_make_room(struct work *work, const struct pg_place *place)
{
    char aside[PG_PATH_SIZE * 2];
    char path[PG_PATH_SIZE * 2];
    struct buf noted = {0};
    size_t len = 0;

    note_path(place, path);
    buf_reserve(&noted, NOTE_MAX);
    enum error error = durable_file_read(path, noted.data, NOTE_MAX - 1, &len);
    if (error == ERR_OK && len > 0) {
        noted.data[len] = '\0';
        error = make_aside(work, place, "lost", aside);
        if (error != ERR_OK) {
            buf_deinit(&noted);
            return error;
        }
        const char *const argv[] = {"/bin/sh", "-c", MAKE_ROOM, "tablespaces", aside, NULL};
        struct proc_request request = {.argv = argv,
                                       .input = (const char *)noted.data,
                                       .user = &place->user,
                                       .timeout_ms = MOVE_MS};
        error = proc_run(work, &request, NULL);
        (void)rmdir(aside); /* if nothing was left of them */
    }
    buf_deinit(&noted);
    return error == ERR_NOT_FOUND ? ERR_OK : error;
}

/* The database's user's, in a folder of ours: a new one each time. */
static enum error
make_aside(struct work *work, const struct pg_place *place, const char *name, char *path)
{
    (void)snprintf(path,
                   NOTE_PATH_SIZE,
                   "%s/%s-%" PRIu64 ".tablespaces",
                   place->stranded,
                   name,
                   clock_wall_ms());
    return pg_files_make(work, place, path);
}

/* One a line; those with a line end in their name are left out. */
static void read_places(const struct pg_place *place, struct buf *text)
{
    char dir[PG_PATH_SIZE * 2];
    char link[PG_PATH_SIZE * 4];
    char target[PATH_MAX];

    (void)snprintf(dir, sizeof(dir), "%s/pg_tblspc", place->data);
    as_user_enter(&place->user);
    DIR *entries = opendir(dir);
    if (entries == NULL) {
        as_user_leave(&place->user);
        return;
    }
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        (void)snprintf(link, sizeof(link), "%s/%s", dir, entry->d_name);
        ssize_t len = readlink(link, target, sizeof(target) - 1);
        if (len > 0 && target[0] == '/' && memchr(target, '\n', (size_t)len) == NULL &&
            text->len + (size_t)len + 1 < NOTE_MAX) {
            buf_append(text, target, (size_t)len);
            buf_append(text, "\n", 1);
        }
    }
    (void)closedir(entries);
    as_user_leave(&place->user);
}

static void note_path(const struct pg_place *place, char *path)
{
    (void)snprintf(path, NOTE_PATH_SIZE, "%s/tablespaces", place->state);
}
