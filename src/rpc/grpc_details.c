/* SPDX-License-Identifier: Apache-2.0 */
/* google.rpc.Status with one ErrorInfo, written and read as protobuf bytes: rich errors without a
 * protobuf library below this floor. The messages (field numbers in brackets):
 *   Status { code [1], message [2], details [3]: Any { type_url [1], value [2] } }
 *   ErrorInfo { reason [1], domain [2], metadata [3]: entry { key [1], value [2] } }
 * Also the mapping between our errors and gRPC's. */
#include "rpc/grpc.h"

#include <string.h>

#define ERROR_INFO_URL "type.googleapis.com/google.rpc.ErrorInfo"

enum {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5
};

static void put_varint(struct buf *out, uint64_t value);
static void put_field(struct buf *out, uint32_t number, struct slice bytes);
static void put_text(struct buf *out, uint32_t number, const char *text);
static bool take_varint(struct slice *in, uint64_t *value);
static bool next_field(struct slice *in, uint32_t *number, struct slice *bytes);
static bool find_field(struct slice in, uint32_t wanted, struct slice *bytes);
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

enum error grpc_status_to_error(enum grpc_status status)
{
    switch (status) {
    case GRPC_OK:
        return ERR_OK;
    case GRPC_CANCELLED:
        return ERR_CANCELLED;
    case GRPC_UNKNOWN:
        return ERR_OUTCOME_UNKNOWN;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_OUT_OF_RANGE:
        return ERR_INVALID;
    case GRPC_DEADLINE_EXCEEDED:
        return ERR_TIMEOUT;
    case GRPC_NOT_FOUND:
        return ERR_NOT_FOUND;
    case GRPC_ALREADY_EXISTS:
        return ERR_EXISTS;
    case GRPC_PERMISSION_DENIED:
        return ERR_DENIED;
    case GRPC_RESOURCE_EXHAUSTED:
        return ERR_EXHAUSTED;
    case GRPC_FAILED_PRECONDITION:
        return ERR_PRECONDITION;
    case GRPC_ABORTED:
        return ERR_BUSY;
    case GRPC_UNIMPLEMENTED:
        return ERR_UNIMPLEMENTED;
    case GRPC_INTERNAL:
        return ERR_INTERNAL;
    case GRPC_UNAVAILABLE:
        return ERR_UNAVAILABLE;
    case GRPC_DATA_LOSS:
        return ERR_CORRUPT;
    case GRPC_UNAUTHENTICATED:
        return ERR_UNAUTHENTICATED;
    }
    return ERR_INTERNAL;
}

void grpc_status_details_put(struct buf *out,
                             enum grpc_status status,
                             const char *message,
                             const struct grpc_error_info *info)
{
    struct buf error_info = {0};
    put_text(&error_info, 1, info->reason);
    put_text(&error_info, 2, info->domain);
    for (size_t i = 0; i < info->pairs_count; i++) {
        struct buf entry = {0};
        put_text(&entry, 1, info->metadata[2 * i]);
        put_text(&entry, 2, info->metadata[2 * i + 1]);
        put_field(&error_info, 3, buf_view(&entry));
        buf_deinit(&entry);
    }
    struct buf any = {0};
    put_text(&any, 1, ERROR_INFO_URL);
    put_field(&any, 2, buf_view(&error_info));
    put_varint(out, 1 << 3 | WIRE_VARINT);
    put_varint(out, (uint64_t)status);
    put_text(out, 2, message == NULL ? "" : message);
    put_field(out, 3, buf_view(&any));
    buf_deinit(&any);
    buf_deinit(&error_info);
}

enum error grpc_status_details_find(struct slice details, const char *key, char *text, size_t size)
{
    struct slice any;
    struct slice info;
    struct slice value;
    uint32_t number;
    while (next_field(&details, &number, &any)) {
        struct slice url;
        if (number != 3 || !find_field(any, 1, &url) || !find_field(any, 2, &info) ||
            !slice_equal(url, slice_of_string(ERROR_INFO_URL))) {
            continue;
        }
        bool found = key == NULL ? find_field(info, 1, &value) : find_metadata(info, key, &value);
        if (found && size > 0) {
            size_t len = value.len < size - 1 ? value.len : size - 1;
            memcpy(text, value.data, len);
            text[len] = '\0';
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

static void put_varint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_put_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_put_u8(out, (uint8_t)value);
}

static void put_field(struct buf *out, uint32_t number, struct slice bytes)
{
    put_varint(out, number << 3 | WIRE_BYTES);
    put_varint(out, bytes.len);
    buf_append(out, bytes.data, bytes.len);
}

static void put_text(struct buf *out, uint32_t number, const char *text)
{
    if (text[0] != '\0') {
        put_field(out, number, slice_of_string(text));
    }
}

static bool take_varint(struct slice *in, uint64_t *value)
{
    uint64_t result = 0;
    for (uint32_t shift = 0; shift < 64 && in->len > 0; shift += 7) {
        uint8_t byte = in->data[0];
        *in = slice_of(in->data + 1, in->len - 1);
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

/* The next field; `bytes` is empty for one that is not of the kind "bytes". False at the end, and
 * at the first thing that is no field. */
static bool next_field(struct slice *in, uint32_t *number, struct slice *bytes)
{
    uint64_t key;
    uint64_t len = 0;
    if (!take_varint(in, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)(key >> 3);
    *bytes = slice_of(in->data, 0);
    switch (key & 7) {
    case WIRE_VARINT:
        return take_varint(in, &len);
    case WIRE_FIXED64:
        len = 8;
        break;
    case WIRE_FIXED32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!take_varint(in, &len)) {
            return false;
        }
        break;
    default:
        return false;
    }
    if (len > in->len) {
        return false;
    }
    if ((key & 7) == WIRE_BYTES) {
        *bytes = slice_of(in->data, (size_t)len);
    }
    *in = slice_of(in->data + len, in->len - (size_t)len);
    return true;
}

static bool find_field(struct slice in, uint32_t wanted, struct slice *bytes)
{
    uint32_t number;
    struct slice found;
    while (next_field(&in, &number, &found)) {
        if (number == wanted) {
            *bytes = found;
            return true;
        }
    }
    return false;
}

static bool find_metadata(struct slice info, const char *key, struct slice *value)
{
    uint32_t number;
    struct slice entry;
    struct slice name;
    while (next_field(&info, &number, &entry)) {
        if (number == 3 && find_field(entry, 1, &name) && slice_equal(name, slice_of_string(key)) &&
            find_field(entry, 2, value)) {
            return true;
        }
    }
    return false;
}
