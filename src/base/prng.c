/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** 1.0, its state filled by splitmix64 (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2018). */
#include "base/prng.h"

#include "base/check.h"

enum {
    PERMILLE = 1000
};

static uint64_t splitmix64(uint64_t *state);
static uint64_t rotate_left(uint64_t value, unsigned bits);

void prng_init(struct prng *prng, uint64_t seed)
{
    uint64_t mixer = seed;
    for (int i = 0; i < 4; i++) {
        prng->state[i] = splitmix64(&mixer);
    }
}

void prng_init_stream(struct prng *prng, uint64_t seed, const char *purpose)
{
    /* FNV-1a of the purpose, then mixed with the seed: neighbours of both give unrelated streams.
     */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = purpose; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    }
    uint64_t mixer = seed;
    prng_init(prng, splitmix64(&mixer) ^ splitmix64(&hash));
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    CHECK(bound > 0);
    /* 2^64 mod bound: values below it would make small remainders likelier. */
    uint64_t biased = (0 - bound) % bound;
    uint64_t value;
    do {
        value = prng_next(prng);
    } while (value < biased);
    return value % bound;
}

uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    CHECK(low <= high);
    uint64_t span = high - low;
    return span == UINT64_MAX ? prng_next(prng) : low + prng_below(prng, span + 1);
}

bool prng_chance(struct prng *prng, uint32_t permille)
{
    return prng_below(prng, PERMILLE) < permille;
}

static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}
