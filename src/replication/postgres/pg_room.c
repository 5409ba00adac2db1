/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_room.h. */
#include "replication/postgres/pg_room.h"

#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OURS     ".indaba-"
#define MOVING   ".indaba-moving"
#define STRANDED ".indaba-stranded-"

typedef enum error entry_fn(struct work *work, const char *dir, const char *name, const char *to);

static enum error
each_entry(struct work *work, const char *dir, bool ours_too, entry_fn *act, const char *to);
static enum error move_all(struct work *work,
                           const struct pg_place *place,
                           const char *from,
                           const char *to,
                           bool ours_too);
static enum error move_entry(struct work *work, const char *dir, const char *name, const char *to);
static enum error count_entry(struct work *work, const char *dir, const char *name, const char *to);
static bool is_listed(const char *name, bool ours_too);
static enum error failed(struct work *work, const char *what, const char *path);

bool pg_room_is_mount(const struct pg_place *place)
{
    struct stat inside;
    struct stat outside;

    return stat(place->data, &inside) == 0 && stat(place->config.dir, &outside) == 0 &&
           inside.st_dev != outside.st_dev;
}

enum error pg_room_make(struct work *work, const struct pg_place *place)
{
    char moving[PG_PATH_SIZE * 2];
    char left[PG_PATH_SIZE * 2];

    (void)snprintf(moving, sizeof(moving), "%s/" MOVING, place->data);
    (void)snprintf(left, sizeof(left), "%s/" OURS "left", place->data);
    if (access(place->data, F_OK) != 0) {
        return ERR_OK;
    }
    if (!pg_room_is_mount(place)) {
        return rmdir(place->data) == 0 || errno == ENOENT
                   ? ERR_OK
                   : pg_files_put_aside(work, place, "incomplete");
    }
    if (strncmp(place->data_new, place->data, strlen(place->data)) != 0 ||
        place->data_new[strlen(place->data)] != '/') {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "%s became a mount point after this sidecar was started: start it again",
                         place->data);
    }
    if (access(moving, F_OK) == 0) { /* a move of ours that was cut short */
        TRY(pg_files_remove(work, place, left));
        TRY(pg_files_make(work, place, left));
        TRY(move_all(work, place, place->data, left, false));
        TRY(pg_files_remove(work, place, left));
        as_user_enter(&place->user);
        (void)unlink(moving);
        as_user_leave(&place->user);
    }
    TRY(each_entry(work, place->data, false, count_entry, NULL));
    return chmod(place->data, 0700) == 0 &&
                   (!place->user.change ||
                    lchown(place->data, place->user.uid, place->user.gid) == 0)
               ? ERR_OK
               : failed(work, "take over", place->data);
}

enum error pg_room_move_up(struct work *work, const struct pg_place *place)
{
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/" MOVING, place->data);
    as_user_enter(&place->user);
    enum error error = durable_file_write(path, "", 0, &owner);
    as_user_leave(&place->user);
    if (error != ERR_OK) {
        return failed(work, "write", path);
    }
    TRY(move_all(work, place, place->data_new, place->data, true));
    as_user_enter(&place->user);
    error = durable_file_sync_dir(place->data);
    error = error == ERR_OK ? move_entry(work, place->data_new, "PG_VERSION", place->data) : error;
    bool cleaned = error == ERR_OK && rmdir(place->data_new) == 0 && unlink(path) == 0 &&
                   durable_file_sync_dir(place->data) == ERR_OK;
    as_user_leave(&place->user);
    return cleaned ? ERR_OK : failed(work, "finish", place->data);
}

enum error pg_room_put_aside(struct work *work, const struct pg_place *place, const char *name)
{
    char aside[PG_PATH_SIZE * 2];

    (void)snprintf(aside, sizeof(aside), "%s/" STRANDED "%s", place->data, name);
    TRY(pg_files_make(work, place, aside));
    as_user_enter(&place->user);
    enum error error = move_entry(work, place->data, "PG_VERSION", aside); /* from here on none */
    as_user_leave(&place->user);
    TRY(error);
    TRY(move_all(work, place, place->data, aside, false));
    return durable_file_sync_dir(place->data);
}

/* What lies in there is the database's user's, and may change into links while we look. */
static enum error move_all(struct work *work,
                           const struct pg_place *place,
                           const char *from,
                           const char *to,
                           bool ours_too)
{
    as_user_enter(&place->user);
    enum error error = each_entry(work, from, ours_too, move_entry, to);
    as_user_leave(&place->user);
    return error;
}

/* All but PG_VERSION, lost+found, and what is ours unless asked for. */
static enum error
each_entry(struct work *work, const char *dir, bool ours_too, entry_fn *act, const char *to)
{
    enum error error = ERR_OK;

    DIR *entries = opendir(dir);
    if (entries == NULL) {
        return failed(work, "open", dir);
    }
    const struct dirent *entry = readdir(entries);
    while (entry != NULL && error == ERR_OK) {
        if (is_listed(entry->d_name, ours_too)) {
            error = act(work, dir, entry->d_name, to);
        }
        entry = readdir(entries);
    }
    (void)closedir(entries);
    return error;
}

static enum error move_entry(struct work *work, const char *dir, const char *name, const char *to)
{
    char from_path[PG_PATH_SIZE * 4];
    char to_path[PG_PATH_SIZE * 4];

    (void)snprintf(from_path, sizeof(from_path), "%s/%s", dir, name);
    (void)snprintf(to_path, sizeof(to_path), "%s/%s", to, name);
    return rename(from_path, to_path) == 0 ? ERR_OK : failed(work, "move", from_path);
}

static enum error count_entry(struct work *work, const char *dir, const char *name, const char *to)
{
    (void)to;
    return work_fail(work,
                     ERR_EXISTS,
                     "%s is a mount point with something in it (%.64s) that is no data folder: "
                     "nothing was touched; empty it, and it is built into",
                     dir,
                     name);
}

static bool is_listed(const char *name, bool ours_too)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lost+found") != 0 &&
           strcmp(name, "PG_VERSION") != 0 && (ours_too || strncmp(name, OURS, strlen(OURS)) != 0);
}

static enum error failed(struct work *work, const char *what, const char *path)
{
    return work_fail(
        work, error_from_errno(errno), "cannot %s %.128s: %s", what, path, strerrordesc_np(errno));
}
