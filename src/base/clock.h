/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that reads a clock. Pure modules never call it: time reaches them in events. */
#ifndef INDABA_BASE_CLOCK_H
#define INDABA_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_BOOTTIME: runs on while the machine sleeps; leases and fences use nothing else. */
uint64_t clock_boottime_ns(void);
/* CLOCK_MONOTONIC, in milliseconds: timers of Raft and of connections. */
uint64_t clock_monotonic_ms(void);
/* CLOCK_REALTIME in milliseconds since 1970: shown to people, never used to decide. */
uint64_t clock_wall_ms(void);

enum {
    CLOCK_WALL_TEXT_SIZE = 25
};

/* RFC 3339 in UTC with milliseconds, "2026-11-21T03:00:00.123Z"; returns `text`. */
char *clock_format_wall(uint64_t wall_ms, char *text);

#endif
