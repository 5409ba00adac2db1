/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of keyvalue_server.py: the proof that replication/driver.h is not PostgreSQL's alone.
 * Asynchronous, without slots. Layout of DIR: data/ (data.new/ while it is built), run/, state/,
 * log/, stranded/. */
#ifndef INDABA_TESTS_KEYVALUE_KEYVALUE_DRIVER_H
#define INDABA_TESTS_KEYVALUE_KEYVALUE_DRIVER_H

#include "cmd/sidecar.h"

/* The server's program is named by KEYVALUE_SERVER in the environment. */
extern const struct sidecar_kind SIDECAR_KEYVALUE;

#endif
