/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that HTTP/2 sessions lie in: what shares a slot, what comes from the heap, and that
 * pages are given back. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/h2_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SESSION_BYTES = 2936,
    FRAME_BYTES = 16394,
    MANY = 200
};

static void *take(struct h2_memory *memory, size_t size)
{
    return memory->functions.malloc(size, memory->functions.mem_user_data);
}

static void *take_zeroed(struct h2_memory *memory, size_t size)
{
    return memory->functions.calloc(1, size, memory->functions.mem_user_data);
}

static void *resize(struct h2_memory *memory, void *pointer, size_t size)
{
    return memory->functions.realloc(pointer, size, memory->functions.mem_user_data);
}

static void give(struct h2_memory *memory, void *pointer)
{
    memory->functions.free(pointer, memory->functions.mem_user_data);
}

static size_t pages_held(const uint8_t *from, size_t len)
{
    unsigned char held[16] = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_true(len / page <= sizeof(held));
    assert_int_equal(mincore((void *)(uintptr_t)from, len, held), 0);
    size_t count = 0;
    for (size_t i = 0; i < len / page; i++) {
        count += held[i] & 1;
    }
    return count;
}

static void test_a_session_with_small_frames_holds_one_page(void **state)
{
    (void)state;
    struct h2_pool *pool = h2_pool_new();
    struct h2_memory memory;
    h2_memory_init(&memory, pool);

    uint8_t *session = take_zeroed(&memory, SESSION_BYTES);
    uint8_t *frame = resize(&memory, NULL, FRAME_BYTES);
    memset(session, 1, SESSION_BYTES);
    memset(frame, 2, 500);

    assert_true(frame > session && frame < session + 4096);
    assert_int_equal(pages_held(session, 20480), 1);
    give(&memory, frame);
    give(&memory, session);
    h2_memory_deinit(&memory);
    h2_pool_free(pool);
}

static void test_all_other_requests_come_from_the_heap(void **state)
{
    (void)state;
    struct h2_pool *pool = h2_pool_new();
    struct h2_memory memory;
    h2_memory_init(&memory, pool);
    uint8_t *session = take_zeroed(&memory, SESSION_BYTES);
    uint8_t *frame = take(&memory, FRAME_BYTES);

    uint8_t *small = take(&memory, 100);
    uint8_t *second_frame = take(&memory, FRAME_BYTES);
    uint8_t *too_large = take(&memory, 1 << 20);

    uint8_t *others[] = {small, second_frame, too_large};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_true(others[i] < session || others[i] >= session + 20480);
        give(&memory, others[i]);
    }
    give(&memory, frame);
    assert_ptr_equal(take(&memory, FRAME_BYTES), frame); /* given back, so free again */
    h2_memory_deinit(&memory);
    h2_pool_free(pool);
}

static void test_what_grows_out_of_a_slot_keeps_its_bytes(void **state)
{
    (void)state;
    struct h2_pool *pool = h2_pool_new();
    struct h2_memory memory;
    h2_memory_init(&memory, pool);
    (void)take_zeroed(&memory, SESSION_BYTES);
    uint8_t *frame = take(&memory, FRAME_BYTES);
    memset(frame, 7, FRAME_BYTES);

    uint8_t *grown = resize(&memory, frame, (size_t)2 * FRAME_BYTES);

    for (size_t i = 0; i < FRAME_BYTES; i++) {
        assert_int_equal(grown[i], 7);
    }
    give(&memory, grown);
    h2_memory_deinit(&memory);
    h2_pool_free(pool);
}

static void test_a_slot_that_is_used_again_is_zeroed(void **state)
{
    (void)state;
    struct h2_pool *pool = h2_pool_new();
    struct h2_memory memory;
    h2_memory_init(&memory, pool);
    memset(take_zeroed(&memory, SESSION_BYTES), 0xff, SESSION_BYTES);
    h2_memory_deinit(&memory);

    h2_memory_init(&memory, pool);
    const uint8_t *session = take_zeroed(&memory, SESSION_BYTES);

    for (size_t i = 0; i < SESSION_BYTES; i++) {
        assert_int_equal(session[i], 0);
    }
    h2_memory_deinit(&memory);
    h2_pool_free(pool);
}

static void test_many_sessions_have_slots_of_their_own_and_give_them_back(void **state)
{
    (void)state;
    struct h2_pool *pool = h2_pool_new();
    struct h2_memory *memories = mem_new_array(MANY, sizeof(*memories));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            h2_memory_init(&memories[i], pool);
            memset(take_zeroed(&memories[i], SESSION_BYTES), (int)i, SESSION_BYTES);
        }
        for (size_t i = 0; i < MANY; i++) {
            size_t at = (i * 77) % MANY; /* out of order; 77 and 200 have no common factor */
            assert_int_equal(memories[at].slot[0], at);
            assert_int_equal(memories[at].slot[SESSION_BYTES - 1], at);
            h2_memory_deinit(&memories[at]);
        }
    }
    mem_free(memories);
    h2_pool_free(pool); /* checks that none is left */
}

static void test_slots_are_whole_pages_of_any_size(void **state)
{
    (void)state;
    for (size_t page = (size_t)sysconf(_SC_PAGESIZE); page <= 64 * 1024; page *= 2) {
        struct h2_pool *pool = h2_pool_new_for(page);
        struct h2_memory memories[2];
        h2_memory_init(&memories[0], pool);
        h2_memory_init(&memories[1], pool);

        size_t apart = (size_t)(memories[1].slot - memories[0].slot);

        assert_int_equal(apart % page, 0);
        assert_true(apart >= SESSION_BYTES + FRAME_BYTES);
        memset(memories[0].slot, 1, apart);
        memset(memories[1].slot, 2, apart);
        h2_memory_deinit(&memories[0]); /* gives back its own pages, and no others */
        assert_int_equal(memories[1].slot[0], 2);
        assert_int_equal(memories[1].slot[apart - 1], 2);
        h2_memory_deinit(&memories[1]);
        h2_pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_with_small_frames_holds_one_page),
        cmocka_unit_test(test_all_other_requests_come_from_the_heap),
        cmocka_unit_test(test_what_grows_out_of_a_slot_keeps_its_bytes),
        cmocka_unit_test(test_a_slot_that_is_used_again_is_zeroed),
        cmocka_unit_test(test_slots_are_whole_pages_of_any_size),
        cmocka_unit_test(test_many_sessions_have_slots_of_their_own_and_give_them_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
