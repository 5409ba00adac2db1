/* SPDX-License-Identifier: Apache-2.0 */
/* Is the primary dead? Goal: two kinds of evidence from different observers, never one alone, but a
 * fence report is proof; a standby that still hears the primary vetoes. Method: a shard of three
 * instances in three regions, what was heard of them by hand. */
#include "decide/detector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    P = 1,
    A = 2,
    B = 3,
    ELECTED_MS = 10000,
    NOW_MS = 20000,
};

static struct shard_view view;
static struct observations heard;
static struct verdict verdict;

static void report_of(uint32_t instance, const struct report *like, uint64_t at_ms)
{
    struct report report = *like;

    report.instance.value = instance;
    assert_int_equal(observe_report(&heard, &report, instance, at_ms), ERR_OK);
}

/* All three well at NOW_MS - 100: the standbys stream from P. */
static int set_up(void **state)
{
    (void)state;
    memset(&view, 0, sizeof(view));
    view.shard.id.value = 1;
    view.shard.kind = SHARD_POSTGRES;
    view.shard.mode = SHARD_SYNC;
    view.shard.primary.value = P;
    view.shard.primary_epoch.value = 4;
    view.shard.epoch.value = 4;
    view.instances_count = 3;
    observe_elected(&heard, ELECTED_MS);
    for (uint32_t i = 0; i < view.instances_count; i++) {
        view.instances[i].id.value = i + 1;
        (void)snprintf(view.instances[i].name, NAME_SIZE, "i%u", i + 1);
        (void)snprintf(view.instances[i].region, NAME_SIZE, "r%u", i + 1);
        assert_int_equal(
            observe_session_opened(&heard, view.instances[i].id, i + 1, ELECTED_MS + 10), ERR_OK);
    }
    struct report primary = {.state = INSTANCE_PRIMARY};
    struct report standby = {.state = INSTANCE_STANDBY,
                             .receiver_streaming = true,
                             .upstream.value = P,
                             .primary_reach = REACH_OK,
                             .primary_reach_of.value = P};
    report_of(P, &primary, NOW_MS - 100);
    report_of(A, &standby, NOW_MS - 100);
    report_of(B, &standby, NOW_MS - 100);
    return 0;
}

/* An instance now finds the primary's port so, and streams no more. */
static void lost(uint32_t instance, enum reach reach, uint32_t for_ms, uint64_t at_ms)
{
    struct report report = {.state = INSTANCE_STANDBY,
                            .upstream.value = P,
                            .primary_reach = reach,
                            .primary_reach_of.value = P,
                            .primary_reach_ms = for_ms};

    report_of(instance, &report, at_ms);
}

static enum failover_cause judge(uint64_t now_ms)
{
    detect(&view, &heard, now_ms, &verdict);
    return verdict.cause;
}

static void test_a_primary_that_is_heard_is_not_dead(void **state)
{
    (void)state;
    assert_int_equal(judge(NOW_MS), CAUSE_NONE);
    assert_false(verdict.suspect);
}

static void test_a_fence_report_is_proof_alone(void **state)
{
    (void)state;
    struct report report = {.state = INSTANCE_STOPPED, .fenced_epoch.value = 4};
    report_of(P, &report, NOW_MS);
    assert_int_equal(judge(NOW_MS), CAUSE_PROCESS);
}

static void test_a_fence_of_an_earlier_epoch_is_no_proof(void **state)
{
    (void)state;
    struct report report = {.state = INSTANCE_PRIMARY, .fenced_epoch.value = 3};
    report_of(P, &report, NOW_MS);
    assert_int_equal(judge(NOW_MS), CAUSE_NONE);
}

static void test_a_closed_session_alone_is_no_verdict(void **state)
{
    (void)state;
    observe_session_closed(&heard, (struct instance_id){P}, P, NOW_MS);
    assert_int_equal(judge(NOW_MS + 50), CAUSE_NONE);
}

static void test_a_refused_port_alone_is_no_verdict(void **state)
{
    (void)state;
    lost(A, REACH_REFUSED, 0, NOW_MS);
    lost(B, REACH_REFUSED, 0, NOW_MS);
    assert_int_equal(judge(NOW_MS + 50), CAUSE_NONE);
}

static void test_a_closed_session_and_a_refused_port_are_death(void **state)
{
    (void)state;
    observe_session_closed(&heard, (struct instance_id){P}, P, NOW_MS);
    lost(A, REACH_REFUSED, 0, NOW_MS + 5);
    lost(B, REACH_SILENT, 0, NOW_MS + 5);
    assert_int_equal(judge(NOW_MS + 6), CAUSE_INSTANCE);
    assert_int_equal(verdict.first_ms, NOW_MS);
    assert_non_null(strstr(verdict.evidence, "i1"));
}

