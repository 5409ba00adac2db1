/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of an instance: checked, made, owned. See pg_config_file.h. */
#include "base/check.h"
#include "replication/postgres/pg_config_file.h"
#include "replication/postgres/pg_room.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error check_config(const struct pg_config *config, struct reason *reason);
static void fill_defaults(struct pg_config *config);
static enum error check_binaries(const struct pg_config *config, struct reason *reason);
static enum error check_parents(const char *dir, const struct os_user *user, struct reason *reason);
static bool may_exchange(const struct stat *status, const struct os_user *user);
static enum error
make_ours(const char *path, mode_t mode, const struct os_user *user, struct reason *reason);
static enum error make_theirs(const char *path, const struct os_user *user, struct reason *reason);
static enum error make_dir(const char *path, mode_t mode, bool *made_out, struct reason *reason);
static bool is_plain(const char *text, const char *more);
static void join(char *path, const char *dir, const char *name);

enum error
pg_place_init(struct pg_place *place, const struct pg_config *config, struct reason *reason)
{
    *place = (struct pg_place){.config = *config};
    TRY(check_config(config, reason));
    fill_defaults(&place->config);
    TRY(check_binaries(&place->config, reason));
    if (os_user_find(place->config.user, &place->user) != ERR_OK) {
        return reason_set(
            reason,
            ERR_CONFIG,
            "system user '%s' for the database: not known, or we are not root and may "
            "not become it",
            place->config.user);
    }
    if (place->user.uid == 0) {
        return reason_set(
            reason, ERR_CONFIG, "PostgreSQL refuses to run as root: name another system user");
    }
    join(place->data, config->dir, "pgdata");
    if (pg_room_is_mount(place)) {
        join(place->data_new, place->data, ".indaba-new");
    } else {
        join(place->data_new, config->dir, "pgdata.new");
    }
    join(place->run, config->dir, "run");
    join(place->sock, config->dir, "sock");
    join(place->state, config->dir, "state");
    join(place->log, config->dir, "log");
    join(place->stranded, config->dir, "stranded");
    /* The database's user has to get through DIR, and nothing more: where it could exchange a
     * folder or a file for a link, root would open what it likes. */
    TRY(check_parents(config->dir, &place->user, reason));
    TRY(make_ours(config->dir, 0755, &place->user, reason));
    TRY(make_ours(place->run, 0755, &place->user, reason));
    TRY(make_ours(place->log, 0755, &place->user, reason));
    TRY(make_ours(place->stranded, 0755, &place->user, reason));
    TRY(make_ours(place->state, 0700, &place->user, reason));
    return make_theirs(place->sock, &place->user, reason);
}

static enum error check_config(const struct pg_config *config, struct reason *reason)
{
    if (config->dir[0] != '/' || strlen(config->dir) > PG_DIR_MAX || !is_plain(config->dir, "/")) {
        return reason_set(
            reason,
            ERR_CONFIG,
            "dir: must be an absolute path of at most %d bytes out of letters, digits "
            "and / . _ - (sockets live below it)",
            PG_DIR_MAX);
    }
    if (config->port == 0) {
        return reason_set(reason, ERR_CONFIG, "port: must not be 0");
    }
    if (config->replication_password[0] == '\0' ||
        strpbrk(config->replication_password, "\n\r'\\:") != NULL) {
        return reason_set(reason,
                          ERR_CONFIG,
                          "replication password: needed, without quotes, colons, backslashes and "
                          "line ends, the same on every instance of the shard");
    }
    if (!is_plain(config->superuser, "") || !is_plain(config->replication_user, "") ||
        !is_plain(config->listen_addresses, ":*, []") || !is_plain(config->bin_dir, "/")) {
        return reason_set(
            reason,
            ERR_CONFIG,
            "user names, listen addresses and the folder of PostgreSQL's binaries: only "
            "letters, digits and . _ -");
    }
    return ERR_OK;
}

