/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_control.h. */
#include "replication/postgres/pg_control.h"

#include "base/check.h"
#include "base/clock.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_bounds.h"
#include "replication/postgres/pg_files.h"
#include "replication/postgres/pg_gate.h"
#include "replication/postgres/pg_history.h"
#include "replication/postgres/pg_login.h"
#include "replication/postgres/pg_others.h"
#include "replication/postgres/pg_room.h"
#include "replication/postgres/pg_watch.h"
#include "replication/proc.h"
#include "replication/start_nonce.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INITDB_MS = 120000,
    PROMOTE_MS = 60000,
    PROMOTE_LOOK_MS = 10,
    APPLY_MS = 3000,
    APPLY_LOOK_MS = 5,
};

static bool remove_file(const struct pg_place *place, const char *path);
static enum error run_initdb(struct work *work, const struct pg_place *place);
static enum error set_up_roles(struct work *work, const struct pg_place *place);
static enum error make_ready(struct work *work,
                             struct pg_conn *conn,
                             const struct pg_place *place,
                             const struct pg_promotion *wanted);
static enum error wait_until_promoted(struct work *work, struct pg_conn *conn, int probe_pid);
static enum error open_doors(struct work *work, struct pg_conn *conn, const struct pg_place *place);
static enum error read_back(struct work *work, struct pg_conn *conn, struct fork *fork_out);
static enum error settings_seen(struct work *work,
                                const struct pg_place *place,
                                const struct pg_settings *settings,
                                int64_t since_us,
                                int64_t *load_us_out);
static enum error
reload(struct work *work, const struct pg_place *place, const struct pg_settings *settings);
static bool is_postmaster(const struct pg_place *place, pid_t pid);

enum error pg_control_init(struct work *work, const struct pg_place *place)
{
    TRY(pg_room_make(work, place));
    TRY(pg_files_remove(work, place, place->data_new));
    TRY(run_initdb(work, place));
    TRY(set_up_roles(work, place));
    return pg_files_install(work, place);
}

enum error pg_control_prepare(struct work *work,
                              const struct pg_place *place,
                              const struct pg_settings *settings,
                              struct guard_start *start_out)
{
    struct pg_bounds found;
    char path[PG_PATH_SIZE * 2];

    TRY(pg_bounds_raise(work, place, &found));
    TRY(pg_bounds_ours(work, place, &found, settings->system_identifier));
    TRY(pg_history_clean(work, place));
    /* Nothing runs (the guardian saw to it): its pid may have been given to somebody else. */
    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", place->data);
    if (!remove_file(place, path)) {
        return work_fail(work, ERR_IO, "cannot remove %.128s: %s", path, strerrordesc_np(errno));
    }
    (void)snprintf(
        path, sizeof(path), "%s/.s.PGSQL.%u.lock", place->sock, (unsigned)place->config.port);
    if (!remove_file(place, path)) {
        return work_fail(work, ERR_IO, "cannot remove %.128s: %s", path, strerrordesc_np(errno));
    }
    TRY(pg_gate_prepare(work, place, settings->gate_page, settings->gate_why));
    TRY(pg_files_note_signal(work, place));
    const struct start_place at = {
        .data = place->data, .state = place->state, .user = &place->user};
    return start_nonce_stamp(work, &at, start_out);
}

/* One of the database's own; true also if there is none. */
static bool remove_file(const struct pg_place *place, const char *path)
{
    as_user_enter(&place->user);
    bool removed = unlink(path) == 0 || errno == ENOENT;
    as_user_leave(&place->user);
    return removed;
}

enum error pg_control_promote(struct work *work,
                              const struct pg_place *place,
                              const struct pg_promotion *wanted,
                              struct fork *fork_out)
{
    uint32_t timeline = wanted->timeline;
    struct pg_conn *conn = NULL;
    struct fork fork = {0};

    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = make_ready(work, conn, place, wanted);
    if (error == ERR_OK) {
        error = pg_conn_query(work, conn, "SELECT pg_promote(false)", PG_QUERY_MS, NULL);
    }
    if (error == ERR_OK) {
        error = wait_until_promoted(work, conn, wanted->probe_pid);
    }
    /* Before anything else: from here on a start by anybody else must not come up writable. */
    if (error == ERR_OK) {
        error = pg_files_put_signal(work, place);
    }
    if (error == ERR_OK) {
        error = read_back(work, conn, &fork);
    }
    if (error == ERR_OK && fork.timeline != timeline) {
        error = work_fail(work,
                          ERR_INTERNAL,
                          "promoted to timeline %" PRIu32 ", but %" PRIu32 " was reserved",
                          fork.timeline,
                          timeline);
    }
    if (error == ERR_OK) {
        error = pg_history_announce(work, conn, wanted->epoch);
    }
    if (error == ERR_OK) {
        error = open_doors(work, conn, place);
    }
    if (error == ERR_OK) {
        /* Not waited for: it goes on when this connection is closed. */
        error = pg_conn_send(work, conn, "CHECKPOINT");
        *fork_out = fork;
    }
    pg_conn_close(conn);
    return error;
}

