/* SPDX-License-Identifier: Apache-2.0 */
/* What PostgreSQL's programs print of a folder's history, read. Goal: an ended recovery is seen
 * wherever it stands; what cannot be read is an error and no proof. Method: texts as the programs
 * of version 15 print them. */
#include "replication/postgres/pg_history.h"
#include "replication/postgres/pg_lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char ENDED[] =
    "rmgr: XLOG        len (rec/tot):    114/   114, tx:        722, lsn: 0/01740EC0, prev "
    "0/01740E88, desc: CHECKPOINT_ONLINE redo 0/1740E88; tli 1; prev tli 1; fpw true\n"
    "rmgr: XLOG        len (rec/tot):     49/   625, tx:          0, lsn: 0/01741060, prev "
    "0/01741018, desc: FPI_FOR_HINT , blkref #0: rel 1664/0/1262 blk 0 FPW\n"
    "rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/017414F8, prev "
    "0/017414B0, desc: CHECKPOINT_SHUTDOWN redo 0/17414F8; tli 1; prev tli 1; fpw true\n";

static void test_an_ended_recovery_is_seen(void **state)
{
    struct pg_lineage_records records;

    (void)state;
    pg_lineage_read_records(ENDED, 0x1740EC0, &records);
    assert_int_equal(records.ends, 1);
    assert_int_equal(records.last_end_lsn, 0x17414F8);
    assert_true(records.checkpoint_found);
    pg_lineage_read_records(ENDED, 0x17414F8, &records);
    assert_true(records.checkpoint_found);
    pg_lineage_read_records(ENDED, 0x1741060, &records);
    assert_false(records.checkpoint_found);
    pg_lineage_read_records("", 0x1741060, &records);
    assert_int_equal(records.ends, 0);
}

static void assert_control(const char *cluster_state, bool writable)
{
    char text[256];
    bool found = !writable;
    uint64_t lsn = 0;

    (void)snprintf(text,
                   sizeof(text),
                   "pg_control version number:            1300\n"
                   "Database cluster state:               %s\n"
                   "Latest checkpoint location:           1/1759560\n"
                   "Latest checkpoint's REDO location:    0/1759528\n",
                   cluster_state);
    assert_int_equal(pg_lineage_read_control(text, &found, &lsn), ERR_OK);
    assert_true(found == writable);
    assert_true(lsn == 0x101759560);
}

static void test_only_two_states_are_those_of_a_standby(void **state)
{
    bool writable = false;
    uint64_t lsn = 0;

    (void)state;
    assert_control("in archive recovery", false);
    assert_control("shut down in recovery", false);
    assert_control("shut down", true);
    assert_control("in production", true);
    assert_control("in crash recovery", true);
    assert_control("shutting down", true);
    assert_control("whatever comes later", true);
    assert_int_equal(pg_lineage_read_control("", &writable, &lsn), ERR_CORRUPT);
    assert_int_equal(
        pg_lineage_read_control("Database cluster state: in production\n", &writable, &lsn),
        ERR_CORRUPT);
}

static void test_a_standby_that_was_stopped_says_how_far_recovery_must_come(void **state)
{
    struct position needs = {.timeline = 9};

    (void)state;
    pg_lineage_read_needs("Minimum recovery ending location:     1/6000000\n"
                          "Min recovery ending loc's timeline:   2\n",
                          &needs);
    assert_int_equal(needs.timeline, 2);
    assert_true(needs.lsn == 0x106000000);
    pg_lineage_read_needs("Minimum recovery ending location:     0/0\n"
                          "Min recovery ending loc's timeline:   0\n",
                          &needs);
    assert_int_equal(needs.timeline, 0);
    pg_lineage_read_needs("", &needs);
    assert_int_equal(needs.timeline, 0);
    assert_true(needs.lsn == 0);
}

static void test_the_label_of_a_copy_says_where_it_began(void **state)
{
    static const char LABEL[] = "START WAL LOCATION: 0/3000028 (file 000000020000000000000003)\n"
                                "CHECKPOINT LOCATION: 0/3000060\nBACKUP METHOD: streamed\n"
                                "BACKUP FROM: primary\nLABEL: indaba\nSTART TIMELINE: 2\n";
    struct position begin = {0};

    (void)state;
    assert_int_equal(pg_lineage_read_label(LABEL, &begin), ERR_OK);
    assert_int_equal(begin.timeline, 2);
    assert_int_equal(begin.lsn, 0x3000028);
    assert_int_equal(pg_lineage_read_label("", &begin), ERR_CORRUPT);
    assert_int_equal(pg_lineage_read_label("START TIMELINE: 2\n", &begin), ERR_CORRUPT);
}

/* As version 15 prints what `SELECT pg_logical_emit_message(false, 'indaba', 'epoch 12')` wrote. */
static void test_the_first_words_on_a_timeline_are_those_of_its_epoch(void **state)
{
    static const char LINE[] =
        "rmgr: LogicalMessage len (rec/tot):     73/    73, tx:          0, lsn: 0/01741480, prev "
        "0/01741448, desc: MESSAGE non-transactional, prefix \"indaba\"; payload (8 bytes): 65 70 "
        "6F 63 68 20 31 32\n";
    char text[PG_ANNOUNCEMENT_SIZE];

    (void)state;
    assert_non_null(strstr(LINE, pg_history_announcement((struct epoch){12}, text)));
    assert_null(strstr(LINE, pg_history_announcement((struct epoch){1}, text)));
    assert_null(strstr(LINE, pg_history_announcement((struct epoch){122}, text)));
    assert_true(strlen(pg_history_announcement((struct epoch){UINT64_MAX}, text)) <
                PG_ANNOUNCEMENT_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ended_recovery_is_seen),
        cmocka_unit_test(test_only_two_states_are_those_of_a_standby),
        cmocka_unit_test(test_a_standby_that_was_stopped_says_how_far_recovery_must_come),
        cmocka_unit_test(test_the_first_words_on_a_timeline_are_those_of_its_epoch),
        cmocka_unit_test(test_the_label_of_a_copy_says_where_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
