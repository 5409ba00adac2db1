/* SPDX-License-Identifier: Apache-2.0 */
/* The commit gate (src/gate) on its way into the server. The module is carried in our binary and
 * written into the run folder before each start, so that it can be neither missing nor of another
 * version; that it loads is tried with the server's own program first, because a library that
 * cannot be loaded would keep the server from starting. Blocks: on the action thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_GATE_H
#define INDABA_REPLICATION_POSTGRES_PG_GATE_H

#include "replication/postgres/pg_config_file.h"

#define PG_GATE_CONF    "gate.conf"
#define PG_GATE_LIBRARY "indaba_gate.so"

enum {
    PG_GATE_WHY_SIZE = WORK_MESSAGE_SIZE
};

/* Before a start, when all else is written and nothing runs: loads the gate, after the libraries
 * that are loaded already, or sees to it that it is not. `why` says why not, "" if it is loaded. An
 * error only if it is required. */
MUST_CHECK enum error
pg_gate_prepare(struct work *work, const struct pg_place *place, bool has_page, char *why);

/* Of a list as shared_preload_libraries has it: all but our own, then `library` unless it is NULL.
 * `list` of PG_TEXT_SIZE bytes. ERR_LIMIT. */
MUST_CHECK enum error pg_gate_list(const char *configured, const char *library, char *list);

#endif
