/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Shards: replication groups. What is valid is decided at apply (state/shard.c); here
 * only what has no place in the command's structs is refused. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/mem.h"
#include "model/shard_kind.h"

#include <inttypes.h>
#include <string.h>

static enum error create_command(struct service_call *call, struct command *command);
static enum error create_query(struct service_call *call, const struct tables *tables);
static void create_finish(struct service_call *call);
static enum error get_query(struct service_call *call, const struct tables *tables);
static enum error list_query(struct service_call *call, const struct tables *tables);
static void list_finish(struct service_call *call);
static enum error freeze_command(struct service_call *call, struct command *command);
static enum error freeze_query(struct service_call *call, const struct tables *tables);
static enum error
read_spec(struct service_call *call, const Indaba__V1__Shard *from, struct shard *spec);
static enum error
read_one(struct service_call *call, const struct tables *tables, const char *name);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Shards/CreateShard",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__create_shard_request__descriptor,
        .response = &indaba__v1__create_shard_response__descriptor,
        .command = create_command,
        .query = create_query,
        .finish = create_finish,
    },
    {
        .path = "/indaba.v1.Shards/GetShard",
        .kind = SERVICE_READ,
        .request = &indaba__v1__get_shard_request__descriptor,
        .response = &indaba__v1__get_shard_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__GetShardRequest, consistency),
        .query = get_query,
        .finish = create_finish,
    },
    {
        .path = "/indaba.v1.Shards/ListShards",
        .kind = SERVICE_READ,
        .request = &indaba__v1__list_shards_request__descriptor,
        .response = &indaba__v1__list_shards_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__ListShardsRequest, consistency),
        .query = list_query,
        .finish = list_finish,
    },
    {
        .path = "/indaba.v1.Shards/FreezeShard",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__freeze_shard_request__descriptor,
        .response = &indaba__v1__freeze_shard_response__descriptor,
        .command = freeze_command,
        .query = freeze_query,
        .finish = create_finish,
    },
};

/* Create, get and freeze answer with the same shape, so they share create_finish. */
_Static_assert(offsetof(Indaba__V1__CreateShardResponse, shard) ==
                   offsetof(Indaba__V1__GetShardResponse, shard),
               "one finish for all answers with one shard");
_Static_assert(offsetof(Indaba__V1__CreateShardResponse, shard) ==
                   offsetof(Indaba__V1__FreezeShardResponse, shard),
               "one finish for all answers with one shard");

const struct service_method *service_shards_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error create_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__CreateShardRequest *request = (const void *)call->request;
    command->kind = COMMAND_SHARD_CREATE;
    if (request->shard == NULL) {
        return service_fail(call, ERR_INVALID, "shard: is missing");
    }
    TRY(service_request_id(call, request->request_id, command));
    return read_spec(call, request->shard, &command->shard_create.spec);
}

static enum error
read_spec(struct service_call *call, const Indaba__V1__Shard *from, struct shard *spec)
{
    TRY(service_copy(call, "shard.name", from->name, spec->name, sizeof(spec->name)));
    TRY(service_copy(call,
                     "shard.preferred_region",
                     from->preferred_region,
                     spec->preferred_region,
                     sizeof(spec->preferred_region)));
    if (from->n_allowed_regions > REGIONS_MAX) {
        return service_fail(
            call, ERR_INVALID, "shard.allowed_regions: at most %d can be named", REGIONS_MAX);
    }
    for (size_t i = 0; i < from->n_allowed_regions; i++) {
        TRY(service_copy(call,
                         "shard.allowed_regions",
                         from->allowed_regions[i],
                         spec->allowed_regions[i],
                         NAME_SIZE));
    }
    spec->allowed_regions_count = (uint32_t)from->n_allowed_regions;
    if (shard_kind_parse(from->kind, &spec->kind) != ERR_OK) {
        return service_fail(
            call, ERR_INVALID, "shard.kind: \"%.64s\" is none; postgres is", from->kind);
    }
    if (from->mode[0] == '\0' || strcmp(from->mode, "sync") == 0) {
        spec->mode = SHARD_SYNC;
    } else if (strcmp(from->mode, "async") == 0) {
        spec->mode = SHARD_ASYNC;
    } else {
        return service_fail(
            call, ERR_INVALID, "shard.mode: \"%.64s\" is none of sync, async", from->mode);
    }
    spec->rto_ms = from->rto_ms;
    spec->rpo_ms = from->rpo_ms;
    spec->sync_required =
        from->sync_required == 0 && spec->mode == SHARD_SYNC ? 1 : from->sync_required;
    return ERR_OK;
}

static enum error create_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__CreateShardRequest *request = (const void *)call->request;
    return read_one(call, tables, request->shard->name);
}

static void create_finish(struct service_call *call)
{
    Indaba__V1__CreateShardResponse *response = (void *)call->response;
    CHECK(call->views_count == 1);
    response->shard = convert_shard(call, &call->views[0]);
}

static enum error get_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__GetShardRequest *request = (const void *)call->request;
    return read_one(call, tables, request->name);
}

static enum error read_one(struct service_call *call, const struct tables *tables, const char *name)
{
    call->views = mem_new(sizeof(*call->views));
    enum error error =
        name_is_valid(name) ? query_shard_by_name(tables, name, call->views) : ERR_NOT_FOUND;
    if (error != ERR_OK) {
        return service_fail(
            call, error, "there is no shard \"%.63s\": `indaba shard ls` lists them", name);
    }
    call->views_count = 1;
    return ERR_OK;
}

static enum error list_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__ListShardsRequest *request = (const void *)call->request;
    Indaba__V1__ListShardsResponse *response = (void *)call->response;
    uint32_t page = 0;
    uint64_t from = 0;
    TRY(service_page(call, request->page_size, request->page_token, &page, &from));
    struct cluster_info info;
    query_cluster(tables, &info);
    uint64_t first = from == 0 ? 1 : from;
    call->views = mem_new_array(page, sizeof(*call->views));
    uint64_t id = first;
    while (id <= info.shards_count && call->views_count < page) {
        const struct shard_id shard = {.value = (uint32_t)id};
        CHECK(query_shard(tables, shard, &call->views[call->views_count]) == ERR_OK);
        call->views_count++;
        id++;
    }
    if (id <= info.shards_count) {
        response->next_page_token = service_printf(call, "%" PRIu64, id);
    }
    return ERR_OK;
}

static void list_finish(struct service_call *call)
{
    Indaba__V1__ListShardsResponse *response = (void *)call->response;
    response->shards = convert_shards(call);
    response->n_shards = call->views_count;
}

static enum error freeze_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__FreezeShardRequest *request = (const void *)call->request;
    command->kind = COMMAND_SHARD_FREEZE;
    command->shard_freeze.frozen = request->frozen;
    TRY(service_request_id(call, request->request_id, command));
    return service_copy(call,
                        "name",
                        request->name,
                        command->shard_freeze.name,
                        sizeof(command->shard_freeze.name));
}

static enum error freeze_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__FreezeShardRequest *request = (const void *)call->request;
    return read_one(call, tables, request->name);
}
