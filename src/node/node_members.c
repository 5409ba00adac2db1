/* SPDX-License-Identifier: Apache-2.0 */
/* Who the members are. The configuration file says it until the cluster's own record is here; from
 * then on addresses come from the record, and the leader makes the consensus core follow it
 * (membership_plan.h). A member that the record does not name, because it joins and has not read so
 * far, or because it was removed, keeps to both. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool names(const struct applier_topology *topology, struct member_id id);
static bool recovers_alone(const struct node *node);
static void set_peers(struct node *node);
static void check_level(struct node *node);
static void change(struct node *node, const struct raft_configuration *target);
static void
on_changed(struct node *node, const struct node_event *event, const struct raft_update *update);
static void
take_refusal(struct node *node, enum raft_change_refusal refusal, const struct member *member);
static void
prefer(struct node *node, const struct membership_wish *wish, const struct raft_status *status);
static bool note_level(struct node *node, const struct raft_status *status);
static bool has_acknowledged(const struct raft_status *status, struct member_id id);
static void propose(struct node *node, struct command *command);
static void on_proposed(enum error error, const struct command_result *result, void *ctx);

void node_members_start(struct node *node)
{
    node->membership = (struct node_membership){.refusal = RAFT_CHANGE_OK};
}

const struct member *node_members(const struct node *node, uint32_t *count_out)
{
    const struct applier_topology *topology = &node->membership.topology;
    if (topology->members_count > 0) {
        *count_out = topology->members_count;
        return topology->members;
    }
    *count_out = node->config->members_count;
    return node->config->members;
}

const struct member *node_member(const struct node *node, struct member_id id)
{
    const struct applier_topology *topology = &node->membership.topology;
    for (uint32_t i = 0; i < topology->members_count; i++) {
        if (member_id_equal(topology->members[i].id, id)) {
            return &topology->members[i];
        }
    }
    return names(topology, node->config->member) ? NULL : member_config_find(node->config, id);
}

void node_members_take(struct node *node, const struct applier_topology *topology)
{
    bool was_member = names(&node->membership.topology, node->config->member);
    node->membership.topology = *topology;
    if (topology->cluster.commit_regions <= node->membership.commit_regions_cap) {
        node->membership.commit_regions_cap = 0;
    }
    if (was_member && !names(topology, node->config->member)) {
        log_event(LOG_WARN,
                  "member.removed",
                  "hint=%s",
                  log_quote("the cluster has removed this member: stop it and take its folder "
                            "away; it can come back with a new id and a new folder"));
    }
    check_level(node);
    peers_set_cluster_epoch(node->peers, topology->cluster.cluster_epoch + 1);
    if (node->membership.speaks) {
        set_peers(node);
    }
}

void node_members_applied(struct node *node)
{
    if (!node->membership.speaks && !recovers_alone(node)) {
        node->membership.speaks = true;
        set_peers(node);
    }
}

struct membership_wish node_members_wish(const struct node *node)
{
    const struct applier_topology *topology = &node->membership.topology;
    uint32_t cap = node->membership.commit_regions_cap;
    return (struct membership_wish){
        .members = topology->members,
        .members_count = topology->members_count,
        .regions = topology->regions,
        .regions_count = topology->regions_count,
        .rules = {.heartbeat_ms = topology->cluster.heartbeat_ms,
                  .election_ms = topology->cluster.election_ms,
                  .commit_regions_min = cap != 0 ? cap : topology->cluster.commit_regions},
        .leader_region = topology->cluster.leader_region,
    };
}

void node_members_tick(struct node *node)
{
    struct node_membership *membership = &node->membership;
    CHECK(node->in_office);
    if (membership->topology.members_count == 0) {
        return;
    }
    struct raft_status status;
    struct membership_order order;
    const struct membership_wish wish = node_members_wish(node);
    raft_status(node->raft, &status);
    /* A leader knows all members: whoever is none of them has been removed, or not been added. */
    peers_refuse_strangers(node->peers, true);
    membership_plan(&wish, &status, &order);
    switch (order.step) {
    case MEMBERSHIP_DONE:
        take_refusal(node, RAFT_CHANGE_OK, NULL);
        if (!note_level(node, &status)) {
            prefer(node, &wish, &status);
        }
        return;
    case MEMBERSHIP_WAIT:
        return;
    case MEMBERSHIP_CHANGE:
        change(node, &order.target);
        return;
    case MEMBERSHIP_GONE: {
        struct command *command = mem_new(sizeof(*command));
        command->kind = COMMAND_MEMBER_GONE;
        command->member_gone.id = order.member;
        propose(node, command);
        return;
    }
    }
}

