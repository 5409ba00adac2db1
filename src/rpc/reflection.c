/* SPDX-License-Identifier: Apache-2.0 */
/* See reflection.h. Both versions of the service have the same messages (proto/grpc/reflection);
 * requests are one field each and answers a few, so they are read and written by hand, and a
 * descriptor is walked where it lies. The numbers below are of google/protobuf/descriptor.proto. */
#include "rpc/reflection.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/proto_bytes.h"
#include "rpc/server_internal.h"

#include <stdio.h>
#include <string.h>

enum {
    METHODS_COUNT = 2,
    NAME_MAX_SIZE = 256,
    NESTED_MAX = 16
};

enum { /* FileDescriptorProto */
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6
};

enum { /* DescriptorProto, EnumDescriptorProto, ServiceDescriptorProto */
    NAMED_NAME = 1,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    SERVICE_METHOD = 2
};

enum { /* ServerReflectionRequest */
    ASK_FILE = 3,
    ASK_SYMBOL = 4,
    ASK_EXTENSION = 5,
    ASK_EXTENSION_NUMBERS = 6,
    ASK_SERVICES = 7
};

enum { /* ServerReflectionResponse */
    ANSWER_REQUEST = 2,
    ANSWER_FILES = 4,
    ANSWER_SERVICES = 6,
    ANSWER_ERROR = 7
};

struct reflection {
    struct server *server;
    struct slice files[REFLECTION_FILES_MAX];
    uint32_t files_count;
    struct server_method methods[METHODS_COUNT];
};

static void on_message(struct server_call *call, struct slice message, void *ctx);
static void put_file(const struct reflection *reflection, struct slice name, struct buf *answer);
static void put_symbol(const struct reflection *reflection, struct slice name, struct buf *answer);
static void put_services(const struct reflection *reflection, struct buf *answer);
static bool is_served(const struct reflection *reflection, const char *service);
static void put_not_found(struct slice what, struct buf *answer);
static void put_closure(const struct reflection *reflection, uint32_t first, struct buf *answer);
static uint32_t find_file(const struct reflection *reflection, struct slice name);
static bool file_declares(struct slice file, struct slice symbol);
static bool service_declares(struct slice service, struct slice symbol);
static bool message_declares(struct slice message, struct slice symbol, uint32_t depth);
static bool has_named(struct slice in, uint32_t field, struct slice name);
static bool take_prefix(struct slice *symbol, struct slice prefix);

struct reflection *reflection_new(struct server *server, struct slice descriptors)
{
    static const char *const paths[METHODS_COUNT] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    };
    struct reflection *reflection = mem_new(sizeof(*reflection));
    reflection->server = server;
    uint32_t field;
    struct slice file;
    while (proto_next(&descriptors, &field, &file)) {
        CHECK(reflection->files_count < REFLECTION_FILES_MAX);
        reflection->files[reflection->files_count++] = file;
    }
    CHECK(descriptors.len == 0);
    for (uint32_t i = 0; i < METHODS_COUNT; i++) {
        reflection->methods[i] = (struct server_method){
            .path = paths[i], .kind = SERVER_BIDI, .on_message = on_message, .ctx = reflection};
    }
    server_add_methods(server, reflection->methods, METHODS_COUNT);
    return reflection;
}

void reflection_free(struct reflection *reflection)
{
    mem_free(reflection);
}

static void on_message(struct server_call *call, struct slice message, void *ctx)
{
    const struct reflection *reflection = ctx;
    if (!server_call_admit(call)) {
        return;
    }
    struct slice request = message;
    uint32_t field = 0;
    struct slice value = {0};
    while (proto_next(&request, &field, &value) && field < ASK_FILE) {
    }
    struct buf answer = {0};
    proto_put_bytes(&answer, ANSWER_REQUEST, message);
    if (field == ASK_FILE) {
        put_file(reflection, value, &answer);
    } else if (field == ASK_SYMBOL) {
        put_symbol(reflection, value, &answer);
    } else if (field == ASK_SERVICES) {
        put_services(reflection, &answer);
    } else {
        put_not_found(slice_of_string("an extension"), &answer);
    }
    enum error error = server_call_send(call, buf_view(&answer));
    buf_deinit(&answer);
    if (error != ERR_OK) {
        server_call_fail(call, error, "the client does not read its answers");
    }
}

static void put_file(const struct reflection *reflection, struct slice name, struct buf *answer)
{
    uint32_t at = find_file(reflection, name);
    if (at == reflection->files_count) {
        put_not_found(name, answer);
    } else {
        put_closure(reflection, at, answer);
    }
}

static void put_symbol(const struct reflection *reflection, struct slice name, struct buf *answer)
{
    for (uint32_t i = 0; i < reflection->files_count; i++) {
        if (file_declares(reflection->files[i], name)) {
            put_closure(reflection, i, answer);
            return;
        }
    }
    put_not_found(name, answer);
}

