/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Cluster: one screen of everything. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/mem.h"
#include "indaba/v1/cluster.pb-c.h"

struct cluster_data {
    struct region regions[REGIONS_MAX];
    uint32_t regions_count;
    struct member members[MEMBERS_MAX];
    uint32_t members_count;
};

static enum error status_query(struct service_call *call, const struct tables *tables);
static void status_finish(struct service_call *call);
static void put_members(struct service_call *call, Indaba__V1__GetStatusResponse *response);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Cluster/GetStatus",
        .kind = SERVICE_READ,
        .request = &indaba__v1__get_status_request__descriptor,
        .response = &indaba__v1__get_status_response__descriptor,
        .consistency_offset = offsetof(Indaba__V1__GetStatusRequest, consistency),
        .query = status_query,
        .finish = status_finish,
    },
};

const struct service_method *service_cluster_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error status_query(struct service_call *call, const struct tables *tables)
{
    Indaba__V1__GetStatusResponse *response = (void *)call->response;
    struct cluster_info info;
    struct ledger_head head;
    query_cluster(tables, &info);
    query_ledger_head(tables, &head);
    char root[SHA256_TEXT_SIZE];
    response->cluster_name = service_text(call, info.name);
    response->lease_ms = info.lease_ms;
    response->cluster_epoch = info.cluster_epoch;
    response->recovery_unconfirmed = info.unconfirmed;
    response->ledger_leaves = head.size;
    response->ledger_root = service_text(call, sha256_format(&head.root, root));

    struct cluster_data *data = mem_new(sizeof(*data));
    call->data = data;
    data->regions_count = query_regions(tables, data->regions, REGIONS_MAX);
    data->members_count = query_members(tables, data->members, MEMBERS_MAX);
    CHECK(data->regions_count <= REGIONS_MAX && data->members_count <= MEMBERS_MAX);
    uint32_t shards = info.shards_count < SERVICE_PAGE_MAX ? info.shards_count : SERVICE_PAGE_MAX;
    call->views = mem_new_array(shards, sizeof(*call->views));
    for (uint32_t i = 0; i < shards; i++) {
        CHECK(query_shard(tables, (struct shard_id){.value = i + 1}, &call->views[i]) == ERR_OK);
    }
    call->views_count = shards;
    return ERR_OK;
}

static void status_finish(struct service_call *call)
{
    Indaba__V1__GetStatusResponse *response = (void *)call->response;
    const struct cluster_data *data = call->data;
    struct node_view view;
    node_view(call->node, &view);
    response->commit_index = view.commit;
    response->regions = wire_new(&call->arena, REGIONS_MAX * sizeof(*response->regions));
    for (uint32_t i = 0; i < data->regions_count; i++) {
        response->regions[i] = convert_region(call, &data->regions[i]);
    }
    response->n_regions = data->regions_count;
    put_members(call, response);
    response->shards = convert_shards(call);
    response->n_shards = call->views_count;
}

static void put_members(struct service_call *call, Indaba__V1__GetStatusResponse *response)
{
    const struct cluster_data *data = call->data;
    /* Before cluster.init there are those of the configuration. */
    bool stored = data->members_count > 0;
    uint32_t count = data->members_count;
    const struct member *members = stored ? data->members : node_members(call->node, &count);
    void **messages = wire_new_messages(&call->arena, count, sizeof(Indaba__V1__MemberStatus));
    struct raft_status status;
    raft_status(node_raft(call->node), &status);
    for (uint32_t i = 0; i < count; i++) {
        convert_member_status(call, &status, &members[i], messages[i]);
    }
    response->members = (Indaba__V1__MemberStatus **)(void *)messages;
    response->n_members = count;
    response->timers_note = convert_timers_note(call, &status);
    response->change_held = service_text(call, node_members_held(call->node));
}
