/* SPDX-License-Identifier: Apache-2.0 */
/* A request as it is parsed: bounds, method, target. The only user of http-parser. */
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rpc/http1_internal.h"

#include <string.h>

static int on_begin(http_parser *parser);
static int on_url(http_parser *parser, const char *at, size_t len);
static int on_header(http_parser *parser, const char *at, size_t len);
static int on_headers_complete(http_parser *parser);
static int on_body(http_parser *parser, const char *at, size_t len);
static int on_complete(http_parser *parser);
static bool decode(const char *text, size_t len, struct buf *out);
static bool path_is_clean(const char *path, size_t len);
static int hex_value(char digit);

const http_parser_settings http1_parser_settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_header,
    .on_header_value = on_header,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void http1_request_reset(struct http1_exchange *exchange)
{
    buf_deinit(&exchange->url);
    buf_deinit(&exchange->body);
    mem_free(exchange->path);
    exchange->path = NULL;
    exchange->header_bytes = 0;
    exchange->is_complete = false;
}

size_t http1_request_parse(struct http1_exchange *exchange, struct slice bytes)
{
    size_t taken = http_parser_execute(
        &exchange->parser, &http1_parser_settings, (const char *)bytes.data, bytes.len);
    if (exchange->is_complete) {
        http_parser_pause(&exchange->parser, 0);
        return taken;
    }
    if (exchange->refusal == 0 && (taken != bytes.len || exchange->parser.upgrade != 0)) {
        exchange->refusal = 400;
    }
    return taken;
}

void http1_request_target(struct http1_exchange *exchange, const char **query_out)
{
    buf_put_u8(&exchange->url, 0);
    char *url = (char *)exchange->url.data;
    char *query = strchr(url, '?');
    size_t path_len = strcspn(url, "?#");
    struct buf path = {0};
    *query_out = "";
    if (query != NULL && (size_t)(query - url) == path_len) {
        query[strcspn(query, "#")] = '\0';
        *query_out = query + 1;
    }
    if (strcmp(url, "*") == 0 && exchange->method == HTTP1_OPTIONS) {
        buf_append_string(&path, "/");
    } else if (url[0] != '/' || !decode(url, path_len, &path) ||
               !path_is_clean((const char *)path.data, path.len)) {
        exchange->refusal = 400;
    }
    buf_put_u8(&path, 0);
    exchange->path = (char *)path.data;
}

bool http1_page_is_due(struct http1_page *page)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (page->body.len > 0 && now_ms < page->made_ms + HTTP1_PAGE_MS) {
        return false;
    }
    page->made_ms = now_ms;
    buf_clear(&page->body);
    return true;
}

enum error http1_query_value(const char *query, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        if (len >= name_len && memcmp(query, name, name_len) == 0 &&
            (len == name_len || query[name_len] == '=')) {
            size_t skip = len == name_len ? len : name_len + 1;
            struct buf text = {0};
            enum error error = ERR_INVALID;
            if (decode(query + skip, len - skip, &text)) {
                error = text.len < size ? ERR_OK : ERR_LIMIT;
            }
            if (error == ERR_OK) {
                if (text.len > 0) {
                    memcpy(value, text.data, text.len);
                }
                value[text.len] = '\0';
            }
            buf_deinit(&text);
            return error;
        }
        query += len;
        query += *query == '&' ? 1 : 0;
    }
    return ERR_NOT_FOUND;
}

static int on_begin(http_parser *parser)
{
    http1_request_reset(parser->data);
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http1_exchange *exchange = parser->data;
    buf_append(&exchange->url, at, len);
    return on_header(parser, at, len);
}

static int on_header(http_parser *parser, const char *at, size_t len)
{
    (void)at;
    struct http1_exchange *exchange = parser->data;
    exchange->header_bytes += len;
    if (exchange->header_bytes > HTTP1_HEADER_BYTES_MAX) {
        exchange->refusal = 431;
        return 1;
    }
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct http1_exchange *exchange = parser->data;
    switch (parser->method) {
    case HTTP_GET:
        exchange->method = HTTP1_GET;
        break;
    case HTTP_HEAD:
        exchange->method = HTTP1_HEAD;
        break;
    case HTTP_OPTIONS:
        exchange->method = HTTP1_OPTIONS;
        break;
    case HTTP_POST:
        exchange->method = HTTP1_POST;
        break;
    default:
        exchange->refusal = 405;
        return -1;
    }
    if (parser->content_length != UINT64_MAX && parser->content_length > HTTP1_BODY_BYTES_MAX) {
        exchange->refusal = 413;
        return -1;
    }
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http1_exchange *exchange = parser->data;
    if (exchange->body.len + len > HTTP1_BODY_BYTES_MAX) {
        exchange->refusal = 413;
        return 1;
    }
    buf_append(&exchange->body, at, len);
    return 0;
}

/* One request at a time: what follows waits until this one is answered. */
static int on_complete(http_parser *parser)
{
    struct http1_exchange *exchange = parser->data;
    exchange->is_complete = true;
    exchange->keep_alive = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1);
    return 0;
}

/* False for a bad escape, and for bytes that have no place in a path or value. */
static bool decode(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        int byte = (unsigned char)text[i];
        if (byte == '%') {
            int high = i + 2 <= len - 1 ? hex_value(text[i + 1]) : -1;
            int low = i + 2 <= len - 1 ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = high * 16 + low;
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f) {
            return false;
        }
        buf_put_u8(out, (uint8_t)byte);
    }
    return true;
}

static bool path_is_clean(const char *path, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++) {
        bool ends = i + 3 == len || path[i + 3] == '/';
        if (path[i] == '/' && path[i + 1] == '.' && path[i + 2] == '.' && ends) {
            return false;
        }
    }
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}
