/* SPDX-License-Identifier: Apache-2.0 */
/* See api.h: the server, its table of methods, roles, and the channel to the leader. */
#include "coordinator/etcd.h"
#include "coordinator/service.h"

#include "base/check.h"
#include "base/mem.h"
#include "wire/wire_descriptors.h"

#include <stdio.h>
#include <string.h>

typedef const struct service_method *(*methods_fn)(size_t *count_out);

static const methods_fn services[] = {
    service_cluster_methods,
    service_members_methods,
    service_settings_methods,
    service_topology_methods,
    service_shards_methods,
    service_failovers_methods,
    service_ledger_methods,
    service_confirm_methods,
};

static const char MEMBER_PATH[] = "/member/";

static bool is_of_members(const char *path);
static bool is_on_record(const struct api *api, const char *name);
static size_t bind_methods(struct api *api);
static bool admit(struct server_call *call, void *ctx);
static enum server_class class_of(const char *identity, void *ctx);
static bool knows_source(const char *host, void *ctx);
static void on_server_drained(struct server *server, void *ctx);

enum error api_new(const struct api_options *options, char *errmsg, struct api **api_out)
{
    struct api *api = mem_new(sizeof(*api));
    api->options = *options;
    api->node = options->node;
    api->config = node_config(options->node);
    api->sessions = sessions_new(api);
    const struct server_options server = {
        .address = api->config->listen_api,
        .tls = options->tls,
        .tls_role = TLS_SERVER,
        .reply_bytes_max = API_REPLY_BYTES_MAX,
        .methods = api->methods,
        .methods_count = bind_methods(api),
        .ctx = api,
        .refuse = api_refuse_in_quarantine,
        .admit = admit,
        .class_of = class_of,
        .knows_source = knows_source,
    };
    char why[NET_ERRMSG_SIZE] = "";
    enum error error = server_new(options->net, &server, why, &api->server);
    if (error != ERR_OK) {
        (void)snprintf(errmsg, NODE_ERROR_SIZE, "listen.api %s: %s", api->config->listen_api, why);
        sessions_free(api->sessions);
        mem_free(api->bindings);
        mem_free(api);
        return error;
    }
    api->health = health_new(api->server);
    health_set(api->health, "", true);
    error = etcd_new(api, errmsg, &api->etcd);
    if (error != ERR_OK) {
        api_free(api);
        return error;
    }
    api->reflection = reflection_new(api->server, wire_descriptors());
    api->denials = denials_new(api);
    *api_out = api;
    return ERR_OK;
}

void api_drain(struct api *api, uint32_t grace_ms, void (*on_drained)(void *ctx), void *ctx)
{
    api->on_drained = on_drained;
    api->drained_ctx = ctx;
    health_set(api->health, "", false);
    sessions_end(api->sessions);
    etcd_drain(api->etcd);
    server_drain(api->server, grace_ms, on_server_drained, api);
}

void api_free(struct api *api)
{
    server_free(api->server);
    if (api->leader_channel != NULL) {
        channel_free(api->leader_channel);
    }
    health_free(api->health);
    reflection_free(api->reflection);
    etcd_free(api->etcd);
    sessions_free(api->sessions);
    denials_free(api->denials);
    mem_free(api->bindings);
    mem_free(api);
}

struct api_counts api_counts(const struct api *api)
{
    return (struct api_counts){
        .connections = server_connections_count(api->server),
        .calls = server_calls_count(api->server),
        .sessions = sessions_count(api->sessions),
        .requests = api->requests,
        .denied = api->denied,
        .forwarded = api->forwarded,
    };
}

enum api_role api_role_of(const struct api *api, const char *identity)
{
    const char *path = tls_identity_path(identity);
    if (strncmp(path, "/operator/", strlen("/operator/")) == 0) {
        return API_OPERATOR;
    }
    if (is_of_members(path)) {
        return is_on_record(api, path + strlen(MEMBER_PATH)) ? API_MEMBER : API_NOBODY;
    }
    if (strncmp(path, "/sidecar/", strlen("/sidecar/")) == 0) {
        return API_SIDECAR;
    }
    if (strncmp(path, "/client/", strlen("/client/")) == 0) {
        return API_CLIENT;
    }
    return API_NOBODY;
}

void api_refuse_role(struct api *api, struct server_call *call, const char *why)
{
    struct node_view view;
    node_view(api->node, &view);
    if (is_of_members(tls_identity_path(server_call_peer(call))) && !view.in_office) {
        api_refuse_not_leader(api, call);
        return;
    }
    api_denied(api, call, why);
    server_call_fail(call, ERR_DENIED, why);
}

