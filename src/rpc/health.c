/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health, by hand: its messages are one string in, one number out, so that this
 * floor needs no generated code. HealthCheckRequest { service [1]: string }   HealthCheckResponse {
 * status [1]: enum } HealthListResponse { statuses [1]: map of name and HealthCheckResponse } */
#include "rpc/health.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum serving_status {
    STATUS_UNKNOWN = 0,
    STATUS_SERVING = 1,
    STATUS_NOT_SERVING = 2,
    STATUS_SERVICE_UNKNOWN = 3,
};

enum {
    METHODS_COUNT = 3
};

struct health_service {
    char name[HEALTH_NAME_SIZE];
    bool serving;
};

struct health_watch {
    struct health *health;
    struct health_watch *next;
    struct server_call *call;
    char name[HEALTH_NAME_SIZE];
    enum serving_status told;
};

struct health {
    struct health_service services[HEALTH_SERVICES_MAX];
    uint32_t services_count;
    struct health_watch *watches;
    uint32_t watches_count;
    struct server_method methods[METHODS_COUNT];
};

static void on_check(struct server_call *call, struct slice message, void *ctx);
static void on_list(struct server_call *call, struct slice message, void *ctx);
static void on_watch(struct server_call *call, struct slice message, void *ctx);
static void on_watch_cancel(struct server_call *call, void *ctx);
static enum error read_service(struct slice message, char *name);
static enum serving_status status_of(const struct health *health, const char *name);
static void put_response(struct buf *out, enum serving_status status);
static void watch_tell(struct health_watch *watch);
static void watch_remove(struct health_watch *watch);

struct health *health_new(struct server *server)
{
    struct health *health = mem_new(sizeof(*health));
    health->methods[0] = (struct server_method){
        .path = "/grpc.health.v1.Health/Check",
        .kind = SERVER_UNARY,
        .on_message = on_check,
        .ctx = health,
    };
    health->methods[1] = (struct server_method){
        .path = "/grpc.health.v1.Health/List",
        .kind = SERVER_UNARY,
        .on_message = on_list,
        .ctx = health,
    };
    health->methods[2] = (struct server_method){
        .path = "/grpc.health.v1.Health/Watch",
        .kind = SERVER_STREAM,
        .on_message = on_watch,
        .ctx = health,
    };
    health_set(health, "", false);
    server_add_methods(server, health->methods, METHODS_COUNT);
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL) {
        return;
    }
    CHECK(health->watches == NULL);
    mem_free(health);
}

void health_set(struct health *health, const char *service, bool serving)
{
    struct health_service *found = NULL;
    for (uint32_t i = 0; i < health->services_count && found == NULL; i++) {
        if (strcmp(health->services[i].name, service) == 0) {
            found = &health->services[i];
        }
    }
    if (found == NULL) {
        size_t len = strlen(service);
        if (health->services_count == HEALTH_SERVICES_MAX || len >= HEALTH_NAME_SIZE) {
            return;
        }
        found = &health->services[health->services_count++];
        memcpy(found->name, service, len + 1);
    }
    found->serving = serving;
    struct health_watch *next = NULL;
    for (struct health_watch *watch = health->watches; watch != NULL; watch = next) {
        next = watch->next;
        watch_tell(watch);
    }
}

static void on_check(struct server_call *call, struct slice message, void *ctx)
{
    if (!server_call_admit(call)) {
        return;
    }
    char name[HEALTH_NAME_SIZE];
    if (read_service(message, name) != ERR_OK) {
        server_call_fail(call, ERR_INVALID, "not a HealthCheckRequest");
        return;
    }
    enum serving_status status = status_of(ctx, name);
    if (status == STATUS_SERVICE_UNKNOWN) {
        server_call_fail(call, ERR_NOT_FOUND, "unknown service");
        return;
    }
    struct buf reply = {0};
    put_response(&reply, status);
    server_call_reply(call, buf_view(&reply));
    buf_deinit(&reply);
}

