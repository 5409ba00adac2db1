/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 server as a raw client sees it: answers, bounds, garbage, keep-alive. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc_site.h"

#include <stdio.h>
#include <string.h>

static void expect_refusal(const char *request, const char *status)
{
    struct site site;
    struct rpc_peer peer;
    site_start(&site);
    site_visit(&site, &peer);
    rpc_peer_send(&peer, request, strlen(request));
    rpc_run_until(&site.fixture, &peer.closed, "the end of the connection");
    buf_put_u8(&peer.received, 0);
    const char *text = (const char *)peer.received.data;
    if (strncmp(text, "HTTP/1.1 ", 9) != 0 || strncmp(text + 9, status, 3) != 0 ||
        strstr(text, "Connection: close\r\n") == NULL) {
        fail_msg("%.100s -> %s", request, text);
    }
    assert_int_equal(site.requests, 0);
    buf_deinit(&peer.received);
    site_stop(&site);
}

static void test_requests_on_one_connection_are_answered_in_turn(void **state)
{
    (void)state;
    struct site site;
    struct rpc_peer peer;
    site_start(&site);
    site_visit(&site, &peer);
    site_ask(&site, &peer, "GET /a%20b?x=1&y=2#z HTTP/1.1\r\nHost: h\r\n\r\n", "[x=1&y=2] () 0\n");
    assert_non_null(strstr((const char *)peer.received.data, "0 /a b "));
    assert_non_null(strstr((const char *)peer.received.data, "Content-Length: 22\r\n"));
    site_ask(&site,
             &peer,
             "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
             "3 /p [] () 5\n");
    site_ask(
        &site,
        &peer,
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "3 /c [] () 3\n");
    site_ask(&site, &peer, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "2 / [] () 0\n");
    assert_int_equal(site.requests, 4);
    stream_close(peer.stream);
    buf_deinit(&peer.received);
    site_stop(&site);
}

static void test_pipelined_requests_and_single_bytes_are_understood(void **state)
{
    (void)state;
    struct site site;
    struct rpc_peer peer;
    site_start(&site);
    site_visit(&site, &peer);
    site_ask(&site,
             &peer,
             "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 "
             "HTTP/1.1\r\nHost: h\r\n\r\n",
             "0 /3 [] () 0\n");
    assert_int_equal(site.requests, 3);
    buf_clear(&peer.received);
    static const char slow[] = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n";
    for (size_t i = 0; i + 1 < sizeof(slow); i++) {
        rpc_peer_send(&peer, slow + i, 1);
        rpc_run_for(&site.fixture, 1);
    }
    rpc_peer_await(&site.fixture, &peer, 30);
    assert_int_equal(site.requests, 4);
    stream_close(peer.stream);
    buf_deinit(&peer.received);
    site_stop(&site);
}

static void test_head_has_the_length_and_no_body(void **state)
{
    (void)state;
    struct site site;
    struct rpc_peer peer;
    site_start(&site);
    site_visit(&site, &peer);
    site_ask(&site, &peer, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
    assert_non_null(strstr((const char *)peer.received.data, "Content-Length: 13\r\n"));
    stream_close(peer.stream);
    buf_deinit(&peer.received);
    site_stop(&site);
}

static void test_close_and_http_1_0_end_the_connection_after_the_answer(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct site site;
        struct rpc_peer peer;
        site_start(&site);
        site_visit(&site, &peer);
        rpc_peer_send(&peer, requests[i], strlen(requests[i]));
        rpc_run_until(&site.fixture, &peer.closed, "the end");
        assert_int_equal(peer.reason, STREAM_EOF);
        assert_memory_equal(peer.received.data, "HTTP/1.1 200 OK\r\n", 17);
        assert_memory_equal(peer.received.data + peer.received.len - 4, ") 0\n", 4);
        buf_deinit(&peer.received);
        site_stop(&site);
    }
}

