/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that send more than a turn of the loop can take: each has its part, one after the
 * other, whoever came first and however much he sent. */
#include "rpc_fixture.h"

#include "base/check.h"
#include "rpc/net_internal.h"

#include <string.h>

enum {
    SENDERS_MAX = 8,
    READS_MAX = 512
};

struct scene;

struct sender {
    struct scene *scene;
    struct rpc_peer client;
    struct stream *server;
    uint32_t taken; /* bytes */
};

/* Who was read, in order: the index of each. */
struct scene {
    struct rpc_fixture fixture;
    struct stream_listener *listener;
    struct sender senders[SENDERS_MAX];
    uint32_t count;
    volatile uint32_t accepted;
    volatile uint32_t all_accepted;
    volatile uint32_t all_taken;
    uint32_t bytes_each;
    uint64_t read_ns; /* what each read costs */
    uint8_t reads[READS_MAX];
    uint32_t reads_count;
};

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    (void)stream;
    struct sender *sender = ctx;
    struct scene *scene = sender->scene;
    assert_true(scene->reads_count < READS_MAX);
    scene->reads[scene->reads_count++] = (uint8_t)(sender - scene->senders);
    sender->taken += (uint32_t)bytes.len;
    scene->all_taken = 1;
    for (uint32_t i = 0; i < scene->count; i++) {
        scene->all_taken &= scene->senders[i].taken == scene->bytes_each;
    }
    uint64_t began_ns = uv_hrtime();
    while (uv_hrtime() - began_ns < scene->read_ns) {
    }
}

static const struct stream_handlers handlers = {.on_read = on_read};

static void on_accept(struct stream *stream, void *ctx)
{
    struct scene *scene = ctx;
    struct sender *sender = &scene->senders[scene->accepted];
    sender->server = stream;
    stream_set_handlers(stream, &handlers, sender);
    stream_pause(stream);
    scene->accepted++;
    scene->all_accepted = scene->accepted == scene->count;
}

/* So many connections that have all sent so much, and of which nothing was read. */
static void scene_start(struct scene *scene, uint32_t count, uint32_t bytes_each, uint64_t read_ns)
{
    static uint8_t bytes[256 * 1024];
    struct reason reason = {0};
    struct stream_listen_options listen = {.address = "127.0.0.1:0"};
    struct stream_acceptor acceptor = {.on_accept = on_accept, .ctx = scene};
    assert_true(bytes_each <= sizeof(bytes) && count <= SENDERS_MAX);
    memset(scene, 0, sizeof(*scene));
    scene->count = count;
    scene->bytes_each = bytes_each;
    scene->read_ns = read_ns;
    rpc_start(&scene->fixture);
    assert_int_equal(
        stream_listen(scene->fixture.net, &listen, acceptor, &reason, &scene->listener), ERR_OK);
    for (uint32_t i = 0; i < count; i++) {
        scene->senders[i].scene = scene;
        rpc_peer_connect(&scene->fixture,
                         &scene->senders[i].client,
                         stream_listener_port(scene->listener),
                         &(struct stream_options){0});
    }
    rpc_run_until(&scene->fixture, &scene->all_accepted, "every connection");
    for (uint32_t i = 0; i < count; i++) {
        struct stream *client = scene->senders[i].client.stream;
        rpc_peer_send(&scene->senders[i].client, bytes, bytes_each);
        while (stream_queued_bytes(client) > 0) {
            rpc_run_for(&scene->fixture, 1);
        }
    }
}

/* All are read from now on, until there is nothing left. */
static void scene_read(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->count; i++) {
        stream_resume(scene->senders[i].server);
    }
    rpc_run_until(&scene->fixture, &scene->all_taken, "all that was sent");
}

static void scene_stop(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->count; i++) {
        stream_close(scene->senders[i].server);
        stream_close(scene->senders[i].client.stream);
    }
    stream_listener_close(scene->listener);
    rpc_stop(&scene->fixture);
}

/* The longest time that one was not read, in reads of others, while it had something. */
static uint32_t longest_wait(const struct scene *scene, uint32_t index)
{
    uint32_t longest = 0;
    uint32_t waited = 0;
    for (uint32_t i = 0; i < scene->reads_count; i++) {
        if (scene->reads[i] == index) {
            longest = waited > longest ? waited : longest;
            waited = 0;
        } else {
            waited++;
        }
    }
    return longest;
}

static void test_who_sends_much_has_one_part_before_the_next_has_his(void **state)
{
    (void)state;
    static struct scene scene;
    scene_start(&scene, 2, 16 * NET_PART_BYTES, NET_PART_NS);

    scene_read(&scene);

    assert_in_range(longest_wait(&scene, 0), 0, 1);
    assert_in_range(longest_wait(&scene, 1), 0, 1);
    scene_stop(&scene);
}

static void test_all_have_a_part_before_one_has_a_second_though_a_turn_takes_one(void **state)
{
    (void)state;
    static struct scene scene;
    scene_start(&scene, 4, 6 * NET_PART_BYTES, NET_PARTS_NS);

    scene_read(&scene);

    for (uint32_t i = 0; i < scene.count; i++) {
        assert_in_range(longest_wait(&scene, i), 0, 2 * (scene.count - 1));
    }
    scene_stop(&scene);
}

static void test_one_that_is_preferred_has_a_part_of_each_turn(void **state)
{
    (void)state;
    static struct scene scene;
    uint32_t preferred = SENDERS_MAX - 1;
    scene_start(&scene, SENDERS_MAX, 4 * NET_PART_BYTES, NET_PARTS_NS);
    stream_prefer(scene.senders[preferred].server);

    scene_read(&scene);

    assert_in_range(longest_wait(&scene, preferred), 0, 2);
    scene_stop(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_sends_much_has_one_part_before_the_next_has_his),
        cmocka_unit_test(test_all_have_a_part_before_one_has_a_second_though_a_turn_takes_one),
        cmocka_unit_test(test_one_that_is_preferred_has_a_part_of_each_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
