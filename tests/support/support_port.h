/* SPDX-License-Identifier: Apache-2.0 */
/* Free TCP ports on loopback, also when several tests ask at once. */
#ifndef INDABA_SUPPORT_SUPPORT_PORT_H
#define INDABA_SUPPORT_SUPPORT_PORT_H

#include <stdint.h>

/* A port that nobody listens on and that no other test will get before this process ends. Lies
 * below the kernel's ephemeral range, so no outgoing connection takes it either. Fails the test if
 * none is free. Not thread safe. */
uint16_t support_free_port(void);

#endif
