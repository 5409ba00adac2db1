/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of an instance: checked, made, owned. See pg_config_file.h. */
#include "base/check.h"
#include "replication/postgres/pg_config_file.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error check_config(const struct pg_config *config, char *errmsg);
static void fill_defaults(struct pg_config *config);
static enum error check_binaries(const struct pg_config *config, char *errmsg);
static enum error
make_dir(const char *path, mode_t mode, const struct os_user *owner, char *errmsg);
static bool is_plain(const char *text, const char *more);
static void join(char *path, const char *dir, const char *name);

enum error pg_place_init(struct pg_place *place, const struct pg_config *config, char *errmsg)
{
    *place = (struct pg_place){.config = *config};
    TRY(check_config(config, errmsg));
    fill_defaults(&place->config);
    TRY(check_binaries(&place->config, errmsg));
    if (os_user_find(place->config.user, &place->user) != ERR_OK) {
        (void)snprintf(errmsg,
                       WORK_MESSAGE_SIZE,
                       "system user '%s' for the database: not known, or we are not root and may "
                       "not become it",
                       place->config.user);
        return ERR_CONFIG;
    }
    if (place->user.uid == 0) {
        (void)snprintf(errmsg,
                       WORK_MESSAGE_SIZE,
                       "PostgreSQL refuses to run as root: name another system user");
        return ERR_CONFIG;
    }
    join(place->data, config->dir, "pgdata");
    join(place->data_new, config->dir, "pgdata.new");
    join(place->run, config->dir, "run");
    join(place->state, config->dir, "state");
    join(place->log, config->dir, "log");
    join(place->stranded, config->dir, "stranded");
    /* The database's user has to get through DIR and to make pgdata in it. */
    TRY(make_dir(config->dir, 0755, &place->user, errmsg));
    TRY(make_dir(place->run, 0755, &place->user, errmsg));
    TRY(make_dir(place->log, 0750, &place->user, errmsg));
    TRY(make_dir(place->stranded, 0700, &place->user, errmsg));
    return make_dir(place->state, 0700, NULL, errmsg);
}

static enum error check_config(const struct pg_config *config, char *errmsg)
{
    if (config->dir[0] != '/' || strlen(config->dir) > PG_DIR_MAX || !is_plain(config->dir, "/")) {
        (void)snprintf(errmsg,
                       WORK_MESSAGE_SIZE,
                       "dir: must be an absolute path of at most %d bytes out of letters, digits "
                       "and / . _ - (sockets live below it)",
                       PG_DIR_MAX);
        return ERR_CONFIG;
    }
    if (config->port == 0) {
        (void)snprintf(errmsg, WORK_MESSAGE_SIZE, "port: must not be 0");
        return ERR_CONFIG;
    }
    if (config->replication_password[0] == '\0' ||
        strpbrk(config->replication_password, "\n\r'\\:") != NULL) {
        (void)snprintf(errmsg,
                       WORK_MESSAGE_SIZE,
                       "replication password: needed, without quotes, colons, backslashes and "
                       "line ends, the same on every instance of the shard");
        return ERR_CONFIG;
    }
    if (!is_plain(config->superuser, "") || !is_plain(config->replication_user, "") ||
        !is_plain(config->listen_addresses, ":*, []") || !is_plain(config->bin_dir, "/")) {
        (void)snprintf(errmsg,
                       WORK_MESSAGE_SIZE,
                       "user names, listen addresses and the folder of PostgreSQL's binaries: only "
                       "letters, digits and . _ -");
        return ERR_CONFIG;
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
        {config->bin_dir,          sizeof(config->bin_dir),          "/usr/lib/postgresql/15/bin"      },
        {config->listen_addresses, sizeof(config->listen_addresses), "*"                               },
        {config->user,             sizeof(config->user),             geteuid() == 0 ? "postgres" : ""  },
        {config->superuser,        sizeof(config->superuser),        "postgres"                        },
        {config->replication_user, sizeof(config->replication_user), "indaba_replication"              },
        {config->hba,              sizeof(config->hba),              "host all all all scram-sha-256\n"},
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

static enum error check_binaries(const struct pg_config *config, char *errmsg)
{
    static const char *const NAMES[] = {"postgres", "initdb", "pg_basebackup", "pg_controldata"};
    char path[PG_PATH_SIZE * 2];

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        join(path, config->bin_dir, NAMES[i]);
        if (access(path, X_OK) != 0) {
            (void)snprintf(errmsg,
                           WORK_MESSAGE_SIZE,
                           "%.128s: %s. Install PostgreSQL 15, or say where its binaries are",
                           path,
                           strerrordesc_np(errno));
            return ERR_CONFIG;
        }
    }
    return ERR_OK;
}

static enum error make_dir(const char *path, mode_t mode, const struct os_user *owner, char *errmsg)
{
    bool made = mkdir(path, mode) == 0;

    if (!made && errno != EEXIST) {
        (void)snprintf(
            errmsg, WORK_MESSAGE_SIZE, "cannot make %.128s: %s", path, strerrordesc_np(errno));
        return ERR_CONFIG;
    }
    if (made && (chmod(path, mode) != 0 ||
                 (owner != NULL && owner->change && chown(path, owner->uid, owner->gid) != 0))) {
        (void)snprintf(errmsg,
                       WORK_MESSAGE_SIZE,
                       "cannot give %.128s to its owner: %s",
                       path,
                       strerrordesc_np(errno));
        return ERR_CONFIG;
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
