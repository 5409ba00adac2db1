/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Cluster: members. Who is wanted goes into the record; the consensus core follows by
 * itself (membership_plan.h), and GetMembers shows both side by side. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct members_data {
    struct cluster_info info;
    struct member members[MEMBERS_MAX];
    uint32_t count;
};

static enum error members_query(struct service_call *call, const struct tables *tables);
static void members_finish(struct service_call *call);
static void put_refused(struct service_call *call, Indaba__V1__GetMembersResponse *response);
static bool is_settled(const struct members_data *data,
                       const struct raft_configuration *configuration);
static enum error add_command(struct service_call *call, struct command *command);
static enum error add_query(struct service_call *call, const struct tables *tables);
static enum error change_command(struct service_call *call, struct command *command);
static enum error
copy_change(struct service_call *call, const char *field, const char *text, char to[ADDRESS_SIZE]);
static enum error change_query(struct service_call *call, const struct tables *tables);
static enum error transfer_query(struct service_call *call, const struct tables *tables);
static void transfer_finish(struct service_call *call);
static struct members_data *read_members(struct service_call *call, const struct tables *tables);
static const struct member *named(const struct members_data *data, const char *name);
static enum error parse_standing(struct service_call *call,
                                 const char *field,
                                 const char *text,
                                 enum member_standing *standing);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Cluster/GetMembers",
        .kind = SERVICE_READ,
        .request = &indaba__v1__get_members_request__descriptor,
        .response = &indaba__v1__get_members_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__GetMembersRequest, consistency),
        .query = members_query,
        .finish = members_finish,
    },
    {
        .path = "/indaba.v1.Cluster/AddMember",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__add_member_request__descriptor,
        .response = &indaba__v1__add_member_response__descriptor,
        .command = add_command,
        .query = add_query,
    },
    {
        .path = "/indaba.v1.Cluster/ChangeMember",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__change_member_request__descriptor,
        .response = &indaba__v1__change_member_response__descriptor,
        .command = change_command,
        .query = change_query,
    },
    /* Behind a proof that we lead, like a read; what it does, it does to this leader alone. */
    {
        .path = "/indaba.v1.Cluster/TransferLeadership",
        .kind = SERVICE_READ,
        .request = &indaba__v1__transfer_leadership_request__descriptor,
        .response = &indaba__v1__transfer_leadership_response__descriptor,
        .query = transfer_query,
        .finish = transfer_finish,
    },
};

const struct service_method *service_members_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error members_query(struct service_call *call, const struct tables *tables)
{
    const struct members_data *data = read_members(call, tables);
    Indaba__V1__GetMembersResponse *response = (void *)call->response;
    response->settings = convert_settings(call, &data->info);
    response->cluster_epoch = data->info.cluster_epoch;
    response->recovery_unconfirmed = data->info.unconfirmed;
    return ERR_OK;
}

static void members_finish(struct service_call *call)
{
    Indaba__V1__GetMembersResponse *response = (void *)call->response;
    const struct members_data *data = call->data;
    struct raft_status status;
    raft_status(node_raft(call->node), &status);
    void **messages =
        wire_new_messages(&call->arena, data->count, sizeof(Indaba__V1__MemberStatus));
    for (uint32_t i = 0; i < data->count; i++) {
        convert_member_status(call, &status, &data->members[i], messages[i]);
    }
    response->members = (Indaba__V1__MemberStatus **)(void *)messages;
    response->n_members = data->count;
    put_refused(call, response);
    response->rtt_longest_us = peers_rtt_longest_us(node_peers(call->node));
    response->last_index = status.last_index;
    response->configuration_index = status.configuration_index;
    response->configuration_committed = status.configuration_committed;
    response->change_under_way = convert_is_joint(&status.configuration);
    response->settled = status.configuration_committed && is_settled(data, &status.configuration);
    response->heartbeat_ms = status.heartbeat_ms;
    response->election_ms = status.election_ms;
    response->timers_note = convert_timers_note(call, &status);
    response->change_held = service_text(call, node_members_held(call->node));
}

