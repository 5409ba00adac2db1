/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the service files: texts in the call's arena, and fields of requests with the errors
 * that they deserve. */
#include "api/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum error service_fail(struct service_call *call, enum error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(call->message, sizeof(call->message), format, arguments);
    va_end(arguments);
    return error;
}

char *service_text(struct service_call *call, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(wire_new(&call->arena, size), text, size);
}

char *service_printf(struct service_call *call, const char *format, ...)
{
    char text[TEXT_SIZE * 2];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return service_text(call, text);
}

enum error service_request_id(struct service_call *call, const char *text, struct command *command)
{
    struct request_id *id = &command->request;
    if (id128_parse(text, &id->hi, &id->lo) != ERR_OK || (id->hi == 0 && id->lo == 0)) {
        return service_fail(call,
                            ERR_INVALID,
                            "request_id: must be a UUID of version 7 as 32 hex digits; it makes a "
                            "retry safe");
    }
    return ERR_OK;
}

enum error
service_copy(struct service_call *call, const char *field, const char *text, char *to, size_t size)
{
    size_t len = strlen(text);
    if (len >= size) {
        return service_fail(
            call, ERR_INVALID, "%s: %zu bytes are too long, at most %zu", field, len, size - 1);
    }
    memcpy(to, text, len + 1);
    return ERR_OK;
}

enum error service_copy_address(struct service_call *call,
                                const char *field,
                                const char *text,
                                char to[ADDRESS_SIZE])
{
    if (!address_is_valid(text)) {
        return service_fail(
            call,
            ERR_INVALID,
            "%s: \"%.64s\" is no numeric address like 10.0.0.1:7400 or [fd00::1]:7400",
            field,
            text);
    }
    return service_copy(call, field, text, to, ADDRESS_SIZE);
}

enum error service_page(struct service_call *call,
                        uint32_t page_size,
                        const char *token,
                        uint32_t *count_out,
                        uint64_t *from_out)
{
    uint64_t from = 0;
    if (token[0] != '\0') {
        char *end = NULL;
        from = strtoull(token, &end, 10);
        if (*end != '\0' || from == 0 || from == UINT64_MAX) {
            return service_fail(
                call, ERR_INVALID, "page_token: use next_page_token of the page before, as is");
        }
    }
    uint32_t count = page_size == 0 ? SERVICE_PAGE_DEFAULT : page_size;
    *count_out = count > SERVICE_PAGE_MAX ? SERVICE_PAGE_MAX : count;
    *from_out = from;
    return ERR_OK;
}
