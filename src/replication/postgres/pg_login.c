/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_login.h. A session in a database keeps that database from being dropped, one in template1
 * keeps others from being made: so `postgres` first, and template1 last. */
#include "replication/postgres/pg_login.h"

#include "base/buf.h"
#include "base/check.h"
#include "replication/durable_file.h"

#include <stdio.h>
#include <string.h>

enum {
    FILE_MAX = PG_DATABASES_MAX * (PG_DATABASE_SIZE + 1),
};

static void read_known(struct pg_login *login);
static void path_of(const struct pg_place *place, char *path);

void pg_login_begin(struct pg_login *login, const struct pg_place *place)
{
    *login = (struct pg_login){.place = place};
}

bool pg_login_next(struct pg_login *login)
{
    const char *const roles[] = {PG_LOGIN_ROLE, login->place->config.superuser};

    /* Both roles at the usual database; only then is it worth a file to know others. */
    if (login->next >= ARRAY_LEN(roles) && !login->read) {
        read_known(login);
    }
    uint32_t databases = 1 + (login->read ? login->known.count + 1 : 0);
    if (login->next >= ARRAY_LEN(roles) * databases) {
        return false;
    }
    uint32_t database = login->next / (uint32_t)ARRAY_LEN(roles);
    login->role = roles[login->next % ARRAY_LEN(roles)];
    login->database = database == 0                    ? "postgres"
                      : database <= login->known.count ? login->known.names[database - 1]
                                                       : "template1";
    login->next++;
    return true;
}

/* Those given in the connection win over those of role and database; a superuser may give all. */
const char *pg_login_options(void)
{
    return "-c session_preload_libraries= -c local_preload_libraries= -c role=none "
           "-c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0 "
           "-c idle_in_transaction_session_timeout=0 -c search_path=pg_catalog "
           "-c default_transaction_read_only=off -c default_transaction_deferrable=off "
           "-c default_transaction_isolation=read\\ committed -c standard_conforming_strings=on "
           "-c session_replication_role=origin -c DateStyle=ISO -c client_min_messages=notice "
           "-c default_tablespace= -c temp_tablespaces= -c log_statement=none -c jit=off "
           "-c max_parallel_workers_per_gather=0 -c track_activities=on";
}

void pg_databases_parse(const char *text, struct pg_databases *databases_out)
{
    struct pg_databases databases = {0};

    for (const char *at = text; *at != '\0' && databases.count < PG_DATABASES_MAX;) {
        size_t len = strcspn(at, "\n");
        if (len > 0 && len < PG_DATABASE_SIZE) {
            memcpy(databases.names[databases.count++], at, len);
        }
        at += len + (at[len] == '\n' ? 1 : 0);
    }
    *databases_out = databases;
}

enum error pg_databases_remember(struct work *work,
                                 const struct pg_place *place,
                                 const struct pg_databases *databases)
{
    char path[PG_PATH_SIZE * 2];
    struct buf text = {0};

    for (uint32_t i = 0; i < databases->count; i++) {
        buf_printf(&text, "%s\n", databases->names[i]);
    }
    path_of(place, path);
    enum error error = durable_file_write(path, text.data, text.len, NULL);
    buf_deinit(&text);
    if (error != ERR_OK) {
        return work_fail(work, error, "cannot write %.128s: %s", path, error_text(error));
    }
    return ERR_OK;
}

static void read_known(struct pg_login *login)
{
    char path[PG_PATH_SIZE * 2];
    char text[FILE_MAX + 1];
    size_t len = 0;

    login->read = true;
    path_of(login->place, path);
    if (durable_file_read(path, text, FILE_MAX, &len) == ERR_OK) {
        text[len] = '\0';
        pg_databases_parse(text, &login->known);
    }
}

static void path_of(const struct pg_place *place, char *path)
{
    (void)snprintf(path, (size_t)PG_PATH_SIZE * 2, "%s/databases", place->state);
}
