/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's rules as pure functions: status, timeouts, escapes, message frames. google.rpc.Status is
 * in grpc_details.c. The rules are those of gRPC's PROTOCOL-HTTP2 document. */
#include "rpc/grpc.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t grpc_prefix_len(const uint8_t *prefix);
static int hex_value(uint8_t digit);
static int base64_value(uint8_t digit);

const char *grpc_status_name(enum grpc_status status)
{
    switch (status) {
#define X(name, number, text) \
    case name:                \
        return text;
        GRPC_STATUS_TABLE(X)
#undef X
    }
    return "UNKNOWN";
}

enum grpc_status grpc_status_from_number(uint64_t number)
{
    return number > GRPC_UNAUTHENTICATED ? GRPC_UNKNOWN : (enum grpc_status)number;
}

enum grpc_status grpc_status_from_http(uint32_t http_status)
{
    switch (http_status) {
    case 400:
    case 431:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

enum error grpc_timeout_parse(struct slice text, uint64_t *timeout_ms_out)
{
    if (text.len < 2 || text.len > 9) {
        return ERR_INVALID;
    }
    uint64_t number = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return ERR_INVALID;
        }
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    uint64_t ms = 0;
    switch (text.data[text.len - 1]) {
    case 'H':
        ms = number * 3600 * 1000;
        break;
    case 'M':
        ms = number * 60 * 1000;
        break;
    case 'S':
        ms = number * 1000;
        break;
    case 'm':
        ms = number;
        break;
    case 'u':
        ms = (number + 999) / 1000;
        break;
    case 'n':
        ms = (number + 999999) / 1000000;
        break;
    default:
        return ERR_INVALID;
    }
    *timeout_ms_out = ms == 0 ? 1 : ms;
    return ERR_OK;
}

char *grpc_timeout_format(uint64_t timeout_ms, char *text)
{
    if (timeout_ms <= 99999999) {
        (void)snprintf(text, GRPC_TIMEOUT_TEXT_SIZE, "%" PRIu64 "m", timeout_ms);
    } else {
        uint64_t seconds = timeout_ms / 1000;
        seconds = seconds > 99999999 ? 99999999 : seconds;
        (void)snprintf(text, GRPC_TIMEOUT_TEXT_SIZE, "%" PRIu64 "S", seconds);
    }
    return text;
}

void grpc_percent_encode(struct slice text, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            buf_put_u8(out, byte);
        } else {
            char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            buf_append(out, escape, sizeof(escape));
        }
    }
}

void grpc_percent_decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = -1;
        int low = -1;
        if (text.data[i] == '%' && i + 2 < text.len) {
            high = hex_value(text.data[i + 1]);
            low = hex_value(text.data[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            buf_put_u8(out, (uint8_t)(high * 16 + low));
            i += 2;
        } else {
            buf_put_u8(out, text.data[i]); /* a bad escape stands for itself */
        }
    }
}

void grpc_base64_encode(struct slice bytes, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.data[i + 2] : 0;
        char text[4] = {
            digits[group >> 18],
            digits[group >> 12 & 63],
            digits[group >> 6 & 63],
            digits[group & 63],
        };
        buf_append(out, text, left > 2 ? 4 : left + 1);
    }
}

enum error grpc_base64_decode(struct slice text, struct buf *out)
{
    while (text.len > 0 && text.data[text.len - 1] == '=') {
        text.len--;
    }
    if (text.len % 4 == 1) {
        return ERR_INVALID;
    }
    uint32_t group = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0) {
            return ERR_INVALID;
        }
        group = (group << 6 | (uint32_t)value) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_put_u8(out, (uint8_t)(group >> bits));
        }
    }
    return ERR_OK;
}

void grpc_prefix_put(uint8_t *prefix, uint32_t message_len)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(message_len >> 24);
    prefix[2] = (uint8_t)(message_len >> 16);
    prefix[3] = (uint8_t)(message_len >> 8);
    prefix[4] = (uint8_t)message_len;
}

void grpc_deframer_deinit(struct grpc_deframer *deframer)
{
    buf_deinit(&deframer->partial);
}

bool grpc_deframer_is_partial(const struct grpc_deframer *deframer)
{
    return deframer->partial.len > 0;
}

enum error grpc_deframer_feed(struct grpc_deframer *deframer,
                              struct slice bytes,
                              grpc_message_fn on_message,
                              void *ctx)
{
    uint32_t bound =
        deframer->message_bytes_max == 0 ? GRPC_MESSAGE_BYTES_MAX : deframer->message_bytes_max;
    while (bytes.len > 0) {
        struct buf *partial = &deframer->partial;
        /* Where the prefix lies: in the partial message, or at the front of the new bytes. */
        bool direct = partial->len == 0 && bytes.len >= GRPC_PREFIX_SIZE;
        if (!direct && partial->len < GRPC_PREFIX_SIZE) {
            size_t missing = GRPC_PREFIX_SIZE - partial->len;
            size_t take = missing < bytes.len ? missing : bytes.len;
            buf_append(partial, bytes.data, take);
            bytes = slice_of(bytes.data + take, bytes.len - take);
            if (partial->len < GRPC_PREFIX_SIZE) {
                break;
            }
        }
        const uint8_t *prefix = direct ? bytes.data : partial->data;
        uint32_t len = grpc_prefix_len(prefix);
        if (prefix[0] != 0) {
            return ERR_PROTOCOL;
        }
        if (len > bound) {
            return ERR_LIMIT;
        }
        size_t frame_len = (size_t)len + GRPC_PREFIX_SIZE;
        struct buf whole = {0};
        struct slice message;
        if (direct && bytes.len >= frame_len) {
            message = slice_of(bytes.data + GRPC_PREFIX_SIZE, len);
            bytes = slice_of(bytes.data + frame_len, bytes.len - frame_len);
        } else {
            size_t missing = frame_len - partial->len;
            size_t take = missing < bytes.len ? missing : bytes.len;
            buf_append(partial, bytes.data, take);
            bytes = slice_of(bytes.data + take, bytes.len - take);
            if (partial->len < frame_len) {
                break;
            }
            whole = *partial;
            *partial = (struct buf){0};
            message = slice_of(whole.data + GRPC_PREFIX_SIZE, len);
        }
        bool more = on_message(message, ctx);
        buf_deinit(&whole);
        if (!more) {
            return ERR_CANCELLED;
        }
    }
    return ERR_OK;
}

static uint32_t grpc_prefix_len(const uint8_t *prefix)
{
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 |
           (uint32_t)prefix[4];
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int base64_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    if (digit == '+' || digit == '-') {
        return 62;
    }
    return digit == '/' || digit == '_' ? 63 : -1;
}
