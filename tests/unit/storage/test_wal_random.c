/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever is acknowledged survives any crash, in order; what was truncated never comes back;
 * a log that was merely cut short always opens again. Method: random writes, cuts, restarts,
 * failing calls, kills and power cuts on a faulty disk, compared with a model after each opening. A
 * seed is one whole life of a disk. */
#include "tests/unit/storage/storage_test.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/prng.h"
#include "tests/unit/storage/wal_fixture.h"
#include "tests/unit/storage/wal_model.h"

enum {
    LIVES = 400,
    STEPS_PER_LIFE = 120
};

struct life {
    struct wal_fixture log;
    struct prng prng;
    struct wal_model model;
    /* The call that failed, if any: writes that may have happened, or a restart that may have. */
    struct raft_write pending[MODEL_PENDING_MAX];
    uint32_t pending_count;
    uint64_t pending_restart;
    uint64_t term;
    uint64_t seed;
    uint64_t reopenings;
};

static void discard(enum log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static void forget_pending(struct life *life)
{
    for (uint32_t i = 0; i < life->pending_count; i++) {
        wal_fixture_free_write(&life->pending[i]);
    }
    life->pending_count = 0;
    life->pending_restart = 0;
}

static struct raft_write random_write(struct life *life, const struct wal_model *model)
{
    uint64_t next = model->last + 1;
    uint64_t from = 0;
    bool new_term = prng_chance(&life->prng, 150);
    if (prng_chance(&life->prng, 100)) {
        uint64_t lowest = model->cut > model->base ? model->cut : model->base + 1;
        if (lowest < next) {
            from = prng_between(&life->prng, lowest, next - 1);
            new_term = true;
            next = from;
        }
    }
    if (new_term) {
        life->term++;
    }
    uint32_t count = (uint32_t)prng_below(&life->prng, 4);
    uint32_t len = (uint32_t)prng_below(&life->prng, prng_chance(&life->prng, 50) ? 3000 : 120);
    struct raft_write write = wal_fixture_write(next, count, life->term, len);
    write.truncate_from = from;
    write.has_hard_state = new_term || prng_chance(&life->prng, 50);
    write.hard_state.term = life->term;
    write.hard_state.vote.hi = prng_below(&life->prng, 3);
    write.hard_state.vote.lo = write.hard_state.vote.hi;
    return write;
}

/* Appends some writes in one call; true if it was acknowledged. */
static bool append(struct life *life)
{
    struct wal_model ahead = life->model;
    uint32_t count = (uint32_t)prng_between(&life->prng, 1, MODEL_PENDING_MAX);
    for (uint32_t i = 0; i < count; i++) {
        life->pending[i] = random_write(life, &ahead);
        wal_model_apply(&ahead, &life->pending[i]);
    }
    life->pending_count = count;
    if (wal_append(life->log.wal, life->pending, count) != ERR_OK) {
        return false;
    }
    life->model = ahead;
    forget_pending(life);
    return true;
}

static bool cut(struct life *life)
{
    uint64_t low = life->model.base + 1 > life->model.cut ? life->model.base + 1 : life->model.cut;
    life->model.cut = prng_between(&life->prng, low, life->model.last + 1);
    return wal_cut(life->log.wal, life->model.cut) == ERR_OK;
}

static bool restart(struct life *life)
{
    life->pending_restart = life->model.last + prng_below(&life->prng, 5);
    if (life->pending_restart == 0) {
        return true;
    }
    if (wal_restart(life->log.wal, life->pending_restart) != ERR_OK) {
        return false;
    }
    life->model.base = life->pending_restart;
    life->model.last = life->pending_restart;
    life->model.cut = 0;
    life->pending_restart = 0;
    return true;
}

/* The model that the recovered log agrees with becomes the model. */
static void settle(struct life *life)
{
    const char *why = "";
    for (uint32_t done = 0; done <= life->pending_count; done++) {
        if (wal_model_matches(&life->model, &life->log.recovered, &why)) {
            forget_pending(life);
            return;
        }
        if (done < life->pending_count) {
            /* A truncation may be all that is left of its write. */
            struct raft_write *next = &life->pending[done];
            struct raft_write alone = {.truncate_from = next->truncate_from};
            wal_model_apply(&life->model, &alone);
            if (wal_model_matches(&life->model, &life->log.recovered, &why)) {
                forget_pending(life);
                return;
            }
            wal_model_apply(&life->model, next);
        }
    }
    if (life->pending_restart != 0) {
        life->model.base = life->pending_restart;
        life->model.last = life->pending_restart;
        life->model.cut = 0;
        if (wal_model_matches(&life->model, &life->log.recovered, &why)) {
            forget_pending(life);
            return;
        }
    }
    fail_msg("SEED=%llu: after opening %llu the log differs from the model in %s",
             (unsigned long long)life->seed,
             (unsigned long long)life->reopenings,
             why);
}

static void reopen(struct life *life, bool power_cut)
{
    wal_fixture_close(&life->log);
    if (power_cut) {
        fault_disk_crash(life->log.disk);
    } else {
        fault_disk_kill(life->log.disk);
    }
    life->reopenings++;
    while (prng_chance(&life->prng, 150)) {
        /* Recovery itself is interrupted. */
        fault_disk_fail_nth(life->log.disk, prng_between(&life->prng, 1, 6), ERR_IO);
        if (wal_fixture_open(&life->log) == ERR_OK) {
            wal_fixture_close(&life->log);
        }
        fault_disk_crash(life->log.disk);
    }
    if (wal_fixture_open(&life->log) != ERR_OK) {
        fail_msg("SEED=%llu: opening %llu failed: %s",
                 (unsigned long long)life->seed,
                 (unsigned long long)life->reopenings,
                 life->log.reason.text);
    }
    settle(life);
}

static bool one_step(struct life *life)
{
    uint64_t dice = prng_below(&life->prng, 100);
    if (dice < 75) {
        return append(life);
    }
    if (dice < 82) {
        return cut(life);
    }
    if (dice < 90) {
        (void)!wal_prepare(life->log.wal);
        return true;
    }
    if (dice < 92) {
        return restart(life);
    }
    reopen(life, dice < 97);
    return true;
}

static void live(uint64_t seed)
{
    static const uint64_t sizes[] = {512, 4096, 20000};
    struct life *life = mem_new(sizeof(*life));
    life->seed = seed;
    prng_init_stream(&life->prng, seed, "life");
    life->term = 1;
    wal_fixture_init(&life->log, seed, sizes[prng_below(&life->prng, ARRAY_LEN(sizes))] / 8 * 8);
    life->model.hard_state = life->log.recovered.hard_state;
    for (int step = 0; step < STEPS_PER_LIFE; step++) {
        if (prng_chance(&life->prng, 60)) {
            enum error error = prng_chance(&life->prng, 500) ? ERR_IO : ERR_NO_SPACE;
            fault_disk_fail_nth(life->log.disk, prng_between(&life->prng, 1, 12), error);
        }
        if (!one_step(life)) {
            reopen(life, prng_chance(&life->prng, 700));
        }
    }
    reopen(life, true);
    forget_pending(life);
    wal_fixture_deinit(&life->log);
    mem_free(life);
}

static void test_acknowledged_writes_survive_and_truncated_ones_do_not(void **state)
{
    (void)state;
    const char *one = getenv("SEED");
    const char *count = getenv("N");
    uint64_t seed = test_seed(1);
    log_set_sink(discard, NULL);
    uint64_t lives = one != NULL && one[0] != '\0' ? 1 : LIVES;
    lives = count != NULL && count[0] != '\0' ? strtoull(count, NULL, 10) : lives;

    for (uint64_t i = 0; i < lives; i++) {
        live(seed + i);
    }

    log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acknowledged_writes_survive_and_truncated_ones_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
