/* SPDX-License-Identifier: Apache-2.0 */
/* A wanted change of the members, held against what this leader hears (membership_check.h). */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

static void doubt_ended_links(const struct node *node, struct raft_status *status);
static void
put_wish(const struct command *command, struct membership_wish *wish, struct member *members);

enum error node_members_check(const struct node *node,
                              const struct command *command,
                              struct membership_forecast *forecast_out)
{
    *forecast_out = (struct membership_forecast){.verdict = MEMBERSHIP_FITS};
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.role != RAFT_LEADER || node->membership.topology.members_count == 0) {
        return ERR_OK; /* refused, or waited for, elsewhere */
    }
    doubt_ended_links(node, &status);
    const struct membership_wish before = node_members_wish(node);
    struct membership_wish after = before;
    struct member *members = mem_new_array(MEMBERS_MAX + 1, sizeof(*members));
    memcpy(members, before.members, before.members_count * sizeof(*members));
    after.members = members;
    put_wish(command, &after, members);
    membership_check(&before, &after, &status, forecast_out);
    mem_free(members);
    switch (forecast_out->verdict) {
    case MEMBERSHIP_FITS:
        return ERR_OK;
    case MEMBERSHIP_UNSURE:
        return ERR_UNAVAILABLE;
    case MEMBERSHIP_STOPS:
        return ERR_PRECONDITION;
    }
    UNREACHABLE("a verdict that is not in its enum");
}

const char *node_members_held(const struct node *node)
{
    return node->membership.held;
}

/* A process that has just died was heard a moment ago. Its connection has ended, which may be for
 * another reason too: the next moment tells. */
static void doubt_ended_links(const struct node *node, struct raft_status *status)
{
    for (uint32_t i = 0; i < status->peers_count; i++) {
        struct raft_peer_status *one = &status->peers[i];
        if (one->heard && peers_has_ended(node->peers, one->id)) {
            one->heard = false;
            one->unknown = true;
        }
    }
}

/* What the record would be; a command that the state would refuse may come to anything. */
static void
put_wish(const struct command *command, struct membership_wish *wish, struct member *members)
{
    if (command->kind == COMMAND_CLUSTER_SET && command->cluster_set.commit_regions != 0) {
        wish->rules.commit_regions_min = command->cluster_set.commit_regions;
    }
    if (command->kind == COMMAND_MEMBER_ADD && wish->members_count < MEMBERS_MAX) {
        members[wish->members_count++] = command->member_add.member;
    }
    for (uint32_t i = 0; command->kind == COMMAND_MEMBER_CHANGE && i < wish->members_count; i++) {
        if (strcmp(members[i].name, command->member_change.name) == 0) {
            members[i].standing = command->member_change.standing;
        }
    }
}
