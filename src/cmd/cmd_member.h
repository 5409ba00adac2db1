/* SPDX-License-Identifier: Apache-2.0 */
/* The words behind `indaba member`: each takes its own argv (argv[0] is its name) and returns the
 * exit code. */
#ifndef INDABA_CMD_CMD_MEMBER_H
#define INDABA_CMD_CMD_MEMBER_H

int member_ls(int argc, char **argv);
int member_add(int argc, char **argv);
int member_remove(int argc, char **argv);
int member_promote(int argc, char **argv);
int member_demote(int argc, char **argv);
int member_move(int argc, char **argv);
int member_transfer(int argc, char **argv);
int member_init(int argc, char **argv);
int member_new_id(int argc, char **argv);
int member_force_recover(int argc, char **argv);
int member_vouch(int argc, char **argv);

#endif
