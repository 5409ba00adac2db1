/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as TCP gives them: in order, nothing lost while both ends live, but held back while a
 * link is cut, and what a paused machine was sent waits for it. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    RETRANSMIT_US = 200 * SIM_MS,
};

static void pump(struct sim *sim, uint32_t number, uint32_t direction);
static bool end_is_paused(const struct sim *sim, enum sim_stream_kind kind, uint32_t node);
static void deliver(struct sim *sim, uint32_t number, uint32_t direction, struct sim_body *body);
static void body_deinit(struct sim_body *body);

uint32_t sim_stream_open(struct sim *sim, enum sim_stream_kind kind, uint32_t a, uint32_t b)
{
    if (sim->streams_count + 1 >= sim->streams_cap) {
        sim->streams_cap = sim->streams_cap == 0 ? 64 : sim->streams_cap * 2;
        sim->streams = mem_resize(sim->streams, sim->streams_cap * sizeof(sim->streams[0]));
    }
    sim->streams_count++;
    struct sim_stream *stream = &sim->streams[sim->streams_count];
    memset(stream, 0, sizeof(*stream));
    stream->kind = kind;
    stream->open = true;
    stream->a = a;
    stream->b = b;
    return sim->streams_count;
}

void sim_stream_send(struct sim *sim, uint32_t number, bool to_b, struct sim_body body)
{
    struct sim_stream *stream = &sim->streams[number];
    uint32_t direction = to_b ? 0 : 1;
    uint64_t delays_us[SIM_COPIES_MAX];

    CHECK(number > 0 && number <= sim->streams_count);
    if (!stream->open) {
        body_deinit(&body);
        return;
    }
    uint32_t from = to_b ? stream->a : stream->b;
    uint32_t to = to_b ? stream->b : stream->a;
    uint32_t copies = sim_net_plan(&sim->net, from, to, delays_us);
    body.arrive_us = sim->now_us + delays_us[0] + (copies == 0 ? RETRANSMIT_US : 0);
    if (stream->queue_count[direction] == stream->queue_cap[direction]) {
        stream->queue_cap[direction] =
            stream->queue_cap[direction] == 0 ? 8 : stream->queue_cap[direction] * 2;
        stream->queue[direction] = mem_resize(
            stream->queue[direction], stream->queue_cap[direction] * sizeof(struct sim_body *));
    }
    stream->queue[direction][stream->queue_count[direction]++] = mem_dup(&body, sizeof(body));
    if (!stream->pumping[direction]) {
        pump(sim, number, direction);
    }
}

void sim_stream_deliver(struct sim *sim, uint64_t item_number)
{
    uint32_t number = (uint32_t)(item_number >> 1);
    uint32_t direction = (uint32_t)(item_number & 1);
    struct sim_stream *stream = &sim->streams[number];

    stream->pumping[direction] = false;
    if (!stream->open || stream->queue_count[direction] == 0) {
        return;
    }
    uint32_t from = direction == 0 ? stream->a : stream->b;
    uint32_t to = direction == 0 ? stream->b : stream->a;
    bool held = sim->net.links[from][to].cut || end_is_paused(sim, stream->kind, to);
    if (held) {
        stream->pumping[direction] = true;
        sim_after(sim,
                  RETRANSMIT_US / 10 + sim_draw(sim, 0, RETRANSMIT_US / 10),
                  (struct sim_item){.kind = EV_STREAM, .number = item_number});
        return;
    }
    struct sim_body *body = stream->queue[direction][0];
    stream->queue_count[direction]--;
    memmove(&stream->queue[direction][0],
            &stream->queue[direction][1],
            stream->queue_count[direction] * sizeof(struct sim_body *));
    pump(sim, number, direction);
    deliver(sim, number, direction, body);
    body_deinit(body);
    mem_free(body);
}

void sim_stream_close(struct sim *sim, uint32_t number, bool by_a, bool tell)
{
    if (number == 0) {
        return;
    }
    struct sim_stream *stream = &sim->streams[number];
    if (!stream->open || (by_a ? stream->a_closed : stream->b_closed)) {
        return;
    }
    if (tell) {
        sim_stream_send(sim, number, by_a, (struct sim_body){.kind = BODY_CLOSE});
    }
    if (by_a) {
        stream->a_closed = true;
    } else {
        stream->b_closed = true;
    }
    /* What it had sent still arrives; what it would receive does not. */
    uint32_t to_self = by_a ? 1 : 0;
    for (uint32_t i = 0; i < stream->queue_count[to_self]; i++) {
        body_deinit(stream->queue[to_self][i]);
        mem_free(stream->queue[to_self][i]);
    }
    stream->queue_count[to_self] = 0;
    stream->open = !(stream->a_closed && stream->b_closed);
}

void sim_streams_free(struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->streams_count; i++) {
        for (uint32_t direction = 0; direction < 2; direction++) {
            for (uint32_t k = 0; k < sim->streams[i].queue_count[direction]; k++) {
                body_deinit(sim->streams[i].queue[direction][k]);
                mem_free(sim->streams[i].queue[direction][k]);
            }
            mem_free(sim->streams[i].queue[direction]);
        }
    }
    mem_free(sim->streams);
}

static void pump(struct sim *sim, uint32_t number, uint32_t direction)
{
    struct sim_stream *stream = &sim->streams[number];

    if (stream->queue_count[direction] == 0 || stream->pumping[direction]) {
        return;
    }
    stream->pumping[direction] = true;
    sim_at(sim,
           stream->queue[direction][0]->arrive_us,
           (struct sim_item){.kind = EV_STREAM, .number = (uint64_t)number << 1 | direction});
}

static bool end_is_paused(const struct sim *sim, enum sim_stream_kind kind, uint32_t node)
{
    if (node <= sim->members_count) {
        return sim->members[node].paused;
    }
    const struct sim_instance *instance = &sim->instances[node - sim->members_count];
    return instance->paused || (kind == STREAM_SESSION ? instance->car.paused : instance->db.hung);
}

static void deliver(struct sim *sim, uint32_t number, uint32_t direction, struct sim_body *body)
{
    struct sim_stream stream = sim->streams[number];
    bool to_b = direction == 0;

    if (to_b ? stream.b_closed : stream.a_closed) {
        return;
    }
    if (stream.kind == STREAM_WAL) {
        struct sim_instance *instance = sim_instance_of_node(sim, to_b ? stream.b : stream.a);
        if (body->kind == BODY_CLOSE) {
            sim_db_closed(sim, instance, number);
        } else {
            sim_db_message(sim, instance, number, body);
        }
    } else if (to_b) {
        struct sim_member *member = &sim->members[stream.b];
        if (body->kind == BODY_CLOSE) {
            sim_member_closed(sim, member, number);
        } else {
            sim_member_message(sim, member, number, body);
        }
    } else {
        struct sim_instance *instance = sim_instance_of_node(sim, stream.a);
        if (body->kind == BODY_CLOSE) {
            sim_car_closed(sim, instance);
        } else {
            sim_car_message(sim, instance, body);
        }
    }
    if (body->kind == BODY_CLOSE) {
        sim_stream_close(sim, number, !to_b, false);
    }
}

static void body_deinit(struct sim_body *body)
{
    if (body->kind == BODY_WAL) {
        mem_free(body->wal.entries);
        body->wal.entries = NULL;
    }
}
