/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over real loopback sockets: what goes in comes out, and each way to end gives its own
 * reason. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc_fixture.h"
#include "tests/support/support_port.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A listener whose one stream is kept. */
struct listening {
    struct stream_listener *listener;
    struct rpc_peer server;
    uint16_t port;
    volatile uint32_t accepted;
};

static void keep_accepted(struct stream *stream, void *ctx)
{
    struct listening *listening = ctx;
    rpc_peer_adopt(&listening->server, stream);
    listening->accepted++;
}

static void
listen_on(struct rpc_fixture *fixture, struct listening *out, const struct stream_options *options)
{
    *out = (struct listening){0};
    struct stream_listen_options listen = {.address = "127.0.0.1:0", .stream = *options};
    struct reason reason = {0};
    assert_int_equal(stream_listen(fixture->net,
                                   &listen,
                                   (struct stream_acceptor){.on_accept = keep_accepted, .ctx = out},
                                   &reason,
                                   &out->listener),
                     ERR_OK);
    out->port = stream_listener_port(out->listener);
}

static void
close_both(struct rpc_fixture *fixture, struct listening *listening, struct rpc_peer *client)
{
    if (client->stream != NULL) {
        stream_close(client->stream);
    }
    if (listening->server.stream != NULL) {
        stream_close(listening->server.stream);
    }
    stream_listener_close(listening->listener);
    rpc_stop(fixture);
    buf_deinit(&client->received);
    buf_deinit(&listening->server.received);
    assert_true(client->closed <= 1 && listening->server.closed <= 1);
}

