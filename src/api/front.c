/* SPDX-License-Identifier: Apache-2.0 */
/* See front.h: the server, roles, and the channel to the leader. */
#include "api/front_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const char MEMBER_PATH[] = "/member/";

static bool is_of_members(const char *path);
static bool is_on_record(const struct front *front, const char *name);
static bool admit(struct server_call *call, void *ctx);
static enum server_class class_of(const char *identity, void *ctx);
static bool knows_source(const char *host, void *ctx);
static void on_server_drained(struct server *server, void *ctx);
static void on_leader_changed(void *ctx);

enum error
front_new(const struct front_options *options, struct reason *reason, struct front **front_out)
{
    struct front *front = mem_new(sizeof(*front));
    front->options = *options;
    front->config = node_config(options->node);
    const struct server_options server = {
        .address = front->config->listen_api,
        .tls = options->tls,
        .tls_role = TLS_SERVER,
        .reply_bytes_max = FRONT_REPLY_BYTES_MAX,
        .ctx = front,
        .refuse = front_refuse_in_quarantine,
        .admit = admit,
        .class_of = class_of,
        .knows_source = knows_source,
    };
    enum error error = server_new(options->net, &server, reason, &front->server);
    if (error != ERR_OK) {
        reason_say(reason, "listen.api %s: %s", front->config->listen_api, reason->text);
        mem_free(front);
        return error;
    }
    front->health = health_new(front->server);
    health_set(front->health, "", true);
    front->denials = denials_new(front);
    front->observer = (struct node_observer){.on_leader_changed = on_leader_changed, .ctx = front};
    node_observe(options->node, &front->observer);
    front->port = node_port_open(options->node);
    *front_out = front;
    return ERR_OK;
}

void front_drain(struct front *front, uint32_t grace_ms, void (*on_drained)(void *ctx), void *ctx)
{
    front->on_drained = on_drained;
    front->drained_ctx = ctx;
    health_set(front->health, "", false);
    server_drain(front->server, grace_ms, on_server_drained, front);
}

void front_cut(struct front *front)
{
    server_free(front->server);
    front->server = NULL;
    if (front->leader_channel != NULL) {
        channel_free(front->leader_channel);
        front->leader_channel = NULL;
    }
}

void front_free(struct front *front)
{
    CHECK(front->server == NULL);
    node_port_close(front->port);
    node_unobserve(front->options.node, &front->observer);
    health_free(front->health);
    denials_free(front->denials);
    mem_free(front);
}

struct net *front_net(const struct front *front)
{
    return front->options.net;
}

struct node *front_node(const struct front *front)
{
    return front->options.node;
}

struct node_port *front_port(const struct front *front)
{
    return front->port;
}

const struct member_config *front_config(const struct front *front)
{
    return front->config;
}

struct server *front_server(const struct front *front)
{
    return front->server;
}

struct front_counts front_counts(const struct front *front)
{
    return (struct front_counts){
        .connections = server_connections_count(front->server),
        .calls = server_calls_count(front->server),
        .requests = front->requests,
        .denied = front->denied,
        .forwarded = front->forwarded,
    };
}

void front_count_request(struct front *front)
{
    front->requests++;
}

void front_count_forwarded(struct front *front)
{
    front->forwarded++;
}

enum front_role front_role_of(const struct front *front, const char *identity)
{
    const char *path = tls_identity_path(identity);
    if (strncmp(path, "/operator/", strlen("/operator/")) == 0) {
        return FRONT_OPERATOR;
    }
    if (is_of_members(path)) {
        return is_on_record(front, path + strlen(MEMBER_PATH)) ? FRONT_MEMBER : FRONT_NOBODY;
    }
    if (strncmp(path, "/sidecar/", strlen("/sidecar/")) == 0) {
        return FRONT_SIDECAR;
    }
    if (strncmp(path, "/client/", strlen("/client/")) == 0) {
        return FRONT_CLIENT;
    }
    return FRONT_NOBODY;
}

void front_refuse_role(struct front *front, struct server_call *call, const char *why)
{
    const struct node_office office = node_office(front->options.node);
    if (is_of_members(tls_identity_path(server_call_peer(call))) && !office.in_office) {
        front_refuse_not_leader(front, call);
        return;
    }
    front_denied(front, call, why);
    server_call_fail(call, ERR_DENIED, why);
}

