/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is called durable is exactly what a disk that works in order would hold. Method:
 * random writes, cuts and completions beside a model that keeps every write for ever. */
#include "raft/durable.h"

#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    STEPS = 400,
    INDEX_MAX = STEPS * 8,
};

/* The model names each entry by the number of its first writing; equal numbers, equal entries. */
struct model {
    uint64_t memory[INDEX_MAX];
    uint64_t memory_count;
    uint64_t disk[INDEX_MAX];
    uint64_t disk_count;

    struct {
        uint64_t truncate_from;
        uint64_t count;
        uint64_t names[8];
    } writes[STEPS + 1];

    uint64_t name_next;
};

static struct model model;

static uint64_t durable_prefix(void)
{
    uint64_t same = 0;
    while (same < model.memory_count && same < model.disk_count &&
           model.memory[same] == model.disk[same]) {
        same++;
    }
    return same;
}

static void model_complete(uint64_t seq)
{
    if (model.writes[seq].truncate_from != 0) {
        model.disk_count = model.writes[seq].truncate_from - 1;
    }
    for (uint64_t i = 0; i < model.writes[seq].count; i++) {
        model.disk[model.disk_count++] = model.writes[seq].names[i];
    }
}

static void one_write(struct durable *durable, struct prng *prng)
{
    struct raft_write write = {.entries_count = (uint32_t)prng_between(prng, 1, 8)};
    if (model.memory_count > 0 && prng_chance(prng, 250)) {
        uint64_t cut = prng_between(prng, 1, model.memory_count);
        write.truncate_from = cut;
        durable_cut(durable, cut);
        model.memory_count = cut - 1;
    }
    uint64_t seq = durable->seq_issued + 1;
    model.writes[seq].truncate_from = write.truncate_from;
    model.writes[seq].count = write.entries_count;
    for (uint32_t i = 0; i < write.entries_count; i++) {
        model.writes[seq].names[i] = model.name_next;
        model.memory[model.memory_count++] = model.name_next;
        model.name_next++;
    }
    durable_issue(durable, &write, model.memory_count);
    assert_int_equal(write.seq, seq);
}

static void test_durable_agrees_with_a_disk_that_works_in_order(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int run = 0; run < 200; run++) {
        struct durable durable;
        durable_init(&durable, 0, (struct raft_hard_state){0});
        memset(&model, 0, sizeof(model));
        uint64_t done = 0;
        uint32_t write_permille = (uint32_t)prng_between(&prng, 300, 900);
        for (int step = 0; step < STEPS; step++) {
            if (prng_chance(&prng, write_permille)) {
                one_write(&durable, &prng);
            } else if (done < durable.seq_issued) {
                uint64_t to = prng_between(&prng, done + 1, durable.seq_issued);
                for (; done < to; done++) {
                    model_complete(done + 1);
                }
                durable_complete(&durable, done);
            }
            assert_int_equal(durable.index, durable_prefix());
        }
        durable_deinit(&durable);
    }
}

static void test_a_vote_is_durable_only_in_its_own_term(void **state)
{
    (void)state;
    struct durable durable;
    durable_init(&durable, 0, (struct raft_hard_state){.term = 1, .vote = {.lo = 2}});
    assert_true(durable_has_vote(&durable, 1, (struct member_id){.lo = 2}));
    struct raft_write write = {.has_hard_state = true,
                               .hard_state = {.term = 2, .vote = {.lo = 3}}};
    durable_issue(&durable, &write, 0);
    assert_false(durable_has_vote(&durable, 2, (struct member_id){.lo = 3}));
    durable_complete(&durable, write.seq);
    assert_true(durable_has_vote(&durable, 2, (struct member_id){.lo = 3}));
    assert_false(durable_has_vote(&durable, 2, (struct member_id){.lo = 2}));
    assert_false(durable_has_vote(&durable, 1, (struct member_id){.lo = 3}));
    durable_deinit(&durable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durable_agrees_with_a_disk_that_works_in_order),
        cmocka_unit_test(test_a_vote_is_durable_only_in_its_own_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
