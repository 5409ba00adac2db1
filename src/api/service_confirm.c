/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Sidecars/Confirm: what this member has applied of the members and of a shard, for a
 * sidecar that will not believe one host alone. Answered here, whoever leads: that is the point. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/mem.h"
#include "indaba/v1/sidecars.pb-c.h"

static enum error confirm_query(struct service_call *call, const struct tables *tables);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Sidecars/Confirm",
        .kind = SERVICE_LOCAL,
        .of_sidecars = true,
        .request = &indaba__v1__confirm_request__descriptor,
        .response = &indaba__v1__confirm_response__descriptor,
        .query = confirm_query,
    },
};

const struct service_method *service_confirm_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error confirm_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__ConfirmRequest *request = (const void *)call->request;
    Indaba__V1__ConfirmResponse *response = (void *)call->response;
    struct cluster_info info;
    struct member members[MEMBERS_MAX];
    query_cluster(tables, &info);
    uint32_t count = query_members(tables, members, MEMBERS_MAX);
    void **messages = wire_new_messages(&call->arena, count, sizeof(Indaba__V1__KnownMember));
    for (uint32_t i = 0; i < count; i++) {
        Indaba__V1__KnownMember *to = messages[i];
        char id[ID128_TEXT_SIZE];
        indaba__v1__known_member__init(to);
        to->id = service_text(call, id128_format(members[i].id.hi, members[i].id.lo, id));
        to->name = service_text(call, members[i].name);
        to->api_address = service_text(call, members[i].api_address);
    }
    response->members = (Indaba__V1__KnownMember **)(void *)messages;
    response->n_members = count;
    response->cluster_epoch = info.cluster_epoch;
    call->views = mem_new(sizeof(*call->views));
    if (query_shard_by_name(tables, request->shard, call->views) == ERR_OK) {
        response->epoch = call->views->shard.epoch.value;
        response->mode = (uint32_t)call->views->shard.mode;
    }
    return ERR_OK;
}
