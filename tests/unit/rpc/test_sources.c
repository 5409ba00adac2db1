/* SPDX-License-Identifier: Apache-2.0 */
/* Who gives way when too many connect: those that have not shaken hands, of the sources that have
 * most, and never whom the owner knows for the sake of whom it does not. Method:
 * sockets of our own, bound to loopback addresses that stand for hosts. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_internal.h"
#include "rpc_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HALF_OPEN_MAX = 8,
    SOCKETS_MAX = 64
};

struct gate {
    struct rpc_fixture fixture;
    struct tls *tls;
    struct stream_listener *listener;
    int sockets[SOCKETS_MAX];
    uint32_t count;
    volatile uint32_t accepted;
};

static void on_accept(struct stream *stream, void *ctx)
{
    struct gate *gate = ctx;
    gate->accepted++;
    stream_forget(stream);
}

/* It stays, and is counted. */
static void on_accept_keep(struct stream *stream, void *ctx)
{
    static const struct stream_handlers nothing = {0};
    struct gate *gate = ctx;
    gate->accepted++;
    stream_set_handlers(stream, &nothing, NULL);
}

static bool knows_source(const char *host, void *ctx)
{
    (void)ctx;
    return strcmp(host, "127.0.0.1") == 0;
}

static void gate_open(struct gate *gate)
{
    *gate = (struct gate){0};
    rpc_start(&gate->fixture);
    gate->tls = rpc_tls(rpc_certs(), "n1");
    const struct stream_listen_options listen = {
        .address = "127.0.0.1:0",
        .stream = {.tls = gate->tls, .tls_role = TLS_SERVER},
        .half_open_max = HALF_OPEN_MAX,
        .knows_source = knows_source,
    };
    struct stream_acceptor acceptor = {.on_accept = on_accept, .ctx = gate};
    struct reason reason = {0};
    assert_int_equal(stream_listen(gate->fixture.net, &listen, acceptor, &reason, &gate->listener),
                     ERR_OK);
}

static void gate_close(struct gate *gate)
{
    for (uint32_t i = 0; i < gate->count; i++) {
        (void)close(gate->sockets[i]);
    }
    stream_listener_close(gate->listener);
    rpc_stop(&gate->fixture);
    tls_free(gate->tls);
}

/* So many connections from that host, each let in before the next; the index of the first. */
static uint32_t come(struct gate *gate, const char *host, uint32_t count)
{
    uint32_t first = gate->count;
    for (uint32_t i = 0; i < count; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(stream_listener_port(gate->listener))};
        assert_int_equal(inet_pton(AF_INET, host, &from.sin_addr), 1);
        assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
        int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(file >= 0 && gate->count < SOCKETS_MAX);
        assert_int_equal(bind(file, (const struct sockaddr *)&from, sizeof(from)), 0);
        assert_int_equal(connect(file, (const struct sockaddr *)&to, sizeof(to)), 0);
        gate->sockets[gate->count++] = file;
        (void)uv_run(&gate->fixture.loop, UV_RUN_NOWAIT);
        (void)uv_run(&gate->fixture.loop, UV_RUN_NOWAIT);
    }
    return first;
}

/* Its first bytes, which are not all that a handshake needs. */
static void speak(struct gate *gate, uint32_t at)
{
    static const uint8_t hello[] = {0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3};
    assert_int_equal(send(gate->sockets[at], hello, sizeof(hello), 0), sizeof(hello));
    (void)uv_run(&gate->fixture.loop, UV_RUN_NOWAIT);
    (void)uv_run(&gate->fixture.loop, UV_RUN_NOWAIT);
}

static bool is_open(const struct gate *gate, uint32_t at)
{
    char byte;
    return recv(gate->sockets[at], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static uint32_t count_open(const struct gate *gate, uint32_t first, uint32_t count)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < count; i++) {
        open += is_open(gate, first + i);
    }
    return open;
}