static void put_services(const struct reflection *reflection, struct buf *answer)
{
    struct buf list = {0};
    for (uint32_t i = 0; i < reflection->files_count; i++) {
        struct slice package = {0};
        struct slice rest = reflection->files[i];
        struct slice service;
        struct slice name;
        uint32_t field;
        (void)proto_find(reflection->files[i], FILE_PACKAGE, &package);
        while (proto_next(&rest, &field, &service)) {
            char full[NAME_MAX_SIZE];
            if (field != FILE_SERVICE || !proto_find(service, NAMED_NAME, &name)) {
                continue;
            }
            (void)snprintf(full,
                           sizeof(full),
                           "%.*s.%.*s",
                           (int)package.len,
                           (const char *)package.data,
                           (int)name.len,
                           (const char *)name.data);
            if (is_served(reflection, full)) {
                struct buf entry = {0};
                proto_put_text(&entry, NAMED_NAME, full);
                proto_put_bytes(&list, 1, buf_view(&entry));
                buf_deinit(&entry);
            }
        }
    }
    proto_put_bytes(answer, ANSWER_SERVICES, buf_view(&list));
    buf_deinit(&list);
}

static bool is_served(const struct reflection *reflection, const char *service)
{
    const struct server *server = reflection->server;
    size_t len = strlen(service);
    for (uint32_t t = 0; t < server->tables_count; t++) {
        for (size_t m = 0; m < server->tables[t].count; m++) {
            const char *path = server->tables[t].methods[m].path;
            if (strncmp(path + 1, service, len) == 0 && path[1 + len] == '/') {
                return true;
            }
        }
    }
    return false;
}

static void put_not_found(struct slice what, struct buf *answer)
{
    char text[NAME_MAX_SIZE];
    (void)snprintf(text,
                   sizeof(text),
                   "not declared here: %.*s",
                   (int)(what.len < NAME_MAX_SIZE / 2 ? what.len : NAME_MAX_SIZE / 2),
                   (const char *)what.data);
    struct buf error = {0};
    proto_put_number(&error, 1, GRPC_NOT_FOUND);
    proto_put_text(&error, 2, text);
    proto_put_bytes(answer, ANSWER_ERROR, buf_view(&error));
    buf_deinit(&error);
}

/* The file and, each once, everything that it imports. */
static void put_closure(const struct reflection *reflection, uint32_t first, struct buf *answer)
{
    uint32_t queue[REFLECTION_FILES_MAX] = {first};
    uint32_t count = 1;
    struct buf list = {0};
    for (uint32_t done = 0; done < count; done++) {
        struct slice rest = reflection->files[queue[done]];
        proto_put_bytes(&list, 1, rest);
        uint32_t field;
        struct slice name;
        while (proto_next(&rest, &field, &name)) {
            uint32_t at = field == FILE_DEPENDENCY ? find_file(reflection, name) : queue[0];
            uint32_t seen = 0;
            while (seen < count && queue[seen] != at) {
                seen++;
            }
            if (seen == count && at < reflection->files_count) {
                queue[count++] = at;
            }
        }
    }
    proto_put_bytes(answer, ANSWER_FILES, buf_view(&list));
    buf_deinit(&list);
}

/* files_count if there is none. */
static uint32_t find_file(const struct reflection *reflection, struct slice name)
{
    uint32_t at = 0;
    struct slice found;
    while (at < reflection->files_count &&
           !(proto_find(reflection->files[at], FILE_NAME, &found) && slice_equal(found, name))) {
        at++;
    }
    return at;
}

static bool file_declares(struct slice file, struct slice symbol)
{
    struct slice package;
    if (proto_find(file, FILE_PACKAGE, &package) && !take_prefix(&symbol, package)) {
        return false;
    }
    if (has_named(file, FILE_ENUM, symbol)) {
        return true;
    }
    uint32_t field;
    struct slice inner;
    while (proto_next(&file, &field, &inner)) {
        if ((field == FILE_MESSAGE && message_declares(inner, symbol, 0)) ||
            (field == FILE_SERVICE && service_declares(inner, symbol))) {
            return true;
        }
    }
    return false;
}

static bool service_declares(struct slice service, struct slice symbol)
{
    struct slice name;
    if (!proto_find(service, NAMED_NAME, &name)) {
        return false;
    }
    return slice_equal(name, symbol) ||
           (take_prefix(&symbol, name) && has_named(service, SERVICE_METHOD, symbol));
}

static bool message_declares(struct slice message, struct slice symbol, uint32_t depth)
{
    struct slice name;
    if (depth == NESTED_MAX || !proto_find(message, NAMED_NAME, &name)) {
        return false;
    }
    if (slice_equal(name, symbol)) {
        return true;
    }
    if (!take_prefix(&symbol, name)) {
        return false;
    }
    if (has_named(message, MESSAGE_FIELD, symbol) || has_named(message, MESSAGE_ENUM, symbol)) {
        return true;
    }
    uint32_t field;
    struct slice inner;
    while (proto_next(&message, &field, &inner)) {
        if (field == MESSAGE_NESTED && message_declares(inner, symbol, depth + 1)) {
            return true;
        }
    }
    return false;
}

/* True if `in` has a field of that number whose name is `name`. */
static bool has_named(struct slice in, uint32_t field, struct slice name)
{
    uint32_t number;
    struct slice inner;
    struct slice found;
    while (proto_next(&in, &number, &inner)) {
        if (number == field && proto_find(inner, NAMED_NAME, &found) && slice_equal(found, name)) {
            return true;
        }
    }
    return false;
}

/* Takes "prefix." off the symbol. */
static bool take_prefix(struct slice *symbol, struct slice prefix)
{
    if (symbol->len <= prefix.len + 1 || symbol->data[prefix.len] != '.' ||
        memcmp(symbol->data, prefix.data, prefix.len) != 0) {
        return false;
    }
    *symbol = slice_of(symbol->data + prefix.len + 1, symbol->len - prefix.len - 1);
    return true;
}
