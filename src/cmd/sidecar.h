/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba sidecar`: beside one database. */
#ifndef INDABA_CMD_SIDECAR_H
#define INDABA_CMD_SIDECAR_H

#include "config/sidecar_config.h"
#include "replication/engine.h"

/* A database that this program can be beside. */
struct sidecar_database {
    struct driver *driver; /* owned by whoever gets it */
    struct engine_place place;
    uint32_t probe_ms;
    bool has_data; /* a complete data folder lies there */
};

struct sidecar_kind {
    const char *name; /* instance.kind */
    /* False with `reason`. */
    bool (*make)(const struct sidecar_config *config,
                 struct reason *reason,
                 struct sidecar_database *database_out);
};

extern const struct sidecar_kind SIDECAR_POSTGRES;

/* argv[0] is "sidecar". Returns the exit code: 0 stopped by a signal (database, guardian and lease
 * go on), 1 failed, 2 wrong usage or configuration. */
int sidecar_main(int argc, char **argv);
/* The same, beside databases of these kinds; ended by NULL. */
int sidecar_run(int argc, char **argv, const struct sidecar_kind *const *kinds);

#endif
