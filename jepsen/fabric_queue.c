/* SPDX-License-Identifier: Apache-2.0 */
/* Packets under way: a binary heap by the time at which they are due. */
#include "base/mem.h"
#include "jepsen/fabric.h"

enum {
    PACKETS_MAX = 65536,
};

static bool is_before(const struct fabric_packet *a, const struct fabric_packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void swap(struct fabric_queue *queue, size_t a, size_t b)
{
    struct fabric_packet held = queue->items[a];

    queue->items[a] = queue->items[b];
    queue->items[b] = held;
}

void fabric_queue_deinit(struct fabric_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        mem_free(queue->items[i].bytes);
    }
    mem_free(queue->items);
    *queue = (struct fabric_queue){0};
}

bool fabric_queue_put(
    struct fabric_queue *queue, uint64_t due_us, uint32_t to, const void *bytes, uint32_t len)
{
    if (queue->count == PACKETS_MAX) {
        return false;
    }
    if (queue->count == queue->cap) {
        queue->cap = queue->cap == 0 ? 256 : queue->cap * 2;
        queue->items = mem_resize(queue->items, queue->cap * sizeof(*queue->items));
    }
    size_t at = queue->count++;
    queue->items[at] = (struct fabric_packet){.due_us = due_us,
                                              .number = queue->next_number++,
                                              .to = to,
                                              .len = len,
                                              .bytes = mem_dup(bytes, len)};
    while (at > 0 && is_before(&queue->items[at], &queue->items[(at - 1) / 2])) {
        swap(queue, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    return true;
}

bool fabric_queue_take(struct fabric_queue *queue, uint64_t now_us, struct fabric_packet *out)
{
    if (queue->count == 0 || queue->items[0].due_us > now_us) {
        return false;
    }
    *out = queue->items[0];
    queue->items[0] = queue->items[--queue->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < queue->count; child++) {
            least = is_before(&queue->items[child], &queue->items[least]) ? child : least;
        }
        if (least == at) {
            return true;
        }
        swap(queue, at, least);
        at = least;
    }
}

uint64_t fabric_queue_first_us(const struct fabric_queue *queue)
{
    return queue->count == 0 ? 0 : queue->items[0].due_us;
}