static void test_the_oldest_of_a_source_gives_way_to_its_own(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate);
    uint32_t first = come(&gate, "127.0.0.2", HALF_OPEN_MAX / 2 + 2);
    assert_false(is_open(&gate, first));
    assert_false(is_open(&gate, first + 1));
    assert_int_equal(count_open(&gate, first + 2, HALF_OPEN_MAX / 2), HALF_OPEN_MAX / 2);
    gate_close(&gate);
}

static void test_who_has_said_something_outlasts_who_has_not(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate);
    uint32_t first = come(&gate, "127.0.0.2", 1);
    speak(&gate, first);
    come(&gate, "127.0.0.2", 3 * HALF_OPEN_MAX);
    assert_true(is_open(&gate, first));
    gate_close(&gate);
}

static void test_one_of_the_source_that_has_most_gives_way_to_another_source(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate);
    uint32_t many = come(&gate, "127.0.0.2", HALF_OPEN_MAX / 2);
    uint32_t few = come(&gate, "127.0.0.3", 2);
    uint32_t some = come(&gate, "127.0.0.4", HALF_OPEN_MAX / 2);
    assert_int_equal(count_open(&gate, few, 2), 2);
    assert_true(count_open(&gate, many, HALF_OPEN_MAX / 2) < HALF_OPEN_MAX / 2);
    assert_true(is_open(&gate, some + HALF_OPEN_MAX / 2 - 1));
    assert_int_equal(stream_listener_connections(gate.listener), HALF_OPEN_MAX);
    gate_close(&gate);
}

static void test_strangers_do_not_push_out_who_is_known(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate);
    uint32_t known = come(&gate, "127.0.0.1", HALF_OPEN_MAX / 2);
    for (int host = 0; host < 4; host++) {
        static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"};
        come(&gate, hosts[host], HALF_OPEN_MAX);
    }
    assert_int_equal(count_open(&gate, known, HALF_OPEN_MAX / 2), HALF_OPEN_MAX / 2);
    assert_int_equal(stream_listener_connections(gate.listener), HALF_OPEN_MAX + HALF_OPEN_MAX / 2);
    gate_close(&gate);
}

/* As many hosts as there is room for, and many more: whom chance spares is somebody of each. */
static void test_of_many_sources_that_came_at_once_any_one_gives_way(void **state)
{
    (void)state;

    enum {
        ROUNDS = 40
    };

    uint32_t first_open = 0;
    uint32_t last_open = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct gate gate;
        gate_open(&gate);
        for (int host = 0; host < HALF_OPEN_MAX + 4; host++) {
            char address[NET_ADDRESS_SIZE];
            (void)snprintf(address, sizeof(address), "127.0.%d.9", 1 + host);
            come(&gate, address, 1);
        }
        first_open += is_open(&gate, 0);
        last_open += is_open(&gate, HALF_OPEN_MAX - 1);
        assert_int_equal(count_open(&gate, 0, HALF_OPEN_MAX + 4), HALF_OPEN_MAX);
        gate_close(&gate);
    }
    assert_in_range(first_open, 1, ROUNDS - 1);
    assert_in_range(last_open, 1, ROUNDS - 1);
}

static void on_accept_remember(struct stream *stream, void *ctx)
{
    stream_remember_source(stream);
    on_accept(stream, ctx);
}

static void test_who_was_here_keeps_its_room_among_strangers(void **state)
{
    (void)state;
    struct gate gate;
    struct rpc_peer client;
    gate_open(&gate);
    /* Known hosts are asked for by address: this one is known only because it was here. */
    gate.listener->options.knows_source = NULL;
    gate.listener->acceptor.on_accept = on_accept_remember;
    struct tls *tls = rpc_tls(rpc_certs(), "n2");
    rpc_peer_connect(&gate.fixture,
                     &client,
                     stream_listener_port(gate.listener),
                     &(struct stream_options){.tls = tls});
    rpc_run_until(&gate.fixture, &client.closed, "the end of the connection");
    assert_int_equal(gate.accepted, 1);
    uint32_t known = come(&gate, "127.0.0.1", HALF_OPEN_MAX / 2);
    for (int host = 0; host < 3 * HALF_OPEN_MAX; host++) {
        char address[NET_ADDRESS_SIZE];
        (void)snprintf(address, sizeof(address), "127.0.%d.9", 1 + host);
        come(&gate, address, 1);
    }
    assert_int_equal(count_open(&gate, known, HALF_OPEN_MAX / 2), HALF_OPEN_MAX / 2);
    tls_free(tls);
    gate_close(&gate);
}