static void test_evidence_older_than_the_close_does_not_count(void **state)
{
    (void)state;
    lost(A, REACH_REFUSED, 0, NOW_MS - 20);
    lost(B, REACH_REFUSED, 0, NOW_MS - 20);
    observe_session_closed(&heard, (struct instance_id){P}, P, NOW_MS);
    assert_int_equal(judge(NOW_MS + 50), CAUSE_NONE);
    assert_true(verdict.suspect);
}

static void test_a_standby_that_still_hears_the_primary_vetoes(void **state)
{
    (void)state;
    observe_session_closed(&heard, (struct instance_id){P}, P, NOW_MS);
    lost(A, REACH_REFUSED, 0, NOW_MS + 5);
    assert_int_equal(judge(NOW_MS + 6), CAUSE_NONE);
}

static void test_silence_is_death_only_after_a_while_and_with_a_witness(void **state)
{
    (void)state;
    uint64_t last_ms = NOW_MS - 100;
    uint64_t now_ms = last_ms + DETECTOR_SILENT_MS;
    lost(A, REACH_SILENT, DETECTOR_REACH_MS, now_ms - 10);
    lost(B, REACH_SILENT, DETECTOR_REACH_MS, now_ms - 10);
    assert_int_equal(judge(now_ms - 5), CAUSE_NONE);
    assert_int_equal(judge(now_ms), CAUSE_SILENT);
}

static void test_a_witness_of_the_same_region_does_not_count(void **state)
{
    (void)state;
    memcpy(view.instances[A - 1].region, view.instances[P - 1].region, NAME_SIZE);
    observe_session_closed(&heard, (struct instance_id){P}, P, NOW_MS);
    lost(A, REACH_REFUSED, 0, NOW_MS + 5);
    lost(B, REACH_OK, 0, NOW_MS + 5);
    assert_int_equal(judge(NOW_MS + 6), CAUSE_NONE);
    lost(B, REACH_REFUSED, 0, NOW_MS + 7);
    assert_int_equal(judge(NOW_MS + 8), CAUSE_INSTANCE);
}

static void test_a_new_leader_waits_before_a_missing_session_counts(void **state)
{
    (void)state;
    observe_elected(&heard, NOW_MS);
    for (uint32_t i = A; i <= B; i++) {
        assert_int_equal(
            observe_session_opened(&heard, (struct instance_id){i}, i + 10, NOW_MS + 1), ERR_OK);
        struct report report = {.instance.value = i,
                                .state = INSTANCE_STANDBY,
                                .primary_reach = REACH_REFUSED,
                                .primary_reach_of.value = P};
        assert_int_equal(observe_report(&heard, &report, i + 10, NOW_MS + 900), ERR_OK);
    }
    assert_int_equal(judge(NOW_MS + DETECTOR_INTERVAL_MS - 1), CAUSE_NONE);
    assert_int_equal(judge(NOW_MS + DETECTOR_INTERVAL_MS), CAUSE_INSTANCE);
}

/* The primary says that its writes hang; A and B stream, and stand at `lsn`. */
static void hang(uint32_t stalled_ms, uint64_t lsn, uint64_t at_ms)
{
    struct report primary = {
        .state = INSTANCE_PRIMARY, .writable_epoch.value = 4, .write_stalled_ms = stalled_ms};
    struct report standby = {.state = INSTANCE_STANDBY,
                             .receiver_streaming = true,
                             .upstream.value = P,
                             .position = {.timeline = 3, .lsn = lsn},
                             .primary_reach = REACH_OK,
                             .primary_reach_of.value = P};
    report_of(P, &primary, at_ms);
    report_of(A, &standby, at_ms);
    report_of(B, &standby, at_ms);
}

static void test_a_disk_that_hangs_is_death_when_a_standby_is_sent_nothing_either(void **state)
{
    (void)state;
    hang(0, 1000, NOW_MS);
    hang(DETECTOR_STALL_MS - 1, 1000, NOW_MS + DETECTOR_STALL_MS - 1);
    assert_int_equal(judge(NOW_MS + DETECTOR_STALL_MS - 1), CAUSE_NONE);
    hang(DETECTOR_STALL_MS, 1000, NOW_MS + DETECTOR_STALL_MS);
    assert_int_equal(judge(NOW_MS + DETECTOR_STALL_MS), CAUSE_DISK);
    assert_int_equal(verdict.first_ms, NOW_MS);
}

