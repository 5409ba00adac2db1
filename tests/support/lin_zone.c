/* SPDX-License-Identifier: Apache-2.0 */
/* Registers whose values are written once (Gibbons and Korach 1997). A value's write and its reads
 * are a cluster; it cannot stand before another whose first completion precedes its last
 * invocation. The history is linearizable if no two clusters each refuse to stand before the other,
 * and no read is over before its write began. In n log n, however many operations overlap. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/lin_internal.h"

#include <stdlib.h>

struct cluster {
    uint64_t value;
    uint32_t writer;          /* LIN_NONE: the initial value */
    uint32_t first_done;      /* the operation that completed first */
    uint32_t last_begun;      /* … and that was invoked last */
    uint64_t first_done_time; /* LIN_NEVER: none is known to be complete */
    uint64_t last_begun_time;
    bool seen; /* it took effect: known to be written, or read */
};

static const struct lin_step *step_of(const struct lin_part *part, uint32_t op);
static uint64_t later(uint64_t time);
static struct cluster *clusters_new(const struct lin_part *part, uint32_t *count_out);
static bool assign_reads(const struct lin_part *part,
                         struct cluster *clusters,
                         uint32_t count,
                         struct lin_verdict *verdict);
static void check_zones(struct cluster *clusters, uint32_t count, struct lin_verdict *verdict);

bool lin_zone_applies(const struct lin_part *part)
{
    uint32_t count = 0;
    bool once = true;

    if (part->slots_count != 1) {
        return false;
    }
    for (uint32_t i = 0; i < part->ops_count; i++) {
        const struct lin_op *op = &part->history->ops[part->ops[i]];
        const struct lin_step *step = step_of(part, part->ops[i]);
        if (op->steps_count != 1 || step->kind == LIN_EXPECT || step->branch != LIN_ALWAYS) {
            return false;
        }
    }
    struct cluster *clusters = clusters_new(part, &count);
    for (uint32_t i = 1; i < count && once; i++) {
        once = clusters[i].value != clusters[i - 1].value;
    }
    mem_free(clusters);
    return once;
}

void lin_zone_check(const struct lin_part *part, struct lin_verdict *verdict)
{
    uint32_t count = 0;
    struct cluster *clusters = clusters_new(part, &count);

    if (assign_reads(part, clusters, count, verdict)) {
        check_zones(clusters, count, verdict);
    }
    mem_free(clusters);
}

static const struct lin_step *step_of(const struct lin_part *part, uint32_t op)
{
    return &part->history->steps[part->history->ops[op].first_step];
}

/* Time 0 of the clusters is before all operations: there the initial values were written. */
static uint64_t later(uint64_t time)
{
    return time == LIN_NEVER ? LIN_NEVER : time + 1;
}

static int compare_values(const void *a, const void *b)
{
    const struct cluster *left = a;
    const struct cluster *right = b;

    return left->value < right->value ? -1 : left->value > right->value;
}

/* One cluster a write, and the initial value's, by value. */
static struct cluster *clusters_new(const struct lin_part *part, uint32_t *count_out)
{
    struct cluster *clusters = mem_new_array((size_t)part->ops_count + 1, sizeof(*clusters));
    uint32_t count = 1;

    clusters[0] = (struct cluster){.value = LIN_ABSENT,
                                   .writer = LIN_NONE,
                                   .first_done = LIN_NONE,
                                   .last_begun = LIN_NONE,
                                   .seen = true};
    for (uint32_t i = 0; i < part->ops_count; i++) {
        const struct lin_op *op = &part->history->ops[part->ops[i]];
        const struct lin_step *step = step_of(part, part->ops[i]);
        if (step->kind != LIN_WRITE) {
            continue;
        }
        clusters[count++] = (struct cluster){
            .value = step->value,
            .writer = part->ops[i],
            .first_done = part->ops[i],
            .first_done_time = later(lin_complete_of(op)),
            .last_begun = part->ops[i],
            .last_begun_time = later(op->invoke),
            .seen = op->outcome == LIN_OK,
        };
    }
    qsort(clusters, count, sizeof(*clusters), compare_values);
    *count_out = count;
    return clusters;
}

static bool assign_reads(const struct lin_part *part,
                         struct cluster *clusters,
                         uint32_t count,
                         struct lin_verdict *verdict)
{
    for (uint32_t i = 0; i < part->ops_count; i++) {
        uint32_t number = part->ops[i];
        const struct lin_op *op = &part->history->ops[number];
        const struct lin_step *step = step_of(part, number);
        if (step->kind != LIN_READ) {
            continue;
        }
        struct cluster wanted = {.value = step->value};
        struct cluster *own = bsearch(&wanted, clusters, count, sizeof(*clusters), compare_values);
        if (own == NULL) {
            lin_blame(verdict, LIN_VIOLATED, "a value was read that nobody wrote", &number, 1);
            return false;
        }
        uint64_t begun = own->writer == LIN_NONE ? 0 : part->history->ops[own->writer].invoke;
        if (op->complete < begun) {
            uint32_t both[] = {number, own->writer};
            lin_blame(verdict, LIN_VIOLATED, "a value was read before it was written", both, 2);
            return false;
        }
        own->seen = true;
        if (later(op->complete) < own->first_done_time) {
            own->first_done_time = later(op->complete);
            own->first_done = number;
        }
        if (later(op->invoke) > own->last_begun_time) {
            own->last_begun_time = later(op->invoke);
            own->last_begun = number;
        }
    }
    return true;
}

static int compare_first_done(const void *a, const void *b)
{
    const struct cluster *left = a;
    const struct cluster *right = b;

    return left->first_done_time < right->first_done_time
               ? -1
               : left->first_done_time > right->first_done_time;
}

static void blame(const struct cluster *a, const struct cluster *b, struct lin_verdict *verdict)
{
    const uint32_t all[] = {a->first_done, a->last_begun, b->first_done, b->last_begun};
    uint32_t culprits[LIN_CULPRITS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < LIN_CULPRITS_MAX; i++) {
        bool known = all[i] == LIN_NONE;
        for (uint32_t k = 0; k < count; k++) {
            known = known || culprits[k] == all[i];
        }
        if (!known) {
            culprits[count++] = all[i];
        }
    }
    lin_blame(verdict,
              LIN_VIOLATED,
              "two values were each seen after the other (a stale read, or a lost write)",
              culprits,
              count);
}

/* In the order of first completions, the cluster with the latest invocation so far is the only one
 * that can conflict: a conflict is `first_done` of each before `last_begun` of the other. */
static void check_zones(struct cluster *clusters, uint32_t count, struct lin_verdict *verdict)
{
    const struct cluster *latest = NULL;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (clusters[i].seen) {
            clusters[kept++] = clusters[i];
        }
    }
    qsort(clusters, kept, sizeof(*clusters), compare_first_done);
    for (uint32_t i = 0; i < kept; i++) {
        const struct cluster *own = &clusters[i];
        if (latest != NULL && own->first_done_time < latest->last_begun_time &&
            latest->first_done_time < own->last_begun_time) {
            blame(latest, own, verdict);
            return;
        }
        if (latest == NULL || own->last_begun_time > latest->last_begun_time) {
            latest = own;
        }
    }
}
