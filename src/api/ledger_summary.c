/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger_summary.h. The payload is decoded again; a leaf that cannot be decoded says so. */
#include "api/ledger_summary.h"

#include "base/mem.h"
#include "raft/types.h"
#include "state/ledger_run.h"
#include "wire/wire_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void summarize(const struct command *command, char *text, size_t size);
static void summarize_run(const struct ledger_leaf *leaf, char *text, size_t size);
static void summarize_member(const struct command *command, char *text, size_t size);
static void summarize_cluster(const struct command *command, char *text, size_t size);
static void summarize_instance(const struct command *command, char *text, size_t size);
static void summarize_failover(const struct command *command, char *text, size_t size);

void ledger_summary(const struct ledger_leaf *leaf, char *text, size_t size)
{
    text[0] = '\0';
    if (leaf->raft_kind == RAFT_ENTRY_NOOP) {
        (void)snprintf(text, size, "a leader took office in term %" PRIu64, leaf->term);
        return;
    }
    if (leaf->raft_kind != RAFT_ENTRY_COMMAND) {
        return;
    }
    if (strcmp(leaf->kind, LEDGER_RUN_KIND) == 0) {
        summarize_run(leaf, text, size);
        return;
    }
    struct command *command = mem_new(sizeof(*command));
    if (wire_command_decode(leaf->payload, command) == ERR_OK) {
        summarize(command, text, size);
    } else {
        (void)snprintf(text, size, "bytes that are no command of this version");
    }
    mem_free(command);
}

static void summarize_run(const struct ledger_leaf *leaf, char *text, size_t size)
{
    struct ledger_run run;
    struct sha256 root;
    if (ledger_run_decode(leaf->payload, &run, &root) != ERR_OK) {
        (void)snprintf(text, size, "bytes that are no digest of this version");
        return;
    }
    (void)snprintf(text,
                   size,
                   "%" PRIu32 " operations on keys, in log entries %" PRIu64 " to %" PRIu64,
                   run.commands,
                   run.first,
                   leaf->index);
}

static void summarize(const struct command *command, char *text, size_t size)
{
    switch (command_kind_body(command->kind)) {
    case COMMAND_BODY_REGION_PUT:
        (void)snprintf(text, size, "region %s", command->region_put.region.name);
        return;
    case COMMAND_BODY_SHARD_CREATE:
        (void)snprintf(text, size, "shard %s", command->shard_create.spec.name);
        return;
    case COMMAND_BODY_SHARD_FREEZE:
        (void)snprintf(text,
                       size,
                       "shard %s %s",
                       command->shard_freeze.name,
                       command->shard_freeze.frozen ? "frozen" : "unfrozen");
        return;
    case COMMAND_BODY_INSTANCE_REGISTER:
    case COMMAND_BODY_INSTANCE_UPDATE:
        summarize_instance(command, text, size);
        return;
    case COMMAND_BODY_SYNC:
        (void)snprintf(text,
                       size,
                       "shard %" PRIu32 " epoch %" PRIu64 ": %s",
                       command->sync.shard.value,
                       command->sync.epoch.value,
                       command->sync.reason);
        return;
    case COMMAND_BODY_FAILOVER_REQUEST:
    case COMMAND_BODY_FAILOVER:
        summarize_failover(command, text, size);
        return;
    case COMMAND_BODY_REFUSAL:
        (void)snprintf(text,
                       size,
                       "%" PRIu32 " refused of %s: %s",
                       command->refusal.count,
                       command->refusal.method,
                       command->refusal.reason);
        return;
    case COMMAND_BODY_MEMBER_ADD:
    case COMMAND_BODY_MEMBER_CHANGE:
    case COMMAND_BODY_MEMBER_GONE:
    case COMMAND_BODY_MEMBER_LEVEL:
    case COMMAND_BODY_MEMBER_VOUCHED:
        summarize_member(command, text, size);
        return;
    case COMMAND_BODY_CLUSTER_INIT:
    case COMMAND_BODY_CLUSTER_SET:
    case COMMAND_BODY_CLUSTER_RECOVERED:
    case COMMAND_BODY_CLUSTER_CONFIRM:
        summarize_cluster(command, text, size);
        return;
    case COMMAND_BODY_KV: /* in digest leaves only */
    case COMMAND_BODY_COUNT:
        return;
    }
}

