/* SPDX-License-Identifier: Apache-2.0 */
/* Leadership handed over: to whom, and if not, why not. */
#include "node/node_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static void
on_begun(struct node *node, const struct node_event *event, const struct raft_update *update);
static bool
find_best(const struct node *node, const struct raft_status *status, struct member_id *best_out);
static bool is_better(const struct node *node,
                      const struct raft_peer_status *a,
                      const struct raft_peer_status *b);
static bool is_reluctant(const struct node *node, struct member_id target);
static const char *
unfit(const struct node *node, const struct raft_status *status, struct member_id target);

/* Asked for from outside: begun when this returns, so that an answer given now leaves before others
 * learn of it. */
enum error node_hand_over(struct node *node,
                          struct member_id target,
                          char why[TEXT_SIZE],
                          struct member_id *target_out)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    bool under_way = status.role == RAFT_LEADER && !member_id_is_none(status.transfer_to);
    if (under_way && (member_id_is_none(target) || member_id_equal(target, status.transfer_to))) {
        *target_out = status.transfer_to; /* asked again, say because the answer was lost */
        return ERR_OK;
    }
    enum error error = node_transfer_begin(node, target, why, target_out);
    node_run(node);
    return error;
}

enum error node_transfer_begin(struct node *node,
                               struct member_id target,
                               char why[TEXT_SIZE],
                               struct member_id *target_out)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    const char *refusal = NULL;
    if (!member_id_is_none(status.transfer_to)) {
        refusal = "a hand-over is under way already: try again in a moment";
    } else if (!member_id_is_none(target)) {
        refusal = unfit(node, &status, target);
    } else if (!find_best(node, &status, &target)) {
        refusal = "no other voter answers: leadership stays here";
    }
    if (refusal != NULL) {
        (void)snprintf(why, TEXT_SIZE, "%s", refusal);
        return ERR_PRECONDITION;
    }
    const struct node_event event = {
        .core = {.type = RAFT_EVENT_TRANSFER, .peer = target},
        .stepped = on_begun,
    };
    node_post(node, &event);
    node->watch.handed_to = target;
    *target_out = target;
    return ERR_OK;
}

/* Something may have come between. */
static void
on_begun(struct node *node, const struct node_event *event, const struct raft_update *update)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    if (update->role == RAFT_LEADER && !member_id_equal(status.transfer_to, event->core.peer)) {
        log_event(LOG_WARN, "leader.stays", "why=%s", log_quote("it cannot be taken over now"));
    }
}

void node_transfer(struct node *node, enum log_level stays)
{
    char why[TEXT_SIZE] = "";
    struct member_id target = {0};
    enum error error = node_transfer_begin(node, target, why, &target);
    if (error == ERR_OK) {
        const struct member *member = node_member(node, target);
        log_event(LOG_INFO, "leader.hands_over", "to=%s", member == NULL ? "-" : member->name);
    } else if (error != ERR_NOT_LEADER) {
        log_event(stays, "leader.stays", "why=%s", log_quote(why));
    }
}

static bool
find_best(const struct node *node, const struct raft_status *status, struct member_id *best_out)
{
    const struct raft_peer_status *best = NULL;
    for (uint32_t i = 0; i < status->peers_count; i++) {
        const struct raft_peer_status *peer = &status->peers[i];
        if (!member_id_equal(peer->id, node->config->member) &&
            unfit(node, status, peer->id) == NULL &&
            (best == NULL || is_better(node, peer, best))) {
            best = peer;
        }
    }
    if (best != NULL) {
        *best_out = best->id;
    }
    return best != NULL;
}

/* One that a hand-over was just tried to in vain stands behind the others. */
static bool is_better(const struct node *node,
                      const struct raft_peer_status *a,
                      const struct raft_peer_status *b)
{
    bool tried_a = member_id_equal(a->id, node->watch.handed_to);
    bool tried_b = member_id_equal(b->id, node->watch.handed_to);
    return tried_a == tried_b ? a->match_index > b->match_index : tried_b;
}

/* It would hand over at once, or could not do what a leader has to. If our own disk is no better,
 * or our state is wrong, that is no reason. */
static bool is_reluctant(const struct node *node, struct member_id target)
{
    return peers_is_reluctant(node->peers, target) && !node_watch_is_reluctant(node) &&
           !divergence_is_ours(&node->divergence);
}

/* NULL if leadership can be handed to it. */
static const char *
unfit(const struct node *node, const struct raft_status *status, struct member_id target)
{
    if (member_id_equal(status->leader, target)) {
        return "it leads already";
    }
    for (uint32_t i = 0; i < status->peers_count; i++) {
        const struct raft_peer_status *peer = &status->peers[i];
        if (!member_id_equal(peer->id, target)) {
            continue;
        }
        if (!peer->voter) {
            return "it is no voter: `indaba member promote` makes it one";
        }
        if (!peer->active) {
            return "it does not answer";
        }
        if (!divergence_may_lead(&node->divergence, target)) {
            return "its state is not that of most members: `indaba member ls` says what to do";
        }
        if (is_reluctant(node, target)) {
            return "its disk has little space, or hangs";
        }
        return peer->state == RAFT_PEER_SNAPSHOT || peer->regressed
                   ? "it is too far behind: wait until it has caught up"
                   : NULL;
    }
    return "it is not in the configuration in force";
}