void node_members_office_ended(struct node *node)
{
    node->membership.preference = (struct membership_preference){0};
    take_refusal(node, RAFT_CHANGE_OK, NULL);
    node->membership.proposing = false;
    node->membership.commit_regions_cap = 0;
    peers_refuse_strangers(node->peers, false);
}

enum error node_members_check_kind(const struct node *node, enum command_kind kind)
{
    const struct applier_topology *topology = &node->membership.topology;
    uint32_t level = membership_level(topology->members, topology->members_count);
    return command_kind_level(kind) > level ? ERR_VERSION : ERR_OK;
}

void node_lower_commit_regions(struct node *node, uint32_t regions)
{
    const struct applier_topology *topology = &node->membership.topology;
    if (node->role != RAFT_LEADER || regions == 0 || regions > topology->cluster.commit_regions ||
        node_members_check_kind(node, COMMAND_CLUSTER_SET) != ERR_OK) {
        return;
    }
    node->membership.commit_regions_cap = regions;
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.configuration.rules.commit_regions_min > regions) {
        status.configuration.rules.commit_regions_min = regions;
        change(node, &status.configuration);
    }
}

void node_restore_commit_regions(struct node *node)
{
    node->membership.commit_regions_cap = 0;
}

void node_members_watch(struct node *node)
{
    if (node->membership.set_again && node->membership.speaks) {
        set_peers(node);
    }
}

