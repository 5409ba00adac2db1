/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with the headers that it wants before it, and the seed of a random test. */
#ifndef INDABA_TESTS_STORAGE_TEST_H
#define INDABA_TESTS_STORAGE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* The environment's SEED, or `usual`; printed, so that a failure can be run again. */
static inline uint64_t test_seed(uint64_t usual)
{
    const char *text = getenv("SEED");
    uint64_t seed = text != NULL && text[0] != '\0' ? strtoull(text, NULL, 0) : usual;
    print_message("SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