static void fill_defaults(struct pg_config *config)
{
    size_t len = strlen(config->listen_addresses);
    if (config->listen_addresses[0] == '[' && config->listen_addresses[len - 1] == ']') {
        memmove(config->listen_addresses, config->listen_addresses + 1, len - 2);
        config->listen_addresses[len - 2] = '\0';
    }

    const struct {
        char *field;
        size_t size;
        const char *value;
    } DEFAULTS[] = {
        {config->bin_dir, sizeof(config->bin_dir), "/usr/lib/postgresql/15/bin"},
        {config->listen_addresses, sizeof(config->listen_addresses), "*"},
        {config->user, sizeof(config->user), geteuid() == 0 ? "postgres" : ""},
        {config->superuser, sizeof(config->superuser), "postgres"},
        {config->replication_user, sizeof(config->replication_user), "indaba_replication"},
        {config->hba, sizeof(config->hba), "host all all all scram-sha-256\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(DEFAULTS); i++) {
        if (DEFAULTS[i].field[0] == '\0') {
            (void)snprintf(DEFAULTS[i].field, DEFAULTS[i].size, "%s", DEFAULTS[i].value);
        }
    }
    if (config->probe_ms == 0) {
        config->probe_ms = 250;
    }
}

static enum error check_binaries(const struct pg_config *config, struct reason *reason)
{
    static const char *const NAMES[] = {
        "postgres", "initdb", "pg_basebackup", "pg_controldata", "pg_waldump"};
    char path[PG_PATH_SIZE * 2];

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        join(path, config->bin_dir, NAMES[i]);
        if (access(path, X_OK) != 0) {
            return reason_set(reason,
                              ERR_CONFIG,
                              "%.128s: %s. Install PostgreSQL 15, or say where its binaries are",
                              path,
                              strerrordesc_np(errno));
        }
    }
    return ERR_OK;
}

/* Whoever may write in one of the folders above could put another folder in the place of DIR. */
static enum error check_parents(const char *dir, const struct os_user *user, struct reason *reason)
{
    char path[PATH_MAX];
    char parent[PATH_MAX];

    if (!user->change) {
        return ERR_OK; /* we are that user: there is nobody to be protected from */
    }
    (void)snprintf(parent, sizeof(parent), "%s", dir);
    *strrchr(parent, '/') = '\0';
    if (realpath(parent[0] == '\0' ? "/" : parent, path) == NULL) {
        return reason_set(reason, ERR_CONFIG, "dir: %.128s: %s", parent, strerrordesc_np(errno));
    }
    for (;;) {
        struct stat status;
        const char *folder = path[0] == '\0' ? "/" : path;
        if (lstat(folder, &status) != 0 || may_exchange(&status, user)) {
            return reason_set(
                reason,
                ERR_CONFIG,
                "dir: %.80s can be written by %.32s, the database's user, and root opens "
                "files below it: use one below a folder that only root writes in",
                folder,
                user->name);
        }
        if (path[0] == '\0' || strcmp(path, "/") == 0) {
            return ERR_OK;
        }
        *strrchr(path, '/') = '\0';
    }
}

static bool may_exchange(const struct stat *status, const struct os_user *user)
{
    bool writes = (status->st_mode & S_IWOTH) != 0 ||
                  ((status->st_mode & S_IWGRP) != 0 && status->st_gid == user->gid);

    return status->st_uid == user->uid || (writes && (status->st_mode & S_ISVTX) == 0);
}

/* A folder that only we write in. One that is there and is somebody else's is not taken over: who
 * knows what it is, and what was put into it. */
static enum error
make_ours(const char *path, mode_t mode, const struct os_user *user, struct reason *reason)
{
    bool made = false;
    struct stat status;

    TRY(make_dir(path, mode, &made, reason));
    if (made || !user->change) {
        return ERR_OK;
    }
    bool ours = lstat(path, &status) == 0 && S_ISDIR(status.st_mode) &&
                status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    if (!ours) {
        return reason_set(
            reason,
            ERR_CONFIG,
            "%.100s: root opens files in it, so it must be root's, and nobody else may "
            "write in it: look what is in it, then chown root and chmod go-w",
            path);
    }
    return ERR_OK;
}

/* The database's own, in a folder of ours: nobody but us can have exchanged it. */
static enum error make_theirs(const char *path, const struct os_user *user, struct reason *reason)
{
    bool made = false;

    TRY(make_dir(path, 0755, &made, reason));
    if (made && user->change && lchown(path, user->uid, user->gid) != 0) {
        return reason_set(reason,
                          ERR_CONFIG,
                          "cannot give %.128s to its owner: %s",
                          path,
                          strerrordesc_np(errno));
    }
    return ERR_OK;
}

static enum error make_dir(const char *path, mode_t mode, bool *made_out, struct reason *reason)
{
    *made_out = mkdir(path, mode) == 0;
    if ((!*made_out && errno != EEXIST) || (*made_out && chmod(path, mode) != 0)) {
        return reason_set(
            reason, ERR_CONFIG, "cannot make %.128s: %s", path, strerrordesc_np(errno));
    }
    return ERR_OK;
}

static bool is_plain(const char *text, const char *more)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL &&
            strchr(more, *at) == NULL) {
            return false;
        }
    }
    return true;
}

static void join(char *path, const char *dir, const char *name)
{
    int len = snprintf(path, PG_PATH_SIZE, "%s/%s", dir, name);

    CHECK(len > 0 && len < PG_PATH_SIZE);
}
