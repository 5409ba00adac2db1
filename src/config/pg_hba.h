/* SPDX-License-Identifier: Apache-2.0 */
/* A line of pg_hba.conf, read before PostgreSQL does: a wrong one keeps the database from starting,
 * and is noticed at the next restart, which may be a failover. */
#ifndef INDABA_CONFIG_PG_HBA_H
#define INDABA_CONFIG_PG_HBA_H

#include "base/error.h"
#include "base/reason.h"

/* ERR_CONFIG with the line and what is wrong with it, for lines separated by '\n'. Comments and
 * empty lines are fine. Options of a method are not judged. */
MUST_CHECK enum error pg_hba_check(const char *text, struct reason *reason);

#endif
