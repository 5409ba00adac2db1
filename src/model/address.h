/* SPDX-License-Identifier: Apache-2.0 */
/* Where something is reached: the same place can be written in several ways. Pure. */
#ifndef INDABA_MODEL_ADDRESS_H
#define INDABA_MODEL_ADDRESS_H

#include "model/records.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether two valid addresses (address_is_valid) are one host and port: [::1] is [0:0::1], and
 * [::ffff:10.0.0.1] is 10.0.0.1. */
bool address_same(const char *a, const char *b);

/* Who of `members` is reached at one of this member's addresses already, for whatever purpose, and
 * at which; this member itself if two of its own are one. NULL: nobody. Itself is told apart by its
 * id; what is no address is nobody's. */
const char *address_taken(const struct member *members,
                          uint32_t count,
                          const struct member *member,
                          const char **where_out);

#endif
