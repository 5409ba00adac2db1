/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the links of a member say of a peer, and whom they take for one. Method: the real
 * links over connections that the test plays: it says when one stands, what comes, and why it ends.
 */
#include "peers/peers_internal.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    NS_PER_MS = 1000 * 1000,
    CONNS_MAX = 16
};

struct peer_conn {
    struct peer_link *link;
    struct peer_inbound *inbound;
    const char *path;
    bool closed;
};

struct bench {
    uint64_t now_ms;
    struct member_config config;
    struct peers *peers;
    struct peer_conn conns[CONNS_MAX];
    uint32_t count;
    uint32_t dead;
    uint32_t alive;
    uint32_t messages;
};

static const struct member_id SELF = {.lo = 1};
static const struct member_id OTHER = {.lo = 2};

static uint64_t now_ns(void *ctx)
{
    const struct bench *bench = ctx;
    return bench->now_ms * NS_PER_MS;
}

static void arm_timer(void *ctx, uint64_t deadline_ms)
{
    (void)ctx;
    (void)deadline_ms;
}

static enum error dial(void *ctx,
                       struct peer_link *link,
                       enum wire_lane lane,
                       const char *address,
                       struct peer_conn **conn_out)
{
    struct bench *bench = ctx;
    (void)lane;
    (void)address;
    assert_true(bench->count < CONNS_MAX);
    struct peer_conn *conn = &bench->conns[bench->count++];
    *conn = (struct peer_conn){.link = link, .path = "/member/b"};
    *conn_out = conn;
    return ERR_OK;
}

static enum error write_frame(struct peer_conn *conn, uint8_t type, struct slice payload)
{
    (void)conn;
    (void)type;
    (void)payload;
    return ERR_OK;
}

static struct peer_party party(const struct peer_conn *conn)
{
    return (struct peer_party){.identity = conn->path, .path = conn->path, .address = ""};
}

static void close_conn(struct peer_conn *conn)
{
    conn->closed = true;
}

static const struct peers_io io = {
    .now_ns = now_ns,
    .arm_timer = arm_timer,
    .dial = dial,
    .write = write_frame,
    .party = party,
    .close = close_conn,
    .finish = close_conn,
    .forget = close_conn,
};

static void on_message(struct raft_message *message, void *ctx)
{
    struct bench *bench = ctx;
    (void)message;
    bench->messages++;
}

static void on_dead(struct member_id peer, void *ctx)
{
    struct bench *bench = ctx;
    assert_true(member_id_equal(peer, OTHER));
    bench->dead++;
}

static void on_alive(struct member_id peer, void *ctx)
{
    struct bench *bench = ctx;
    assert_true(member_id_equal(peer, OTHER));
    bench->alive++;
}

/* A member that has one other: three lanes are dialled to it. */
static void open_bench(struct bench *bench)
{
    *bench = (struct bench){.now_ms = 1000};
    bench->config.member = SELF;
    bench->config.members[0] = (struct member){.id = SELF, .name = "a"};
    bench->config.members_count = 1;
    const struct peers_options options = {
        .io = &io,
        .io_ctx = bench,
        .config = &bench->config,
        .process_incarnation = 1,
        .handlers = {.on_message = on_message, .on_dead = on_dead, .on_alive = on_alive},
        .ctx = bench,
    };
    const struct member other = {
        .id = OTHER, .name = "b", .peer_address = "10.0.0.2:1", .standing = MEMBER_VOTER};
    bench->peers = peers_new(&options);
    peers_set(bench->peers, &other, 1);
    assert_int_equal(bench->count, PEER_LANES);
}

static struct wire_handshake handshake(void)
{
    return (struct wire_handshake){.protocol_version = WIRE_PEER_PROTOCOL_VERSION,
                                   .member = OTHER,
                                   .process_incarnation = 7,
                                   .lane = WIRE_LANE_HEARTBEAT,
                                   .name = "b",
                                   .peer_address = "10.0.0.2:1"};
}

