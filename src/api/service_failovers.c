/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Failovers: what was decided, when, and by which proof. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "indaba/v1/failovers.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Failovers of the page and the views of their shards, by the same number. */
struct failovers_data {
    uint32_t count;
    struct failover items[SERVICE_PAGE_DEFAULT];
};

static enum error get_query(struct service_call *call, const struct tables *tables);
static void get_finish(struct service_call *call);
static enum error list_query(struct service_call *call, const struct tables *tables);
static void list_finish(struct service_call *call);
static enum error start_command(struct service_call *call, struct command *command);
static enum error start_query(struct service_call *call, const struct tables *tables);
static void start_finish(struct service_call *call);
static struct instance_id wanted_of(const struct shard_view *view, const char *name);
static void
take(struct service_call *call, const struct tables *tables, const struct failover *failover);
static const struct shard_view *view_of(const struct service_call *call, struct shard_id shard);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Failovers/GetFailover",
        .kind = SERVICE_READ,
        .request = &indaba__v1__get_failover_request__descriptor,
        .response = &indaba__v1__get_failover_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__GetFailoverRequest, consistency),
        .query = get_query,
        .finish = get_finish,
    },
    {
        .path = "/indaba.v1.Failovers/ListFailovers",
        .kind = SERVICE_READ,
        .request = &indaba__v1__list_failovers_request__descriptor,
        .response = &indaba__v1__list_failovers_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__ListFailoversRequest, consistency),
        .query = list_query,
        .finish = list_finish,
    },
    {
        .path = "/indaba.v1.Failovers/StartFailover",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__start_failover_request__descriptor,
        .response = &indaba__v1__start_failover_response__descriptor,
        .command = start_command,
        .query = start_query,
        .finish = start_finish,
    },
};

const struct service_method *service_failovers_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error get_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__GetFailoverRequest *request = (const void *)call->request;
    struct failover failover;
    enum error error = query_failover(tables, request->id, &failover);
    if (error != ERR_OK) {
        return service_fail(call,
                            error,
                            "there is no failover %" PRIu64 ": `indaba failover ls` lists them",
                            request->id);
    }
    call->data = mem_new(sizeof(struct failovers_data));
    call->views = mem_new(sizeof(*call->views));
    take(call, tables, &failover);
    return ERR_OK;
}

static void get_finish(struct service_call *call)
{
    Indaba__V1__GetFailoverResponse *response = (void *)call->response;
    const struct failovers_data *data = call->data;
    response->failover =
        convert_failover(call, view_of(call, data->items[0].shard), &data->items[0]);
}

/* Newest first; the token is the id to go on from. A page holds at most SERVICE_PAGE_DEFAULT. */
static enum error list_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__ListFailoversRequest *request = (const void *)call->request;
    Indaba__V1__ListFailoversResponse *response = (void *)call->response;
    uint32_t page = 0;
    uint64_t from = 0;
    TRY(service_page(call, request->page_size, request->page_token, &page, &from));
    page = page < SERVICE_PAGE_DEFAULT ? page : SERVICE_PAGE_DEFAULT;
    struct shard_id only = {0};
    if (request->shard[0] != '\0') {
        struct shard_view *view = mem_new(sizeof(*view));
        enum error error = query_shard_by_name(tables, request->shard, view);
        only = view->shard.id;
        mem_free(view);
        if (error != ERR_OK) {
            return service_fail(call, error, "there is no shard \"%.63s\"", request->shard);
        }
    }
    struct cluster_info info;
    query_cluster(tables, &info);
    struct failovers_data *data = mem_new(sizeof(*data));
    call->data = data;
    call->views = mem_new_array(page, sizeof(*call->views));
    uint64_t id = from == 0 || from > info.failovers_count ? info.failovers_count : from;
    while (id > 0 && data->count < page) {
        struct failover failover;
        CHECK(query_failover(tables, id, &failover) == ERR_OK);
        if (only.value == 0 || failover.shard.value == only.value) {
            take(call, tables, &failover);
        }
        id--;
    }
    if (id > 0) {
        response->next_page_token = service_printf(call, "%" PRIu64, id);
    }
    return ERR_OK;
}

