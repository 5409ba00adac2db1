/* SPDX-License-Identifier: Apache-2.0 */
/* See config_yaml.h. */
#include "config/config_yaml.h"

#include "base/check.h"
#include "config/config_file.h"
#include "model/records.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the parser says of a failure, the first lines of it. */
struct parser_words {
    char text[REASON_SIZE / 2];
};

static void collect_words(cyaml_log_t level, void *ctx, const char *format, va_list arguments);

enum error config_yaml_load(const char *path,
                            const struct cyaml_schema_value *schema,
                            struct reason *reason,
                            void **top_out)
{
    struct parser_words words = {{0}};
    const cyaml_config_t parser = {
        .log_fn = collect_words,
        .log_ctx = &words,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    struct buf text = {0};
    if (config_file_read(path, reason, &text) != ERR_OK) {
        buf_deinit(&text);
        return ERR_CONFIG;
    }
    void *top = NULL;
    cyaml_err_t failure = cyaml_load_data(text.data, text.len, &parser, schema, &top, NULL);
    buf_deinit(&text);
    if (failure != CYAML_OK) {
        return reason_set(reason,
                          ERR_CONFIG,
                          "%s: %s: %s (docs/operations.md lists the keys)",
                          path,
                          cyaml_strerror(failure),
                          words.text);
    }
    /* Blanks and comments alone are a valid document, of nothing. */
    if (top == NULL) {
        return reason_set(reason, ERR_CONFIG, "%s: there is no configuration in this file", path);
    }
    *top_out = top;
    return ERR_OK;
}

void config_yaml_free(const struct cyaml_schema_value *schema, void *top)
{
    const cyaml_config_t parser = {.mem_fn = cyaml_mem};
    CHECK(cyaml_free(&parser, schema, top, 0) == CYAML_OK);
}

void config_refuse(struct config_check *check, const char *field, const char *format, ...)
{
    if (check->failed) {
        return;
    }
    check->failed = true;
    char what[REASON_SIZE / 2];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    reason_say(check->reason, "%s: %s: %s", check->path, field, what);
}

void config_take(
    struct config_check *check, const char *field, const char *text, char *to, size_t size)
{
    size_t len = strlen(text);
    if (len == 0 || len >= size) {
        config_refuse(check, field, "must have 1 to %zu bytes", size - 1);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20) {
            config_refuse(check, field, "has a control character");
            return;
        }
    }
    memcpy(to, text, len + 1);
}

void config_take_name(struct config_check *check, const char *field, const char *text, char *to)
{
    if (!name_is_valid(text)) {
        config_refuse(
            check,
            field,
            "\"%.64s\" is no name: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit",
            text);
        return;
    }
    config_take(check, field, text, to, NAME_SIZE);
}

void config_take_address(struct config_check *check, const char *field, const char *text, char *to)
{
    if (!address_is_valid(text)) {
        config_refuse(check,
                      field,
                      "\"%.64s\" is no numeric address like 10.0.0.1:7400 or [fd00::1]:7400, the "
                      "port 1 to 65535 without zeros before it (names are not resolved: a resolver "
                      "that hangs must not stop a failover)",
                      text);
        return;
    }
    config_take(check, field, text, to, ADDRESS_SIZE);
}

void config_take_level(struct config_check *check, const char *text, enum log_level *to)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    *to = LOG_INFO;
    if (text == NULL) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *to = (enum log_level)i;
            return;
        }
    }
    config_refuse(check, "log.level", "\"%.64s\" is none of debug, info, warn, error", text);
}

__attribute__((format(printf, 3, 0))) static void
collect_words(cyaml_log_t level, void *ctx, const char *format, va_list arguments)
{
    struct parser_words *words = ctx;
    size_t len = strlen(words->text);
    if (level < CYAML_LOG_ERROR || len + 2 >= sizeof(words->text)) {
        return;
    }
    (void)vsnprintf(words->text + len, sizeof(words->text) - len, format, arguments);
    for (char *at = words->text + len; *at != '\0'; at++) {
        if (*at == '\n') {
            *at = ';';
        }
    }
}
