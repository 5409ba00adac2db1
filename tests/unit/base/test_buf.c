/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: bytes are kept, compared and shared exactly. Method: small cases at every border; a blob
 * handed between threads that let go in any order. */
#include "base/buf.h"
#include "base/check.h"
#include "tests/support/support_abort.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    THREADS = 4,
    ROUNDS = 20000
};

static void test_slices_compare_bytewise_and_the_shorter_comes_first(void **state)
{
    (void)state;
    assert_true(slice_equal(slice_of_string("abc"), slice_of("abcd", 3)));
    assert_false(slice_equal(slice_of_string("abc"), slice_of_string("abd")));
    assert_false(slice_equal(slice_of_string("abc"), slice_of_string("ab")));
    assert_true(slice_compare(slice_of_string("ab"), slice_of_string("abc")) < 0);
    assert_true(slice_compare(slice_of_string("b"), slice_of_string("abc")) > 0);
    /* Bytes are unsigned: 0xff is the highest. */
    assert_true(slice_compare(slice_of("\xff", 1), slice_of("\x01", 1)) > 0);
}

static void test_empty_slices_need_no_bytes(void **state)
{
    (void)state;
    struct slice none = {0};
    assert_true(slice_equal(none, slice_of_string("")));
    assert_int_equal(slice_compare(none, none), 0);
    assert_true(slice_compare(none, slice_of_string("a")) < 0);
}

static void test_buf_grows_and_keeps_what_it_holds(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        buf_append(&buf, &byte, 1);
    }
    assert_int_equal(buf.len, 10000);
    assert_true(buf.cap >= buf.len);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(buf.data[i], (uint8_t)(i * 7));
    }
    buf_deinit(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
}

static void test_appending_nothing_changes_nothing(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append(&buf, NULL, 0);
    buf_append_string(&buf, "");
    assert_int_equal(buf.len, 0);
    assert_null(buf.data);
    buf_deinit(&buf);
}

static void test_reserved_room_is_not_moved_again(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_reserve(&buf, 1000);
    const uint8_t *before = buf.data;
    for (int i = 0; i < 1000; i++) {
        buf_put_u8(&buf, 1);
    }
    assert_ptr_equal(buf.data, before);
    buf_deinit(&buf);
}

static void test_printf_appends_text_of_any_length(void **state)
{
    (void)state;
    struct buf buf = {0};
    char big[5000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';

    buf_printf(&buf, "%d-%s-", 42, "a");
    buf_printf(&buf, "%s", big);
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 5 + 4999);
    assert_memory_equal(buf.data, "42-a-xxx", 8);
    buf_deinit(&buf);
}

static void test_consume_removes_from_the_front(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_string(&buf, "headtail");
    buf_consume(&buf, 0);
    buf_consume(&buf, 4);
    assert_true(slice_equal(buf_view(&buf), slice_of_string("tail")));
    buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    buf_append_string(&buf, "again");
    assert_true(slice_equal(buf_view(&buf), slice_of_string("again")));
    buf_clear(&buf);
    assert_int_equal(buf_view(&buf).len, 0);
    buf_deinit(&buf);
}

static void consume_too_much(void *ctx)
{
    buf_consume(ctx, 5);
}

static void test_consuming_more_than_there_is_is_a_bug(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_string(&buf, "four");
    assert_true(support_aborts(consume_too_much, &buf, NULL, 0));
    buf_deinit(&buf);
}

static void test_blob_is_a_copy_that_lives_until_its_last_reference(void **state)
{
    (void)state;
    char word[] = "indaba";
    struct blob *blob = blob_new(slice_of_string(word));
    word[0] = 'X';
    assert_ptr_equal(blob_ref(blob), blob);
    blob_unref(blob);
    assert_true(slice_equal(blob_view(blob), slice_of_string("indaba")));
    blob_unref(blob);
    blob_unref(NULL);
}

static void test_blob_may_be_empty(void **state)
{
    (void)state;
    struct blob *blob = blob_new((struct slice){0});
    assert_int_equal(blob_view(blob).len, 0);
    blob_unref(blob);
}

static void *share_and_let_go(void *ctx)
{
    struct blob *blob = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        struct blob *mine = blob_ref(blob);
        CHECK(blob_view(mine).data[0] == 'i');
        blob_unref(mine);
    }
    blob_unref(blob);
    return NULL;
}

static void test_threads_may_share_a_blob_and_let_go_in_any_order(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct blob *blob = blob_new(slice_of_string("indaba"));

    /* Each thread owns one reference; ours goes while they run. */
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, share_and_let_go, blob_ref(blob)), 0);
    }
    blob_unref(blob);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void unref_twice(void *ctx)
{
    struct blob *blob = ctx;
    blob->refs = 0;
    blob_unref(blob);
}

static void test_letting_go_of_a_reference_one_does_not_have_is_a_bug(void **state)
{
    (void)state;
    struct blob *blob = blob_new(slice_of_string("x"));
    assert_true(support_aborts(unref_twice, blob, NULL, 0));
    blob_unref(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices_compare_bytewise_and_the_shorter_comes_first),
        cmocka_unit_test(test_empty_slices_need_no_bytes),
        cmocka_unit_test(test_buf_grows_and_keeps_what_it_holds),
        cmocka_unit_test(test_appending_nothing_changes_nothing),
        cmocka_unit_test(test_reserved_room_is_not_moved_again),
        cmocka_unit_test(test_printf_appends_text_of_any_length),
        cmocka_unit_test(test_consume_removes_from_the_front),
        cmocka_unit_test(test_consuming_more_than_there_is_is_a_bug),
        cmocka_unit_test(test_blob_is_a_copy_that_lives_until_its_last_reference),
        cmocka_unit_test(test_blob_may_be_empty),
        cmocka_unit_test(test_threads_may_share_a_blob_and_let_go_in_any_order),
        cmocka_unit_test(test_letting_go_of_a_reference_one_does_not_have_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
