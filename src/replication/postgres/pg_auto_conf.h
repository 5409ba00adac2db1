/* SPDX-License-Identifier: Apache-2.0 */
/* postgresql.auto.conf, which ALTER SYSTEM writes and which is read last: settings of ours in it
 * would win. Pure. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_AUTO_CONF_H
#define INDABA_REPLICATION_POSTGRES_PG_AUTO_CONF_H

#include "base/buf.h"

#include <stdbool.h>

/* Appends what of the file is not ours to decide. */
void pg_auto_conf_clean(const char *text, size_t len, struct buf *kept);
bool pg_auto_conf_is_clean(const char *text, size_t len);

#endif
