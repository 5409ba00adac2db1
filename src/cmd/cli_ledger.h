/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying the ledger: of running members, and of a stopped member's folder. */
#ifndef INDABA_CMD_CLI_LEDGER_H
#define INDABA_CMD_CLI_LEDGER_H

#include "cmd/cli.h"

/* Each member recomputes its hashes, then their roots at the smallest size are compared. Who the
 * members are is asked of the cluster (of any in --members); with `only_given` the addresses in
 * --members are asked and nobody else. Prints a table and gives the size (may be NULL). CLI_FAILED
 * if one is broken or the roots differ; CLI_UNAVAILABLE if that is not so, but not all answered. */
int cli_ledger_verify_members(struct cli *cli, bool only_given, uint64_t *size_out);

/* Reads the store in the data folder of a member that is not running. */
int cli_ledger_verify_dir(struct cli *cli, const char *dir);

#endif
