/* SPDX-License-Identifier: Apache-2.0 */
/* The probe of an idle disk. Goal: it finds a disk that fails, and nothing else. Method: the fault
 * disk, whose files can be opened so many times. */
#include "storage/disk_probe.h"

#include "tests/support/fault_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct disk *whole;
static uint32_t opens_left;

static enum error few_open(void *ctx, const char *path, enum disk_open_mode mode, int *file_out)
{
    if (opens_left == 0) {
        return ERR_EXHAUSTED;
    }
    opens_left--;
    return whole->open(ctx, path, mode, file_out);
}

static struct disk few_descriptors(struct fault_disk *fault, uint32_t opens)
{
    whole = fault_disk_ops(fault);
    opens_left = opens;
    struct disk disk = *whole;
    disk.open = few_open;
    return disk;
}

static void test_a_process_without_descriptors_is_no_dead_disk(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct disk disk = few_descriptors(fault, 0);
    struct disk_probe probe = {0};
    assert_int_equal(disk_probe_run(&probe, &disk, "wal"), ERR_OK);
    assert_int_equal(fault_disk_syncs(fault), 0);
    disk_probe_close(&probe, &disk);
    fault_disk_free(fault);
}

static void test_a_probe_goes_on_when_descriptors_have_run_out(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct disk disk = few_descriptors(fault, 2); /* looked for, made */
    struct disk_probe probe = {0};
    for (uint64_t syncs = 1; syncs <= 3; syncs++) {
        assert_int_equal(disk_probe_run(&probe, &disk, "wal"), ERR_OK);
        assert_int_equal(fault_disk_syncs(fault), syncs);
    }
    fault_disk_fail_nth_sync(fault, 1, ERR_IO);
    assert_int_equal(disk_probe_run(&probe, &disk, "wal"), ERR_IO);
    disk_probe_close(&probe, &disk);
    fault_disk_free(fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_without_descriptors_is_no_dead_disk),
        cmocka_unit_test(test_a_probe_goes_on_when_descriptors_have_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
