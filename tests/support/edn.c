/* SPDX-License-Identifier: Apache-2.0 */
/* Reads EDN: edn.h. */
#include "tests/support/edn.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 32,
};

static bool read_value(const char **at, struct edn *value, int depth);

static void skip_space(const char **at)
{
    while (**at == ',' || isspace((unsigned char)**at)) {
        (*at)++;
    }
}

static bool ends_word(char c)
{
    return c == '\0' || c == ',' || isspace((unsigned char)c) || strchr("()[]{}\"", c) != NULL;
}

static char *dup_range(const char *from, size_t len)
{
    char *text = mem_new(len + 1);

    memcpy(text, from, len);
    return text;
}

static bool read_string(const char **at, struct edn *value)
{
    const char *end = *at + 1;
    size_t len = 0;

    while (*end != '"') {
        if (*end == '\0' || (*end == '\\' && end[1] == '\0')) {
            return false;
        }
        end += *end == '\\' ? 2 : 1;
    }
    value->kind = EDN_STRING;
    value->text = mem_new((size_t)(end - *at));
    for (const char *c = *at + 1; c < end; c++) {
        c += *c == '\\';
        value->text[len++] = *c;
    }
    *at = end + 1;
    return true;
}

static bool read_word(const char **at, struct edn *value)
{
    const char *end = *at;

    while (!ends_word(*end)) {
        end++;
    }
    size_t len = (size_t)(end - *at);
    if (**at == ':' && len > 1) {
        value->kind = EDN_KEYWORD;
        value->text = dup_range(*at + 1, len - 1);
    } else if (len == 3 && strncmp(*at, "nil", 3) == 0) {
        value->kind = EDN_NIL;
    } else if (len == 4 && strncmp(*at, "true", 4) == 0) {
        value->kind = EDN_BOOL;
        value->number = 1;
    } else if (len == 5 && strncmp(*at, "false", 5) == 0) {
        value->kind = EDN_BOOL;
    } else {
        char *stop = NULL;
        errno = 0;
        value->kind = EDN_INT;
        value->number = strtoll(*at, &stop, 10);
        if (len == 0 || errno != 0 || stop != end) {
            return false;
        }
    }
    *at = end;
    return true;
}

static bool read_items(const char **at, struct edn *value, char close, int depth)
{
    size_t cap = 0;

    for (;;) {
        skip_space(at);
        if (**at == close) {
            (*at)++;
            return value->kind != EDN_MAP || value->items_count % 2 == 0;
        }
        if (value->items_count == cap) {
            cap = cap == 0 ? 8 : cap * 2;
            value->items = mem_resize(value->items, cap * sizeof(*value->items));
        }
        struct edn *item = &value->items[value->items_count++];
        *item = (struct edn){0};
        if (!read_value(at, item, depth + 1)) {
            return false;
        }
    }
}

static bool read_value(const char **at, struct edn *value, int depth)
{
    skip_space(at);
    if (depth > DEPTH_MAX) {
        return false;
    }
    switch (**at) {
    case '"':
        return read_string(at, value);
    case '[':
        value->kind = EDN_VECTOR;
        (*at)++;
        return read_items(at, value, ']', depth);
    case '(':
        value->kind = EDN_VECTOR;
        (*at)++;
        return read_items(at, value, ')', depth);
    case '{':
        value->kind = EDN_MAP;
        (*at)++;
        return read_items(at, value, '}', depth);
    case '#':
        if ((*at)[1] != '{') {
            return false;
        }
        value->kind = EDN_SET;
        *at += 2;
        return read_items(at, value, '}', depth);
    default:
        return read_word(at, value);
    }
}

bool edn_read(const char *text, struct edn *value_out, const char **end_out)
{
    *value_out = (struct edn){0};
    bool read = read_value(&text, value_out, 0);
    *end_out = text;
    return read;
}

void edn_deinit(struct edn *value)
{
    for (size_t i = 0; i < value->items_count; i++) {
        edn_deinit(&value->items[i]);
    }
    mem_free(value->items);
    mem_free(value->text);
    *value = (struct edn){0};
}

const struct edn *edn_get(const struct edn *map, const char *keyword)
{
    if (map == NULL || map->kind != EDN_MAP) {
        return NULL;
    }
    for (size_t i = 0; i + 1 < map->items_count; i += 2) {
        if (edn_is_keyword(&map->items[i], keyword)) {
            return &map->items[i + 1];
        }
    }
    return NULL;
}

bool edn_is_keyword(const struct edn *value, const char *keyword)
{
    return value != NULL && value->kind == EDN_KEYWORD && strcmp(value->text, keyword) == 0;
}

bool edn_int(const struct edn *value, int64_t *out)
{
    if (value == NULL || value->kind != EDN_INT) {
        return false;
    }
    *out = value->number;
    return true;
}
