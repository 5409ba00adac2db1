/* SPDX-License-Identifier: Apache-2.0 */
/* For whom a person vouched in this member's folder: read at the start and on SIGHUP, and told to
 * the leader once the record knows the one that was vouched for, so that the ledger has it. What
 * was on record when it was read has been told, or was not needed. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    TELL_AGAIN_MS = 2000,
    TELL_MAX = 5, /* the leader writes it once; a message may be lost */
};

static void take(struct node *node, const struct node_file_job *job);
static void advance(struct node *node, uint32_t at);
static void tell(struct node *node, uint32_t at);
static void propose(struct node *node, const struct command_member_vouched *vouched);
static bool look(struct node *node, uint32_t at);
static bool is_on_record(const struct node *node, struct member_id id);
static bool was_heard(struct node_vouched *vouched, const struct command_member_vouched *said);
static void on_proposed(enum error error, const struct command_result *result, void *ctx);

void node_vouched_start(struct node *node)
{
    struct node_file_job *job = mem_new(sizeof(*job));
    job->kind = NODE_FILE_VOUCHES;
    node_file_small(&node->io->ground, job);
    take(node, job);
    node_file_free(job);
}

void node_load_vouched(struct node *node)
{
    if (node->vouched.reading) {
        node->vouched.again = true;
        return;
    }
    struct node_file_job *job = mem_new(sizeof(*job));
    job->kind = NODE_FILE_VOUCHES;
    node->vouched.reading = true;
    node->io->begin_file(node->ctx, job);
}

void node_vouched_read(struct node *node, const struct node_file_job *job)
{
    bool again = node->vouched.again;
    node->vouched.reading = false;
    node->vouched.again = false;
    take(node, job);
    if (again) {
        node_load_vouched(node);
    }
}

void node_vouched_tick(struct node *node)
{
    if (!node->membership.speaks) {
        return;
    }
    for (uint32_t i = 0; i < node->vouched.said.count; i++) {
        advance(node, i);
    }
}

void node_was_told_vouched(struct node *node, const struct command_member_vouched *vouched)
{
    if (node->in_office && !was_heard(&node->vouched, vouched)) {
        propose(node, vouched);
    }
}

static void take(struct node *node, const struct node_file_job *job)
{
    const struct vouches *vouches = job->vouches;
    struct voices_identity who[VOUCHES_MAX];
    if (job->error != ERR_OK) {
        log_event(LOG_ERROR, "peer.vouches_unreadable", "why=%s", log_quote(job->reason.text));
        return;
    }
    for (uint32_t i = 0; i < vouches->count; i++) {
        const struct vouch *vouch = &vouches->items[i];
        char id[ID128_TEXT_SIZE];
        who[i].id = vouch->id;
        memcpy(who[i].name, vouch->name, sizeof(who[i].name));
        log_event(LOG_WARN,
                  "peer.vouched",
                  "peer=%s id=%s by=%s reason=%s",
                  vouch->name,
                  id128_format(vouch->id.hi, vouch->id.lo, id),
                  log_quote(vouch->by),
                  log_quote(vouch->reason));
    }
    peers_set_vouched(node->peers, who, vouches->count);
    node->vouched.said = *vouches;
    memset(node->vouched.progress, 0, sizeof(node->vouched.progress));
    /* Whoever is added from now on was vouched for before. */
    for (uint32_t i = 0; i < vouches->count && node->membership.speaks; i++) {
        look(node, i);
    }
}

/* Who was on record already when it was read is told of by whoever vouched then. */
static bool look(struct node *node, uint32_t at)
{
    struct node_vouch_progress *progress = &node->vouched.progress[at];
    bool known = is_on_record(node, node->vouched.said.items[at].id);
    if (!progress->looked) {
        progress->looked = true;
        progress->told = known ? TELL_MAX : 0;
    }
    return known;
}

static void advance(struct node *node, uint32_t at)
{
    struct node_vouch_progress *progress = &node->vouched.progress[at];
    bool known = look(node, at);
    uint64_t now_ms = node_now_ms(node);
    if (known && progress->told < TELL_MAX && now_ms >= progress->again_ms) {
        progress->again_ms = now_ms + TELL_AGAIN_MS;
        tell(node, at);
    }
}

static void tell(struct node *node, uint32_t at)
{
    const struct vouch *vouch = &node->vouched.said.items[at];
    struct node_vouch_progress *progress = &node->vouched.progress[at];
    struct command_member_vouched vouched = {
        .by = node->config->member, .id = vouch->id, .said_wall_ms = vouch->wall_ms};
    memcpy(vouched.name, vouch->name, sizeof(vouched.name));
    memcpy(vouched.who, vouch->by, sizeof(vouched.who));
    memcpy(vouched.reason, vouch->reason, sizeof(vouched.reason));
    if (node->in_office) {
        progress->told = TELL_MAX;
        node_was_told_vouched(node, &vouched);
    } else if (node->role != RAFT_LEADER && !member_id_is_none(node->leader) &&
               peers_tell_vouched(node->peers, node->leader, &vouched)) {
        progress->told++;
    }
}

static void propose(struct node *node, const struct command_member_vouched *vouched)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_MEMBER_VOUCHED;
    command->leader_term = node->term;
    (void)snprintf(command->actor, sizeof(command->actor), "leader");
    command->member_vouched = *vouched;
    node_propose(node, command, (struct proposals_waiter){.done = on_proposed});
    mem_free(command);
}

static bool is_on_record(const struct node *node, struct member_id id)
{
    const struct applier_topology *topology = &node->membership.topology;
    for (uint32_t i = 0; i < topology->members_count; i++) {
        if (member_id_equal(topology->members[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* By this process, of late. */
static bool was_heard(struct node_vouched *vouched, const struct command_member_vouched *said)
{
    for (uint32_t i = 0; i < VOUCHES_MAX; i++) {
        const struct node_vouch_heard *heard = &vouched->heard[i];
        if (member_id_equal(heard->by, said->by) && member_id_equal(heard->id, said->id) &&
            heard->said_wall_ms == said->said_wall_ms) {
            return true;
        }
    }
    vouched->heard[vouched->heard_next] = (struct node_vouch_heard){
        .by = said->by, .id = said->id, .said_wall_ms = said->said_wall_ms};
    vouched->heard_next = (vouched->heard_next + 1) % VOUCHES_MAX;
    return false;
}

/* It is told again if it was lost with an office, by whoever says it to the next leader. */
static void on_proposed(enum error error, const struct command_result *result, void *ctx)
{
    (void)error;
    (void)result;
    (void)ctx;
}
