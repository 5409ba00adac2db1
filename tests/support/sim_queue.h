/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time's queue: what happens when. Items of the same moment leave in the order in which
 * they came, so that a seed replays exactly. The queue owns nothing that its items point at. */
#ifndef INDABA_TESTS_SUPPORT_SIM_QUEUE_H
#define INDABA_TESTS_SUPPORT_SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct sim_item {
    uint64_t time; /* in the caller's unit */
    uint64_t order;
    uint32_t kind;
    uint32_t node;
    uint64_t number;
    void *data;
};

struct sim_queue {
    struct sim_item *heap;
    uint32_t count;
    uint32_t cap;
    uint64_t order_next;
};

void sim_queue_deinit(struct sim_queue *queue);
/* `item.order` is set here. */
void sim_queue_push(struct sim_queue *queue, struct sim_item item);
/* NULL if empty; borrowed until the next call. */
const struct sim_item *sim_queue_peek(const struct sim_queue *queue);
/* The queue must not be empty. */
struct sim_item sim_queue_pop(struct sim_queue *queue);

#endif
