/* SPDX-License-Identifier: Apache-2.0 */
/* See service.h. A call is owned by exactly one continuation at a time (a read, a query, a
 * proposal, a forwarded call); whoever ends that continuation ends or frees the call. A cancelled
 * call only loses its `call` pointer, so a proposal under way still runs to its end. */
#include "api/service.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ARENA_BYTES_MAX = 32 * 1024 * 1024
};

static bool authenticate(struct service_call *call);
static int name_actor(struct service_call *call, const char *identity);
static bool is_forwarded(const struct service_call *call);
static void on_cancel(struct server_call *server_call, void *ctx);
static void begin(struct service_call *call, struct slice message);
static void pass_on(struct service_call *call, struct slice message);
static void on_forwarded(const struct channel_result *result, void *ctx);
static void begin_write(struct service_call *call);
static void on_proposed(const struct node_port_answer *answer, void *ctx);
static void on_read_ready(const struct node_port_answer *answer, void *ctx);
static void start_query(struct service_call *call);
static void query_run(const struct tables *tables, void *ctx);
static void query_done(const struct node_port_answer *answer, void *ctx);
static void put_header(struct service_call *call);
static void end_with_error(struct service_call *call, enum error error, const char *message);
static void service_call_free(struct service_call *call);

void service_on_message(struct server_call *server_call, struct slice message, void *ctx)
{
    const struct service_binding *binding = ctx;
    struct service_call *call = mem_new(sizeof(*call));
    call->front = binding->front;
    call->node = front_node(binding->front);
    call->method = binding->method;
    call->call = server_call;
    wire_arena_init(&call->arena, ARENA_BYTES_MAX);
    server_call_set_cancel(server_call, on_cancel, call);
    front_count_request(call->front);
    if (!authenticate(call)) {
        return;
    }
    enum error error = wire_unpack(call->method->request, message, &call->arena, &call->request);
    if (error != ERR_OK) {
        end_with_error(call, ERR_INVALID, "the request cannot be read as this method's message");
        return;
    }
    begin(call, message);
}

static bool authenticate(struct service_call *call)
{
    const char *identity = server_call_peer(call->call);
    int len = 0;
    enum front_role role = front_role_of(call->front, identity);
    if (role == FRONT_SIDECAR && call->method->of_sidecars) {
        role = FRONT_OPERATOR;
    }
    switch (role) {
    case FRONT_OPERATOR:
        len = snprintf(call->actor, sizeof(call->actor), "%s", identity);
        break;
    case FRONT_MEMBER:
        len = name_actor(call, identity);
        break;
    case FRONT_SIDECAR:
    case FRONT_CLIENT:
    case FRONT_NOBODY:
        front_refuse_role(
            call->front, call->call, "operators and members on record only: use their certificate");
        service_call_free(call);
        return false;
    }
    if (len < 0 || (size_t)len >= sizeof(call->actor)) {
        end_with_error(call, ERR_DENIED, "the identity of the caller is too long");
        return false;
    }
    return true;
}

/* A member that passes a request on names who asked it; whose word that is stands beside it. */
static int name_actor(struct service_call *call, const char *identity)
{
    const char *asked = server_call_metadata(call->call, FRONT_ACTOR_METADATA);
    if (asked == NULL) {
        return snprintf(call->actor, sizeof(call->actor), "%s", identity);
    }
    const char *path = tls_identity_path(identity);
    return snprintf(call->actor, sizeof(call->actor), "%s via %s", asked, path);
}

static bool is_forwarded(const struct service_call *call)
{
    return server_call_metadata(call->call, FRONT_ACTOR_METADATA) != NULL;
}

static void on_cancel(struct server_call *server_call, void *ctx)
{
    struct service_call *call = ctx;
    CHECK(call->call == server_call);
    call->call = NULL;
    if (call->forward != NULL) {
        channel_call_cancel(call->forward);
        service_call_free(call);
    }
}

static void begin(struct service_call *call, struct slice message)
{
    const struct service_method *method = call->method;
    if (method->kind == SERVICE_READ && method->consistency_offset > 0) {
        Indaba__V1__Consistency consistency;
        memcpy(&consistency,
               (const uint8_t *)call->request + method->consistency_offset,
               sizeof(consistency));
        call->stale = consistency == INDABA__V1__CONSISTENCY__CONSISTENCY_STALE;
    }
    const struct node_office office = node_port_office(front_port(call->front));
    if (method->kind == SERVICE_LOCAL || call->stale) {
        call->stale = true;
        start_query(call);
    } else if (!office.leads) {
        pass_on(call, message);
    } else if (method->kind == SERVICE_WRITE) {
        begin_write(call);
    } else {
        node_port_read(front_port(call->front),
                       (struct node_port_waiter){.done = on_read_ready, .ctx = call});
    }
}

static void pass_on(struct service_call *call, struct slice message)
{
    struct channel *channel = is_forwarded(call) ? NULL : front_leader_channel(call->front);
    if (channel == NULL) {
        front_refuse_not_leader(call->front, call->call);
        service_call_free(call);
        return;
    }
    uint64_t remaining_ms = server_call_remaining_ms(call->call);
    const struct channel_metadata metadata = {.name = FRONT_ACTOR_METADATA, .value = call->actor};
    const struct channel_request request = {
        .path = call->method->path,
        .timeout_ms =
            remaining_ms < SERVICE_TIMEOUT_MS ? (uint32_t)remaining_ms : SERVICE_TIMEOUT_MS,
        /* Not to hang on a leader that has just died: the caller tries again, and the next answer
         * comes from its successor. */
        .wait_for_ready = false,
        .metadata = &metadata,
        .metadata_count = 1,
    };
    channel_redial(channel);
    front_count_forwarded(call->front);
    call->forward = channel_unary(channel, &request, message, on_forwarded, call);
}

