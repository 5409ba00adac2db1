/* SPDX-License-Identifier: Apache-2.0 */
/* google.rpc.Status with one ErrorInfo, written and read as protobuf bytes: rich errors without a
 * protobuf library below this floor. The messages (field numbers in brackets):
 *   Status { code [1], message [2], details [3]: Any { type_url [1], value [2] } }
 *   ErrorInfo { reason [1], domain [2], metadata [3]: entry { key [1], value [2] } }
 * Also the mapping between our errors and gRPC's. */
#include "rpc/grpc.h"
#include "rpc/proto_bytes.h"

#include <string.h>

#define ERROR_INFO_URL "type.googleapis.com/google.rpc.ErrorInfo"

static bool find_metadata(struct slice info, const char *key, struct slice *value);

enum grpc_status grpc_status_from_error(enum error error)
{
    switch (error) {
    case ERR_OK:
        return GRPC_OK;
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_CONFIG:
        return GRPC_INVALID_ARGUMENT;
    case ERR_LIMIT:
    case ERR_NO_SPACE:
    case ERR_EXHAUSTED:
        return GRPC_RESOURCE_EXHAUSTED;
    case ERR_NOT_FOUND:
        return GRPC_NOT_FOUND;
    case ERR_EXISTS:
        return GRPC_ALREADY_EXISTS;
    case ERR_PRECONDITION:
    case ERR_WRONG_CLUSTER:
    case ERR_WRONG_MEMBER:
    case ERR_NOT_REGULAR:
        return GRPC_FAILED_PRECONDITION;
    case ERR_STALE_EPOCH:
    case ERR_STALE_GOAL:
    case ERR_BUSY:
        return GRPC_ABORTED;
    case ERR_CORRUPT:
        return GRPC_DATA_LOSS;
    case ERR_TIMEOUT:
        return GRPC_DEADLINE_EXCEEDED;
    case ERR_CANCELLED:
        return GRPC_CANCELLED;
    case ERR_CLOSED:
    case ERR_REFUSED:
    case ERR_UNAVAILABLE:
    case ERR_NOT_LEADER:
    case ERR_STALE_LEADER:
        return GRPC_UNAVAILABLE;
    case ERR_DENIED:
        return GRPC_PERMISSION_DENIED;
    case ERR_UNAUTHENTICATED:
        return GRPC_UNAUTHENTICATED;
    case ERR_UNIMPLEMENTED:
    case ERR_VERSION:
        return GRPC_UNIMPLEMENTED;
    case ERR_OUTCOME_UNKNOWN: /* never one that libraries retry by themselves */
        return GRPC_UNKNOWN;
    case ERR_IO:
    case ERR_PROTOCOL:
    case ERR_TRUNCATED:
    case ERR_SYSTEM:
    case ERR_INTERNAL:
    case ERROR_COUNT:
        return GRPC_INTERNAL;
    }
    return GRPC_INTERNAL;
}

void grpc_status_details_put(struct buf *out,
                             enum grpc_status status,
                             const char *message,
                             const struct grpc_error_info *info)
{
    struct buf error_info = {0};
    proto_put_text(&error_info, 1, info->reason);
    proto_put_text(&error_info, 2, info->domain);
    for (size_t i = 0; i < info->pairs_count; i++) {
        struct buf entry = {0};
        proto_put_text(&entry, 1, info->metadata[2 * i]);
        proto_put_text(&entry, 2, info->metadata[2 * i + 1]);
        proto_put_bytes(&error_info, 3, buf_view(&entry));
        buf_deinit(&entry);
    }
    struct buf any = {0};
    proto_put_text(&any, 1, ERROR_INFO_URL);
    proto_put_bytes(&any, 2, buf_view(&error_info));
    proto_put_number(out, 1, (uint64_t)status);
    proto_put_text(out, 2, message == NULL ? "" : message);
    proto_put_bytes(out, 3, buf_view(&any));
    buf_deinit(&any);
    buf_deinit(&error_info);
}

enum error grpc_status_details_find(struct slice details, const char *key, char *text, size_t size)
{
    struct slice any;
    struct slice info;
    struct slice value;
    uint32_t number;
    while (proto_next(&details, &number, &any)) {
        struct slice url;
        if (number != 3 || !proto_find(any, 1, &url) || !proto_find(any, 2, &info) ||
            !slice_equal(url, slice_of_string(ERROR_INFO_URL))) {
            continue;
        }
        bool found = key == NULL ? proto_find(info, 1, &value) : find_metadata(info, key, &value);
        if (found && size > 0) {
            size_t len = value.len < size - 1 ? value.len : size - 1;
            memcpy(text, value.data, len);
            text[len] = '\0';
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

static bool find_metadata(struct slice info, const char *key, struct slice *value)
{
    uint32_t number;
    struct slice entry;
    struct slice name;
    while (proto_next(&info, &number, &entry)) {
        if (number == 3 && proto_find(entry, 1, &name) && slice_equal(name, slice_of_string(key)) &&
            proto_find(entry, 2, value)) {
            return true;
        }
    }
    return false;
}
