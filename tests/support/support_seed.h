/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of random tests. */
#ifndef INDABA_SUPPORT_SUPPORT_SEED_H
#define INDABA_SUPPORT_SUPPORT_SEED_H

#include <stdint.h>

/* The number in the environment variable SEED, or a random one; printed, so that a failure can be
 * run again: SEED=n test_program. Fails the test if SEED is not a number. */
uint64_t support_seed(void);

#endif