static void on_forwarded(const struct channel_result *result, void *ctx)
{
    struct service_call *call = ctx;
    CHECK(call->call != NULL);
    if (result->status == GRPC_OK) {
        server_call_reply(call->call, result->reply);
    } else if (result->status == GRPC_PERMISSION_DENIED) {
        /* Whoever asked was let in here; it is this member that the leader does not know, or not
         * any more. */
        front_refuse_not_leader(call->front, call->call);
    } else {
        server_call_finish(call->call, result->status, result->message, result->details);
    }
    service_call_free(call);
}

static void begin_write(struct service_call *call)
{
    struct command *command = mem_new(sizeof(*command));
    enum error error = call->method->command(call, command);
    if (error == ERR_OK) {
        memcpy(command->actor, call->actor, sizeof(command->actor));
        node_port_propose(front_port(call->front),
                          command,
                          (struct node_port_waiter){.done = on_proposed, .ctx = call});
    }
    mem_free(command);
    if (error != ERR_OK) {
        end_with_error(call, error, call->message);
    }
}

static void on_proposed(const struct node_port_answer *answer, void *ctx)
{
    struct service_call *call = ctx;
    const enum error error = answer->error;
    const struct command_result *result = answer->result;
    if (call->method->proposed != NULL) {
        call->method->proposed(call);
    }
    if (error == ERR_OK && result->error == ERR_OK) {
        call->result = *result;
        start_query(call);
    } else if (error == ERR_OK) {
        end_with_error(call, result->error, result->message);
    } else if (error == ERR_NOT_LEADER || error == ERR_OUTCOME_UNKNOWN) {
        /* Its request id makes a retry safe, whatever became of the first attempt. */
        end_with_error(call, ERR_NOT_LEADER, "leadership was lost meanwhile");
    } else if (error == ERR_NO_SPACE) {
        char text[NODE_SPACE_TEXT_SIZE];
        end_with_error(call, error, node_space_text(call->node, text));
    } else if (error == ERR_VERSION) {
        end_with_error(call,
                       error,
                       "some member does not know this command yet: upgrade all of them (`indaba "
                       "member ls` shows their levels)");
    } else {
        end_with_error(call, error, "the leader takes no more proposals now: try again");
    }
}

static void on_read_ready(const struct node_port_answer *answer, void *ctx)
{
    struct service_call *call = ctx;
    if (answer->error == ERR_OK) {
        start_query(call);
    } else {
        end_with_error(call, ERR_NOT_LEADER, "leadership was lost meanwhile");
    }
}

static void start_query(struct service_call *call)
{
    node_port_query(front_port(call->front),
                    query_run,
                    (struct node_port_waiter){.done = query_done, .ctx = call});
}

/* On the apply thread. */
static void query_run(const struct tables *tables, void *ctx)
{
    struct service_call *call = ctx;
    struct apply_position position;
    apply_position(tables, &position);
    call->revision = position.index;
    if (call->response == NULL) {
        call->response = wire_new(&call->arena, call->method->response->sizeof_message);
        protobuf_c_message_init(call->method->response, call->response);
    }
    call->goes_on = false;
    call->error = call->method->query(call, tables);
}

static void query_done(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    struct service_call *call = ctx;
    if (call->call == NULL) {
        service_call_free(call);
        return;
    }
    if (call->goes_on) {
        start_query(call);
        return;
    }
    if (call->error != ERR_OK) {
        end_with_error(call, call->error, call->message);
        return;
    }
    if (call->method->finish != NULL) {
        call->method->finish(call);
    }
    if (call->error != ERR_OK) {
        end_with_error(call, call->error, call->message);
        return;
    }
    put_header(call);
    struct buf bytes = {0};
    wire_pack(call->response, &bytes);
    server_call_reply(call->call, buf_view(&bytes));
    buf_deinit(&bytes);
    service_call_free(call);
}

static void put_header(struct service_call *call)
{
    struct node_view view;
    node_view(call->node, &view);
    Indaba__V1__ResponseHeader *header = wire_new(&call->arena, sizeof(*header));
    indaba__v1__response_header__init(header);
    char cluster[ID128_TEXT_SIZE];
    const struct member_config *config = front_config(call->front);
    header->cluster_id =
        service_text(call, id128_format(config->cluster.hi, config->cluster.lo, cluster));
    header->answered_by = service_text(call, config->name);
    if (view.leader != NULL) {
        header->leader = service_text(call, view.leader->name);
        header->leader_address = service_text(call, view.leader->api_address);
    }
    header->revision = call->revision;
    header->term = view.term;
    header->stale = call->stale;
    header->age_ms = call->stale ? view.leader_heard_age_ms : 0;
    /* The header is the first field of every response (service.h). */
    memcpy((uint8_t *)call->response + sizeof(ProtobufCMessage), &header, sizeof(header));
}

static void end_with_error(struct service_call *call, enum error error, const char *message)
{
    if (call->call != NULL && error == ERR_NOT_LEADER) {
        front_refuse_not_leader(call->front, call->call);
    } else if (call->call != NULL) {
        server_call_fail(call->call, error, message[0] == '\0' ? error_text(error) : message);
    }
    service_call_free(call);
}

static void service_call_free(struct service_call *call)
{
    wire_arena_deinit(&call->arena);
    mem_free(call->views);
    mem_free(call->data);
    mem_free(call);
}
