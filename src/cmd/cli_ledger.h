/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying the ledger: of running members, and of a stopped member's folder. */
#ifndef INDABA_CMD_CLI_LEDGER_H
#define INDABA_CMD_CLI_LEDGER_H

#include "cmd/cli.h"

/* Each member in --members recomputes its hashes, then their roots at the smallest size are
 * compared. Prints a table and gives
 * the size (may be NULL); CLI_FAILED if one is broken or the roots differ. */
int cli_ledger_verify_members(struct cli *cli, uint64_t *size_out);

/* Reads the store in the data folder of a member that is not running. */
int cli_ledger_verify_dir(struct cli *cli, const char *dir);

#endif