static void list_finish(struct service_call *call)
{
    Indaba__V1__ListFailoversResponse *response = (void *)call->response;
    const struct failovers_data *data = call->data;
    response->failovers = wire_new(&call->arena, (data->count + 1) * sizeof(void *));
    for (uint32_t i = 0; i < data->count; i++) {
        response->failovers[i] =
            convert_failover(call, view_of(call, data->items[i].shard), &data->items[i]);
    }
    response->n_failovers = data->count;
}

static enum error start_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__StartFailoverRequest *request = (const void *)call->request;
    struct command_failover_request *to = &command->failover_request;
    command->kind = COMMAND_FAILOVER_REQUEST;
    TRY(service_request_id(call, request->request_id, command));
    if ((request->instance[0] == '\0') != request->any) {
        return service_fail(
            call, ERR_INVALID, "instance: name the one to promote, or say any=true, not both");
    }
    TRY(service_copy(call, "shard", request->shard, to->shard, sizeof(to->shard)));
    TRY(service_copy(call, "instance", request->instance, to->instance, sizeof(to->instance)));
    return service_copy(call, "reason", request->reason, to->reason, sizeof(to->reason));
}

static enum error start_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__StartFailoverRequest *request = (const void *)call->request;
    call->views = mem_new(sizeof(*call->views));
    enum error error = query_shard_by_name(tables, request->shard, call->views);
    if (error != ERR_OK) {
        return service_fail(call, error, "there is no shard \"%.63s\"", request->shard);
    }
    call->views_count = 1;
    return ERR_OK;
}

/* The wish is on record; now this leader's controller takes it up, unless the shard has moved on
 * since: then it was taken up when it was first made. */
static void start_finish(struct service_call *call)
{
    const Indaba__V1__StartFailoverRequest *request = (const void *)call->request;
    Indaba__V1__StartFailoverResponse *response = (void *)call->response;
    const struct shard_view *view = &call->views[0];
    response->shard = convert_shard(call, view);
    response->epoch = call->result.id;
    if (view->shard.epoch.value != call->result.id) {
        return;
    }
    char reason[TEXT_SIZE];
    (void)snprintf(reason,
                   sizeof(reason),
                   "asked by %.80s%s%.120s",
                   call->actor,
                   request->reason[0] == '\0' ? "" : ": ",
                   request->reason);
    const struct controller_wish wish = {
        .shard = view->shard.id,
        .wanted = wanted_of(view, request->instance),
        .reason = reason,
    };
    call->error = controller_failover(
        node_controller(call->node), &wish, clock_monotonic_ms(), call->message);
    node_pump(call->node);
}

static struct instance_id wanted_of(const struct shard_view *view, const char *name)
{
    for (uint32_t i = 0; i < view->instances_count; i++) {
        if (name[0] != '\0' && strcmp(view->instances[i].name, name) == 0) {
            return view->instances[i].id;
        }
    }
    return (struct instance_id){0};
}

static void
take(struct service_call *call, const struct tables *tables, const struct failover *failover)
{
    struct failovers_data *data = call->data;
    CHECK(data->count < SERVICE_PAGE_DEFAULT);
    data->items[data->count++] = *failover;
    if (view_of(call, failover->shard) == NULL) {
        CHECK(query_shard(tables, failover->shard, &call->views[call->views_count]) == ERR_OK);
        call->views_count++;
    }
}

static const struct shard_view *view_of(const struct service_call *call, struct shard_id shard)
{
    for (uint32_t i = 0; i < call->views_count; i++) {
        if (call->views[i].shard.id.value == shard.value) {
            return &call->views[i];
        }
    }
    return NULL;
}
