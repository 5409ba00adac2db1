/* SPDX-License-Identifier: Apache-2.0 */
/* Is a history of operations linearizable: is there one order of them, each at some instant between
 * its invocation and its completion, in which every result is right?
 *
 * An operation is a list of steps on keys, taken at one instant: guards (EXPECT), reads, writes.
 *   read             READ
 *   write, delete    WRITE (a delete writes LIN_ABSENT)
 *   compare-and-swap EXPECT, WRITE with branch LIN_THEN
 *   transaction      any, over any keys
 * Keys begin as LIN_ABSENT. Keys that share no operation are checked apart; a key that is only read
 * and written, each value once, is checked by zones in n log n; anything else by search. Pure:
 * times are numbers, and equal times are concurrent.
 *
 */
#ifndef INDABA_TESTS_SUPPORT_LIN_H
#define INDABA_TESTS_SUPPORT_LIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIN_ABSENT UINT64_C(0)
#define LIN_NEVER  UINT64_MAX

enum {
    LIN_STEPS_MAX = 64, /* of one operation */
    LIN_CULPRITS_MAX = 4,
    LIN_SEARCH_STEPS_DEFAULT = 16000000, /* seeds of the simulator needed up to 8 million */
    LIN_NONE = UINT32_MAX & 0x7FFFFFFF,
};

enum lin_outcome {
    LIN_OK,
    LIN_FAIL,    /* certainly without effect: ignored */
    LIN_UNKNOWN, /* may take effect at any time after its invocation, or never; its reads are void
                  */
};

enum lin_step_kind {
    LIN_READ, /* the key was seen to have this value */
    LIN_WRITE,
    LIN_EXPECT, /* a guard: all of them hold, or the operation's THEN steps are not taken */
};

enum lin_branch {
    LIN_ALWAYS,
    LIN_THEN, /* only if all guards hold */
    LIN_ELSE, /* only if not */
};

struct lin_step {
    enum lin_step_kind kind;
    enum lin_branch branch;
    uint64_t key;
    uint64_t value;
};

struct lin_op {
    uint64_t process; /* for messages */
    uint64_t invoke;
    uint64_t complete; /* ignored unless LIN_OK */
    enum lin_outcome outcome;
    bool succeeded; /* LIN_OK with guards: whether they held */
    uint64_t index; /* what the server says is the operation's place, 0: not said (lin_witness) */
    uint32_t first_step;
    uint32_t steps_count;
};

/* Zeroed is empty. */
struct lin_history {
    struct lin_op *ops;
    uint32_t ops_count;
    uint32_t ops_cap;
    struct lin_step *steps;
    uint32_t steps_count;
    uint32_t steps_cap;
};

enum lin_judgement {
    LIN_LINEARIZABLE,
    LIN_VIOLATED,
    LIN_UNDECIDED, /* the search gave up: no answer, treat it as a failure of the test */
};

struct lin_verdict {
    enum lin_judgement judgement;
    char rule[128];                      /* which rule is broken, in words */
    uint32_t culprits[LIN_CULPRITS_MAX]; /* numbers of the operations that show it */
    uint32_t culprits_count;
    uint64_t ops; /* figures: looked at, keys apart, and how they were checked */
    uint64_t parts;
    uint64_t parts_by_search;
    uint64_t search_steps;
};

void lin_deinit(struct lin_history *history);

/* Adds an operation; `op->first_step` and `op->steps_count` are set here. At most LIN_STEPS_MAX
 * steps. Returns its number; an operation that is still under way is added as LIN_UNKNOWN and
 * completed later. */
uint32_t lin_add(struct lin_history *history,
                 const struct lin_op *op,
                 const struct lin_step *steps,
                 uint32_t count);
/* Short forms: one step, still under way. */
uint32_t lin_begin_read(struct lin_history *history, uint64_t process, uint64_t now, uint64_t key);
uint32_t
lin_begin_write(struct lin_history *history, uint64_t process, uint64_t now, struct lin_step step);
/* The operation ends; a read that is LIN_OK saw `value` (its first step's). */
void lin_end(struct lin_history *history, uint32_t number, uint64_t now, enum lin_outcome outcome);
void lin_end_read(struct lin_history *history, uint32_t number, uint64_t now, uint64_t value);

/* The whole history. `steps_max` bounds the search of one part; 0: the default. */
struct lin_verdict lin_check(const struct lin_history *history, uint64_t steps_max);

/* The order that the server claims (op.index): replayed by index every result is right, and an
 * operation that completed before another began has a lower index (reads: not a higher one). Fast
 * over any history, but it believes the server's numbers: use lin_check as well. Operations without
 * an index are taken where their effect is seen. */
struct lin_verdict lin_witness(const struct lin_history *history);

/* "process 3 [100, 220] read 7 = 9", at most `size` bytes with the NUL; returns `text`. */
char *lin_describe(const struct lin_history *history, uint32_t number, char *text, size_t size);

#endif