static void test_a_handshake_goes_through_a_crowd_that_says_nothing(void **state)
{
    (void)state;
    struct gate gate;
    struct rpc_peer client;
    gate_open(&gate);
    come(&gate, "127.0.0.1", 2 * HALF_OPEN_MAX);
    struct tls *tls = rpc_tls(rpc_certs(), "n2");
    rpc_peer_connect(&gate.fixture,
                     &client,
                     stream_listener_port(gate.listener),
                     &(struct stream_options){.tls = tls});
    come(&gate, "127.0.0.1", HALF_OPEN_MAX / 4);
    rpc_run_until(&gate.fixture, &gate.accepted, "a handshake");
    rpc_run_until(&gate.fixture, &client.closed, "the end of the connection");
    tls_free(tls);
    gate_close(&gate);
}

struct accept_turns {
    struct gate *gate;
    uint32_t before;
    uint32_t most;
};

static void on_turn_end(uv_check_t *check)
{
    struct accept_turns *turns = check->data;
    uint32_t now = stream_listener_connections(turns->gate->listener);
    uint32_t in_this_turn = now - turns->before;
    turns->before = now;
    turns->most = in_this_turn > turns->most ? in_this_turn : turns->most;
}

static void test_a_turn_of_the_loop_lets_in_a_bounded_number(void **state)
{
    (void)state;

    enum {
        MANY = 3 * STREAM_ACCEPTS_A_TURN
    };

    static int sockets[MANY];
    struct gate gate = {0};
    struct accept_turns turns = {.gate = &gate};
    uv_check_t check;
    rpc_start(&gate.fixture);
    const struct stream_listen_options listen = {.address = "127.0.0.1:0", .connections_max = 1024};
    struct stream_acceptor acceptor = {.on_accept = on_accept_keep, .ctx = &gate};
    struct reason reason = {0};
    assert_int_equal(stream_listen(gate.fixture.net, &listen, acceptor, &reason, &gate.listener),
                     ERR_OK);
    assert_int_equal(uv_check_init(&gate.fixture.loop, &check), 0);
    check.data = &turns;
    assert_int_equal(uv_check_start(&check, on_turn_end), 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(stream_listener_port(gate.listener))};
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
    /* All of them have come before the loop looks. */
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(
            connect(sockets[i], (const struct sockaddr *)(const void *)&to, sizeof(to)), 0);
    }
    while (gate.accepted < MANY) {
        (void)uv_run(&gate.fixture.loop, UV_RUN_NOWAIT);
    }
    (void)uv_run(&gate.fixture.loop, UV_RUN_NOWAIT);
    assert_in_range(turns.most, 1, STREAM_ACCEPTS_A_TURN);
    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        (void)close(sockets[i]);
    }
    uv_close((uv_handle_t *)&check, NULL);
    stream_listener_close(gate.listener);
    rpc_stop(&gate.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_of_the_loop_lets_in_a_bounded_number),
        cmocka_unit_test(test_the_oldest_of_a_source_gives_way_to_its_own),
        cmocka_unit_test(test_who_has_said_something_outlasts_who_has_not),
        cmocka_unit_test(test_one_of_the_source_that_has_most_gives_way_to_another_source),
        cmocka_unit_test(test_strangers_do_not_push_out_who_is_known),
        cmocka_unit_test(test_of_many_sources_that_came_at_once_any_one_gives_way),
        cmocka_unit_test(test_who_was_here_keeps_its_room_among_strangers),
        cmocka_unit_test(test_a_handshake_goes_through_a_crowd_that_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
