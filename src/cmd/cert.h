/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba cert init | issue | show`: the command; the work is done by rpc/certificate. */
#ifndef INDABA_CMD_CERT_H
#define INDABA_CMD_CERT_H

/* argv[0] is "cert". Returns the exit code: 0 done, 1 failed, 2 wrong usage. */
int cert_main(int argc, char **argv);

#endif
