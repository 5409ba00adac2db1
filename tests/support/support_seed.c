/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds: from the environment, else from the kernel. */
#include "tests/support/support_seed.h"

#include "base/ids.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

uint64_t support_seed(void)
{
    const char *text = getenv("SEED");
    uint64_t seed = 0;
    uint64_t unused = 0;

    if (text != NULL && text[0] != '\0') {
        char *end = NULL;
        seed = strtoull(text, &end, 0);
        if (*end != '\0') {
            fail_msg("SEED is not a number: %s", text);
        }
    } else {
        id128_random(&seed, &unused);
    }
    printf("SEED=%" PRIu64 "\n", seed);
    (void)fflush(stdout);
    return seed;
}
