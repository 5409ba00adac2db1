/* SPDX-License-Identifier: Apache-2.0 */
/* A sidecar's configuration file: YAML, read once at start. Unknown keys are refused, everything is
 * bounded, and each error says file, field, what is wrong and what to do. */
#ifndef INDABA_CONFIG_SIDECAR_CONFIG_H
#define INDABA_CONFIG_SIDECAR_CONFIG_H

#include "base/log.h"
#include "base/reason.h"
#include "model/records.h"

enum {
    SIDECAR_PATH_SIZE = 512,
    SIDECAR_MEMBERS_MAX = 16,
    SIDECAR_SECRET_SIZE = NAME_SIZE,
};

struct sidecar_config {
    char members[SIDECAR_MEMBERS_MAX][ADDRESS_SIZE]; /* API addresses of coordinators */
    uint32_t members_count;

    char shard[NAME_SIZE];
    char name[NAME_SIZE]; /* of the instance */
    char region[NAME_SIZE];
    char dir[SIDECAR_PATH_SIZE]; /* pgdata, run, state, stranded and log are in it */

    char kind[NAME_SIZE]; /* of the database: "postgres" */

    char address[ADDRESS_SIZE];      /* numeric, where the database listens and others reach it */
    char http_address[ADDRESS_SIZE]; /* role endpoints; "" for none */

    /* Of a PostgreSQL; empty for other kinds. */
    char postgres_bin[SIDECAR_PATH_SIZE]; /* folder of initdb, postgres, pg_basebackup */
    char postgres_user[NAME_SIZE];        /* system user the database runs as when we are root */
    char replication_password[SIDECAR_SECRET_SIZE];
    char hba_extra[SIDECAR_PATH_SIZE]; /* one more line for pg_hba.conf, "" for none */
    char gate[NAME_SIZE];              /* the commit gate: "on", "off", "required" */

    char tls_ca[SIDECAR_PATH_SIZE];
    char tls_cert[SIDECAR_PATH_SIZE];
    char tls_key[SIDECAR_PATH_SIZE];

    enum log_level log_level;
};

/* ERR_CONFIG for a file that cannot be used; `reason` says why. */
MUST_CHECK enum error
sidecar_config_load(const char *path, struct reason *reason, struct sidecar_config *config_out);

#endif
