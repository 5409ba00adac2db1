/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Topology: regions and members. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

static enum error regions_query(struct service_call *call, const struct tables *tables);
static enum error region_command(struct service_call *call, struct command *command);
static enum error region_query(struct service_call *call, const struct tables *tables);
static enum error members_query(struct service_call *call, const struct tables *tables);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Topology/ListRegions",
        .kind = SERVICE_READ,
        .request = &indaba__v1__list_regions_request__descriptor,
        .response = &indaba__v1__list_regions_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__ListRegionsRequest, consistency),
        .query = regions_query,
    },
    {
        .path = "/indaba.v1.Topology/PutRegion",
        .kind = SERVICE_WRITE,
        .request = &indaba__v1__put_region_request__descriptor,
        .response = &indaba__v1__put_region_response__descriptor,
        .command = region_command,
        .query = region_query,
    },
    {
        .path = "/indaba.v1.Topology/ListMembers",
        .kind = SERVICE_READ,
        .request = &indaba__v1__list_members_request__descriptor,
        .response = &indaba__v1__list_members_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__ListMembersRequest, consistency),
        .query = members_query,
    },
};

const struct service_method *service_topology_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error regions_query(struct service_call *call, const struct tables *tables)
{
    Indaba__V1__ListRegionsResponse *response = (void *)call->response;
    struct region regions[REGIONS_MAX];
    uint32_t count = query_regions(tables, regions, REGIONS_MAX);
    response->regions = wire_new(&call->arena, REGIONS_MAX * sizeof(*response->regions));
    for (uint32_t i = 0; i < count; i++) {
        response->regions[i] = convert_region(call, &regions[i]);
    }
    response->n_regions = count;
    return ERR_OK;
}

static enum error region_command(struct service_call *call, struct command *command)
{
    const Indaba__V1__PutRegionRequest *request = (const void *)call->request;
    if (request->region == NULL) {
        return service_fail(call, ERR_INVALID, "region: is missing");
    }
    struct region *region = &command->region_put.region;
    command->kind = COMMAND_REGION_PUT;
    TRY(service_request_id(call, request->request_id, command));
    TRY(service_copy(
        call, "region.name", request->region->name, region->name, sizeof(region->name)));
    TRY(service_copy(call,
                     "region.jurisdiction",
                     request->region->jurisdiction,
                     region->jurisdiction,
                     sizeof(region->jurisdiction)));
    region->rank = request->region->rank;
    return convert_parse_region_state(call, request->region->state, &region->state);
}

static enum error region_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__PutRegionRequest *request = (const void *)call->request;
    Indaba__V1__PutRegionResponse *response = (void *)call->response;
    struct region regions[REGIONS_MAX];
    uint32_t count = query_regions(tables, regions, REGIONS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(regions[i].name, request->region->name) == 0) {
            response->region = convert_region(call, &regions[i]);
        }
    }
    return ERR_OK;
}

static enum error members_query(struct service_call *call, const struct tables *tables)
{
    Indaba__V1__ListMembersResponse *response = (void *)call->response;
    struct member *members = mem_new_array(MEMBERS_MAX, sizeof(*members));
    uint32_t count = query_members(tables, members, MEMBERS_MAX);
    response->members = wire_new(&call->arena, MEMBERS_MAX * sizeof(*response->members));
    for (uint32_t i = 0; i < count; i++) {
        response->members[i] = convert_member(call, &members[i]);
    }
    response->n_members = count;
    mem_free(members);
    return ERR_OK;
}
