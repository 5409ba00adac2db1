/* SPDX-License-Identifier: Apache-2.0 */
/* How the primary's database port looks from here: again and again a new TCP connection and
 * PostgreSQL's SSLRequest, so that a postmaster that hangs is told from one that is gone. On the
 * loop; addresses are numeric, so nothing blocks. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_REACH_H
#define INDABA_REPLICATION_POSTGRES_PG_REACH_H

#include "model/report.h"

struct uv_loop_s;
struct pg_reach;

struct pg_reach *pg_reach_new(struct uv_loop_s *loop, void (*on_change)(void *ctx), void *ctx);
void pg_reach_free(struct pg_reach *reach, void (*closed)(void *ctx), void *ctx);
/* Whom to look at from now on; instance 0: nobody. */
void pg_reach_target(struct pg_reach *reach, struct instance_id instance, const char *address);
/* What was seen last, of whom, and for how long it has been so. */
enum reach
pg_reach_get(const struct pg_reach *reach, struct instance_id *instance_out, uint32_t *for_ms_out);

#endif
