/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba sidecar`: beside one database. */
#ifndef INDABA_CMD_SIDECAR_H
#define INDABA_CMD_SIDECAR_H

/* argv[0] is "sidecar". Returns the exit code: 0 stopped by a signal (database, guardian and lease
 * go on), 1 failed, 2 wrong usage or configuration. */
int sidecar_main(int argc, char **argv);

#endif
