/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member init | new-id`: a member's data folder, and identities for its configuration. */
#ifndef INDABA_CMD_MEMBER_INIT_H
#define INDABA_CMD_MEMBER_INIT_H

/* argv[0] is "member". */
int member_main(int argc, char **argv);

#endif
