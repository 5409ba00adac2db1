/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying the ledger: of running members, and of a stopped member's folder. */
#ifndef INDABA_CMD_CLI_LEDGER_H
#define INDABA_CMD_CLI_LEDGER_H

#include "base/hash.h"
#include "cmd/cli.h"

/* What somebody wrote down earlier, elsewhere: the tree had this root when it had this size. Who
 * can write to a member's disk can make a ledger that is consistent in itself; not one that has
 * this. */
struct ledger_expectation {
    uint64_t size;
    struct sha256 root;
};

/* "SIZE:ROOT"; prints what is wrong and returns false otherwise. */
bool cli_ledger_expectation(const char *text, struct ledger_expectation *expected_out);

/* Each member recomputes its hashes, then their roots at the smallest size are compared. Who the
 * members are is asked of the cluster (of any in --members); with `only_given` the addresses in
 * --members are asked and nobody else. With `expected` (NULL: nothing) the roots are compared with
 * it, at its size. Prints a table and gives the size (may be NULL). CLI_FAILED if one is broken or
 * the roots differ; CLI_UNAVAILABLE if that is not so, but not all answered. */
int cli_ledger_verify_members(struct cli *cli,
                              bool only_given,
                              const struct ledger_expectation *expected,
                              uint64_t *size_out);

/* Reads the store in the data folder of a member that is not running. */
int cli_ledger_verify_dir(struct cli *cli,
                          const char *dir,
                          const struct ledger_expectation *expected);

/* For both: prints and releases. */
struct json_t;
void cli_ledger_print_json(struct json_t *object);
/* As json_out.h has 64-bit integers. */
struct json_t *cli_ledger_json_number(uint64_t number);

#endif
