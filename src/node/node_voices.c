/* SPDX-License-Identifier: Apache-2.0 */
/* Who may speak to this member, as far as its own memory says: servers that its log names and its
 * record does not know yet, and ids that were removed for good. The rule itself is in voices.h, who
 * is asked in peer_strangers.c, whom a person vouched for in node_vouched.c. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "wire/wire_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TERM_LEAP = 1000, /* an election adds one, or a few */
    LEAP_AGAIN_MS = 1000,
    ADD_BYTES_MAX = 4096, /* no record of a member is longer */
};

static struct metric term_leaps = {
    .name = "indaba_term_leaps_total",
    .help = "Messages of members whose term was more than 1000 above ours.",
    .kind = METRIC_COUNTER,
};

struct look_up {
    struct node *node;
    struct member_id id;
    bool gone;
};

static void look_up_run(const struct tables *tables, void *ctx);
static void look_up_done(void *ctx);
static bool is_among(const struct member *members, uint32_t count, struct member_id id);
static bool find_add(const struct node *node, struct member_id id, struct member *member_out);

void node_voices_register_metrics(void)
{
    metric_register(&term_leaps);
}

void node_stranger_spoke(struct node *node, struct member_id id)
{
    struct look_up *look_up = mem_new(sizeof(*look_up));
    *look_up = (struct look_up){.node = node, .id = id};
    node->io->query(node->ctx, look_up_run, look_up_done, look_up);
}

/* A server is in force when its configuration is appended; its record is read when it is applied,
 * which waits for a commit, and that may need its vote. So its record is read in the log. */
uint32_t node_voices_appended(const struct node *node, struct member *all, uint32_t count)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    for (uint32_t i = 0; i < status.configuration.count; i++) {
        struct member_id id = status.configuration.servers[i].id;
        if (!member_id_equal(id, node->config->member) && !is_among(all, count, id) &&
            count < PEERS_MAX - PEERS_STRANGERS_MAX && find_add(node, id, &all[count])) {
            count++;
        }
    }
    return count;
}

void node_voices_heard(struct node *node, const struct raft_message *message)
{
    uint64_t now_ms = node_now_ms(node);
    if (message->term <= node->term + TERM_LEAP || node->term == 0) {
        return;
    }
    metric_add(&term_leaps, 1);
    if (node->leap_told_ms != 0 && now_ms - node->leap_told_ms < LEAP_AGAIN_MS) {
        return;
    }
    node->leap_told_ms = now_ms;
    const struct member *member = node_member(node, message->from);
    log_event(LOG_WARN,
              "raft.term_leap",
              "peer=%s term=%" PRIu64 " ours=%" PRIu64 " hint=%s",
              member == NULL ? "-" : member->name,
              message->term,
              node->term,
              log_quote("terms grow by one with an election: find out what this member has been "
                        "through"));
}

static void look_up_run(const struct tables *tables, void *ctx)
{
    struct look_up *look_up = ctx;
    look_up->gone = query_member_is_gone(tables, look_up->id);
}

static void look_up_done(void *ctx)
{
    struct look_up *look_up = ctx;
    const struct node *node = look_up->node;
    if (!node->closing) {
        peers_stranger_is(node->peers, look_up->id, look_up->gone);
    }
    mem_free(look_up);
}

static bool is_among(const struct member *members, uint32_t count, struct member_id id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (member_id_equal(members[i].id, id)) {
            return true;
        }
    }
    return false;
}

static bool find_add(const struct node *node, struct member_id id, struct member *member_out)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    struct command *command = mem_new(sizeof(*command));
    bool found = false;
    uint64_t index =
        node->applied + 1 > status.first_index ? node->applied + 1 : status.first_index;
    for (; index <= status.last_index && !found; index++) {
        const struct raft_entry *entry = raft_entry_at(node->raft, index);
        CHECK(entry != NULL);
        found = entry->kind == RAFT_ENTRY_COMMAND && entry->payload->len <= ADD_BYTES_MAX &&
                wire_command_decode(blob_view(entry->payload), command) == ERR_OK &&
                command->kind == COMMAND_MEMBER_ADD &&
                member_id_equal(command->member_add.member.id, id);
    }
    if (found) {
        *member_out = command->member_add.member;
    }
    mem_free(command);
    return found;
}