static bool names(const struct applier_topology *topology, struct member_id id)
{
    for (uint32_t i = 0; i < topology->members_count; i++) {
        if (member_id_equal(topology->members[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* The log makes us the only server, and what is applied does not know it yet: after a forced
 * recovery the members of the record are those that are to be left behind, until the entry after
 * the configuration says otherwise (cmd/recover_folder.c). */
static bool recovers_alone(const struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    return status.configuration.count == 1 && status.member &&
           node->applied <= status.configuration_index;
}

static void set_peers(struct node *node)
{
    const struct applier_topology *topology = &node->membership.topology;
    struct member *all = mem_new_array(PEERS_MAX, sizeof(*all));
    uint32_t count = topology->members_count;
    memcpy(all, topology->members, count * sizeof(*all));
    bool ours = names(topology, node->config->member);
    for (uint32_t i = 0; !ours && i < node->config->members_count; i++) {
        if (!names(topology, node->config->members[i].id)) {
            all[count++] = node->config->members[i];
        }
    }
    count = node_voices_appended(node, all, count);
    node->membership.set_again = false;
    peers_set(node->peers, all, count);
    mem_free(all);
}

/* Commands that this program does not know may be in the log already. */
static void check_level(struct node *node)
{
    const struct applier_topology *topology = &node->membership.topology;
    uint32_t level = membership_level(topology->members, topology->members_count);
    if (level > COMMAND_LEVEL) {
        char why[TEXT_SIZE];
        (void)snprintf(why,
                       sizeof(why),
                       "the cluster uses commands of level %" PRIu32
                       ", this program knows level %d:"
                       " install the release that the other members run",
                       level,
                       COMMAND_LEVEL);
        node_die(node, "member.too_old", ERR_VERSION, why);
    }
}

static void change(struct node *node, const struct raft_configuration *target)
{
    const struct node_event event = {
        .core.type = RAFT_EVENT_CHANGE, .target = *target, .stepped = on_changed};
    node_post(node, &event);
}

static void
on_changed(struct node *node, const struct node_event *event, const struct raft_update *update)
{
    if (update->propose_error == ERR_OK) {
        take_refusal(node, RAFT_CHANGE_OK, NULL);
        log_event(LOG_INFO,
                  "members.change",
                  "index=%" PRIu64 " servers=%" PRIu32,
                  update->propose_first_index,
                  event->target.count);
        return;
    }
    /* That disks are being asked is a step on the way of each change of voters. */
    if (update->change_refusal != RAFT_CHANGE_PROVING &&
        update->change_refusal != node->membership.refusal) {
        const struct member *member = node_member(node, update->change_refused);
        take_refusal(node, update->change_refusal, member);
        log_event(LOG_WARN,
                  "members.change_refused",
                  "member=%s why=%s",
                  member == NULL ? "-" : member->name,
                  log_quote(raft_change_refusal_text(update->change_refusal)));
    }
}

/* `member` is the one it is about; NULL if none, or unknown. */
static void
take_refusal(struct node *node, enum raft_change_refusal refusal, const struct member *member)
{
    char *held = node->membership.held;
    node->membership.refusal = refusal;
    held[0] = '\0';
    if (refusal == RAFT_CHANGE_UNHEARD || refusal == RAFT_CHANGE_UNPROVEN) {
        (void)snprintf(held,
                       TEXT_SIZE,
                       "%s%s%s",
                       member == NULL ? "" : member->name,
                       member == NULL ? "" : ": ",
                       raft_change_refusal_text(refusal));
    }
}

static void
prefer(struct node *node, const struct membership_wish *wish, const struct raft_status *status)
{
    char why[TEXT_SIZE] = "";
    struct member_id better;
    if (membership_prefers(
            wish, status, node_now_ms(node), &node->membership.preference, &better) &&
        node_transfer_begin(node, better, why, &better) == ERR_OK) {
        const struct member *member = node_member(node, better);
        log_event(LOG_INFO,
                  "leader.hands_over",
                  "to=%s region=%s",
                  member == NULL ? "-" : member->name,
                  wish->leader_region);
    }
}

/* True if some member's level is not what it said last. */
static bool note_level(struct node *node, const struct raft_status *status)
{
    const struct applier_topology *topology = &node->membership.topology;
    for (uint32_t i = 0; i < topology->members_count; i++) {
        const struct member *member = &topology->members[i];
        bool ours = member_id_equal(member->id, node->config->member);
        uint32_t said = ours ? COMMAND_LEVEL : peers_command_level(node->peers, member->id);
        if (said != 0 && said != member->level && (ours || has_acknowledged(status, member->id))) {
            struct command *command = mem_new(sizeof(*command));
            command->kind = COMMAND_MEMBER_LEVEL;
            command->member_level = (struct command_member_level){.id = member->id, .level = said};
            propose(node, command);
            return true;
        }
    }
    return false;
}

/* A level on record says of a member, too, that it has promised something: with an empty folder it
 * is not the same one any more (peers_handshake.c). */
static bool has_acknowledged(const struct raft_status *status, struct member_id id)
{
    for (uint32_t i = 0; i < status->peers_count; i++) {
        if (member_id_equal(status->peers[i].id, id)) {
            return status->peers[i].match_index > 0;
        }
    }
    return false;
}

/* Takes the command. One at a time; what is lost is planned again. */
static void propose(struct node *node, struct command *command)
{
    if (!node->membership.proposing) {
        node->membership.proposing = true;
        command->leader_term = node->term;
        (void)snprintf(command->actor, sizeof(command->actor), "leader");
        node_propose(node, command, (struct proposals_waiter){.done = on_proposed, .ctx = node});
    }
    mem_free(command);
}

static void on_proposed(enum error error, const struct command_result *result, void *ctx)
{
    struct node *node = ctx;
    node->membership.proposing = false;
    enum error outcome = result == NULL ? error : result->error;
    if (outcome != ERR_OK && outcome != ERR_NOT_LEADER && outcome != ERR_OUTCOME_UNKNOWN) {
        log_event(LOG_WARN,
                  "members.command_failed",
                  "error=%s why=%s",
                  error_name(outcome),
                  log_quote(result == NULL ? "-" : result->message));
    }
}