static void on_list(struct server_call *call, struct slice message, void *ctx)
{
    if (!server_call_admit(call)) {
        return;
    }
    (void)message;
    const struct health *health = ctx;
    struct buf reply = {0};
    for (uint32_t i = 0; i < health->services_count; i++) {
        const char *name = health->services[i].name;
        size_t len = strlen(name); /* below 96, so that each length fits into one byte */
        struct buf response = {0};
        put_response(&response, status_of(health, name));
        buf_put_u8(&reply, 1 << 3 | 2);
        buf_put_u8(&reply, (uint8_t)(2 + len + 2 + response.len));
        buf_put_u8(&reply, 1 << 3 | 2);
        buf_put_u8(&reply, (uint8_t)len);
        buf_append(&reply, name, len);
        buf_put_u8(&reply, 2 << 3 | 2);
        buf_put_u8(&reply, (uint8_t)response.len);
        buf_append(&reply, response.data, response.len);
        buf_deinit(&response);
    }
    server_call_reply(call, buf_view(&reply));
    buf_deinit(&reply);
}

static void on_watch(struct server_call *call, struct slice message, void *ctx)
{
    if (!server_call_admit(call)) {
        return;
    }
    struct health *health = ctx;
    char name[HEALTH_NAME_SIZE];
    if (read_service(message, name) != ERR_OK) {
        server_call_fail(call, ERR_INVALID, "not a HealthCheckRequest");
        return;
    }
    if (health->watches_count == HEALTH_WATCHES_MAX) {
        server_call_fail(call, ERR_EXHAUSTED, "too many health watches");
        return;
    }
    struct health_watch *watch = mem_new(sizeof(*watch));
    watch->health = health;
    watch->call = call;
    watch->told = STATUS_UNKNOWN;
    memcpy(watch->name, name, sizeof(name));
    watch->next = health->watches;
    health->watches = watch;
    health->watches_count++;
    server_call_set_cancel(call, on_watch_cancel, watch);
    watch_tell(watch);
}

static void on_watch_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    watch_remove(ctx);
}

/* Skips nothing: the message has one field, and anything else is refused. */
static enum error read_service(struct slice message, char *name)
{
    name[0] = '\0';
    if (message.len == 0) {
        return ERR_OK;
    }
    if (message.len < 2 || message.data[0] != (1 << 3 | 2) || message.data[1] != message.len - 2 ||
        message.len - 2 >= HEALTH_NAME_SIZE ||
        memchr(message.data + 2, 0, message.len - 2) != NULL) {
        return ERR_INVALID;
    }
    memcpy(name, message.data + 2, message.len - 2);
    name[message.len - 2] = '\0';
    return ERR_OK;
}

static enum serving_status status_of(const struct health *health, const char *name)
{
    for (uint32_t i = 0; i < health->services_count; i++) {
        if (strcmp(health->services[i].name, name) == 0) {
            return health->services[i].serving ? STATUS_SERVING : STATUS_NOT_SERVING;
        }
    }
    return STATUS_SERVICE_UNKNOWN;
}

static void put_response(struct buf *out, enum serving_status status)
{
    buf_put_u8(out, 1 << 3 | 0);
    buf_put_u8(out, (uint8_t)status);
}

static void watch_tell(struct health_watch *watch)
{
    enum serving_status status = status_of(watch->health, watch->name);
    if (status == watch->told) {
        return;
    }
    watch->told = status;
    struct buf message = {0};
    put_response(&message, status);
    enum error error = server_call_send(watch->call, buf_view(&message));
    buf_deinit(&message);
    if (error != ERR_OK) {
        struct server_call *call = watch->call;
        watch_remove(watch);
        server_call_fail(call, error, "the watcher does not read");
    }
}

static void watch_remove(struct health_watch *watch)
{
    struct health_watch **link = &watch->health->watches;
    while (*link != watch) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = watch->next;
    watch->health->watches_count--;
    mem_free(watch);
}
