/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for the consensus core: parts of the node put events here, and node_run alone takes
 * them out, one at a time (node_step.c). A queue of one thread; it grows as it must, for what fills
 * it is bounded elsewhere: connections, writes under way, proposals of one round. */
#ifndef INDABA_NODE_NODE_EVENTS_H
#define INDABA_NODE_NODE_EVENTS_H

#include "node/proposals.h"
#include "raft/types.h"

struct node;
struct node_event;

/* Told last of all, once the update was handed out. What it wants of the core it posts. */
typedef void (*node_stepped_fn)(struct node *node,
                                const struct node_event *event,
                                const struct raft_update *update);

/* An event, and what its pointers point at: that is the event's own. */
struct node_event {
    struct raft_event core; /* now_ms is filled in when it is taken */

    union {
        struct raft_message message;      /* RECEIVE */
        struct raft_configuration target; /* CHANGE */
        struct blob *chunk;               /* SNAPSHOT_READ; NULL on an error */

        struct {
            struct raft_proposal *proposals;  /* each with a reference */
            struct proposals_waiter *waiters; /* one each, or NULL */
        } propose;                            /* PROPOSE */
    };

    node_stepped_fn stepped; /* NULL: nobody asks */
};

struct node_events {
    struct node_event *ring;
    uint32_t first;
    uint32_t count;
    uint32_t cap; /* a power of two; 0 before the first */
};

/* Takes what the event owns. */
void node_events_put(struct node_events *events, const struct node_event *event);
/* False if there is none. Its pointers are right until it moves again. */
bool node_events_take(struct node_events *events, struct node_event *event_out);
/* Lets go of what one event owns. */
void node_event_deinit(struct node_event *event);
/* Drops what was not taken. */
void node_events_deinit(struct node_events *events);

#endif
