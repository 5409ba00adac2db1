/* SPDX-License-Identifier: Apache-2.0 */
/* See patience.h. */
#include "replication/patience.h"

enum {
    GIVEN_UP_MAX = 3 /* then it is long enough for any answer that is of use */
};

void patience_answered(struct patience *patience, uint64_t waited_ms)
{
    uint64_t remembered_ms = patience->slowest_ms - patience->slowest_ms / 8;
    patience->slowest_ms = waited_ms > remembered_ms ? waited_ms : remembered_ms;
    patience->given_up = 0;
}

void patience_exhausted(struct patience *patience)
{
    patience->given_up += patience->given_up < GIVEN_UP_MAX ? 1 : 0;
}

uint64_t patience_ms(const struct patience *patience)
{
    uint64_t wanted_ms = PATIENCE_ANSWERS * patience->slowest_ms;
    wanted_ms = wanted_ms < PATIENCE_MIN_MS ? PATIENCE_MIN_MS : wanted_ms;
    wanted_ms <<= patience->given_up;
    return wanted_ms < PATIENCE_MAX_MS ? wanted_ms : PATIENCE_MAX_MS;
}
