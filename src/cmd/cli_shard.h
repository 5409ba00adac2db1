/* SPDX-License-Identifier: Apache-2.0 */
/* Shards and failovers as text for people; shared by status, shard, failover and the demo. */
#ifndef INDABA_CMD_CLI_SHARD_H
#define INDABA_CMD_CLI_SHARD_H

#include "base/buf.h"
#include "cmd/cli.h"
#include "indaba/v1/shards.pb-c.h"

/* Asks for one shard: CLI_OK with the reply in the arena, or an exit code with its message printed.
 * A shard that is not there has no `shard` in the reply. */
int cli_shard_get(struct cli *cli, const char *name, Indaba__V1__GetShardResponse **response_out);
/* One shard: a head line, a table of its instances, what it waits for and what it can lose. */
void cli_shard_print(const Indaba__V1__Shard *shard, struct buf *out);
/* One failover with the time of each step, relative to the detection. */
void cli_failover_print(const Indaba__V1__Failover *failover, struct buf *out);
/* One row each, newest first. */
void cli_failovers_print(Indaba__V1__Failover *const *failovers, size_t count, struct buf *out);

#endif
