/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server and those who ask for more than their part: bounded work in a turn of the loop,
 * bounded memory, and a way in for who comes last. */
#include "base/check.h"
#include "rpc/http1_internal.h"
#include "rpc_site.h"

#include <string.h>

/* How many requests the busiest turn of the loop answered. */
struct turns {
    const struct site *site;
    uint32_t before;
    uint32_t most;
};

static void on_turn_end(uv_prepare_t *prepare)
{
    struct turns *turns = prepare->data;
    uint32_t in_this_turn = turns->site->requests - turns->before;
    turns->before = turns->site->requests;
    turns->most = in_this_turn > turns->most ? in_this_turn : turns->most;
}

static void test_a_turn_of_the_loop_answers_a_bounded_number_one_of_a_connection(void **state)
{
    (void)state;
    static struct rpc_peer peers[2 * HTTP1_TURN_REQUESTS];
    static const char request[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    struct site site;
    struct turns turns = {.site = &site};
    struct buf batch = {0};
    uv_prepare_t prepare;
    site_start(&site);
    assert_int_equal(uv_prepare_init(&site.fixture.loop, &prepare), 0);
    prepare.data = &turns;
    assert_int_equal(uv_prepare_start(&prepare, on_turn_end), 0);
    for (int i = 0; i < 50; i++) {
        buf_append_string(&batch, request);
    }
    site_visit(&site, &peers[0]);
    rpc_peer_send(&peers[0], batch.data, batch.len);
    while (site.requests < 50) {
        rpc_run_for(&site.fixture, 1);
    }
    assert_int_equal(turns.most, 1);
    for (size_t i = 1; i < ARRAY_LEN(peers); i++) {
        site_visit(&site, &peers[i]);
        rpc_peer_send(&peers[i], batch.data, batch.len);
    }
    while (site.requests < 50 * ARRAY_LEN(peers)) {
        rpc_run_for(&site.fixture, 1);
    }
    assert_in_range(turns.most, 1, HTTP1_TURN_REQUESTS);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        stream_close(peers[i].stream);
        buf_deinit(&peers[i].received);
    }
    uv_close((uv_handle_t *)&prepare, NULL);
    buf_deinit(&batch);
    site_stop(&site);
}

static void test_nothing_more_is_looked_at_while_an_answer_is_not_read(void **state)
{
    (void)state;
    struct site site;
    struct rpc_peer peer;
    struct buf batch = {0};
    site_start(&site);
    site_visit(&site, &peer);
    stream_pause(peer.stream);
    /* Each answer repeats the path; 400 of them are more than the kernel keeps for both sides. */
    for (int i = 0; i < 400; i++) {
        buf_append_string(&batch, "GET /");
        for (int k = 0; k < 15000; k++) {
            buf_put_u8(&batch, 'x');
        }
        buf_append_string(&batch, " HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    rpc_peer_send(&peer, batch.data, batch.len);
    uint32_t before = 1;
    while (site.requests != before) {
        before = site.requests;
        rpc_run_for(&site.fixture, 100);
    }
    assert_in_range(site.requests, 1, 300);
    stream_resume(peer.stream);
    while (site.requests < 400) {
        rpc_run_for(&site.fixture, 1);
    }
    stream_close(peer.stream);
    buf_deinit(&peer.received);
    buf_deinit(&batch);
    site_stop(&site);
}

static void test_the_longest_idle_gives_way_when_a_source_has_its_share(void **state)
{
    (void)state;
    static struct rpc_peer peers[HTTP1_SOURCE_MAX + 1];
    struct site site;
    site_start(&site);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        site_visit(&site, &peers[i]);
        if (i == 0) {
            rpc_run_for(&site.fixture, 5);
        }
    }
    rpc_run_until(&site.fixture, &peers[0].closed, "the end of the oldest");
    site_ask(&site, &peers[HTTP1_SOURCE_MAX], "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "0\n");
    for (size_t i = 1; i < ARRAY_LEN(peers); i++) {
        stream_close(peers[i].stream);
    }
    buf_deinit(&peers[HTTP1_SOURCE_MAX].received);
    site_stop(&site);
}

static enum http1_claim claim(bool asked, bool answered, uint64_t quiet_ms, uint32_t of_its_source)
{
    return http1_claim_by(&(struct http1_standing){.asked = asked,
                                                   .answered = answered,
                                                   .quiet_ms = quiet_ms,
                                                   .of_its_source = of_its_source});
}

static void test_who_asked_or_has_just_come_gives_way_after_all_who_are_idle(void **state)
{
    (void)state;
    enum http1_claim idle = claim(false, true, 1, 1);
    /* Idle is who was answered, and who had time to ask, from wherever. */
    assert_int_equal(claim(false, true, HTTP1_IDLE_MS, HTTP1_SOURCE_MAX), idle);
    assert_int_equal(claim(false, false, HTTP1_GRACE_MS, 1), idle);
    /* A request that has waited for long for its turn is no idle one. */
    assert_true(claim(true, false, HTTP1_READ_MS, 1) > idle);
    assert_true(claim(true, true, HTTP1_READ_MS, 1) > idle);
    assert_true(claim(true, true, 0, HTTP1_SOURCE_MAX) > idle);
    assert_true(claim(false, false, HTTP1_GRACE_MS - 1, 1) > idle);
    /* Among those that are busy, an address that has many gives way to one that has few. */
    enum http1_claim of_many = claim(true, false, 0, HTTP1_SOURCE_FEW + 1);
    assert_int_equal(claim(false, false, 0, HTTP1_SOURCE_MAX), of_many);
    assert_true(claim(false, false, 0, HTTP1_SOURCE_FEW) > of_many);
    assert_true(claim(true, false, 0, HTTP1_SOURCE_FEW) > of_many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_of_the_loop_answers_a_bounded_number_one_of_a_connection),
        cmocka_unit_test(test_nothing_more_is_looked_at_while_an_answer_is_not_read),
        cmocka_unit_test(test_the_longest_idle_gives_way_when_a_source_has_its_share),
        cmocka_unit_test(test_who_asked_or_has_just_come_gives_way_after_all_who_are_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
