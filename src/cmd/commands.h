/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the binary: each takes its own argv (argv[0] is its name) and returns the exit
 * code. One file per noun. */
#ifndef INDABA_CMD_COMMANDS_H
#define INDABA_CMD_COMMANDS_H

int member_main(int argc, char **argv);
int cluster_main(int argc, char **argv);
int status_main(int argc, char **argv);
int region_main(int argc, char **argv);
int shard_main(int argc, char **argv);
int failover_main(int argc, char **argv);
int failover_start(int argc, char **argv);
int ledger_main(int argc, char **argv);

#endif
