/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a running node wants of small files in its folder it asks of a thread, and goes by it
 * only when that has come back. Method: a node without anything around it but a disk that counts
 * who opens and changes it; the test is the thread. */
#include "node/node_internal.h"

#include "base/mem.h"
#include "peers/peers_internal.h"
#include "tests/support/fault_disk.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct node_paths PATHS = {.dir = "d"};
static const struct member_id SELF = {.lo = 1};
static const struct member_id LEADER = {.lo = 2};

struct bench {
    struct fault_disk *fault;
    struct node_io io;
    struct member_config config;
    struct node *node;
    struct node_file_job *job; /* under way */
    uint32_t jobs;             /* begun, in all */
    int died;
};

static void begin_file(void *ctx, struct node_file_job *job)
{
    struct bench *bench = ctx;
    assert_null(bench->job);
    bench->job = job;
    bench->jobs++;
}

static uint64_t now_ns(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct peers_io nobody = {.now_ns = now_ns};

static void die(void *ctx, int exit_code)
{
    struct bench *bench = ctx;
    (void)exit_code;
    bench->died++;
}

static void open_bench(struct bench *bench)
{
    *bench = (struct bench){.fault = fault_disk_new(1), .config = {.member = SELF}};
    bench->io.ground.disk = fault_disk_ops(bench->fault);
    bench->io.ground.paths = &PATHS;
    bench->io.begin_file = begin_file;
    bench->io.die = die;
    const struct node_core core = {.io = &bench->io,
                                   .ctx = bench,
                                   .links = &nobody,
                                   .config = &bench->config,
                                   .incarnation = 1};
    const struct raft_options options = {.self = SELF};
    const struct raft_recovered recovered = {.hard_state = {.term = 0}};
    bench->node = node_new(&core);
    bench->node->raft = raft_new(&options, &recovered, 0);
    bench->node->leader = LEADER;
}

static void close_bench(struct bench *bench)
{
    node_stop(bench->node);
    if (bench->job != NULL) {
        node_file_done(bench->node, bench->job);
    }
    node_free(bench->node);
    fault_disk_free(bench->fault);
}

/* The thread does what it was asked for, and says so. */
static void finish(struct bench *bench)
{
    struct node_file_job *job = bench->job;
    assert_non_null(job);
    bench->job = NULL;
    node_file_small(&bench->io.ground, job);
    node_file_done(bench->node, job);
}

static void vouch(const struct bench *bench, uint32_t count)
{
    struct vouches vouches = {.count = count};
    struct reason reason = {0};
    for (uint32_t i = 0; i < count; i++) {
        vouches.items[i].id.lo = 10 + i;
        (void)snprintf(vouches.items[i].name, NAME_SIZE, "n%u", i);
    }
    assert_int_equal(vouch_file_write(bench->io.ground.disk, PATHS.dir, &vouches, &reason), ERR_OK);
}

/* What the leader says of the majority's state at index 5, ours being 7 there. */
static void hear(struct bench *bench, uint64_t hash)
{
    const struct raft_message message = {
        .type = RAFT_HEARTBEAT,
        .from = LEADER,
        .heartbeat = {.agreed_index = 5, .agreed_hash = hash},
    };
    node_quarantine_heard(bench->node, &message);
}

static void quarantine(struct bench *bench)
{
    struct reason reason = {0};
    bench->node->quarantine = (struct node_quarantine){
        .active = true, .mark = {.index = 3, .ours = 1, .theirs = 2, .rebuilt = true}};
    assert_int_equal(quarantine_mark_write(
                         bench->io.ground.disk, PATHS.dir, &bench->node->quarantine.mark, &reason),
                     ERR_OK);
    divergence_note(&bench->node->divergence, 5, 7);
}

static void test_vouches_are_read_by_a_thread_and_anew_if_asked_meanwhile(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    vouch(&bench, 1);

    /* When it is told twice to read them: nothing was read yet, and one thread is at it. */
    node_load_vouched(bench.node);
    node_load_vouched(bench.node);
    assert_int_equal(bench.jobs, 1);
    assert_int_equal(bench.node->peers->voices.vouched_count, 0);

    /* Then what the thread read holds, and what came after it is read too. */
    finish(&bench);
    assert_int_equal(bench.node->peers->voices.vouched_count, 1);
    assert_int_equal(bench.jobs, 2);
    vouch(&bench, 2);
    finish(&bench);
    assert_int_equal(bench.node->peers->voices.vouched_count, 2);
    assert_int_equal(bench.jobs, 2);
    close_bench(&bench);
}

static void test_vouches_that_cannot_be_read_leave_those_that_were(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    vouch(&bench, 2);
    node_vouched_start(bench.node);
    assert_int_equal(bench.node->peers->voices.vouched_count, 2);

    fault_disk_put(bench.fault, "d/vouched", slice_of("x", 1));
    node_load_vouched(bench.node);
    finish(&bench);

    assert_int_equal(bench.node->peers->voices.vouched_count, 2);
    assert_int_equal(bench.node->vouched.said.count, 2);
    close_bench(&bench);
}

static void test_a_quarantine_ends_when_a_thread_has_removed_its_mark(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    quarantine(&bench);
    uint64_t changes = fault_disk_changes(bench.fault);

    /* When the majority's state is met again, and is said so more than once. */
    hear(&bench, 7);
    hear(&bench, 7);

    /* Then a thread is asked, once, and until it is done nothing has changed, */
    assert_int_equal(bench.jobs, 1);
    assert_int_equal(fault_disk_changes(bench.fault), changes);
    assert_true(node_is_quarantined(bench.node));
    /* not even by a word to the contrary. */
    hear(&bench, 8);
    assert_false(bench.node->quarantine.contradicted);

    finish(&bench);
    assert_false(node_is_quarantined(bench.node));
    struct reason reason = {0};
    struct quarantine_mark mark;
    assert_int_equal(quarantine_mark_read(bench.io.ground.disk, PATHS.dir, &reason, &mark),
                     ERR_NOT_FOUND);
    assert_int_equal(bench.died, 0);
    close_bench(&bench);
}

static void test_a_mark_that_stays_ends_the_member_in_quarantine(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    quarantine(&bench);
    hear(&bench, 7);

    fault_disk_fail_nth(bench.fault, 1, ERR_IO);
    finish(&bench);

    assert_int_equal(bench.died, 1);
    assert_true(node_is_quarantined(bench.node));
    close_bench(&bench);
}

static void test_what_comes_back_after_the_end_is_let_go(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    vouch(&bench, 1);
    node_load_vouched(bench.node);

    node_stop(bench.node);
    node_file_done(bench.node, bench.job);
    bench.job = NULL;

    assert_int_equal(bench.node->vouched.said.count, 0);
    node_free(bench.node);
    fault_disk_free(bench.fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vouches_are_read_by_a_thread_and_anew_if_asked_meanwhile),
        cmocka_unit_test(test_vouches_that_cannot_be_read_leave_those_that_were),
        cmocka_unit_test(test_a_quarantine_ends_when_a_thread_has_removed_its_mark),
        cmocka_unit_test(test_a_mark_that_stays_ends_the_member_in_quarantine),
        cmocka_unit_test(test_what_comes_back_after_the_end_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
