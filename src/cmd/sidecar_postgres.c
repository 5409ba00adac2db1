/* SPDX-License-Identifier: Apache-2.0 */
/* A PostgreSQL out of the sidecar's configuration. */
#include "base/check.h"
#include "cmd/sidecar.h"
#include "replication/postgres/pg_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make(const struct sidecar_config *config,
                 struct reason *reason,
                 struct sidecar_database *database_out);

const struct sidecar_kind SIDECAR_POSTGRES = {.name = "postgres", .make = make};

static bool make(const struct sidecar_config *config,
                 struct reason *reason,
                 struct sidecar_database *database_out)
{
    struct pg_config postgres = {0};
    const char *colon = strrchr(config->address, ':');
    CHECK(colon != NULL);
    long port = strtol(colon + 1, NULL, 10);
    if (port <= 0 || port > UINT16_MAX) {
        reason_say(reason, "instance.address: the port is out of range");
        return false;
    }
    postgres.port = (uint16_t)port;
    (void)snprintf(postgres.listen_addresses,
                   sizeof(postgres.listen_addresses),
                   "%.*s",
                   (int)(colon - config->address),
                   config->address);
    (void)snprintf(postgres.dir, sizeof(postgres.dir), "%.255s", config->dir);
    (void)snprintf(postgres.bin_dir, sizeof(postgres.bin_dir), "%.255s", config->postgres_bin);
    (void)snprintf(postgres.user, sizeof(postgres.user), "%s", config->postgres_user);
    memcpy(postgres.replication_password, config->replication_password, SIDECAR_SECRET_SIZE);
    (void)snprintf(postgres.hba, sizeof(postgres.hba), "%s", config->hba_extra);
    postgres.gate = strcmp(config->gate, "required") == 0 ? PG_GATE_REQUIRED
                    : strcmp(config->gate, "on") == 0     ? PG_GATE_ON
                                                          : PG_GATE_OFF;
    struct driver *driver = NULL;
    if (pg_driver_new(&postgres, reason, &driver) != ERR_OK) {
        return false;
    }
    *database_out = (struct sidecar_database){
        .driver = driver,
        .place = pg_driver_place(driver),
        .probe_ms = pg_driver_probe_ms(driver),
        .has_data = pg_driver_has_data(driver),
    };
    return true;
}