/* Of the cluster as a whole. */
static void summarize_cluster(const struct command *command, char *text, size_t size)
{
    if (command->kind == COMMAND_CLUSTER_INIT) {
        (void)snprintf(text,
                       size,
                       "cluster %s: %" PRIu32 " members, %" PRIu32 " regions",
                       command->cluster_init.name,
                       command->cluster_init.members_count,
                       command->cluster_init.regions_count);
    } else if (command->kind == COMMAND_CLUSTER_SET) {
        (void)snprintf(text,
                       size,
                       "heartbeat %" PRIu32 " ms, election %" PRIu32 " ms, lease %" PRIu32
                       " ms, commit regions %" PRIu32
                       ", leader region \"%s\" (0 and \"\": as they were)",
                       command->cluster_set.heartbeat_ms,
                       command->cluster_set.election_ms,
                       command->cluster_set.lease_ms,
                       command->cluster_set.commit_regions,
                       command->cluster_set.leader_region);
    } else if (command->kind == COMMAND_CLUSTER_RECOVERED) {
        (void)snprintf(text,
                       size,
                       "cluster epoch %" PRIu32 ": %s",
                       command->cluster_recovered.cluster_epoch,
                       command->cluster_recovered.reason);
    } else {
        (void)snprintf(text,
                       size,
                       "cluster epoch %" PRIu32 ": the members left behind are off: %s",
                       command->cluster_confirm.cluster_epoch,
                       command->cluster_confirm.reason);
    }
}

static void summarize_member(const struct command *command, char *text, size_t size)
{
    if (command->kind == COMMAND_MEMBER_ADD) {
        const struct member *member = &command->member_add.member;
        (void)snprintf(text,
                       size,
                       "member %s in %s at %s as %s",
                       member->name,
                       member->region,
                       member->peer_address,
                       member_standing_name(member->standing));
        return;
    }
    if (command->kind == COMMAND_MEMBER_CHANGE) {
        (void)snprintf(text,
                       size,
                       "member %s: %s",
                       command->member_change.name,
                       member_standing_name(command->member_change.standing));
        return;
    }
    if (command->kind == COMMAND_MEMBER_VOUCHED) {
        const struct command_member_vouched *vouched = &command->member_vouched;
        char by[ID128_TEXT_SIZE];
        (void)snprintf(text,
                       size,
                       "%s made %s believe member %s: %s",
                       vouched->who,
                       id128_format(vouched->by.hi, vouched->by.lo, by),
                       vouched->name,
                       vouched->reason[0] == '\0' ? "no reason given" : vouched->reason);
        return;
    }
    bool gone = command->kind == COMMAND_MEMBER_GONE;
    struct member_id id = gone ? command->member_gone.id : command->member_level.id;
    char id_text[ID128_TEXT_SIZE];
    (void)id128_format(id.hi, id.lo, id_text);
    if (gone) {
        (void)snprintf(text, size, "member %s has left", id_text);
    } else {
        (void)snprintf(text,
                       size,
                       "member %s knows commands up to level %" PRIu32,
                       id_text,
                       command->member_level.level);
    }
}

static void summarize_instance(const struct command *command, char *text, size_t size)
{
    if (command->kind == COMMAND_INSTANCE_REGISTER) {
        (void)snprintf(text,
                       size,
                       "instance %s/%s in %s at %s",
                       command->instance_register.hello.shard,
                       command->instance_register.hello.instance,
                       command->instance_register.hello.region,
                       command->instance_register.hello.address);
        return;
    }
    (void)snprintf(text,
                   size,
                   "instance %" PRIu32 " of shard %" PRIu32 ": folder %016" PRIx64 " at %s",
                   command->instance_update.instance.value,
                   command->instance_update.shard.value,
                   command->instance_update.incarnation.value,
                   command->instance_update.address);
}

static void summarize_failover(const struct command *command, char *text, size_t size)
{
    if (command->kind == COMMAND_FAILOVER_REQUEST) {
        const struct command_failover_request *request = &command->failover_request;
        (void)snprintf(text,
                       size,
                       "shard %s to %s: %s",
                       request->shard,
                       request->instance[0] == '\0' ? "the best standby" : request->instance,
                       request->reason);
        return;
    }
    const struct command_failover *failover = &command->failover;
    (void)snprintf(text,
                   size,
                   "shard %" PRIu32 " epoch %" PRIu64 " cause=%s proof=%s candidate=%" PRIu32
                   " %s%s%s",
                   failover->shard.value,
                   failover->epoch.value,
                   failover_cause_name(failover->cause),
                   exclusion_proof_name(failover->proof),
                   failover->candidate.value,
                   failover->evidence,
                   failover->evidence[0] != '\0' && failover->reason[0] != '\0' ? "; " : "",
                   failover->reason);
}
