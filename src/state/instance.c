/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: a sidecar's first hello registers it, later ones may bring a new address, its reports
 * a new incarnation. What a standby was in the sync record stays there until the record changes: an
 * incarnation that is gone can never report again, and so can never be counted. */
#include "base/check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <string.h>

static bool hello_is_valid(struct handler *handler, const struct hello *hello);
static bool
hello_has_place(struct handler *handler, const struct shard_view *view, const struct hello *hello);
static bool addresses_are_valid(struct handler *handler,
                                const char *instance,
                                const char *address,
                                const char *http_address);
static bool update_is_allowed(struct handler *handler,
                              const struct shard_view *view,
                              const struct instance *instance);
static struct instance *find_by_name(struct shard_view *view, const char *name);
static struct instance *find_by_id(struct shard_view *view, struct instance_id id);

void instance_register(struct handler *handler)
{
    const struct hello *hello = &handler->command->instance_register.hello;
    const struct tables *tables = handler->change->tables;
    uint32_t shard_id = world_name_get(tables, WORLD_NAME_SHARD, hello->shard);
    struct shard_view view;
    if (shard_id == 0) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "there is no shard '%.63s': create it with 'indaba shard create'",
                       hello->shard);
        return;
    }
    if (!hello_is_valid(handler, hello) ||
        !handler_load_shard(handler, (struct shard_id){shard_id}, &view)) {
        return;
    }
    struct instance *known = find_by_name(&view, hello->instance);
    if (known != NULL && strcmp(known->region, hello->region) != 0) {
        handler_refuse(
            handler,
            ERR_PRECONDITION,
            "instance '%s' of shard '%s' lives in region '%s', not in '%s': give the one "
            "in the other region another name",
            known->name,
            view.shard.name,
            known->region,
            hello->region);
        return;
    }
    if (known != NULL) {
        handler->result->id = known->id.value; /* said before: the same answer */
        return;
    }
    if (!hello_has_place(handler, &view, hello)) {
        return;
    }
    struct world_cluster cluster;
    world_cluster_get(tables, &cluster);
    struct instance *instance = &view.instances[view.instances_count++];
    instance->id.value = ++cluster.instances_count;
    instance->shard = view.shard.id;
    memcpy(instance->name, hello->instance, NAME_SIZE);
    memcpy(instance->region, hello->region, NAME_SIZE);
    memcpy(instance->address, hello->address, ADDRESS_SIZE);
    memcpy(instance->http_address, hello->http_address, ADDRESS_SIZE);
    world_cluster_put(handler->change, &cluster);
    world_name_put(handler->change, WORLD_NAME_ADDRESS, hello->address, instance->id.value);
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = instance->id.value;
}

void instance_update(struct handler *handler)
{
    const struct command_instance_update *body = &handler->command->instance_update;
    struct shard_view view;
    if (!handler_load_shard(handler, body->shard, &view)) {
        return;
    }
    struct instance *instance = find_by_id(&view, body->instance);
    if (instance == NULL) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "shard '%s' has no instance %u",
                       view.shard.name,
                       body->instance.value);
        return;
    }
    if (!update_is_allowed(handler, &view, instance)) {
        return;
    }
    if (strcmp(instance->address, body->address) != 0) {
        world_name_del(handler->change, WORLD_NAME_ADDRESS, instance->address);
        world_name_put(handler->change, WORLD_NAME_ADDRESS, body->address, instance->id.value);
    }
    memcpy(instance->address, body->address, ADDRESS_SIZE);
    memcpy(instance->http_address, body->http_address, ADDRESS_SIZE);
    if (body->incarnation.value != 0 && body->incarnation.value != instance->incarnation.value) {
        instance->incarnation = body->incarnation;
        instance->promotions_failed = 0;
        instance->promotion_trouble[0] = '\0';
    }
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = instance->id.value;
}

static bool hello_is_valid(struct handler *handler, const struct hello *hello)
{
    if (!name_is_valid(hello->instance)) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "instance name '%s': use 1 to 63 of a-z 0-9 . _ -, beginning with a letter "
                       "or digit",
                       hello->instance);
        return false;
    }
    if (world_name_get(handler->change->tables, WORLD_NAME_REGION, hello->region) == 0) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "instance '%s' says region '%s', which does not exist: 'indaba region ls' "
                       "lists them",
                       hello->instance,
                       hello->region);
        return false;
    }
    return addresses_are_valid(handler, hello->instance, hello->address, hello->http_address);
}

static bool addresses_are_valid(struct handler *handler,
                                const char *instance,
                                const char *address,
                                const char *http_address)
{
    bool http_valid = http_address[0] == '\0' || address_is_valid(http_address);
    if (address_is_valid(address) && http_valid) {
        return true;
    }
    handler_refuse(handler,
                   ERR_INVALID,
                   "instance '%s': address '%s' is not numeric: use IP:PORT or [IPv6]:PORT",
                   instance,
                   http_valid ? address : http_address);
    return false;
}

static bool update_is_allowed(struct handler *handler,
                              const struct shard_view *view,
                              const struct instance *instance)
{
    const struct command_instance_update *body = &handler->command->instance_update;
    if (!addresses_are_valid(handler, instance->name, body->address, body->http_address)) {
        return false;
    }
    uint32_t owner = world_name_get(handler->change->tables, WORLD_NAME_ADDRESS, body->address);
    if (owner != 0 && owner != instance->id.value) {
        handler_refuse(handler,
                       ERR_EXISTS,
                       "address '%s' of instance '%s' belongs to another instance: each needs one "
                       "of its own",
                       body->address,
                       instance->name);
        return false;
    }
    struct sync_member member = {.instance = instance->id, .incarnation = body->incarnation};
    bool is_new =
        body->incarnation.value != 0 && body->incarnation.value != instance->incarnation.value;
    if (is_new && sync_record_contains(&view->shard.sync, member)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "instance '%s' was given up as data folder %016" PRIx64 " and cannot be it "
                       "again: rebuild it",
                       instance->name,
                       body->incarnation.value);
        return false;
    }
    return true;
}

static bool
hello_has_place(struct handler *handler, const struct shard_view *view, const struct hello *hello)
{
    if (view->instances_count == SHARD_INSTANCES_MAX) {
        handler_refuse(handler,
                       ERR_LIMIT,
                       "shard '%s' has %d instances already",
                       view->shard.name,
                       SHARD_INSTANCES_MAX);
        return false;
    }
    if (!shard_allows_region(&view->shard, hello->region)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "shard '%s' may not live in region '%s'",
                       view->shard.name,
                       hello->region);
        return false;
    }
    if (world_name_get(handler->change->tables, WORLD_NAME_ADDRESS, hello->address) != 0) {
        handler_refuse(handler,
                       ERR_EXISTS,
                       "address '%s' of instance '%s' belongs to another instance",
                       hello->address,
                       hello->instance);
        return false;
    }
    return true;
}

static struct instance *find_by_name(struct shard_view *view, const char *name)
{
    for (uint32_t i = 0; i < view->instances_count; i++) {
        if (strcmp(view->instances[i].name, name) == 0) {
            return &view->instances[i];
        }
    }
    return NULL;
}

static struct instance *find_by_id(struct shard_view *view, struct instance_id id)
{
    for (uint32_t i = 0; i < view->instances_count; i++) {
        if (view->instances[i].id.value == id.value) {
            return &view->instances[i];
        }
    }
    return NULL;
}
