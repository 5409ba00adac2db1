/* SPDX-License-Identifier: Apache-2.0 */
/* Who wants to know what happens to the member: one list, told in one order. */
#include "node/node_internal.h"

void node_observe(struct node *node, struct node_observer *observer)
{
    TAILQ_INSERT_HEAD(&node->observers, observer, others);
}

void node_unobserve(struct node *node, struct node_observer *observer)
{
    TAILQ_REMOVE(&node->observers, observer, others);
}

void node_tell_leader_changed(struct node *node)
{
    const struct node_observer *observer = NULL;
    TAILQ_FOREACH(observer, &node->observers, others)
    {
        if (observer->on_leader_changed != NULL) {
            observer->on_leader_changed(observer->ctx);
        }
    }
}

void node_tell_loaded(struct node *node, const struct kv_position *kv)
{
    const struct node_observer *observer = NULL;
    TAILQ_FOREACH(observer, &node->observers, others)
    {
        if (observer->on_loaded != NULL) {
            observer->on_loaded(kv, observer->ctx);
        }
    }
}

void node_tell_batch(struct node *node, const struct applier_batch *batch)
{
    const struct node_observer *observer = NULL;
    TAILQ_FOREACH(observer, &node->observers, others)
    {
        if (observer->on_batch != NULL) {
            observer->on_batch(batch, observer->ctx);
        }
    }
}
