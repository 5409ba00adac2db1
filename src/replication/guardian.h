/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian: parent and subreaper of the database's processes, and their end when the lease of a
 * writable database passes its deadline, whatever the sidecar does. A process of its own with
 * static memory, poll(2) and a timer on CLOCK_BOOTTIME; no libuv, libpq, name service, and no disk:
 * the one file it keeps is written by a short-lived child, so that a dead disk cannot hold up a
 * kill.
 *
 * Invariants:
 * - a database that may be writable has an epoch that was armed, above every fenced one;
 * - the deadline of an epoch only moves forward; a lower epoch is refused for ever;
 * - "fenced" is said only when every process of the database is gone (or in D state with its kill
 *   pending) and the epoch is durably over;
 * - a standby is never killed for want of a sidecar. */
#ifndef INDABA_REPLICATION_GUARDIAN_H
#define INDABA_REPLICATION_GUARDIAN_H

#include "replication/guard_protocol.h"

/* Exit codes of guardian_run. */
enum guardian_exit {
    GUARDIAN_EXIT_OK = 0,
    GUARDIAN_EXIT_SETUP = 1,   /* said on stderr: what, where, what to do */
    GUARDIAN_EXIT_RUNNING = 3, /* another guardian has this run folder */
};

struct guardian_config {
    const char *run_dir;
    const char *state_dir;
    const char *data_dir;
    const char *output; /* stdout and stderr of the database */
    const char *user;   /* "": as we are */
    int stop_signal;    /* on which the database ends in order */
    char *const *argv;  /* of the database, NULL-terminated, argv[0] absolute */
};

/* Runs until SIGTERM or GUARD_EXIT. Once per process: its memory is static. */
int guardian_run(const struct guardian_config *config);

#endif