static void exchange_bytes(struct tls *server_tls, struct tls *client_tls)
{
    struct rpc_fixture fixture;
    struct listening listening;
    struct rpc_peer client;

    enum {
        LEN = 300000
    };

    uint8_t *bytes = mem_new(LEN);
    for (size_t i = 0; i < LEN; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    rpc_start(&fixture);
    listen_on(&fixture,
              &listening,
              &(struct stream_options){.tls = server_tls, .tls_role = TLS_SERVER, .alpn = "x"});
    rpc_peer_connect(&fixture,
                     &client,
                     listening.port,
                     &(struct stream_options){.tls = client_tls, .alpn = "x"});
    rpc_run_until(&fixture, &listening.accepted, "accept");
    rpc_run_until(&fixture, &client.opened, "open");

    rpc_peer_send(&client, bytes, LEN);
    rpc_peer_send(&listening.server, "answer", 6);
    rpc_peer_await(&fixture, &listening.server, LEN);
    rpc_peer_await(&fixture, &client, 6);

    assert_int_equal(listening.server.received.len, LEN);
    assert_memory_equal(listening.server.received.data, bytes, LEN);
    assert_memory_equal(client.received.data, "answer", 6);
    if (server_tls != NULL) {
        assert_string_equal(stream_peer(listening.server.stream), tls_identity(client_tls));
        assert_string_equal(stream_peer(client.stream), tls_identity(server_tls));
    } else {
        assert_string_equal(stream_peer(client.stream), "");
    }
    close_both(&fixture, &listening, &client);
    mem_free(bytes);
}

static void test_bytes_arrive_over_a_plain_stream(void **state)
{
    (void)state;
    exchange_bytes(NULL, NULL);
}

static void test_bytes_arrive_over_mutual_tls_and_each_side_knows_the_other(void **state)
{
    (void)state;
    struct tls *server = rpc_tls(rpc_certs(), "n1");
    struct tls *client = rpc_tls(rpc_certs(), "n2");
    exchange_bytes(server, client);
    tls_free(server);
    tls_free(client);
}

static void test_a_refused_connection_says_refused(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct rpc_peer client;
    rpc_start(&fixture);
    rpc_peer_connect(&fixture, &client, support_free_port(), &(struct stream_options){0});
    rpc_run_until(&fixture, &client.closed, "close");
    assert_int_equal(client.reason, STREAM_REFUSED);
    assert_non_null(strstr(client.detail, "refused"));
    rpc_stop(&fixture);
}

static void test_a_silent_host_says_timeout(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening;
    struct rpc_peer client;
    struct tls *tls = rpc_tls(rpc_certs(), "n1");
    rpc_start(&fixture);
    /* A plain listener never answers a TLS hello. */
    listen_on(&fixture, &listening, &(struct stream_options){0});
    rpc_peer_connect(&fixture,
                     &client,
                     listening.port,
                     &(struct stream_options){.tls = tls, .handshake_timeout_ms = 60});
    rpc_run_until(&fixture, &client.closed, "close");
    assert_int_equal(client.reason, STREAM_TIMEOUT);
    close_both(&fixture, &listening, &client);
    tls_free(tls);
}

static void test_a_client_that_never_shakes_hands_is_dropped(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening;
    struct rpc_peer client;
    struct tls *tls = rpc_tls(rpc_certs(), "n1");
    rpc_start(&fixture);
    listen_on(&fixture,
              &listening,
              &(struct stream_options){
                  .tls = tls,
                  .tls_role = TLS_SERVER,
                  .handshake_timeout_ms = 60,
              });
    rpc_peer_connect(&fixture, &client, listening.port, &(struct stream_options){0});
    rpc_run_until(&fixture, &client.closed, "close");
    assert_int_equal(client.reason, STREAM_EOF);
    assert_int_equal(listening.accepted, 0);
    assert_int_equal(stream_listener_connections(listening.listener), 0);
    close_both(&fixture, &listening, &client);
    tls_free(tls);
}

static void test_the_end_of_the_peer_says_eof_and_its_reset_says_reset(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct rpc_fixture fixture;
        struct listening listening;
        struct rpc_peer client = {0};
        rpc_start(&fixture);
        listen_on(&fixture, &listening, &(struct stream_options){0});
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in address = {
            .sin_family = AF_INET,
            .sin_port = htons(listening.port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        rpc_run_until(&fixture, &listening.accepted, "accept");
        struct linger linger = {.l_onoff = reset, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(fd);
        rpc_run_until(&fixture, &listening.server.closed, "close");
        assert_int_equal(listening.server.reason, reset ? STREAM_RESET : STREAM_EOF);
        close_both(&fixture, &listening, &client);
    }
}

static void test_finish_delivers_everything_before_the_end(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening;
    struct rpc_peer client;
    struct tls *server = rpc_tls(rpc_certs(), "n1");
    struct tls *other = rpc_tls(rpc_certs(), "n2");

    enum {
        LEN = 3000000
    };

    uint8_t *bytes = mem_new(LEN);
    rpc_start(&fixture);
    listen_on(
        &fixture, &listening, &(struct stream_options){.tls = server, .tls_role = TLS_SERVER});
    rpc_peer_connect(&fixture, &client, listening.port, &(struct stream_options){.tls = other});
    rpc_run_until(&fixture, &listening.accepted, "accept");
    rpc_peer_send(&listening.server, bytes, LEN);
    stream_finish(listening.server.stream);
    assert_int_equal(stream_write(listening.server.stream, slice_of("x", 1)), ERR_CLOSED);
    rpc_peer_await(&fixture, &client, LEN);
    rpc_run_until(&fixture, &client.closed, "client's close");
    assert_int_equal(client.reason, STREAM_EOF);
    rpc_run_until(&fixture, &listening.server.closed, "server's close");
    assert_int_equal(listening.server.reason, STREAM_CLOSED_HERE);
    close_both(&fixture, &listening, &client);
    mem_free(bytes);
    tls_free(server);
    tls_free(other);
}

static void test_a_slow_reader_fills_the_queue_to_its_bound_and_drains_later(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening;
    struct rpc_peer client;

    enum {
        CHUNK = 65536,
        BOUND = 1 << 20
    };

    uint8_t *bytes = mem_new(CHUNK);
    rpc_start(&fixture);
    listen_on(&fixture, &listening, &(struct stream_options){.write_queue_bytes_max = BOUND});
    rpc_peer_connect(&fixture, &client, listening.port, &(struct stream_options){0});
    rpc_run_until(&fixture, &listening.accepted, "accept");
    rpc_run_until(&fixture, &client.opened, "open");
    stream_pause(client.stream);

    size_t accepted = 0;
    bool stuck = false;
    while (!stuck) {
        while (stream_write(listening.server.stream, slice_of(bytes, CHUNK)) == ERR_OK) {
            accepted += CHUNK;
            assert_true(stream_queued_bytes(listening.server.stream) <= BOUND);
        }
        /* Until the kernel's buffers are full, too. */
        size_t queued = stream_queued_bytes(listening.server.stream);
        rpc_run_for(&fixture, 30);
        stuck = stream_queued_bytes(listening.server.stream) == queued;
    }
    assert_int_equal(stream_write(listening.server.stream, slice_of(bytes, CHUNK)), ERR_EXHAUSTED);
    listening.server.drained = 0; /* it may have, while the kernel still took bytes */
    stream_resume(client.stream);
    rpc_run_until(&fixture, &listening.server.drained, "drain");
    rpc_peer_await(&fixture, &client, accepted);
    assert_int_equal(client.received.len, accepted);
    close_both(&fixture, &listening, &client);
    mem_free(bytes);
}

static void test_a_listener_refuses_connections_beyond_its_bound(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening = {0};
    struct rpc_peer first;
    struct rpc_peer second;
    struct reason reason = {0};
    rpc_start(&fixture);
    struct stream_listen_options listen = {.address = "127.0.0.1:0", .connections_max = 1};
    struct stream_acceptor acceptor = {.on_accept = keep_accepted, .ctx = &listening};
    assert_int_equal(stream_listen(fixture.net, &listen, acceptor, &reason, &listening.listener),
                     ERR_OK);
    uint16_t port = stream_listener_port(listening.listener);
    rpc_peer_connect(&fixture, &first, port, &(struct stream_options){0});
    rpc_run_until(&fixture, &listening.accepted, "accept");
    rpc_peer_connect(&fixture, &second, port, &(struct stream_options){0});
    rpc_run_until(&fixture, &second.closed, "refusal");
    assert_int_equal(stream_listener_connections(listening.listener), 1);
    assert_int_equal(first.closed, 0);
    close_both(&fixture, &listening, &first);
}

static void test_an_address_in_use_is_named(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening;
    struct stream_listener *second = NULL;
    struct reason reason = {0};
    rpc_start(&fixture);
    listen_on(&fixture, &listening, &(struct stream_options){0});
    struct stream_listen_options again = {.address = rpc_address(listening.port)};
    struct stream_acceptor acceptor = {.on_accept = keep_accepted, .ctx = &listening};
    assert_int_equal(stream_listen(fixture.net, &again, acceptor, &reason, &second), ERR_BUSY);
    assert_non_null(strstr(reason.text, again.address));
    again.address = "localhost:80";
    assert_int_equal(stream_listen(fixture.net, &again, acceptor, &reason, &second), ERR_INVALID);
    stream_listener_close(listening.listener);
    rpc_stop(&fixture);
}

static void test_a_forgotten_stream_calls_nobody(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct listening listening;
    struct rpc_peer client;
    rpc_start(&fixture);
    listen_on(&fixture, &listening, &(struct stream_options){0});
    rpc_peer_connect(&fixture, &client, listening.port, &(struct stream_options){0});
    rpc_run_until(&fixture, &listening.accepted, "accept");
    rpc_run_until(&fixture, &client.opened, "open");
    stream_forget(client.stream);
    client.stream = NULL;
    rpc_run_until(&fixture, &listening.server.closed, "the other side's close");
    assert_int_equal(client.closed, 0);
    close_both(&fixture, &listening, &client);
}

static void test_shutdown_of_all_sockets_is_seen_by_the_peer(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct rpc_fixture elsewhere;
    struct listening listening;
    struct rpc_peer client;
    rpc_start(&fixture);
    rpc_start(&elsewhere);
    listen_on(&fixture, &listening, &(struct stream_options){0});
    rpc_peer_connect(&elsewhere, &client, listening.port, &(struct stream_options){0});
    rpc_run_until(&elsewhere, &client.opened, "open");
    rpc_run_until(&fixture, &listening.accepted, "accept");
    net_shutdown_sockets();
    rpc_run_until(&elsewhere, &client.closed, "close");
    assert_int_equal(client.reason, STREAM_EOF);
    rpc_stop(&elsewhere);
    close_both(&fixture, &listening, &client);
}

static void test_addresses_are_numeric_or_refused(void **state)
{
    (void)state;
    assert_int_equal(net_check_address("10.0.0.1:7400"), ERR_OK);
    assert_int_equal(net_check_address("[fd00::1]:7400"), ERR_OK);
    static const char *const bad[] = {"",
                                      "n1:7400",
                                      "10.0.0.1",
                                      "10.0.0.1:",
                                      "1:2:3",
                                      "10.0.0.1:x",
                                      "10.0.0.1:65536",
                                      "[::1:7",
                                      "::1:7400",
                                      "10.0.0.1:-1",
                                      "[]:1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(net_check_address(bad[i]), ERR_INVALID);
    }
    assert_true(net_is_loopback("127.1.2.3:1"));
    assert_true(net_is_loopback("[::1]:1"));
    assert_false(net_is_loopback("0.0.0.0:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_arrive_over_a_plain_stream),
        cmocka_unit_test(test_bytes_arrive_over_mutual_tls_and_each_side_knows_the_other),
        cmocka_unit_test(test_a_refused_connection_says_refused),
        cmocka_unit_test(test_a_silent_host_says_timeout),
        cmocka_unit_test(test_a_client_that_never_shakes_hands_is_dropped),
        cmocka_unit_test(test_the_end_of_the_peer_says_eof_and_its_reset_says_reset),
        cmocka_unit_test(test_finish_delivers_everything_before_the_end),
        cmocka_unit_test(test_a_slow_reader_fills_the_queue_to_its_bound_and_drains_later),
        cmocka_unit_test(test_a_listener_refuses_connections_beyond_its_bound),
        cmocka_unit_test(test_an_address_in_use_is_named),
        cmocka_unit_test(test_a_forgotten_stream_calls_nobody),
        cmocka_unit_test(test_shutdown_of_all_sockets_is_seen_by_the_peer),
        cmocka_unit_test(test_addresses_are_numeric_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
