/* SPDX-License-Identifier: Apache-2.0 */
/* See node_events.h. */
#include "node/node_events.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    CAP_MIN = 16
};

static void grow(struct node_events *events);
static void point(struct node_event *event);

void node_events_put(struct node_events *events, const struct node_event *event)
{
    CHECK(event->core.type != 0);
    if (events->count == events->cap) {
        grow(events);
    }
    events->ring[(events->first + events->count) & (events->cap - 1)] = *event;
    events->count++;
}

bool node_events_take(struct node_events *events, struct node_event *event_out)
{
    if (events->count == 0) {
        return false;
    }
    *event_out = events->ring[events->first];
    events->first = (events->first + 1) & (events->cap - 1);
    events->count--;
    point(event_out);
    return true;
}

void node_event_deinit(struct node_event *event)
{
    if (event->core.type == RAFT_EVENT_RECEIVE) {
        raft_message_deinit(&event->message);
    } else if (event->core.type == RAFT_EVENT_SNAPSHOT_READ) {
        blob_unref(event->chunk);
    } else if (event->core.type == RAFT_EVENT_PROPOSE) {
        for (uint32_t i = 0; i < event->core.propose.count; i++) {
            blob_unref(event->propose.proposals[i].payload);
        }
        mem_free(event->propose.proposals);
        mem_free(event->propose.waiters);
    }
    *event = (struct node_event){0};
}

void node_events_deinit(struct node_events *events)
{
    struct node_event event;
    while (node_events_take(events, &event)) {
        node_event_deinit(&event);
    }
    mem_free(events->ring);
    *events = (struct node_events){0};
}

static void grow(struct node_events *events)
{
    uint32_t cap = events->cap == 0 ? CAP_MIN : events->cap * 2;
    struct node_event *ring = mem_new_array(cap, sizeof(*ring));
    for (uint32_t i = 0; i < events->count; i++) {
        ring[i] = events->ring[(events->first + i) & (events->cap - 1)];
    }
    mem_free(events->ring);
    events->ring = ring;
    events->cap = cap;
    events->first = 0;
}

/* An event moves, and what it holds moves with it. */
static void point(struct node_event *event)
{
    if (event->core.type == RAFT_EVENT_RECEIVE) {
        event->core.message = &event->message;
    } else if (event->core.type == RAFT_EVENT_CHANGE) {
        event->core.target = &event->target;
    } else if (event->core.type == RAFT_EVENT_SNAPSHOT_READ) {
        event->core.snapshot_read.chunk = event->chunk;
    } else if (event->core.type == RAFT_EVENT_PROPOSE) {
        event->core.propose.proposals = event->propose.proposals;
    }
}