static void test_a_disk_that_hangs_is_no_verdict_while_wal_still_arrives(void **state)
{
    (void)state;
    hang(0, 1000, NOW_MS);
    hang(3 * DETECTOR_STALL_MS, 1000, NOW_MS + 3 * DETECTOR_STALL_MS);
    /* To one of the two. */
    struct report moved = heard.items[2].report;
    moved.position.lsn = 2000;
    report_of(B, &moved, NOW_MS + 3 * DETECTOR_STALL_MS);
    assert_int_equal(judge(NOW_MS + 3 * DETECTOR_STALL_MS), CAUSE_NONE);
}

static void test_a_disk_that_hangs_is_no_verdict_on_the_primarys_word_alone(void **state)
{
    (void)state;
    hang(0, 1000, NOW_MS);
    hang(3 * DETECTOR_STALL_MS, 1000, NOW_MS + 3 * DETECTOR_STALL_MS);
    heard.items[1].report.receiver_streaming = false;
    heard.items[2].report.upstream.value = A;
    assert_int_equal(judge(NOW_MS + 3 * DETECTOR_STALL_MS), CAUSE_NONE);
    assert_true(verdict.suspect);
}

static void test_a_report_over_an_old_session_is_not_taken(void **state)
{
    (void)state;
    struct report report = {.instance.value = P, .fenced_epoch.value = 4};
    assert_int_equal(observe_session_opened(&heard, (struct instance_id){P}, 99, NOW_MS), ERR_OK);
    assert_int_equal(observe_report(&heard, &report, P, NOW_MS), ERR_PRECONDITION);
    assert_int_equal(judge(NOW_MS), CAUSE_NONE);
}

/* The links of the leader's region flap: what it does not hear says nothing of others. */
static void test_a_leader_that_was_out_of_touch_itself_judges_nobody_by_silence(void **state)
{
    (void)state;
    struct report report = {.state = INSTANCE_STANDBY,
                            .primary_reach = REACH_SILENT,
                            .primary_reach_of.value = P,
                            .primary_reach_ms = 1500};
    uint64_t now_ms = NOW_MS + 3000;
    report_of(A, &report, now_ms);
    report_of(B, &report, now_ms);
    observe_out_of_touch(&heard, now_ms - DETECTOR_TOUCH_MS + 1);
    detect(&view, &heard, now_ms, &verdict);
    assert_int_equal(verdict.cause, CAUSE_NONE);
    assert_true(verdict.suspect);
    assert_non_null(strstr(verdict.evidence, "a quorum of the members"));
    detect(&view, &heard, now_ms + 1, &verdict);
    assert_int_equal(verdict.cause, CAUSE_SILENT);
    /* What the sidecar said is proof whoever hears it. */
    struct report fenced = {.state = INSTANCE_STOPPED, .fenced_epoch.value = 4};
    report_of(P, &fenced, now_ms);
    detect(&view, &heard, now_ms, &verdict);
    assert_int_equal(verdict.cause, CAUSE_PROCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_primary_that_is_heard_is_not_dead, set_up),
        cmocka_unit_test_setup(test_a_fence_report_is_proof_alone, set_up),
        cmocka_unit_test_setup(test_a_fence_of_an_earlier_epoch_is_no_proof, set_up),
        cmocka_unit_test_setup(test_a_closed_session_alone_is_no_verdict, set_up),
        cmocka_unit_test_setup(test_a_refused_port_alone_is_no_verdict, set_up),
        cmocka_unit_test_setup(test_a_closed_session_and_a_refused_port_are_death, set_up),
        cmocka_unit_test_setup(test_evidence_older_than_the_close_does_not_count, set_up),
        cmocka_unit_test_setup(test_a_standby_that_still_hears_the_primary_vetoes, set_up),
        cmocka_unit_test_setup(test_silence_is_death_only_after_a_while_and_with_a_witness, set_up),
        cmocka_unit_test_setup(test_a_witness_of_the_same_region_does_not_count, set_up),
        cmocka_unit_test_setup(test_a_new_leader_waits_before_a_missing_session_counts, set_up),
        cmocka_unit_test_setup(
            test_a_disk_that_hangs_is_death_when_a_standby_is_sent_nothing_either, set_up),
        cmocka_unit_test_setup(test_a_disk_that_hangs_is_no_verdict_while_wal_still_arrives,
                               set_up),
        cmocka_unit_test_setup(test_a_disk_that_hangs_is_no_verdict_on_the_primarys_word_alone,
                               set_up),
        cmocka_unit_test_setup(test_a_report_over_an_old_session_is_not_taken, set_up),
        cmocka_unit_test_setup(test_a_leader_that_was_out_of_touch_itself_judges_nobody_by_silence,
                               set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
