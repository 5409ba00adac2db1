/* SPDX-License-Identifier: Apache-2.0 */
/* Where something is reached: the same place can be written in several ways. Pure. */
#ifndef INDABA_MODEL_ADDRESS_H
#define INDABA_MODEL_ADDRESS_H

#include <stdbool.h>

/* Whether two valid addresses (address_is_valid) are one host and port: [::1] is [0:0::1], and
 * [::ffff:10.0.0.1] is 10.0.0.1. */
bool address_same(const char *a, const char *b);

#endif