enum error pg_control_apply(struct work *work,
                            const struct pg_place *place,
                            const struct pg_settings *settings,
                            int64_t *load_us_out)
{
    uint64_t until_ms = clock_monotonic_ms() + APPLY_MS;
    int64_t load_us = 0;

    TRY(pg_config_rewrite(work, place));
    TRY(pg_config_write(work, place, settings));
    int64_t since_us = (int64_t)clock_wall_ms() * 1000;
    TRY(reload(work, place, settings));
    for (;;) {
        TRY(settings_seen(work, place, settings, since_us, &load_us));
        if (load_us != 0) {
            *load_us_out = load_us;
            return ERR_OK;
        }
        if (clock_monotonic_ms() >= until_ms) {
            return work_fail(work,
                             ERR_TIMEOUT,
                             "the postmaster has not taken the new settings after %d ms",
                             APPLY_MS);
        }
        if (work_wait(work, -1, 0, APPLY_LOOK_MS) == ERR_CANCELLED) {
            return ERR_CANCELLED;
        }
    }
}

/* By signal, so that a pg_hba.conf that lets nobody in can be put right. */
static enum error
reload(struct work *work, const struct pg_place *place, const struct pg_settings *settings)
{
    struct pg_conn *conn = NULL;

    if (is_postmaster(place, settings->postmaster) && kill(settings->postmaster, SIGHUP) == 0) {
        return ERR_OK;
    }
    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = pg_conn_query(work, conn, "SELECT pg_reload_conf()", PG_QUERY_MS, NULL);
    pg_conn_close(conn);
    return error;
}

/* The guardian named it; it may have died, and its number be somebody else's now. */
static bool is_postmaster(const struct pg_place *place, pid_t pid)
{
    char link[NAME_SIZE];
    char dir[PATH_MAX] = "";
    char data[PATH_MAX] = "";

    if (pid <= 1) {
        return false;
    }
    (void)snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
    ssize_t len = readlink(link, dir, sizeof(dir) - 1);
    return len > 0 && realpath(place->data, data) != NULL && strcmp(dir, data) == 0;
}

static enum error run_initdb(struct work *work, const struct pg_place *place)
{
    char program[PG_PATH_SIZE * 2];
    (void)snprintf(program, sizeof(program), "%s/initdb", place->config.bin_dir);
    const char *const argv[] = {program,
                                "-D",
                                place->data_new,
                                "-U",
                                place->config.superuser,
                                "--data-checksums",
                                "--encoding=UTF8",
                                "--locale=C.UTF-8",
                                "--auth-local=peer",
                                "--auth-host=scram-sha-256",
                                NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = INITDB_MS};

    TRY(pg_files_make(work, place, place->data_new));
    return proc_run(work, &request, NULL);
}

/* In single-user mode: there is no moment at which a server listens that is not ours to open, and
 * nothing waits for standbys that are not there yet. */
static enum error set_up_roles(struct work *work, const struct pg_place *place)
{
    char program[PG_PATH_SIZE * 2];
    struct buf sql = {0};

    (void)snprintf(program, sizeof(program), "%s/postgres", place->config.bin_dir);
    const char *const argv[] = {program,
                                "--single",
                                "-j",
                                "-D",
                                place->data_new,
                                "-c",
                                "password_encryption=scram-sha-256",
                                "-c",
                                "log_min_messages=error",
                                "-c",
                                "exit_on_error=on",
                                "postgres",
                                NULL};
    buf_printf(&sql,
               "SET synchronous_commit = local;\n\n"
               "CREATE ROLE " PG_LOGIN_ROLE " WITH SUPERUSER LOGIN;\n\n"
               "CREATE ROLE \"%s\" WITH REPLICATION LOGIN PASSWORD '%s';\n\n",
               place->config.replication_user,
               place->config.replication_password);
    /* A statement ends with a semicolon and an empty line (-j). */
    for (const char *at = place->config.bootstrap_sql; *at != '\0'; at++) {
        buf_append(&sql, at, 1);
        if (at[0] == '\n' && at > place->config.bootstrap_sql && at[-1] == ';') {
            buf_append_string(&sql, "\n");
        }
    }
    buf_append_string(&sql, "\n\n");
    buf_append(&sql, "", 1);
    struct proc_request request = {.argv = argv,
                                   .input = (const char *)sql.data,
                                   .user = &place->user,
                                   .timeout_ms = INITDB_MS};
    enum error error = proc_run(work, &request, NULL);
    buf_deinit(&sql);
    return error;
}

