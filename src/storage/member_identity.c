/* SPDX-License-Identifier: Apache-2.0 */
/* See member_identity.h. */
#include "storage/member_identity.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SUM_DIGITS = 16
};

static enum error
take_line(struct slice *rest, const char *key, struct buf *value_out, struct reason *reason);
static enum error
parse_fields(struct slice *rest, struct reason *reason, struct member_identity *identity);
static bool parse_hex(const char *text, struct buf *out);
static int hex_value(char digit);
static void print_sum(struct slice bytes, char *text);

void member_identity_deinit(struct member_identity *identity)
{
    buf_deinit(&identity->founding);
    *identity = (struct member_identity){0};
}

bool member_name_is_valid(const char *name)
{
    size_t len = strnlen(name, MEMBER_NAME_SIZE);
    if (len == 0 || len == MEMBER_NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL) {
            return false;
        }
    }
    return true;
}

void member_identity_encode(const struct member_identity *identity, struct buf *out)
{
    CHECK(member_name_is_valid(identity->name));
    CHECK(identity->founding.len <= MEMBER_FOUNDING_MAX);

    char id[ID128_TEXT_SIZE];
    size_t start = out->len;
    buf_printf(out, "indaba-member-format: %d\n", MEMBER_IDENTITY_FORMAT);
    id128_format(identity->cluster.hi, identity->cluster.lo, id);
    buf_printf(out, "cluster: %s\n", id);
    id128_format(identity->member.hi, identity->member.lo, id);
    buf_printf(out, "member: %s\n", id);
    buf_printf(out, "name: %s\n", identity->name);
    buf_append_string(out, "founding: ");
    for (size_t i = 0; i < identity->founding.len; i++) {
        buf_printf(out, "%02x", identity->founding.data[i]);
    }
    buf_append_string(out, "\n");
    char sum[SUM_DIGITS + 1];
    print_sum(slice_of(out->data + start, out->len - start), sum);
    buf_printf(out, "sum: %s\n", sum);
}

enum error member_identity_decode(struct slice text,
                                  struct reason *reason,
                                  struct member_identity *identity_out)
{
    struct member_identity identity = {0};
    struct slice rest = text;
    struct buf value = {0};
    enum error error = take_line(&rest, "indaba-member-format: ", &value, reason);
    if (error == ERR_OK && strcmp((const char *)value.data, "1") != 0) {
        error = reason_set(reason,
                           ERR_VERSION,
                           "its format is %.20s, and this version knows format %d only",
                           (const char *)value.data,
                           MEMBER_IDENTITY_FORMAT);
    }
    if (error == ERR_OK) {
        error = parse_fields(&rest, reason, &identity);
    }
    size_t summed = text.len - rest.len;
    if (error == ERR_OK) {
        error = take_line(&rest, "sum: ", &value, reason);
    }
    if (error == ERR_OK) {
        char sum[SUM_DIGITS + 1];
        print_sum(slice_of(text.data, summed), sum);
        if (strcmp(sum, (const char *)value.data) != 0 || rest.len > 0) {
            error = reason_set(reason, ERR_CORRUPT, "its checksum does not match its lines");
        }
    }
    buf_deinit(&value);
    if (error != ERR_OK) {
        member_identity_deinit(&identity);
        return error;
    }
    *identity_out = identity;
    return ERR_OK;
}

static enum error
parse_fields(struct slice *rest, struct reason *reason, struct member_identity *identity)
{
    struct buf value = {0};
    enum error error = take_line(rest, "cluster: ", &value, reason);
    if (error == ERR_OK) {
        error = id128_parse((const char *)value.data, &identity->cluster.hi, &identity->cluster.lo);
    }
    if (error == ERR_OK) {
        error = take_line(rest, "member: ", &value, reason);
    }
    if (error == ERR_OK) {
        error = id128_parse((const char *)value.data, &identity->member.hi, &identity->member.lo);
    }
    if (error == ERR_OK) {
        error = take_line(rest, "name: ", &value, reason);
    }
    if (error == ERR_OK) {
        error = member_name_is_valid((const char *)value.data) ? ERR_OK : ERR_INVALID;
    }
    if (error == ERR_OK) {
        memcpy(identity->name, value.data, value.len + 1);
        error = take_line(rest, "founding: ", &value, reason);
    }
    if (error == ERR_OK && !parse_hex((const char *)value.data, &identity->founding)) {
        error = ERR_INVALID;
    }
    buf_deinit(&value);
    if (error == ERR_INVALID) {
        return reason_set(reason, ERR_CORRUPT, "one of its values is not valid");
    }
    return error;
}

/* The value of the next line, which must begin with `key`, with a NUL behind it. */
static enum error
take_line(struct slice *rest, const char *key, struct buf *value_out, struct reason *reason)
{
    size_t key_len = strlen(key);
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t line_len = end != NULL ? (size_t)(end - rest->data) : 0;
    if (end == NULL || line_len < key_len || memcmp(rest->data, key, key_len) != 0 ||
        memchr(rest->data, '\0', line_len) != NULL) {
        reason_set(reason, ERR_CORRUPT, "its line \"%s\" is missing", key);
        return ERR_CORRUPT;
    }
    buf_clear(value_out);
    buf_append(value_out, rest->data + key_len, line_len - key_len);
    buf_put_u8(value_out, 0);
    value_out->len--;
    *rest = slice_of(rest->data + line_len + 1, rest->len - line_len - 1);
    return ERR_OK;
}

static bool parse_hex(const char *text, struct buf *out)
{
    size_t len = strlen(text);
    if (len % 2 != 0 || len / 2 > MEMBER_FOUNDING_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_value(text[i]);
        int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static void print_sum(struct slice bytes, char *text)
{
    uint64_t sum = hash_xxh3(bytes.data, bytes.len, 0);
    int len = snprintf(text, SUM_DIGITS + 1, "%016" PRIx64, sum);
    CHECK(len == SUM_DIGITS);
}
