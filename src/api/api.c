/* SPDX-License-Identifier: Apache-2.0 */
/* See api.h: the table of methods, one service a file. */
#include "api/api.h"

#include "api/service.h"
#include "api/sessions.h"
#include "base/check.h"
#include "base/mem.h"
#include "rpc/reflection.h"
#include "wire/wire_descriptors.h"

enum {
    API_METHODS_MAX = 32
};

struct api {
    struct front *front;
    struct reflection *reflection;
    struct sessions *sessions;
    struct service_binding *bindings;
    struct server_method methods[API_METHODS_MAX];
};

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

static size_t bind_methods(struct api *api);

struct api *api_new(struct front *front)
{
    struct api *api = mem_new(sizeof(*api));
    api->front = front;
    api->sessions = sessions_new(front);
    size_t count = bind_methods(api);
    server_add_methods(front_server(front), api->methods, count);
    api->reflection = reflection_new(front_server(front), wire_descriptors());
    return api;
}

void api_drain(struct api *api)
{
    sessions_end(api->sessions);
}

void api_free(struct api *api)
{
    reflection_free(api->reflection);
    sessions_free(api->sessions);
    mem_free(api->bindings);
    mem_free(api);
}

uint32_t api_sessions_count(const struct api *api)
{
    return sessions_count(api->sessions);
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
            CHECK(methods[i].query != NULL);
            CHECK((methods[i].kind == SERVICE_WRITE) == (methods[i].command != NULL));
            api->bindings[total] =
                (struct service_binding){.front = api->front, .method = &methods[i]};
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
