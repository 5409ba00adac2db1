/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap ordered by (time, order of arrival). */
#include "tests/support/sim_queue.h"

#include "base/check.h"
#include "base/mem.h"

static bool before(const struct sim_item *a, const struct sim_item *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void swap(struct sim_item *a, struct sim_item *b)
{
    struct sim_item held = *a;
    *a = *b;
    *b = held;
}

void sim_queue_deinit(struct sim_queue *queue)
{
    mem_free(queue->heap);
    *queue = (struct sim_queue){0};
}

void sim_queue_push(struct sim_queue *queue, struct sim_item item)
{
    if (queue->count == queue->cap) {
        queue->cap = queue->cap == 0 ? 256 : queue->cap * 2;
        queue->heap = mem_resize(queue->heap, queue->cap * sizeof(*queue->heap));
    }
    item.order = queue->order_next;
    queue->order_next++;
    uint32_t at = queue->count;
    queue->heap[at] = item;
    queue->count++;
    while (at > 0 && before(&queue->heap[at], &queue->heap[(at - 1) / 2])) {
        swap(&queue->heap[at], &queue->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

const struct sim_item *sim_queue_peek(const struct sim_queue *queue)
{
    return queue->count > 0 ? &queue->heap[0] : NULL;
}

struct sim_item sim_queue_pop(struct sim_queue *queue)
{
    CHECK(queue->count > 0);
    struct sim_item top = queue->heap[0];
    queue->count--;
    queue->heap[0] = queue->heap[queue->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < queue->count; child++) {
            if (before(&queue->heap[child], &queue->heap[least])) {
                least = child;
            }
        }
        if (least == at) {
            return top;
        }
        swap(&queue->heap[at], &queue->heap[least]);
        at = least;
    }
}
