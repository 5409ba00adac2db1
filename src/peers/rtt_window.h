/* SPDX-License-Identifier: Apache-2.0 */
/* How far away somebody is: the shortest round trip of late. A single one says more of how busy
 * both machines and the line were at that moment, and so does a mean of a few; the shortest of many
 * is the way itself, and what timers must be longer than. Pure; zeros are a valid window without
 * any.
 */
#ifndef INDABA_PEERS_RTT_WINDOW_H
#define INDABA_PEERS_RTT_WINDOW_H

#include <stdint.h>

enum {
    /* A way that has become longer is known after two of these at most, one that has become shorter
     * at once. */
    RTT_HALF_WINDOW_MS = 5000
};

struct rtt_window {
    uint32_t least_us[2]; /* of this half and of the one before; 0: none came */
    uint64_t began_ms;    /* this half */
};

void rtt_window_add(struct rtt_window *window, uint32_t sample_us, uint64_t now_ms);
/* 0: nothing is known. */
uint32_t rtt_window_least_us(const struct rtt_window *window);

#endif
