/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator's apply thread in miniature: committed entries go through the real state machine,
 * and what changed reaches the controller. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "state/query.h"
#include "wire/wire_command.h"

#include <inttypes.h>
#include <string.h>

static void apply_one(struct sim *sim, struct sim_member *member, uint64_t index);
static void after_apply(struct sim *sim,
                        struct sim_member *member,
                        const struct raft_entry *entry,
                        const struct command_result *result,
                        struct slice replies);

void sim_member_apply(struct sim *sim, struct sim_member *member, uint64_t commit)
{
    while (member->applied < commit) {
        apply_one(sim, member, member->applied + 1);
        controller_applied(member->controller, member->applied, sim_member_local_ms(sim, member));
    }
}

static void apply_one(struct sim *sim, struct sim_member *member, uint64_t index)
{
    const struct raft_entry *entry = raft_entry_at(member->raft, index);
    static struct command command;
    struct command_result result = {0};
    struct buf replies = {0};
    struct shard_id changed = {0};

    CHECK(entry != NULL);
    struct apply_entry apply = {
        .index = index,
        .term = entry->term,
        .raft_kind = (uint8_t)entry->kind,
        .payload = blob_view(entry->payload),
        .replies = sim_serve_wants(sim, member, index) ? &replies : NULL,
    };
    if (entry->kind == RAFT_ENTRY_COMMAND) {
        apply.undecodable = wire_command_decode(apply.payload, &command) != ERR_OK;
        apply.command = apply.undecodable ? NULL : &command;
        if (apply.undecodable) {
            sim_fail(sim, "entry %" PRIu64 " does not decode", index);
        }
    }
    apply_entry(&member->tables, &apply, &result, &changed);
    sim_check_applied(sim, member, index, entry->term);
    if (apply.command != NULL && command.kind == COMMAND_CLUSTER_INIT) {
        struct cluster_info info;
        struct region regions[REGIONS_MAX];
        query_cluster(&member->tables, &info);
        controller_cluster_changed(member->controller, info.cluster, "member", info.lease_ms);
        controller_regions_changed(
            member->controller, regions, query_regions(&member->tables, regions, REGIONS_MAX));
    }
    if (changed.value != 0) {
        struct shard_view view;
        enum error error = query_shard(&member->tables, changed, &view);
        CHECK(error == ERR_OK);
        sim_check_view(sim, &view);
        controller_view_changed(member->controller, &view, sim_member_local_ms(sim, member));
    }
    member->applied = index;
    after_apply(sim, member, entry, &result, buf_view(&replies));
    buf_deinit(&replies);
}

static void after_apply(struct sim *sim,
                        struct sim_member *member,
                        const struct raft_entry *entry,
                        const struct command_result *result,
                        struct slice replies)
{
    if (result->error != ERR_OK) {
        sim_trace(sim,
                  "member %u: entry %" PRIu64 " refused: %s",
                  member->node,
                  entry->index,
                  result->message);
    }
    sim_serve_applied(sim, member, entry->index, entry->term, result, replies);
    for (uint32_t i = 0; i < member->tickets_count; i++) {
        struct sim_ticket ticket = member->tickets[i];
        if (ticket.index != entry->index) {
            continue;
        }
        struct command_result answer = *result;
        answer.index = entry->index;
        if (ticket.term != entry->term) {
            answer = (struct command_result){.error = ERR_NOT_LEADER};
        }
        controller_proposed(member->controller, ticket.ticket, &answer);
        member->tickets[i] = member->tickets[--member->tickets_count];
        break;
    }
    if (!member->elected && member->role == RAFT_LEADER && entry->term == member->term) {
        member->elected = true;
        controller_elected(member->controller, member->term, sim_member_local_ms(sim, member));
        controller_tick(
            member->controller, sim_member_local_ms(sim, member), sim->now_us / SIM_MS + 1000000);
    }
}
