/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL 15 behind replication/driver.h. Owns DIR/{pgdata,run,state,stranded,log}: the layout
 * and the settings are in pg_config_file.h, what each action does in pg_control, pg_cut, pg_sync
 * and pg_rejoin. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_DRIVER_H
#define INDABA_REPLICATION_POSTGRES_PG_DRIVER_H

#include "replication/engine.h"
#include "replication/postgres/pg_config_file.h"

extern const struct driver_kind PG_DRIVER;

/* Makes the folders that are missing. ERR_CONFIG with `reason` if folder, user or binaries are
 * unusable. */
MUST_CHECK enum error
pg_driver_new(const struct pg_config *config, struct reason *reason, struct driver **driver_out);

/* What its engine needs of it; the paths are borrowed from the driver. */
struct engine_place pg_driver_place(const struct driver *base);
uint32_t pg_driver_probe_ms(const struct driver *base);

/* True if there is a complete data folder; asks the disk. */
bool pg_driver_has_data(const struct driver *base);

#endif
