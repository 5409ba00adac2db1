/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded streams of pseudo-random numbers (xoshiro256**, seeded by splitmix64; Blackman and Vigna,
 * 2018). Not for secrets. One stream per purpose, so that turning one fault off in the simulator
 * does not reshuffle the others. */
#ifndef INDABA_BASE_PRNG_H
#define INDABA_BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
/* A stream of its own, drawn from `seed` and a purpose ("net", "disk"). */
void prng_init_stream(struct prng *prng, uint64_t seed, const char *purpose);
uint64_t prng_next(struct prng *prng);
/* Uniform in [0, bound); bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* Uniform in [low, high]. */
uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high);
/* True with probability permille/1000. */
bool prng_chance(struct prng *prng, uint32_t permille);

#endif
