/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_rejoin.h. */
#include "replication/postgres/pg_rejoin.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "replication/postgres/pg_files.h"
#include "replication/postgres/pg_room.h"
#include "replication/postgres/pg_tablespaces.h"
#include "replication/proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CLONE_MS = 24 * 3600 * 1000
};

static enum error run_base_backup(struct work *work,
                                  const struct pg_place *place,
                                  const struct pg_settings *settings);

enum error
pg_rejoin_clone(struct work *work, const struct pg_place *place, const struct pg_settings *settings)
{
    CHECK(settings->upstream.value != 0);
    CHECK(settings->self.incarnation.value != 0);
    TRY(pg_config_write(work, place, settings)); /* the password file too */
    TRY(pg_room_make(work, place));
    TRY(pg_tablespaces_make_room(work, place));
    TRY(pg_files_remove(work, place, place->data_new));
    enum error error = run_base_backup(work, place, settings);
    if (error == ERR_OK) {
        error = FAILPOINT_AROUND("pg.clone_install", pg_files_install(work, place));
    }
    if (error != ERR_OK) {
        struct work quiet = {.cancel_fd = work->cancel_fd}; /* keeps the first message */
        (void)!pg_files_remove(&quiet, place, place->data_new);
    }
    return error;
}

enum error pg_rejoin_put_aside(struct work *work,
                               const struct pg_place *place,
                               struct epoch epoch,
                               struct incarnation incarnation)
{
    char name[NAME_SIZE];

    (void)snprintf(
        name, sizeof(name), "epoch-%" PRIu64 "-%016" PRIx64, epoch.value, incarnation.value);
    return pg_files_put_aside(work, place, name);
}

static enum error
run_base_backup(struct work *work, const struct pg_place *place, const struct pg_settings *settings)
{
    char program[PG_PATH_SIZE * 2];
    char conninfo[PG_TEXT_SIZE];
    char slot[NAME_SIZE];

    if (pg_conninfo_of_copy(place, settings, conninfo) != ERR_OK) {
        return work_fail(work,
                         ERR_INVALID,
                         "address of the upstream '%s': not a numeric host:port",
                         settings->upstream_address);
    }
    (void)snprintf(program, sizeof(program), "%s/pg_basebackup", place->config.bin_dir);
    const char *const argv[] = {program,
                                "-D",
                                place->data_new,
                                "-d",
                                conninfo,
                                "-X",
                                "stream",
                                "-S",
                                pg_slot_name(settings->self.instance, slot),
                                "--checkpoint=fast",
                                "--no-password",
                                "--label=indaba",
                                NULL};
    struct proc_request request = {.argv = argv, .user = &place->user, .timeout_ms = CLONE_MS};

    TRY(pg_files_make(work, place, place->data_new));
    return proc_run(work, &request, NULL);
}
