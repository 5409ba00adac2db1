/* SPDX-License-Identifier: Apache-2.0 */
/* Does a password fit what the server keeps of it? RFC 5802, as PostgreSQL stores it:
 * SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY. Pure. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_SCRAM_H
#define INDABA_REPLICATION_POSTGRES_PG_SCRAM_H

#include <stdbool.h>

/* False also for what is no such text. Takes milliseconds. */
bool pg_scram_matches(const char *verifier, const char *password);

#endif
