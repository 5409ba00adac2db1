/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one unary request, the same for every method: who asks (SPIFFE role), what (behind
 * the pre-scan), where it is answered (here, or passed on to the leader), as of when (read index,
 * or stale and labelled), and the answer with its header. A service file is a table of methods with
 * two or three small functions each. */
#ifndef INDABA_API_SERVICE_H
#define INDABA_API_SERVICE_H

#include "api/front.h"
#include "indaba/v1/common.pb-c.h"
#include "node/node.h"
#include "wire/wire_text.h"

#include <stddef.h>

enum service_kind {
    SERVICE_READ,  /* linearizable, unless the request says stale */
    SERVICE_WRITE, /* one command, then a read of what it made */
    SERVICE_LOCAL, /* answered by the asked member, from what it has applied */
};

enum {
    SERVICE_PAGE_DEFAULT = 100,
    SERVICE_PAGE_MAX = 1000,
    SERVICE_TIMEOUT_MS = 10000, /* of a forwarded call without a deadline */
};

struct service_call;

struct service_method {
    const char *path;
    enum service_kind kind;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response; /* its first field is the header */
    size_t consistency_offset;                  /* READ: of `consistency` in the request, or 0 */
    bool of_sidecars;                           /* they may ask it, too */
    /* WRITE, on the loop: fills kind, body and request id; an error ends the call with
     * call->message. */
    enum error (*command)(struct service_call *call, struct command *command_out);
    /* WRITE, on the loop, may be NULL: the command was applied, or will not be by this leader. */
    void (*proposed)(struct service_call *call);
    /* On the apply thread: reads what the answer needs into the call (arena, data). An error ends
     * the call with call->message. */
    enum error (*query)(struct service_call *call, const struct tables *tables);
    /* On the loop, may be NULL: completes call->response, or sets call->error and message. */
    void (*finish)(struct service_call *call);
};

struct service_call {
    struct front *front;
    struct node *node; /* the front's */
    const struct service_method *method;
    struct server_call *call;     /* NULL once it was cancelled */
    struct channel_call *forward; /* while passed on to the leader */
    struct wire_arena arena;      /* request and response live here */
    ProtobufCMessage *request;
    ProtobufCMessage *response;
    char actor[ACTOR_SIZE];
    bool stale;
    uint64_t revision;            /* applied index the answer speaks for */
    bool goes_on;                 /* `query` wants another visit, when others had theirs */
    struct command_result result; /* WRITE */
    enum error error;
    char message[TEXT_SIZE];
    char *warning; /* about members, in the arena; what the answer says besides */
    /* What `query` copied out for `finish`; released with the call. */
    struct shard_view *views;
    uint32_t views_count;
    void *data;
};

/* The server_method.on_message of every method here; its ctx is a service_binding. */
struct service_binding {
    struct front *front;
    const struct service_method *method;
};

void service_on_message(struct server_call *call, struct slice message, void *ctx);

/* Sets call->message and returns the error. */
__attribute__((format(printf, 3, 4))) enum error
service_fail(struct service_call *call, enum error error, const char *format, ...);

/* A copy of a text in the call's arena. */
char *service_text(struct service_call *call, const char *text);
__attribute__((format(printf, 2, 3))) char *
service_printf(struct service_call *call, const char *format, ...);

/* Reads the 32 hex digits of a request id into the command. ERR_INVALID. */
MUST_CHECK enum error
service_request_id(struct service_call *call, const char *text, struct command *command);
/* Copies a text into a field of a command. ERR_INVALID if it does not fit. */
MUST_CHECK enum error
service_copy(struct service_call *call, const char *field, const char *text, char *to, size_t size);
/* The same for an address of a member, which others dial. ERR_INVALID. */
MUST_CHECK enum error service_copy_address(struct service_call *call,
                                           const char *field,
                                           const char *text,
                                           char to[ADDRESS_SIZE]);
/* Holds a command about members or settings against who is heard now; sets call->warning. */
MUST_CHECK enum error service_check_members(struct service_call *call,
                                            const struct command *command);
/* Bounds of a page: 0 means the default; a token is the number to go on from. ERR_INVALID. */
MUST_CHECK enum error service_page(struct service_call *call,
                                   uint32_t page_size,
                                   const char *token,
                                   uint32_t *count_out,
                                   uint64_t *from_out);

/* The tables of the services. */
const struct service_method *service_cluster_methods(size_t *count_out);
const struct service_method *service_members_methods(size_t *count_out);
const struct service_method *service_settings_methods(size_t *count_out);
const struct service_method *service_topology_methods(size_t *count_out);
const struct service_method *service_shards_methods(size_t *count_out);
const struct service_method *service_failovers_methods(size_t *count_out);
const struct service_method *service_ledger_methods(size_t *count_out);
const struct service_method *service_confirm_methods(size_t *count_out);

#endif
