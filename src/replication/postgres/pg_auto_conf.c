/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_auto_conf.h. */
#include "replication/postgres/pg_auto_conf.h"

#include "base/check.h"
#include "gate/gate_settings.h"

#include <string.h>
#include <strings.h>

#define NAME(name) #name,
static const char *const MANAGED[GATE_SETTINGS_COUNT] = {GATE_SETTINGS(NAME)};
#undef NAME

static size_t line_len(const char *text, size_t len);
static bool is_managed(const char *line, size_t len);
static bool begins_with(const char *line, size_t len, const char *name);

void pg_auto_conf_clean(const char *text, size_t len, struct buf *kept)
{
    for (size_t begin = 0; begin < len;) {
        size_t line = line_len(text + begin, len - begin);
        if (!is_managed(text + begin, line)) {
            buf_append(kept, text + begin, line);
        }
        begin += line;
    }
}

bool pg_auto_conf_is_clean(const char *text, size_t len)
{
    for (size_t begin = 0; begin < len;) {
        size_t line = line_len(text + begin, len - begin);
        if (is_managed(text + begin, line)) {
            return false;
        }
        begin += line;
    }
    return true;
}

/* With its newline. */
static size_t line_len(const char *text, size_t len)
{
    const char *newline = memchr(text, '\n', len);

    return newline != NULL ? (size_t)(newline - text) + 1 : len;
}

/* ALTER SYSTEM writes plain lines; an editor may indent them, or include another file. */
static bool is_managed(const char *line, size_t len)
{
    while (len > 0 && strchr(" \t\r", line[0]) != NULL && line[0] != '\0') {
        line++;
        len--;
    }
    for (size_t i = 0; i < ARRAY_LEN(MANAGED); i++) {
        size_t name_len = strlen(MANAGED[i]);
        if (begins_with(line, len, MANAGED[i]) && len > name_len &&
            strchr(" \t='", line[name_len]) != NULL) {
            return true;
        }
    }
    return begins_with(line, len, "recovery_target") || begins_with(line, len, "include");
}

static bool begins_with(const char *line, size_t len, const char *name)
{
    size_t name_len = strlen(name);

    return len >= name_len && strncasecmp(line, name, name_len) == 0;
}