void front_refuse_not_leader(struct front *front, struct server_call *call)
{
    const struct node_office office = node_office(front->options.node);
    /* A leader that is not in office yet names itself: whoever asks comes back in a moment. */
    bool entering = office.leads && !office.in_office;
    bool known = office.leader != NULL && (!office.leads || entering);
    char message[TEXT_SIZE];
    (void)snprintf(message,
                   sizeof(message),
                   entering ? "member %s has just been elected and is not in office yet: try again"
                   : known  ? "member %s does not lead; %s does, at %s"
                            : "member %s does not lead, and no leader is known now: try again",
                   front->config->name,
                   known ? office.leader->name : "",
                   known ? office.leader->api_address : "");
    const char *const metadata[] = {"leader",
                                    known ? office.leader->name : "",
                                    "leader_address",
                                    known ? office.leader->api_address : ""};
    const struct grpc_error_info info = {
        .reason = "NOT_LEADER", .domain = "indaba", .metadata = metadata, .pairs_count = 2};
    struct buf details = {0};
    grpc_status_details_put(&details, GRPC_UNAVAILABLE, message, &info);
    server_call_finish(call, GRPC_UNAVAILABLE, message, buf_view(&details));
    buf_deinit(&details);
}

struct channel *front_leader_channel(struct front *front)
{
    const struct node_office office = node_office(front->options.node);
    if (office.leader == NULL || office.leads) {
        return NULL;
    }
    if (front->leader_channel != NULL) {
        CHECK(member_id_equal(front->leader, office.leader->id));
        return front->leader_channel;
    }
    const struct channel_options options = {
        .address = office.leader->api_address,
        .tls = front->options.tls,
        .peer_path_prefix = "/member/",
        .message_bytes_max = FRONT_REPLY_BYTES_MAX,
        .keepalive_ms = 1000,
        .keepalive_timeout_ms = 1000,
    };
    if (channel_new(front->options.net, &options, NULL, NULL, &front->leader_channel) != ERR_OK) {
        return NULL; /* its record has an address that cannot be dialled */
    }
    front->leader = office.leader->id;
    return front->leader_channel;
}

const char *front_refuse_in_quarantine(void *ctx)
{
    struct front *front = ctx;
    if (!node_is_quarantined(front->options.node)) {
        return NULL;
    }
    return node_quarantine_text(front->options.node, front->refusal);
}

static bool is_of_members(const char *path)
{
    return strncmp(path, MEMBER_PATH, strlen(MEMBER_PATH)) == 0;
}

static bool is_on_record(const struct front *front, const char *name)
{
    uint32_t count = 0;
    const struct member *members = node_members(front->options.node, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool admit(struct server_call *call, void *ctx)
{
    if (front_role_of(ctx, server_call_peer(call)) != FRONT_NOBODY) {
        return true;
    }
    front_refuse_role(ctx, call, "a certificate with a role here is needed");
    return false;
}

static enum server_class class_of(const char *identity, void *ctx)
{
    switch (front_role_of(ctx, identity)) {
    case FRONT_MEMBER:
    case FRONT_SIDECAR:
        return SERVER_TRUSTED;
    case FRONT_OPERATOR:
        return SERVER_OPERATOR;
    case FRONT_CLIENT:
        return SERVER_CLIENT;
    case FRONT_NOBODY:
        break;
    }
    /* A member may be on record and our record not be read yet. */
    return is_of_members(tls_identity_path(identity)) ? SERVER_CLIENT : SERVER_NOBODY;
}

/* A member's, by the record or the configuration file. */
static bool knows_source(const char *host, void *ctx)
{
    const struct front *front = ctx;
    uint32_t count = 0;
    const struct member *members = node_members(front->options.node, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (net_is_host(members[i].api_address, host)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < front->config->members_count; i++) {
        if (net_is_host(front->config->members[i].api_address, host)) {
            return true;
        }
    }
    return false;
}

static void on_server_drained(struct server *server, void *ctx)
{
    (void)server;
    struct front *front = ctx;
    front->on_drained(front->drained_ctx);
}

static void on_leader_changed(void *ctx)
{
    struct front *front = ctx;
    const struct node_office office = node_office(front->options.node);
    bool same =
        office.leader != NULL && !office.leads && member_id_equal(front->leader, office.leader->id);
    if (front->leader_channel != NULL && !same) {
        struct channel *old = front->leader_channel;
        front->leader_channel = NULL;
        channel_free(old);
    }
}
