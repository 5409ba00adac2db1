/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL 15 behind replication/driver.h. Owns DIR/{pgdata,run,state,stranded,log}: the layout
 * and the settings are in pg_config_file.h, what each action does in pg_control, pg_cut, pg_sync
 * and pg_rejoin. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_DRIVER_H
#define INDABA_REPLICATION_POSTGRES_PG_DRIVER_H

#include "base/reason.h"
#include "replication/driver.h"
#include "replication/postgres/pg_config_file.h"

struct pg_driver_options {
    struct uv_loop_s *loop;
    const struct pg_config *config; /* copied */
    void (*on_change)(void *ctx);   /* facts may have changed */
    void *ctx;
};

/* Makes the folders that are missing and the driver with its guard_link (starting the guardian).
 * ERR_CONFIG with `reason` if folder, user or binaries are unusable. */
MUST_CHECK enum error pg_driver_new(const struct pg_driver_options *options,
                                    struct reason *reason,
                                    struct driver **driver_out);

/* The driver's line to its guardian, for lease deadlines; lives as long as the driver. */
/* True if there is a complete data folder; asks the disk. */
bool pg_driver_has_data(const struct driver *driver);
struct guard_link *pg_driver_guard(struct driver *driver);

#endif
