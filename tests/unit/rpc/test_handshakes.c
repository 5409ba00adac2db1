/* SPDX-License-Identifier: Apache-2.0 */
/* Many clients at once: their handshakes are shared out over turns of the loop, so that peers and
 * timers get their part, and all of them finish. */
#include "base/mem.h"
#include "rpc_fixture.h"

enum {
    CLIENTS = 400
};

struct crowd {
    struct rpc_peer clients[CLIENTS];
    struct rpc_peer servers[CLIENTS];
    volatile uint32_t accepted;
    volatile uint32_t all_accepted;
    uint32_t accepted_before; /* this turn */
    uint32_t most_in_a_turn;
};

static void on_accept(struct stream *stream, void *ctx)
{
    struct crowd *crowd = ctx;
    rpc_peer_adopt(&crowd->servers[crowd->accepted], stream);
    crowd->accepted++;
    crowd->all_accepted = crowd->accepted == CLIENTS;
}

static void on_turn(uv_prepare_t *prepare)
{
    struct crowd *crowd = prepare->data;
    uint32_t in_this_turn = crowd->accepted - crowd->accepted_before;
    crowd->accepted_before = crowd->accepted;
    if (in_this_turn > crowd->most_in_a_turn) {
        crowd->most_in_a_turn = in_this_turn;
    }
}

/* Connects all of them in one turn, and runs until all are in. */
static void crowd_in(struct rpc_fixture *fixture, struct crowd *crowd, bool urgent)
{
    struct tls *server_tls = rpc_tls(rpc_certs(), "n1");
    struct tls *client_tls = rpc_tls(rpc_certs(), "n2");
    struct stream_listener *listener = NULL;
    struct stream_listen_options listen = {
        .address = "127.0.0.1:0",
        .stream = {.tls = server_tls, .tls_role = TLS_SERVER, .is_urgent = urgent},
    };
    struct reason reason = {0};
    uv_prepare_t turns;
    rpc_start(fixture);
    assert_int_equal(uv_prepare_init(&fixture->loop, &turns), 0);
    turns.data = crowd;
    assert_int_equal(uv_prepare_start(&turns, on_turn), 0);
    struct stream_acceptor acceptor = {.on_accept = on_accept, .ctx = crowd};
    assert_int_equal(stream_listen(fixture->net, &listen, acceptor, &reason, &listener), ERR_OK);
    for (size_t i = 0; i < CLIENTS; i++) {
        rpc_peer_connect(fixture,
                         &crowd->clients[i],
                         stream_listener_port(listener),
                         &(struct stream_options){.tls = client_tls});
    }

    rpc_run_until(fixture, &crowd->all_accepted, "every handshake's end");

    for (size_t i = 0; i < CLIENTS; i++) {
        stream_close(crowd->servers[i].stream);
        stream_close(crowd->clients[i].stream);
    }
    stream_listener_close(listener);
    uv_close((uv_handle_t *)&turns, NULL);
    rpc_stop(fixture);
    tls_free(server_tls);
    tls_free(client_tls);
}

static void test_handshakes_of_many_clients_are_shared_out_over_turns(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct crowd *crowd = mem_new(sizeof(*crowd));
    crowd_in(&fixture, crowd, false);
    /* 10 ms each turn, and no processor does a quarter of them in that time. */
    assert_in_range(crowd->most_in_a_turn, 1, CLIENTS / 4);
    mem_free(crowd);
}

static void test_urgent_handshakes_do_not_wait(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct crowd *crowd = mem_new(sizeof(*crowd));
    crowd_in(&fixture, crowd, true);
    assert_in_range(crowd->most_in_a_turn, CLIENTS / 4, CLIENTS);
    mem_free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes_of_many_clients_are_shared_out_over_turns),
        cmocka_unit_test(test_urgent_handshakes_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
