/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Cluster: settings of all members alike, and a person's word after a forced recovery. */
#include "api/service_convert.h"
#include "node/timers_fit.h"

#include "base/check.h"

#include <stdio.h>

static enum error set_command(struct service_call *call, struct command *command);
static enum error timers_are_enough(struct service_call *call,
                                    const struct command_cluster_set *wish);
static enum error lower_commit_regions(struct service_call *call,
                                       const struct command_cluster_set *wish);
static void set_proposed(struct service_call *call);
static enum error set_query(struct service_call *call, const struct tables *tables);
static enum error confirm_command(struct service_call *call, struct command *command);
static enum error confirm_query(struct service_call *call, const struct tables *tables);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Cluster/SetCluster",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__set_cluster_request__descriptor,
        .response = &indaba__v1__set_cluster_response__descriptor,
        .command = set_command,
        .proposed = set_proposed,
        .query = set_query,
    },
    {
        .path = "/indaba.v1.Cluster/ConfirmRecovery",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__confirm_recovery_request__descriptor,
        .response = &indaba__v1__confirm_recovery_response__descriptor,
        .command = confirm_command,
        .query = confirm_query,
    },
};

const struct service_method *service_settings_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

Indaba__V1__Settings *convert_settings(struct service_call *call, const struct cluster_info *info)
{
    Indaba__V1__Settings *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__settings__init(to);
    to->heartbeat_ms = info->heartbeat_ms;
    to->election_ms = info->election_ms;
    to->commit_regions = info->commit_regions;
    to->lease_ms = info->lease_ms;
    to->leader_region = service_text(call, info->leader_region);
    return to;
}

char *convert_timers_note(struct service_call *call, const struct raft_status *status)
{
    uint32_t rtt_us = peers_rtt_longest_us(node_peers(call->node));
    char text[TEXT_SIZE];
    char command[TEXT_SIZE];
    char note[2 * TEXT_SIZE + 8];
    timers_fit_text(rtt_us, status->heartbeat_ms, status->election_ms, text);
    timers_fit_command(rtt_us, status->heartbeat_ms, status->election_ms, command);
    (void)snprintf(note, sizeof(note), "%s%s%s", text, text[0] == '\0' ? "" : ": ", command);
    return service_text(call, note);
}

static enum error set_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__SetClusterRequest *request = (const void *)call->request;
    struct command_cluster_set *to = &command->cluster_set;
    command->kind = COMMAND_CLUSTER_SET;
    TRY(service_request_id(call, request->request_id, command));
    to->heartbeat_ms = request->heartbeat_ms;
    to->election_ms = request->election_ms;
    to->commit_regions = request->commit_regions;
    to->lease_ms = request->lease_ms;
    TRY(service_copy(call,
                     "leader_region",
                     request->leader_region,
                     to->leader_region,
                     sizeof(to->leader_region)));
    if (!request->force) {
        TRY(timers_are_enough(call, to));
    }
    TRY(service_check_members(call, command));
    return lower_commit_regions(call, to);
}

static enum error timers_are_enough(struct service_call *call,
                                    const struct command_cluster_set *wish)
{
    uint32_t rtt_us = peers_rtt_longest_us(node_peers(call->node));
    char text[TEXT_SIZE];
    timers_fit_text(rtt_us, wish->heartbeat_ms, wish->election_ms, text);
    return wish->heartbeat_ms == 0 || text[0] == '\0'
               ? ERR_OK
               : service_fail(call, ERR_PRECONDITION, "%s (--force takes them all the same)", text);
}

/* Before the command is on record: where too few regions are left, it could never be. */
static enum error lower_commit_regions(struct service_call *call,
                                       const struct command_cluster_set *wish)
{
    struct raft_status status;
    raft_status(node_raft(call->node), &status);
    uint32_t now = status.configuration.rules.commit_regions_min;
    if (wish->commit_regions == 0 || wish->commit_regions >= now) {
        return ERR_OK;
    }
    if (wish->heartbeat_ms != 0 || wish->election_ms != 0 || wish->lease_ms != 0 ||
        wish->leader_region[0] != '\0') {
        return service_fail(call,
                            ERR_INVALID,
                            "commit_regions: is lowered at once, in a request of its own: set the "
                            "rest after it");
    }
    node_lower_commit_regions(call->node, wish->commit_regions);
    return ERR_OK;
}

/* From here on the record says it. */
static void set_proposed(struct service_call *call)
{
    node_restore_commit_regions(call->node);
}

static enum error set_query(struct service_call *call, const struct tables *tables)
{
    Indaba__V1__SetClusterResponse *response = (void *)call->response;
    struct cluster_info info;
    query_cluster(tables, &info);
    response->settings = convert_settings(call, &info);
    return ERR_OK;
}

static enum error confirm_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__ConfirmRecoveryRequest *request = (const void *)call->request;
    struct command_cluster_confirm *to = &command->cluster_confirm;
    command->kind = COMMAND_CLUSTER_CONFIRM;
    TRY(service_request_id(call, request->request_id, command));
    to->cluster_epoch = request->cluster_epoch;
    return service_copy(call, "reason", request->reason, to->reason, sizeof(to->reason));
}

static enum error confirm_query(struct service_call *call, const struct tables *tables)
{
    Indaba__V1__ConfirmRecoveryResponse *response = (void *)call->response;
    struct cluster_info info;
    query_cluster(tables, &info);
    response->cluster_epoch = info.cluster_epoch;
    return ERR_OK;
}