void api_refuse_not_leader(struct api *api, struct server_call *call)
{
    struct node_view view;
    node_view(api->node, &view);
    /* A leader that is not in office yet names itself: whoever asks comes back in a moment. */
    bool entering = view.role == RAFT_LEADER && !view.in_office;
    bool known = view.leader != NULL && (view.role != RAFT_LEADER || entering);
    char message[TEXT_SIZE];
    (void)snprintf(message,
                   sizeof(message),
                   entering ? "member %s has just been elected and is not in office yet: try again"
                   : known  ? "member %s does not lead; %s does, at %s"
                            : "member %s does not lead, and no leader is known now: try again",
                   api->config->name,
                   known ? view.leader->name : "",
                   known ? view.leader->api_address : "");
    const char *const metadata[] = {"leader",
                                    known ? view.leader->name : "",
                                    "leader_address",
                                    known ? view.leader->api_address : ""};
    const struct grpc_error_info info = {
        .reason = "NOT_LEADER", .domain = "indaba", .metadata = metadata, .pairs_count = 2};
    struct buf details = {0};
    grpc_status_details_put(&details, GRPC_UNAVAILABLE, message, &info);
    server_call_finish(call, GRPC_UNAVAILABLE, message, buf_view(&details));
    buf_deinit(&details);
}

void api_leader_changed(struct api *api)
{
    struct node_view view;
    node_view(api->node, &view);
    bool same = view.leader != NULL && view.role != RAFT_LEADER &&
                member_id_equal(api->leader, view.leader->id);
    etcd_leader_changed(api->etcd);
    if (api->leader_channel != NULL && !same) {
        struct channel *old = api->leader_channel;
        api->leader_channel = NULL;
        channel_free(old);
    }
}

struct channel *api_leader_channel(struct api *api)
{
    struct node_view view;
    node_view(api->node, &view);
    if (view.leader == NULL || view.role == RAFT_LEADER) {
        return NULL;
    }
    if (api->leader_channel != NULL) {
        CHECK(member_id_equal(api->leader, view.leader->id));
        return api->leader_channel;
    }
    const struct channel_options options = {
        .address = view.leader->api_address,
        .tls = api->options.tls,
        .peer_path_prefix = "/member/",
        .message_bytes_max = API_REPLY_BYTES_MAX,
        .keepalive_ms = 1000,
        .keepalive_timeout_ms = 1000,
    };
    if (channel_new(api->options.net, &options, NULL, NULL, &api->leader_channel) != ERR_OK) {
        return NULL; /* its record has an address that cannot be dialled */
    }
    api->leader = view.leader->id;
    return api->leader_channel;
}

static bool is_of_members(const char *path)
{
    return strncmp(path, MEMBER_PATH, strlen(MEMBER_PATH)) == 0;
}

static bool is_on_record(const struct api *api, const char *name)
{
    uint32_t count = 0;
    const struct member *members = node_members(api->node, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static size_t bind_methods(struct api *api)
{
    size_t total = 0;
    api->bindings = mem_new_array(API_METHODS_MAX, sizeof(*api->bindings));
    for (size_t service = 0; service < ARRAY_LEN(services); service++) {
        size_t count = 0;
        const struct service_method *methods = services[service](&count);
        for (size_t i = 0; i < count; i++) {
            CHECK(total < API_METHODS_MAX - 1);
            api->bindings[total] = (struct service_binding){.api = api, .method = &methods[i]};
            api->methods[total] = (struct server_method){
                .path = methods[i].path,
                .kind = SERVER_UNARY,
                .on_message = service_on_message,
                .ctx = &api->bindings[total],
            };
            total++;
        }
    }
    api->methods[total++] = sessions_method(api->sessions);
    return total;
}

static bool admit(struct server_call *call, void *ctx)
{
    if (api_role_of(ctx, server_call_peer(call)) != API_NOBODY) {
        return true;
    }
    api_refuse_role(ctx, call, "a certificate with a role here is needed");
    return false;
}

static enum server_class class_of(const char *identity, void *ctx)
{
    switch (api_role_of(ctx, identity)) {
    case API_MEMBER:
    case API_SIDECAR:
        return SERVER_TRUSTED;
    case API_OPERATOR:
        return SERVER_OPERATOR;
    case API_CLIENT:
        return SERVER_CLIENT;
    case API_NOBODY:
        break;
    }
    /* A member may be on record and our record not be read yet. */
    return is_of_members(tls_identity_path(identity)) ? SERVER_CLIENT : SERVER_NOBODY;
}

/* A member's, by the record or the configuration file. */
static bool knows_source(const char *host, void *ctx)
{
    const struct api *api = ctx;
    uint32_t count = 0;
    const struct member *members = node_members(api->node, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (net_is_host(members[i].api_address, host)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < api->config->members_count; i++) {
        if (net_is_host(api->config->members[i].api_address, host)) {
            return true;
        }
    }
    return false;
}

const char *api_refuse_in_quarantine(void *ctx)
{
    struct api *api = ctx;
    if (!node_is_quarantined(api->node)) {
        return NULL;
    }
    return node_quarantine_text(api->node, api->refusal);
}

static void on_server_drained(struct server *server, void *ctx)
{
    (void)server;
    struct api *api = ctx;
    api->on_drained(api->drained_ctx);
}
