/* SPDX-License-Identifier: Apache-2.0 */
/* Polls every few milliseconds; the time between two looks is given to others. */
#include "tests/support/support_wait.h"

#include "base/clock.h"

#include <poll.h>
#include <stddef.h>

enum {
    LOOK_EVERY_MS = 5
};

bool support_wait_until(bool (*condition)(void *ctx), void *ctx, uint64_t timeout_ms)
{
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    while (!condition(ctx)) {
        if (clock_monotonic_ms() >= deadline_ms) {
            return false;
        }
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return true;
}
