/* SPDX-License-Identifier: Apache-2.0 */
/* The three clocks of the kernel. */
#include "base/clock.h"

#include "base/check.h"

#include <stdio.h>
#include <time.h>

enum {
    MS_PER_SECOND = 1000
};

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)
/* 9999-12-31T23:59:59.999Z: the last instant that the text form can hold. */
#define WALL_TEXT_MAX_MS UINT64_C(253402300799999)

static uint64_t read_ns(clockid_t clock);

uint64_t clock_boottime_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

uint64_t clock_monotonic_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / NS_PER_MS;
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

char *clock_format_wall(uint64_t wall_ms, char *text)
{
    /* Instants come from outside too (request ids): a later one is shown as the last. */
    uint64_t shown_ms = wall_ms < WALL_TEXT_MAX_MS ? wall_ms : WALL_TEXT_MAX_MS;
    time_t seconds = (time_t)(shown_ms / MS_PER_SECOND);
    unsigned millis = (unsigned)(shown_ms % MS_PER_SECOND);
    struct tm tm;
    char date[CLOCK_WALL_TEXT_SIZE];

    CHECK(gmtime_r(&seconds, &tm) != NULL);
    CHECK(strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 19);
    int len = snprintf(text, CLOCK_WALL_TEXT_SIZE, "%.19s.%03uZ", date, millis % MS_PER_SECOND);
    CHECK(len == CLOCK_WALL_TEXT_SIZE - 1);
    return text;
}

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}
