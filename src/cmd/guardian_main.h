/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba guardian`: started by a sidecar, hardly ever by hand. */
#ifndef INDABA_CMD_GUARDIAN_MAIN_H
#define INDABA_CMD_GUARDIAN_MAIN_H

int guardian_main(int argc, char **argv);

#endif