static void test_what_is_not_acceptable_is_refused_and_the_connection_closed(void **state)
{
    (void)state;
    expect_refusal("\x16\x03\x01 garbage\r\n\r\n", "400");
    expect_refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400");
    expect_refusal("DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n", "405");
    expect_refusal("GET /../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n", "400");
    expect_refusal("GET /x/%2e%2e/y HTTP/1.1\r\nHost: h\r\n\r\n", "400");
    expect_refusal("GET /x%00y HTTP/1.1\r\nHost: h\r\n\r\n", "400");
    expect_refusal("GET /x%4 HTTP/1.1\r\nHost: h\r\n\r\n", "400");
    expect_refusal("GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n", "400");
    expect_refusal("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n", "413");
    expect_refusal("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   "400");
}

static void test_long_headers_and_long_chunked_bodies_are_refused(void **state)
{
    (void)state;
    struct buf request = {0};
    buf_append_string(&request, "GET /x HTTP/1.1\r\nX: ");
    for (int i = 0; i < 17000; i++) {
        buf_put_u8(&request, 'a');
    }
    buf_append(&request, "\r\n\r\n", 5);
    expect_refusal((const char *)request.data, "431");
    buf_clear(&request);
    buf_append_string(&request, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 17; i++) {
        buf_append_string(&request, "1000\r\n");
        for (int k = 0; k < 4096; k++) {
            buf_put_u8(&request, 'b');
        }
        buf_append_string(&request, "\r\n");
    }
    buf_put_u8(&request, 0);
    expect_refusal((const char *)request.data, "413");
    buf_deinit(&request);
}

static void test_an_answer_may_come_later_and_requests_wait_for_it(void **state)
{
    (void)state;
    struct site site;
    struct rpc_peer peer;
    site_start(&site);
    site_visit(&site, &peer);
    static const char two[] =
        "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    rpc_peer_send(&peer, two, sizeof(two) - 1);
    rpc_run_until(&site.fixture, &site.requests, "the first request");
    rpc_run_for(&site.fixture, 20);
    assert_int_equal(site.requests, 1);
    assert_int_equal(peer.received.len, 0);
    http1_reply(site.held,
                &(struct http1_response){
                    .status = 503,
                    .content_type = "application/json",
                    .body = slice_of_string("{}"),
                    .extra_headers = "X-Role: standby\r\n",
                });
    site_ask(&site, &peer, "GET /y HTTP/1.1\r\nHost: h\r\n\r\n", "0 /y [] () 0\n");
    const char *text = (const char *)peer.received.data;
    assert_non_null(strstr(text, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_non_null(strstr(text, "X-Role: standby\r\n"));
    assert_true(strstr(text, "{}") < strstr(text, "0 /x "));
    stream_close(peer.stream);
    buf_deinit(&peer.received);
    site_stop(&site);
}

static void test_stopping_aborts_what_waits(void **state)
{
    (void)state;
    struct site site;
    struct rpc_peer peer;
    site_start(&site);
    site_visit(&site, &peer);
    rpc_peer_send(&peer, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n", 32);
    rpc_run_until(&site.fixture, &site.requests, "the request");
    http1_free(site.http1);
    assert_int_equal(site.aborted, 1);
    rpc_run_until(&site.fixture, &peer.closed, "the end");
    buf_deinit(&peer.received);
    rpc_stop(&site.fixture);
}

static void test_over_tls_the_handler_knows_the_visitor(void **state)
{
    (void)state;
    struct site site = {0};
    struct rpc_peer peer;
    struct reason reason = {0};
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    struct tls *other = rpc_tls(rpc_certs(), "ops");
    rpc_start(&site.fixture);
    struct http1_options options = {
        .address = "127.0.0.1:0",
        .tls = ours,
        .tls_role = TLS_SERVER_PUBLIC,
        .handler = site_on_request,
        .ctx = &site,
    };
    assert_int_equal(http1_new(site.fixture.net, &options, &reason, &site.http1), ERR_OK);
    rpc_peer_connect(&site.fixture,
                     &peer,
                     http1_port(site.http1),
                     &(struct stream_options){.tls = other, .alpn = NULL});
    rpc_run_until(&site.fixture, &peer.opened, "open");
    site_ask(&site,
             &peer,
             "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
             "(spiffe://indaba.test/operator/anna) 0\n");
    stream_close(peer.stream);
    buf_deinit(&peer.received);
    site_stop(&site);
    tls_free(ours);
    tls_free(other);
}

static void test_query_values_are_found_and_decoded(void **state)
{
    (void)state;
    char value[8];
    assert_int_equal(http1_query_value("a=1&lag=10%4dB&flag&b=", "lag", value, 8), ERR_OK);
    assert_string_equal(value, "10MB");
    assert_int_equal(http1_query_value("a=1&lag=10%4dB&flag&b=", "flag", value, 8), ERR_OK);
    assert_string_equal(value, "");
    assert_int_equal(http1_query_value("a=1&lag=10%4dB&flag&b=", "b", value, 8), ERR_OK);
    assert_string_equal(value, "");
    assert_int_equal(http1_query_value("lagging=1", "lag", value, 8), ERR_NOT_FOUND);
    assert_int_equal(http1_query_value("", "lag", value, 8), ERR_NOT_FOUND);
    assert_int_equal(http1_query_value("a=12345678", "a", value, 8), ERR_LIMIT);
    assert_int_equal(http1_query_value("a=%0", "a", value, 8), ERR_INVALID);
    assert_int_equal(http1_query_value("a=%41", "a", value, 8), ERR_OK);
    assert_string_equal(value, "A");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_on_one_connection_are_answered_in_turn),
        cmocka_unit_test(test_pipelined_requests_and_single_bytes_are_understood),
        cmocka_unit_test(test_head_has_the_length_and_no_body),
        cmocka_unit_test(test_close_and_http_1_0_end_the_connection_after_the_answer),
        cmocka_unit_test(test_what_is_not_acceptable_is_refused_and_the_connection_closed),
        cmocka_unit_test(test_long_headers_and_long_chunked_bodies_are_refused),
        cmocka_unit_test(test_an_answer_may_come_later_and_requests_wait_for_it),
        cmocka_unit_test(test_stopping_aborts_what_waits),
        cmocka_unit_test(test_over_tls_the_handler_knows_the_visitor),
        cmocka_unit_test(test_query_values_are_found_and_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