static void put_refused(struct service_call *call, Indaba__V1__GetMembersResponse *response)
{
    struct peers_refused refused[PEERS_REFUSED_MAX];
    uint32_t count = peers_refused(node_peers(call->node), clock_monotonic_ms(), refused);
    void **messages = wire_new_messages(&call->arena, count, sizeof(Indaba__V1__RefusedPeer));
    for (uint32_t i = 0; i < count; i++) {
        Indaba__V1__RefusedPeer *to = messages[i];
        char id[ID128_TEXT_SIZE];
        indaba__v1__refused_peer__init(to);
        to->name = service_text(call, refused[i].name);
        to->id = service_text(call, id128_format(refused[i].id.hi, refused[i].id.lo, id));
        to->peer_address = service_text(call, refused[i].address);
        to->heard_ms_ago = refused[i].heard_ms_ago;
        to->named_by = refused[i].named_by;
        to->needed = refused[i].needed;
        to->removed = refused[i].gone;
        if (!refused[i].gone) {
            char command[CONFIG_PATH_SIZE + TEXT_SIZE];
            (void)snprintf(command,
                           sizeof(command),
                           "indaba member vouch --dir %s --name %s --id %s",
                           front_config(call->front)->dir,
                           refused[i].name,
                           id);
            to->vouch_command = service_text(call, command);
        }
    }
    response->refused = (Indaba__V1__RefusedPeer **)(void *)messages;
    response->n_refused = count;
}

/* The configuration says of each member what the record wants, and names nobody else. */
static bool is_settled(const struct members_data *data,
                       const struct raft_configuration *configuration)
{
    const struct raft_rules *rules = &configuration->rules;
    if (configuration->count != data->count || convert_is_joint(configuration) ||
        rules->heartbeat_ms != data->info.heartbeat_ms ||
        rules->election_ms != data->info.election_ms ||
        rules->commit_regions_min != data->info.commit_regions) {
        return false;
    }
    for (uint32_t i = 0; i < data->count; i++) {
        const struct member *member = &data->members[i];
        if (strcmp(convert_core_standing(configuration, member->id),
                   member_standing_name(member->standing)) != 0) {
            return false;
        }
    }
    return true;
}

static enum error add_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__AddMemberRequest *request = (const void *)call->request;
    const Indaba__V1__Member *from = request->member;
    if (from == NULL) {
        return service_fail(call, ERR_INVALID, "member: is missing");
    }
    struct member *to = &command->member_add.member;
    command->kind = COMMAND_MEMBER_ADD;
    TRY(service_request_id(call, request->request_id, command));
    if (id128_parse(from->id, &to->id.hi, &to->id.lo) != ERR_OK || member_id_is_none(to->id)) {
        return service_fail(call,
                            ERR_INVALID,
                            "member.id: 32 random hex digits are needed: `indaba member new-id`");
    }
    TRY(service_copy(call, "member.name", from->name, to->name, sizeof(to->name)));
    TRY(service_copy(call, "member.region", from->region, to->region, sizeof(to->region)));
    TRY(service_copy_address(call, "member.peer_address", from->peer_address, to->peer_address));
    TRY(service_copy_address(call, "member.api_address", from->api_address, to->api_address));
    TRY(service_copy_address(call, "member.ops_address", from->ops_address, to->ops_address));
    TRY(parse_standing(call, "member.standing", from->standing, &to->standing));
    return service_check_members(call, command);
}

static enum error add_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__AddMemberRequest *request = (const void *)call->request;
    Indaba__V1__AddMemberResponse *response = (void *)call->response;
    const struct member *member = named(read_members(call, tables), request->member->name);
    response->member = member == NULL ? NULL : convert_member(call, member);
    response->warning = call->warning;
    return ERR_OK;
}

static enum error change_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__ChangeMemberRequest *request = (const void *)call->request;
    struct command_member_change *to = &command->member_change;
    command->kind = COMMAND_MEMBER_CHANGE;
    TRY(service_request_id(call, request->request_id, command));
    TRY(service_copy(call, "name", request->name, to->name, sizeof(to->name)));
    TRY(copy_change(call, "peer_address", request->peer_address, to->peer_address));
    TRY(copy_change(call, "api_address", request->api_address, to->api_address));
    TRY(copy_change(call, "ops_address", request->ops_address, to->ops_address));
    TRY(parse_standing(call, "standing", request->standing, &to->standing));
    return service_check_members(call, command);
}

