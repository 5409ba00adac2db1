/* SPDX-License-Identifier: Apache-2.0 */
/* See timers_fit.h. */
#include "node/timers_fit.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ELECTION_ROUND_TRIPS = 10
};

static uint32_t heartbeat_least_ms(uint32_t rtt_us);

bool timers_fit(uint32_t rtt_us, uint32_t heartbeat_ms, uint32_t election_ms)
{
    uint32_t least_ms = heartbeat_least_ms(rtt_us);
    return heartbeat_ms >= least_ms && election_ms >= ELECTION_ROUND_TRIPS * least_ms;
}

void timers_fit_text(uint32_t rtt_us, uint32_t heartbeat_ms, uint32_t election_ms, char *text)
{
    uint32_t least_ms = heartbeat_least_ms(rtt_us);
    text[0] = '\0';
    if (!timers_fit(rtt_us, heartbeat_ms, election_ms)) {
        (void)snprintf(text,
                       TEXT_SIZE,
                       "timers %" PRIu32 "/%" PRIu32
                       " ms are too short: the longest round trip between members is %" PRIu32
                       ".%" PRIu32 " ms, so at least %" PRIu32 "/%" PRIu32 " ms are needed",
                       heartbeat_ms,
                       election_ms,
                       rtt_us / 1000,
                       rtt_us / 100 % 10,
                       least_ms,
                       ELECTION_ROUND_TRIPS * least_ms);
    }
}

void timers_fit_command(uint32_t rtt_us, uint32_t heartbeat_ms, uint32_t election_ms, char *text)
{
    uint32_t least_ms = heartbeat_least_ms(rtt_us);
    text[0] = '\0';
    if (!timers_fit(rtt_us, heartbeat_ms, election_ms)) {
        (void)snprintf(text,
                       TEXT_SIZE,
                       "indaba cluster set --heartbeat %" PRIu32 " --election %" PRIu32
                       " --lease %" PRIu32,
                       least_ms,
                       ELECTION_ROUND_TRIPS * least_ms,
                       lease_least_ms(least_ms, ELECTION_ROUND_TRIPS * least_ms));
    }
}

static uint32_t heartbeat_least_ms(uint32_t rtt_us)
{
    uint32_t rtt_ms = rtt_us / 1000 + (rtt_us % 1000 != 0 ? 1 : 0);
    return rtt_us == 0 || rtt_ms > TIMER_HEARTBEAT_MS_MIN ? rtt_ms : TIMER_HEARTBEAT_MS_MIN;
}
