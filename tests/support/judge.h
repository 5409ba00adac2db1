/* SPDX-License-Identifier: Apache-2.0 */
/* Judges of histories (history.h). Each looks at the operations that are its own, tells `out` what
 * it found, a line a violation with the operations that show it, and a line of figures; and returns
 * how many violations there are. A history in which there is nothing to judge is a violation, too:
 * it checked nothing. Pure but for `out`. */
#ifndef INDABA_TESTS_SUPPORT_JUDGE_H
#define INDABA_TESTS_SUPPORT_JUDGE_H

#include "tests/support/history.h"

#include <stdint.h>

typedef uint32_t (*judge_fn)(const struct history *history, FILE *out);

struct judge {
    const char *name;
    const char *about;
    judge_fn run;
};

extern const struct judge JUDGES[];
extern const size_t JUDGES_COUNT;

/* :add N, and at the end :read [N …] as often as there are places to read: whatever was
 * acknowledged is there, once, and nothing that nobody asked for, or that was refused. What is
 * missing is no violation if a failover is on record that says that it could lose something
 * (:failover {:could-lose true} of :observer): it is counted. */
uint32_t judge_set(const struct history *history, FILE *out);

/* :read, :write, :cas with [key value] or [key [old new]]: linearizable, each key by itself
 * (lin.h). A :cas that is :fail and says what it :seen is a read. */
uint32_t judge_register(const struct history *history, FILE *out);

/* :increment N and :read N: no read below what was acknowledged before it began, none above what
 * was asked for before it ended. */
uint32_t judge_counter(const struct history *history, FILE *out);

/* :transfer, and :read {account balance …}: the balances of each read are those of the first in
 * total. */
uint32_t judge_bank(const struct history *history, FILE *out);

/* :txn [[:append k v] [:r k [v …]] …], each v appended to k once: Adya's phenomena G0, G1a, G1b,
 * G1c, G-single and G2, by the cycles of what must have come before what, as Elle finds them
 * (Kingsbury and Alvaro 2020); the first ones with the order of real time, too; and appends that
 * are lost. */
uint32_t judge_append(const struct history *history, FILE *out);

/* :acquire {:lock L :token T} and :release {:lock L :token T}: from the end of the one to the
 * beginning of the other nobody else holds L; tokens rise; :write with a :token is never accepted
 * after one with a higher one. */
uint32_t judge_lock(const struct history *history, FILE *out);

/* :probe with :instance and :timeline, the acknowledged writes to every database: at every instant
 * at most one of them acknowledges, and a timeline is one instance's. */
uint32_t judge_primary(const struct history *history, FILE *out);

/* What :status of :observer says beside what was so: no other one than the primary it names
 * acknowledges for longer than it may be old, and nothing is fine while nothing is acknowledged. */
uint32_t judge_status(const struct history *history, FILE *out);

/* :leaf [number hash] of each member: numbers without a gap, the same hash wherever it is held; the
 * entries of the log that they prove, if they say which (:first, :last), without a gap, too; and
 * :verified says that roots agree. */
uint32_t judge_ledger(const struct history *history, FILE *out);

/* From each demand of a nemesis (:recover with :within-ms) until something is acknowledged; and
 * from then on until the fault is healed, no longer than that without. */
uint32_t judge_recovery(const struct history *history, FILE *out);

/* Outcomes by function; too few that are definite, and nothing was checked. */
uint32_t judge_rates(const struct history *history, FILE *out);

/* "process 3 add 7 [1.250 s, 1.263 s]" to `out`. */
void judge_tell(FILE *out, const struct history_op *op);

#endif
