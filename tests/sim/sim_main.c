/* SPDX-License-Identifier: Apache-2.0 */
/* sim: N seeds from a start, or one seed told in full. SEED=n replays one; N=count tries that many;
 * START=n begins there; MUTANTS=1 runs the deliberate bugs, with MUTANT=n one of them; SIM_TRACE=1
 * prints the trace. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SEEDS_DEFAULT = 1000,
    REPLAY_EVERY = 25, /* seeds: every so many run twice and must give the same hash */
    MUTANT_SEEDS_MAX = 2000,
    MUTANTS_FROM = 500, /* a run of so many seeds ends with the deliberate bugs */
};

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static struct sim sim;

static void quiet(enum log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static int run_one(uint64_t seed)
{
    bool ok =
        sim_run(&sim, seed, (enum sim_mutant)number_of("MUTANT", 0), getenv("SIM_TRACE") != NULL);
    printf("seed %" PRIu64 ": %s, %" PRIu64 " events, %.1f s simulated, hash %016" PRIx64 "\n",
           seed,
           ok ? "ok" : sim.failure,
           sim.events,
           (double)sim.now_us / 1e6,
           sim.hash);
    sim_deinit(&sim);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* 0: it was found. */
static int run_mutant(enum sim_mutant mutant)
{
    double began = sim_core_seconds();

    for (uint64_t seed = 1; seed <= MUTANT_SEEDS_MAX; seed++) {
        bool found = !sim_run(&sim, seed, mutant, false) && !sim.stood_still;
        if (found) {
            printf("found: %-42s seed %3" PRIu64 ", %5.1f s: %s\n",
                   sim_mutant_name(mutant),
                   seed,
                   sim_core_seconds() - began,
                   sim.failure);
        }
        sim_deinit(&sim);
        if (found) {
            return 0;
        }
    }
    printf("NOT FOUND in %d seeds: %s\n", MUTANT_SEEDS_MAX, sim_mutant_name(mutant));
    return 1;
}

/* Each deliberate bug must be found within its number of seeds: by what is checked from outside, or
 * by a CHECK of the core itself, which ends the process that it is in. */
static int run_mutants(void)
{
    int failures = 0;
    int only = (int)number_of("MUTANT", 0);

    for (int mutant = 1; mutant < MUTANT_COUNT; mutant++) {
        if (only != 0 && mutant != only) {
            continue;
        }
        (void)fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            int failed = run_mutant((enum sim_mutant)mutant);
            (void)fflush(stdout);
            _exit(failed);
        }
        int status = 0;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
            printf("found: %-42s by a CHECK, above\n", sim_mutant_name((enum sim_mutant)mutant));
        } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            failures++;
        }
        (void)fflush(stdout);
    }
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

struct totals {
    uint64_t failovers;
    uint64_t in_place;
    uint64_t acked;
    uint64_t events;
    double simulated;
};

static void add_totals(struct totals *totals)
{
    for (uint32_t i = 1; i <= sim.shards_count; i++) {
        totals->failovers += sim.shards[i].failovers;
        totals->in_place += sim.shards[i].in_place;
        totals->acked += sim.shards[i].acked_count;
    }
    totals->events += sim.events;
    totals->simulated += (double)sim.now_us / 1e6;
}

static const char *const MARKS[] = {
#include "sim_marks.inc"
};

static uint64_t hits_of(const char *name)
{
    uint64_t hits = 0;

    for (const struct log_mark *mark = log_mark_list(); mark != NULL; mark = mark->next) {
        hits += strcmp(mark->name, name) == 0 ? mark->hits : 0;
    }
    return hits;
}

/* How often each interesting line of the product was reached, and which never were. */
static void print_marks(void)
{
    for (size_t i = 0; i < sizeof(MARKS) / sizeof(MARKS[0]); i++) {
        uint64_t hits = hits_of(MARKS[i]);
        if (hits > 0) {
            printf("mark %-40s %10" PRIu64 "\n", MARKS[i], hits);
        }
    }
    for (size_t i = 0; i < sizeof(MARKS) / sizeof(MARKS[0]); i++) {
        if (hits_of(MARKS[i]) == 0) {
            printf("never hit: %s\n", MARKS[i]);
        }
    }
}

static bool run_seed(uint64_t seed, struct totals *totals)
{
    bool ok = sim_run(&sim, seed, MUTANT_NONE, false);
    uint64_t hash = sim.hash;

    add_totals(totals);
    if (!ok) {
        printf("FAIL seed %" PRIu64 ": %s\n  again: make sim SEED=%" PRIu64 "\n",
               seed,
               sim.failure,
               seed);
    }
    sim_deinit(&sim);
    if (ok && seed % REPLAY_EVERY == 0) {
        (void)sim_run(&sim, seed, MUTANT_NONE, false);
        if (sim.hash != hash) {
            printf("FAIL seed %" PRIu64 ": two runs of it differ\n", seed);
            ok = false;
        }
        sim_deinit(&sim);
    }
    return ok;
}

int main(void)
{
    uint64_t seed = number_of("SEED", 0);
    uint64_t count = number_of("N", SEEDS_DEFAULT);
    uint64_t start = number_of("START", 1);
    struct totals totals = {0};
    int failures = 0;

    log_set_sink(quiet, NULL);
    log_set_level((enum log_level)(LOG_ERROR + 1)); /* not even made */
    if (seed != 0) {
        return run_one(seed);
    }
    if (number_of("MUTANTS", 0) != 0) {
        return run_mutants();
    }
    double began = sim_core_seconds();
    for (uint64_t i = start; i < start + count; i++) {
        failures += !run_seed(i, &totals);
        if ((i - start + 1) % 50 == 0 || i + 1 == start + count) {
            double took = sim_core_seconds() - began;
            printf("%" PRIu64
                   " seeds, %d failed, %.0f seeds/min and %.0f virtual s/s of a core, %" PRIu64
                   " failovers (%" PRIu64 " in place), %" PRIu64 " writes acknowledged\n",
                   i - start + 1,
                   failures,
                   (double)(i - start + 1) * 60 / took,
                   totals.simulated / took,
                   totals.failovers,
                   totals.in_place,
                   totals.acked);
            (void)fflush(stdout);
        }
    }
    print_marks();
    if (number_of("START", 0) == 0) {
        sim_figures(&sim);
    }
    if (failures == 0 && count >= MUTANTS_FROM && number_of("START", 0) == 0) {
        return run_mutants();
    }
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
