/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_roles.h. */
#include "replication/postgres/pg_roles.h"

#include "base/buf.h"
#include "replication/postgres/pg_login.h"
#include "replication/postgres/pg_scram.h"

#include <stdio.h>
#include <string.h>

enum {
    SQL_SIZE = 2048,
};

enum roles_column {
    ROLES_OWN,
    ROLES_REPLICATION,
    ROLES_VERIFIER,
    ROLES_WEAK,
    ROLES_OVERRIDE,
};

static void build_sql(const struct pg_place *place, char *sql);
static bool
password_fits(const char *verifier, const char *password, struct pg_password_seen *seen);

enum error pg_roles_look(struct work *work,
                         struct pg_conn *conn,
                         const struct pg_place *place,
                         struct pg_password_seen *seen,
                         struct pg_roles_look *look_out)
{
    struct pg_roles_look look = {0};
    struct pg_rows *rows = NULL;
    char sql[SQL_SIZE];

    build_sql(place, sql);
    TRY(pg_conn_query(work, conn, sql, PG_QUERY_MS, &rows));
    const char *verifier = pg_rows_text(rows, 0, ROLES_VERIFIER);
    const char *weak = pg_rows_text(rows, 0, ROLES_WEAK);
    const char *replication = place->config.replication_user;
    if (!pg_rows_bool(rows, 0, ROLES_OWN)) {
        (void)snprintf(look.broken,
                       sizeof(look.broken),
                       "role " PG_LOGIN_ROLE " is not there, or is no superuser that may log in");
    } else if (!pg_rows_bool(rows, 0, ROLES_REPLICATION)) {
        (void)snprintf(look.broken,
                       sizeof(look.broken),
                       "role %s is not there, or may not log in for replication: standbys are "
                       "refused",
                       replication);
    } else if (!password_fits(
                   verifier != NULL ? verifier : "", place->config.replication_password, seen)) {
        (void)snprintf(look.broken,
                       sizeof(look.broken),
                       "the password of role %s is not the one in this sidecar's configuration",
                       replication);
    }
    (void)snprintf(look.weak, sizeof(look.weak), "%s", weak != NULL ? weak : "");
    look.own_override = pg_rows_bool(rows, 0, ROLES_OVERRIDE);
    pg_rows_free(rows);
    *look_out = look;
    return ERR_OK;
}

enum error pg_roles_repair(struct work *work, const struct pg_place *place)
{
    const char *replication = place->config.replication_user;
    struct pg_conn *conn = NULL;
    struct pg_roles_look look = {0};
    struct pg_password_seen seen = {0};
    struct pg_verifier verifier = {""};
    struct buf sql = {0};

    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = pg_roles_look(work, conn, place, &seen, &look);
    if (error != ERR_OK || look.broken[0] == '\0') {
        pg_conn_close(conn);
        return error;
    }
    error = pg_conn_scram(work, conn, replication, place->config.replication_password, &verifier);
    if (error == ERR_OK) {
        buf_printf(&sql,
                   "SET synchronous_commit = local;\n"
                   "DO $indaba$ BEGIN\n"
                   " IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') THEN\n"
                   "  CREATE ROLE \"%s\"; END IF;\n"
                   " IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') THEN\n"
                   "  CREATE ROLE \"%s\"; END IF;\n"
                   " ALTER ROLE \"%s\" WITH SUPERUSER LOGIN;\n"
                   " ALTER ROLE \"%s\" WITH LOGIN REPLICATION CONNECTION LIMIT -1"
                   " VALID UNTIL 'infinity' PASSWORD '%s';\n"
                   "END $indaba$",
                   PG_LOGIN_ROLE,
                   PG_LOGIN_ROLE,
                   replication,
                   replication,
                   PG_LOGIN_ROLE,
                   replication,
                   verifier.text);
        buf_append(&sql, "", 1);
        error = pg_conn_query(work, conn, (const char *)sql.data, PG_QUERY_MS, NULL);
    }
    buf_deinit(&sql);
    pg_conn_close(conn);
    return error;
}

/* Names of roles are plain (pg_place.c checks them). */
static void build_sql(const struct pg_place *place, char *sql)
{
    const char *replication = place->config.replication_user;

    (void)snprintf(
        sql,
        SQL_SIZE,
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '" PG_LOGIN_ROLE "'"
        "  AND rolsuper AND rolcanlogin),"
        " EXISTS (SELECT FROM pg_roles WHERE rolname = '%s' AND rolcanlogin AND rolreplication"
        "  AND rolconnlimit < 0 AND coalesce(rolvaliduntil, 'infinity') = 'infinity'),"
        " (SELECT rolpassword FROM pg_authid WHERE rolname = '%s'),"
        " (SELECT string_agg(w.who, ', ') FROM (SELECT concat_ws(' in ',"
        "   CASE WHEN s.setrole = 0 THEN NULL ELSE 'role ' || r.rolname END,"
        "   CASE WHEN s.setdatabase = 0 THEN NULL ELSE 'database ' || d.datname END)"
        "   || ' (' || c.setting || ')' AS who"
        "  FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c(setting)"
        "  LEFT JOIN pg_roles r ON r.oid = s.setrole"
        "  LEFT JOIN pg_database d ON d.oid = s.setdatabase"
        "  WHERE c.setting LIKE 'synchronous_commit=%%' AND lower(split_part(c.setting, '=', 2))"
        "   NOT IN ('on', 'remote_apply', 'true', 'yes', '1') ORDER BY 1 LIMIT 4) w),"
        " (SELECT source FROM pg_settings WHERE name = 'synchronous_commit')"
        "  IN ('global', 'database', 'user', 'database user')",
        replication,
        replication);
}

static bool password_fits(const char *verifier, const char *password, struct pg_password_seen *seen)
{
    if (strcmp(seen->verifier.text, verifier) != 0 || verifier[0] == '\0') {
        (void)snprintf(seen->verifier.text, sizeof(seen->verifier.text), "%s", verifier);
        seen->matches = pg_scram_matches(verifier, password);
    }
    return seen->matches;
}
