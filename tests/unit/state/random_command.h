/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary commands, mostly close to what would pass in the present state, so that random runs get
 * deep, and wrong in one place or many, so that every check is tried. */
#ifndef INDABA_TESTS_RANDOM_COMMAND_H
#define INDABA_TESTS_RANDOM_COMMAND_H

#include "base/prng.h"
#include "state/query.h"

/* Fills the command from the state of `tables`, `term` and dice. Identical inputs give identical
 * commands. */
void random_command(struct prng *prng,
                    const struct tables *tables,
                    uint64_t term,
                    struct command *command);

#endif
