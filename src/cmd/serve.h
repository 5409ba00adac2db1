/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba serve --config FILE [--check-config]`: a coordinator, until SIGTERM. */
#ifndef INDABA_CMD_SERVE_H
#define INDABA_CMD_SERVE_H

/* argv[0] is "serve". 0: stopped in order, or the configuration is valid; 1: could not start; 2:
 * wrong usage. */
int serve_main(int argc, char **argv);

#endif