static bool say(const struct bench *bench, uint32_t at, const struct wire_handshake *said)
{
    const struct peer_conn *conn = &bench->conns[at];
    struct buf bytes = {0};
    wire_handshake_encode(said, &bytes);
    bool more = conn->link != NULL
                    ? peer_link_frame(conn->link, PEER_FRAME_HANDSHAKE, buf_view(&bytes))
                    : peer_inbound_frame(conn->inbound, PEER_FRAME_HANDSHAKE, buf_view(&bytes));
    buf_deinit(&bytes);
    return more;
}

static void open_lane(const struct bench *bench, uint32_t at)
{
    const struct wire_handshake said = handshake();
    peer_link_opened(bench->conns[at].link);
    assert_true(say(bench, at, &said));
}

static void refuse(const struct bench *bench, uint32_t at)
{
    const struct peer_end end = {.refused = true, .why = "refused"};
    peer_link_closed(bench->conns[at].link, &end);
}

static uint32_t accept_one(struct bench *bench, const char *path)
{
    struct peer_conn *conn = &bench->conns[bench->count];
    *conn = (struct peer_conn){.path = path};
    conn->inbound = peer_inbound_accepted(bench->peers, conn);
    return bench->count++;
}

static void test_a_refused_dial_proves_that_the_process_is_gone(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);

    refuse(&bench, 0);

    assert_int_equal(bench.dead, 1);
    peers_free(bench.peers);
}

static void test_a_refusal_that_is_late_proves_nothing_of_who_answered_meanwhile(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    bench.now_ms += 10;
    open_lane(&bench, 0);

    bench.now_ms += 10;
    refuse(&bench, 1);

    assert_int_equal(bench.dead, 0);
    peers_free(bench.peers);
}

static void test_a_dial_that_began_after_the_last_answer_proves_the_end_when_refused(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    open_lane(&bench, 0);
    refuse(&bench, 1);
    bench.now_ms += 2000;
    peers_timer(bench.peers);
    assert_int_equal(bench.count, PEER_LANES + 1);

    refuse(&bench, PEER_LANES);

    assert_int_equal(bench.dead, 1);
    peers_free(bench.peers);
}

static void test_a_link_that_stands_again_withdraws_the_proof(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    refuse(&bench, 0);
    bench.now_ms += 2000;
    peers_timer(bench.peers);

    open_lane(&bench, PEER_LANES);

    assert_int_equal(bench.alive, 1);
    peers_free(bench.peers);
}

static void test_who_comes_with_less_than_he_had_is_refused_for_good(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    const struct member known = {
        .id = OTHER, .name = "b", .peer_address = "10.0.0.2:1", .level = 1};
    peers_set(bench.peers, &known, 1);
    struct wire_handshake said = handshake();
    said.blank = true;
    uint32_t at = accept_one(&bench, "/member/b");

    assert_false(say(&bench, at, &said));

    assert_true(bench.conns[at].closed);
    assert_false(peer_inbound_is_known(bench.conns[at].inbound));
    peers_free(bench.peers);
}

static void test_a_handshake_counts_only_with_its_own_certificate(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench);
    const struct wire_handshake said = handshake();
    uint32_t his = accept_one(&bench, "/member/b");
    uint32_t of_another = accept_one(&bench, "/member/c");

    assert_true(say(&bench, his, &said));
    assert_false(say(&bench, of_another, &said));

    peers_free(bench.peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refused_dial_proves_that_the_process_is_gone),
        cmocka_unit_test(test_a_refusal_that_is_late_proves_nothing_of_who_answered_meanwhile),
        cmocka_unit_test(test_a_dial_that_began_after_the_last_answer_proves_the_end_when_refused),
        cmocka_unit_test(test_a_link_that_stands_again_withdraws_the_proof),
        cmocka_unit_test(test_who_comes_with_less_than_he_had_is_refused_for_good),
        cmocka_unit_test(test_a_handshake_counts_only_with_its_own_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