enum error service_check_members(struct service_call *call, const struct command *command)
{
    struct membership_forecast forecast;
    enum error error = node_members_check(call->node, command, &forecast);
    call->warning = service_text(call, forecast.warning);
    if (error == ERR_PRECONDITION) {
        log_event(LOG_WARN,
                  "members.refused",
                  "actor=%s why=%s",
                  log_quote(call->actor),
                  log_quote(forecast.why));
    }
    return error == ERR_OK ? ERR_OK : service_fail(call, error, "%s", forecast.why);
}

/* An address that is not given stays as it is. */
static enum error
copy_change(struct service_call *call, const char *field, const char *text, char to[ADDRESS_SIZE])
{
    return text[0] == '\0' ? ERR_OK : service_copy_address(call, field, text, to);
}

/* One that has left in the meantime has no record any more. */
static enum error change_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__ChangeMemberRequest *request = (const void *)call->request;
    Indaba__V1__ChangeMemberResponse *response = (void *)call->response;
    const struct member *member = named(read_members(call, tables), request->name);
    response->member = member == NULL ? NULL : convert_member(call, member);
    response->warning = call->warning;
    return ERR_OK;
}

static enum error transfer_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__TransferLeadershipRequest *request = (const void *)call->request;
    const struct members_data *data = read_members(call, tables);
    if ((request->to[0] == '\0') != request->any) {
        return service_fail(call, ERR_INVALID, "to: name a member, or say any=true, not both");
    }
    if (request->any && request->term == 0) {
        return service_fail(
            call, ERR_INVALID, "term: of the leader that shall hand over; it makes a retry safe");
    }
    if (request->to[0] != '\0' && named(data, request->to) == NULL) {
        return service_fail(call,
                            ERR_NOT_FOUND,
                            "there is no member \"%.63s\": `indaba member ls` lists them",
                            request->to);
    }
    return ERR_OK;
}

static void transfer_finish(struct service_call *call)
{
    const Indaba__V1__TransferLeadershipRequest *request = (const void *)call->request;
    Indaba__V1__TransferLeadershipResponse *response = (void *)call->response;
    const struct members_data *data = call->data;
    const struct member *wanted = request->any ? NULL : named(data, request->to);
    struct raft_status status;
    raft_status(node_raft(call->node), &status);
    bool here = wanted == NULL || member_id_equal(wanted->id, status.leader);
    if (status.role == RAFT_LEADER && here && request->term != 0 && status.term > request->term) {
        response->to = service_text(call, front_config(call->front)->name);
        return;
    }
    struct member_id target = {0};
    char why[TEXT_SIZE] = "";
    call->error = node_hand_over(call->node, wanted == NULL ? target : wanted->id, why, &target);
    if (call->error != ERR_OK) {
        (void)service_fail(call,
                           call->error,
                           "leadership is not handed over%s%.63s: %.150s",
                           wanted == NULL ? "" : " to ",
                           request->to,
                           why);
        return;
    }
    response->from = service_text(call, front_config(call->front)->name);
    for (uint32_t i = 0; i < data->count; i++) {
        if (member_id_equal(data->members[i].id, target)) {
            response->to = service_text(call, data->members[i].name);
        }
    }
}

static struct members_data *read_members(struct service_call *call, const struct tables *tables)
{
    struct members_data *data = mem_new(sizeof(*data));
    call->data = data;
    query_cluster(tables, &data->info);
    data->count = query_members(tables, data->members, MEMBERS_MAX);
    CHECK(data->count <= MEMBERS_MAX);
    return data;
}

static const struct member *named(const struct members_data *data, const char *name)
{
    for (uint32_t i = 0; i < data->count; i++) {
        if (strcmp(data->members[i].name, name) == 0) {
            return &data->members[i];
        }
    }
    return NULL;
}

static enum error parse_standing(struct service_call *call,
                                 const char *field,
                                 const char *text,
                                 enum member_standing *standing)
{
    if (member_standing_parse(text, standing) != ERR_OK) {
        return service_fail(
            call, ERR_INVALID, "%s: \"%.64s\" is none of voter, learner, leaving", field, text);
    }
    return ERR_OK;
}
