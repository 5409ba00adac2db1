/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_hba.h. */
#include "config/pg_hba.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIELDS_MAX = 16,
    LINE_SIZE = 1024,
};

struct fields {
    char line[LINE_SIZE];
    char *at[FIELDS_MAX];
    int count;
};

static enum error check_line(const char *line, size_t len, struct reason *reason);
static bool split(const char *line, size_t len, struct fields *fields);
static const char *check_address(const struct fields *fields, int *method_out);
static bool is_one_of(const char *word, const char *const *words, size_t count);

enum error pg_hba_check(const char *text, struct reason *reason)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        TRY(check_line(text, len, reason));
        text += text[len] == '\n' ? len + 1 : len;
    }
    return ERR_OK;
}

static enum error check_line(const char *line, size_t len, struct reason *reason)
{
    static const char *const HOSTS[] = {
        "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"};
    static const char *const METHODS[] = {"trust",
                                          "reject",
                                          "scram-sha-256",
                                          "md5",
                                          "password",
                                          "gss",
                                          "ident",
                                          "peer",
                                          "ldap",
                                          "radius",
                                          "cert",
                                          "pam"};
    struct fields fields;
    const char *wrong = NULL;
    int method = 3; /* local DATABASE USER METHOD */

    if (!split(line, len, &fields)) {
        wrong = "it is too long";
    } else if (fields.count == 0) {
        return ERR_OK;
    } else if (is_one_of(fields.at[0], HOSTS, ARRAY_LEN(HOSTS))) {
        wrong = check_address(&fields, &method);
    } else if (strcmp(fields.at[0], "local") != 0) {
        wrong = "it begins with neither local nor host, hostssl, hostnossl, hostgssenc, "
                "hostnogssenc";
    }
    if (wrong == NULL && fields.count <= method) {
        wrong = "the authentication method is missing";
    }
    if (wrong == NULL && !is_one_of(fields.at[method], METHODS, ARRAY_LEN(METHODS))) {
        wrong = "no such authentication method (one is scram-sha-256)";
    }
    if (wrong == NULL) {
        return ERR_OK;
    }
    return reason_set(
        reason, ERR_CONFIG, "hba line '%.*s': %s", (int)(len < 50 ? len : 50), line, wrong);
}

/* Words, or strings in double quotes; a comma joins, also around blanks. */
static bool split(const char *line, size_t len, struct fields *fields)
{
    fields->count = 0;
    if (len >= LINE_SIZE) {
        return false;
    }
    memcpy(fields->line, line, len);
    fields->line[len] = '\0';
    char *at = fields->line;
    for (;;) {
        at += strspn(at, " \t\r");
        if (*at == '\0' || *at == '#') {
            return true;
        }
        if (fields->count == FIELDS_MAX) {
            return false;
        }
        fields->at[fields->count++] = at;
        bool quoted = false;
        while (*at != '\0' && (quoted || strchr(" \t\r#", *at) == NULL)) {
            quoted = *at == '"' ? !quoted : quoted;
            at++;
            if (at[-1] == ',' && !quoted) {
                at += strspn(at, " \t\r");
            }
        }
        if (*at == '#') {
            *at = '\0';
            return true;
        }
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
}

/* host DATABASE USER ADDRESS[/BITS] [MASK] METHOD; what is wrong with it, or NULL. */
static const char *check_address(const struct fields *fields, int *method_out)
{
    static const char *const WORDS[] = {"all", "samehost", "samenet"};
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];

    if (fields->count < 4) {
        return "the address is missing";
    }
    const char *word = fields->at[3];
    const char *slash = strchr(word, '/');
    *method_out = 4;
    if (is_one_of(word, WORDS, ARRAY_LEN(WORDS))) {
        return NULL;
    }
    size_t len = slash != NULL ? (size_t)(slash - word) : strlen(word);
    bool numeric = strspn(word, "0123456789./") == strlen(word) || strchr(word, ':') != NULL;
    if (!numeric) {
        return slash == NULL ? NULL : "a host name has no mask"; /* names are looked up later */
    }
    if (len >= sizeof(address)) {
        return "no such address";
    }
    memcpy(address, word, len);
    address[len] = '\0';
    int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(family, address, bytes) != 1) {
        return "no such address";
    }
    if (slash == NULL) {
        *method_out = 5;
        return fields->count > 4 && inet_pton(family, fields->at[4], bytes) == 1
                   ? NULL
                   : "an address needs a mask, as in 10.0.0.0/8";
    }
    char *end = NULL;
    long bits = strtol(slash + 1, &end, 10);
    return end != slash + 1 && *end == '\0' && bits >= 0 && bits <= (family == AF_INET ? 32 : 128)
               ? NULL
               : "no such mask";
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}