static enum error make_ready(struct work *work,
                             struct pg_conn *conn,
                             const struct pg_place *place,
                             const struct pg_promotion *wanted)
{
    struct pg_rows *rows = NULL;
    uint32_t left = 0;

    TRY(pg_conn_query(work,
                      conn,
                      "SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_wal_receiver),"
                      " (SELECT max(substr(name, 1, 8)) FROM pg_ls_waldir()"
                      "  WHERE name ~ '^[0-9A-F]{24}$')",
                      PG_QUERY_MS,
                      &rows));
    bool standby = pg_rows_bool(rows, 0, 0);
    bool receives = pg_rows_number(rows, 0, 1) > 0;
    uint32_t current = pg_rows_timeline(rows, 0, 2);
    pg_rows_free(rows);
    if (!standby || receives || current == 0) {
        return work_fail(work,
                         ERR_PRECONDITION,
                         "cannot promote: %s",
                         !standby   ? "not a standby"
                         : receives ? "it still receives from its upstream"
                                    : "its timeline is not known");
    }
    TRY(pg_history_reserve(work, place, current, wanted->timeline));
    TRY(pg_conn_query(work, conn, "SELECT pg_wal_replay_resume()", PG_QUERY_MS, NULL));
    /* A waiting reader can hold a promotion up for half a minute. */
    return pg_others_end(work, conn, wanted->probe_pid, &left);
}

static enum error wait_until_promoted(struct work *work, struct pg_conn *conn, int probe_pid)
{
    uint64_t until_ms = clock_monotonic_ms() + PROMOTE_MS;
    uint32_t left = 0;

    for (;;) {
        struct pg_rows *rows = NULL;
        TRY(pg_conn_query(work, conn, "SELECT pg_is_in_recovery()", PG_QUERY_MS, &rows));
        bool promoted = !pg_rows_bool(rows, 0, 0);
        pg_rows_free(rows);
        if (promoted) {
            return ERR_OK;
        }
        if (clock_monotonic_ms() >= until_ms) {
            return work_fail(
                work, ERR_TIMEOUT, "not promoted after %d s of replay", PROMOTE_MS / 1000);
        }
        /* A worker of an extension may have been started again. */
        TRY(pg_others_end(work, conn, probe_pid, &left));
        if (work_wait(work, -1, 0, PROMOTE_LOOK_MS) == ERR_CANCELLED) {
            return ERR_CANCELLED;
        }
    }
}

/* Clients may come: until they are in the setting, no standby confirms, and their commits wait. */
static enum error open_doors(struct work *work, struct pg_conn *conn, const struct pg_place *place)
{
    TRY(pg_config_write_doors(work, place, false));
    return pg_conn_query(work, conn, "SELECT pg_reload_conf()", PG_QUERY_MS, NULL);
}

static enum error read_back(struct work *work, struct pg_conn *conn, struct fork *fork_out)
{
    struct pg_rows *rows = NULL;
    TRY(pg_conn_query(work,
                      conn,
                      "SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)",
                      PG_QUERY_MS,
                      &rows));
    uint32_t timeline = pg_rows_timeline(rows, 0, 0);
    pg_rows_free(rows);
    if (timeline == 0) {
        return work_fail(work, ERR_INTERNAL, "the timeline after the promotion is not known");
    }
    return pg_history_read(work, conn, timeline, fork_out);
}

/* A session begun after the postmaster took the files: by then every process has been signalled.
 * Their time is left alone until then. */
static enum error settings_seen(struct work *work,
                                const struct pg_place *place,
                                const struct pg_settings *settings,
                                int64_t since_us,
                                int64_t *load_us_out)
{
    struct pg_conn *conn = NULL;
    struct pg_rows *rows = NULL;
    char conninfo[PG_TEXT_SIZE];
    int64_t load_us = 0;

    TRY(pg_conninfo(place, settings, conninfo));
    enum error error = pg_conn_open(work, place, PG_CONNECT_MS, &conn);
    if (error == ERR_DENIED) {
        return ERR_OK; /* what refuses us may be what was just put right */
    }
    TRY(error);
    error = pg_conn_query(work,
                          conn,
                          "SELECT current_setting('synchronous_standby_names'),"
                          " current_setting('primary_conninfo')",
                          PG_QUERY_MS,
                          &rows);
    if (error == ERR_OK) {
        error = pg_watch_load_us(work, conn, &load_us);
        char names[PG_NAMES_SIZE];
        const char *names_seen = pg_rows_text(rows, 0, 0);
        const char *conninfo_seen = pg_rows_text(rows, 0, 1);
        if (error == ERR_OK && load_us >= since_us && names_seen != NULL && conninfo_seen != NULL &&
            strcmp(names_seen, pg_settings_sync_names(settings, names)) == 0 &&
            strcmp(conninfo_seen, conninfo) == 0) {
            *load_us_out = load_us;
        }
        pg_rows_free(rows);
    }
    pg_conn_close(conn);
    return error;
}
