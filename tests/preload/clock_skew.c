/* SPDX-License-Identifier: Apache-2.0 */
/* A wall clock that is wrong, for tests with real processes: preloaded (LD_PRELOAD), it stands
 * between a process and the C library. The file named by CLOCK_SKEW_CONTROL is shared memory; a
 * test writes to it while the process runs:
 *
 *   bytes  0-7   nanoseconds that are added to the time of day, signed
 *   bytes  8-15  how fast it drifts from `since` on, in parts per million, signed
 *   bytes 16-23  since, by the true time of day in nanoseconds
 *   bytes 24-31  how often a wrong time was told
 *
 * Clocks that only run (monotonic, since boot) are true: sleeps and deadlines count by the
 * kernel's. Without the variable nothing changes. */
#include "preload_control.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

enum {
    CONTROL_BYTES = 32
};

struct control {
    _Atomic int64_t offset_ns;
    _Atomic int64_t ppm;
    _Atomic int64_t since_ns;
    _Atomic uint64_t told;
};

static struct control *control;

__attribute__((constructor)) static void attach(void)
{
    _Static_assert(sizeof(struct control) == CONTROL_BYTES, "the tests write these bytes");
    const char *path = getenv("CLOCK_SKEW_CONTROL"); /* NOLINT(concurrency-mt-unsafe) */
    if (path == NULL) {
        return;
    }
    control = preload_control(path, CONTROL_BYTES);
}

static int real_clock(clockid_t clock, struct timespec *time_out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) {
        *(void **)(&real) = dlsym(RTLD_NEXT, "clock_gettime");
        if (real == NULL) {
            abort();
        }
    }
    return real(clock, time_out);
}

static void skew(struct timespec *time)
{
    if (control == NULL) {
        return;
    }
    int64_t true_ns = (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
    int64_t offset_ns = atomic_load(&control->offset_ns);
    int64_t ppm = atomic_load(&control->ppm);
    if (ppm != 0) {
        offset_ns += (true_ns - atomic_load(&control->since_ns)) / 1000000 * ppm;
    }
    if (offset_ns == 0) {
        return;
    }
    (void)atomic_fetch_add(&control->told, 1);
    int64_t told_ns = true_ns + offset_ns;
    time->tv_sec = (time_t)(told_ns / NS_PER_S);
    time->tv_nsec = (long)(told_ns % NS_PER_S);
}

int clock_gettime(clockid_t clock, struct timespec *time_out)
{
    int result = real_clock(clock, time_out);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        skew(time_out);
    }
    return result;
}

/* With the C library's own signature, whose second argument nobody uses. */
int gettimeofday(struct timeval *restrict time_out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    *time_out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *time_out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (time_out != NULL) {
        *time_out = now.tv_sec;
    }
    return now.tv_sec;
}

int timespec_get(struct timespec *time_out, int base)
{
    if (base != TIME_UTC) {
        return 0;
    }
    return clock_gettime(CLOCK_REALTIME, time_out) == 0 ? base : 0;
}
