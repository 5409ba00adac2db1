/* SPDX-License-Identifier: Apache-2.0 */
/* How fast worlds run, in virtual seconds per second of a core: how much of a night's trouble a
 * machine gets through depends on it. Two worlds of five members are measured, with the bars that
 * they have to clear on a machine that has nothing else to do. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

#include <inttypes.h>
#include <time.h>

enum {
    MEMBERS = 5
};

struct figure {
    const char *what;
    uint64_t load_us;
    uint64_t measured_us;
    double bar;
};

static const struct figure FIGURES[] = {
    {.what = "five members, 100 commands/s",
     .load_us = 10 * SIM_MS,
     .measured_us = 120 * 1000 * SIM_MS,
     .bar = 300},
    {.what = "five members, idle", .measured_us = 1200 * 1000 * SIM_MS, .bar = 3000},
};

void sim_figures(struct sim *sim)
{
    for (size_t i = 0; i < ARRAY_LEN(FIGURES); i++) {
        const struct figure *figure = &FIGURES[i];
        double began = sim_core_seconds();
        sim_run_measured(sim, MEMBERS, figure->load_us, figure->measured_us);
        double took = sim_core_seconds() - began;
        double speed = (double)figure->measured_us / 1e6 / took;
        printf("%-30s %6.0f virtual s/s of a core (bar %.0f), %" PRIu64 " entries applied\n",
               figure->what,
               speed,
               figure->bar,
               sim->applied_count);
        sim_deinit(sim);
    }
}

double sim_core_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
