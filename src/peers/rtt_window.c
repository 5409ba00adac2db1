/* SPDX-License-Identifier: Apache-2.0 */
/* See rtt_window.h. */
#include "peers/rtt_window.h"

void rtt_window_add(struct rtt_window *window, uint32_t sample_us, uint64_t now_ms)
{
    uint32_t sample = sample_us == 0 ? 1 : sample_us;
    if (now_ms - window->began_ms >= RTT_HALF_WINDOW_MS) {
        /* A half in which nothing came is none: what is older says no more than silence does. */
        window->least_us[1] = window->least_us[0];
        window->least_us[0] = 0;
        window->began_ms = now_ms;
    }
    if (window->least_us[0] == 0 || sample < window->least_us[0]) {
        window->least_us[0] = sample;
    }
}

uint32_t rtt_window_least_us(const struct rtt_window *window)
{
    uint32_t here = window->least_us[0];
    uint32_t before = window->least_us[1];
    return before != 0 && (here == 0 || before < here) ? before : here;
}
