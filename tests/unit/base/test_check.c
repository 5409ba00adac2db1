/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a process that doubts itself ends, says why, and lets its hook run first. So does one that
 * runs out of memory. Method: children that fail, and their stderr. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/support_abort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void fail_a_check(void *ctx)
{
    int apples = *(const int *)ctx;
    CHECK(apples == 3);
}

static void hook_says_so(void)
{
    static const char text[] = "hook ran\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        _exit(1);
    }
}

static void hook_fails_itself(void)
{
    hook_says_so();
    CHECK(1 + 1 == 3);
}

static void fail_with_hook(void *ctx)
{
    check_set_hook(hook_says_so);
    fail_a_check(ctx);
}

static void fail_with_failing_hook(void *ctx)
{
    check_set_hook(hook_fails_itself);
    fail_a_check(ctx);
}

static void fail_with_hook_taken_back(void *ctx)
{
    check_set_hook(hook_says_so);
    check_set_hook(NULL);
    fail_a_check(ctx);
}

static void reach_the_unreachable(void *ctx)
{
    (void)ctx;
    UNREACHABLE("a test comes here");
}

static void allocate_too_many(void *ctx)
{
    (void)ctx;
    mem_free(mem_new_array(SIZE_MAX / 2, 3));
}

static void allocate_too_much(void *ctx)
{
    size_t size = *(const size_t *)ctx;
    mem_free(mem_new(size));
}

static unsigned count(const char *text, const char *part)
{
    unsigned found = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        found++;
    }
    return found;
}

static void test_check_that_holds_does_nothing(void **state)
{
    (void)state;
    int apples = 3;
    char text[64];
    assert_false(support_aborts(fail_a_check, &apples, text, sizeof(text)));
    assert_string_equal(text, "");
}

static void test_failed_check_names_fact_and_place_and_aborts(void **state)
{
    (void)state;
    int apples = 2;
    char text[4096];
    assert_true(support_aborts(fail_a_check, &apples, text, sizeof(text)));
    assert_non_null(strstr(text, "condition=\"apples == 3\""));
    assert_non_null(strstr(text, "test_check.c"));
    assert_non_null(strstr(text, "function=fail_a_check"));
}

static void test_hook_runs_before_the_abort(void **state)
{
    (void)state;
    int apples = 2;
    char text[4096];
    assert_true(support_aborts(fail_with_hook, &apples, text, sizeof(text)));
    assert_int_equal(count(text, "hook ran\n"), 1);
}

static void test_hook_that_fails_a_check_runs_only_once(void **state)
{
    (void)state;
    int apples = 2;
    char text[8192];
    assert_true(support_aborts(fail_with_failing_hook, &apples, text, sizeof(text)));
    assert_int_equal(count(text, "hook ran\n"), 1);
    assert_int_equal(count(text, "event=check.failed"), 2);
}

static void test_hook_can_be_taken_back(void **state)
{
    (void)state;
    int apples = 2;
    char text[4096];
    assert_true(support_aborts(fail_with_hook_taken_back, &apples, text, sizeof(text)));
    assert_int_equal(count(text, "hook ran\n"), 0);
}

static void test_unreachable_code_says_why_it_should_be(void **state)
{
    (void)state;
    char text[4096];
    assert_true(support_aborts(reach_the_unreachable, NULL, text, sizeof(text)));
    assert_non_null(strstr(text, "unreachable: a test comes here"));
}

static void test_memory_is_zeroed_and_empty_requests_give_pointers(void **state)
{
    (void)state;
    unsigned char *memory = mem_new_array(100, 10);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(memory[i], 0);
    }
    void *nothing = mem_new(0);
    assert_non_null(nothing);
    void *still = mem_resize(nothing, 0);
    assert_non_null(still);
    mem_free(still);
    mem_free(memory);
    mem_free(NULL);
}

static void test_copies_hold_the_same_bytes_elsewhere(void **state)
{
    (void)state;
    const char word[] = "indaba";
    char *copy = mem_dup_string(word);
    char *bytes = mem_dup(word, 3);
    assert_string_equal(copy, word);
    assert_ptr_not_equal(copy, word);
    assert_memory_equal(bytes, "ind", 3);
    mem_free(mem_dup(NULL, 0));
    mem_free(copy);
    mem_free(bytes);
}

static void test_running_out_of_memory_ends_the_process_with_a_line(void **state)
{
    (void)state;
    size_t size = SIZE_MAX / 4;
    char text[4096];
    assert_true(support_aborts(allocate_too_many, NULL, text, sizeof(text)));
    assert_non_null(strstr(text, "event=memory.exhausted"));
#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
    /* Sanitizers have an answer of their own to this one. */
    assert_true(support_aborts(allocate_too_much, &size, text, sizeof(text)));
    assert_non_null(strstr(text, "event=memory.exhausted"));
#endif
#endif
    (void)size;
    (void)allocate_too_much;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_that_holds_does_nothing),
        cmocka_unit_test(test_failed_check_names_fact_and_place_and_aborts),
        cmocka_unit_test(test_hook_runs_before_the_abort),
        cmocka_unit_test(test_hook_that_fails_a_check_runs_only_once),
        cmocka_unit_test(test_hook_can_be_taken_back),
        cmocka_unit_test(test_unreachable_code_says_why_it_should_be),
        cmocka_unit_test(test_memory_is_zeroed_and_empty_requests_give_pointers),
        cmocka_unit_test(test_copies_hold_the_same_bytes_elsewhere),
        cmocka_unit_test(test_running_out_of_memory_ends_the_process_with_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
