/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_files.h. */
#include "replication/postgres/pg_files.h"

#include "base/check.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_room.h"
#include "replication/postgres/pg_tablespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OPEN_FOLDERS_MAX = 16,
    ASIDE_TRIES_MAX = 1000,
    SIGNAL_LINE_SIZE = 96,
    CONF_MAX = 256 * 1024,
};

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk);
static enum error failed(struct work *work, const char *what, const char *path);
static enum error sync_parent(struct work *work, const struct pg_place *place);
static bool signal_line(const struct pg_place *place, char *line);

enum error pg_files_remove(struct work *work, const struct pg_place *place, const char *path)
{
    CHECK(strncmp(path, place->config.dir, strlen(place->config.dir)) == 0);
    CHECK(strcmp(path, place->data) != 0); /* a complete folder is put aside, never removed */
    /* What is in it may change into links while we walk. */
    as_user_enter(&place->user);
    bool emptied =
        nftw(path, remove_one, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
    as_user_leave(&place->user);
    if (!emptied ||
        (rmdir(path) != 0 && errno != ENOENT && (errno != ENOTDIR || unlink(path) != 0))) {
        return failed(work, "remove", path);
    }
    return ERR_OK;
}

enum error pg_files_make(struct work *work, const struct pg_place *place, const char *path)
{
    size_t len = strlen(place->data);
    if (strncmp(path, place->data, len) == 0 && path[len] == '/') {
        /* In a folder of the database's: it makes it itself, wherever a link may lead. */
        as_user_enter(&place->user);
        bool made = mkdir(path, 0700) == 0;
        as_user_leave(&place->user);
        return made ? ERR_OK : failed(work, "make", path);
    }
    if (mkdir(path, 0700) != 0 ||
        (place->user.change && lchown(path, place->user.uid, place->user.gid) != 0)) {
        return failed(work, "make", path);
    }
    return ERR_OK;
}

enum error pg_files_install(struct work *work, const struct pg_place *place)
{
    if (pg_room_is_mount(place)) {
        TRY(pg_config_prepare(work, place, place->data_new));
        return pg_room_move_up(work, place);
    }
    if (access(place->data, F_OK) == 0) {
        return work_fail(work, ERR_EXISTS, "there is already a data folder at %s", place->data);
    }
    TRY(pg_config_prepare(work, place, place->data_new));
    if (rename(place->data_new, place->data) != 0) {
        return failed(work, "rename", place->data_new);
    }
    return sync_parent(work, place);
}

enum error pg_files_put_aside(struct work *work, const struct pg_place *place, const char *name)
{
    char path[PG_PATH_SIZE * 2];

    TRY(pg_tablespaces_put_aside(work, place, name));
    if (pg_room_is_mount(place)) {
        return pg_room_put_aside(work, place, name);
    }
    for (int i = 0; i < ASIDE_TRIES_MAX; i++) {
        char suffix[8] = "";
        if (i > 0) {
            (void)snprintf(suffix, sizeof(suffix), ".%d", i);
        }
        (void)snprintf(path, sizeof(path), "%s/%s%s", place->stranded, name, suffix);
        if (access(path, F_OK) == 0) {
            continue;
        }
        if (rename(place->data, path) != 0 && errno != ENOENT) {
            return failed(work, "rename", place->data);
        }
        TRY(durable_file_sync_dir(place->stranded));
        return sync_parent(work, place);
    }
    return work_fail(
        work,
        ERR_LIMIT,
        "too many folders named %s in %s: look at them and remove what you do not need",
        name,
        place->stranded);
}

enum error pg_files_put_signal(struct work *work, const struct pg_place *place)
{
    struct durable_owner owner = {.uid = place->user.uid, .gid = place->user.gid, .mode = 0600};
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/standby.signal", place->data);
    as_user_enter(&place->user);
    enum error error = durable_file_write(path, "", 0, &owner);
    as_user_leave(&place->user);
    return error == ERR_OK ? ERR_OK : failed(work, "write", path);
}

enum error pg_files_note_signal(struct work *work, const struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];
    char line[SIGNAL_LINE_SIZE];

    if (!signal_line(place, line)) {
        return work_fail(work, ERR_IO, "cannot look at %.128s/standby.signal", place->data);
    }
    (void)snprintf(path, sizeof(path), "%s/standby.signal", place->state);
    enum error error = durable_file_write(path, line, strlen(line), NULL);
    return error == ERR_OK ? ERR_OK : failed(work, "write", path);
}

bool pg_files_signal_is_noted(const struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];
    char noted[SIGNAL_LINE_SIZE] = "";
    char line[SIGNAL_LINE_SIZE];
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/standby.signal", place->state);
    return durable_file_read(path, noted, sizeof(noted) - 1, &len) == ERR_OK && len > 0 &&
           signal_line(place, line) && strcmp(line, noted) == 0;
}

/* The time of its last change of any kind is the kernel's: a copy that is put back has another one,
 * and so has the file that was moved away and back. */
static bool signal_line(const struct pg_place *place, char *line)
{
    char path[PG_PATH_SIZE * 2];
    struct stat status;

    (void)snprintf(path, sizeof(path), "%s/standby.signal", place->data);
    as_user_enter(&place->user);
    bool found = lstat(path, &status) == 0 && S_ISREG(status.st_mode);
    as_user_leave(&place->user);
    if (found) {
        (void)snprintf(line,
                       SIGNAL_LINE_SIZE,
                       "signal %ju %jd.%09ld\n",
                       (uintmax_t)status.st_ino,
                       (intmax_t)status.st_ctim.tv_sec,
                       status.st_ctim.tv_nsec);
    }
    return found;
}

enum error
pg_files_open_dir(struct work *work, const struct pg_place *place, const char *name, DIR **dir_out)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/%s", place->data, name);
    as_user_enter(&place->user);
    DIR *dir = opendir(path);
    as_user_leave(&place->user);
    if (dir == NULL) {
        return failed(work, "read", path);
    }
    *dir_out = dir;
    return ERR_OK;
}

enum error pg_files_sync_all(struct work *work, const struct pg_place *place)
{
    as_user_enter(&place->user);
    int fd = open(place->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    as_user_leave(&place->user);

    if (fd < 0 || syncfs(fd) != 0) {
        enum error error = failed(work, "sync the file system of", place->data);
        if (fd >= 0) {
            (void)close(fd);
        }
        return error;
    }
    (void)close(fd);
    return ERR_OK;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    if (walk->level == 0) {
        return 0; /* it stands in a folder of ours */
    }
    return type == FTW_DP || type == FTW_D ? rmdir(path) : unlink(path);
}

static enum error failed(struct work *work, const char *what, const char *path)
{
    return work_fail(
        work, error_from_errno(errno), "cannot %s %.128s: %s", what, path, strerrordesc_np(errno));
}

static enum error sync_parent(struct work *work, const struct pg_place *place)
{
    enum error error = durable_file_sync_dir(place->config.dir);

    return error == ERR_OK ? ERR_OK : failed(work, "sync", place->config.dir);
}

enum error pg_files_read_conf(struct work *work,
                              const struct pg_place *place,
                              const char *name,
                              struct buf *text)
{
    char path[PG_PATH_SIZE * 2];
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", place->data, name);
    buf_reserve(text, CONF_MAX);
    as_user_enter(&place->user);
    enum error error = durable_file_read(path, text->data, CONF_MAX - 1, &len);
    as_user_leave(&place->user);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        return work_fail(work, error, "cannot read %.128s: %s", path, error_text(error));
    }
    text->data[len] = '\0';
    text->len = len + 1;
    return ERR_OK;
}
