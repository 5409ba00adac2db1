/* SPDX-License-Identifier: Apache-2.0 */
/* What both configuration files are read with: the parser and its words, the values that occur in
 * both, and an error that says file, field and remedy. Of several errors the first is told. */
#ifndef INDABA_CONFIG_CONFIG_YAML_H
#define INDABA_CONFIG_CONFIG_YAML_H

#include "base/log.h"
#include "base/reason.h"

#include <stdbool.h>
#include <stddef.h>

struct cyaml_schema_value;

/* ERR_CONFIG for a file that cannot be read, has another shape than the schema's, or says nothing;
 * `reason` says why. To be freed with config_yaml_free. Blocks. */
MUST_CHECK enum error config_yaml_load(const char *path,
                                       const struct cyaml_schema_value *schema,
                                       struct reason *reason,
                                       void **top_out);
void config_yaml_free(const struct cyaml_schema_value *schema, void *top);

struct config_check {
    const char *path;
    struct reason *reason;
    bool failed;
};

__attribute__((format(printf, 3, 4))) void
config_refuse(struct config_check *check, const char *field, const char *format, ...);

/* Each leaves `to` as it is when it refuses. A text of 1 to size - 1 bytes, on one line. */
void config_take(
    struct config_check *check, const char *field, const char *text, char *to, size_t size);
/* NAME_SIZE. */
void config_take_name(struct config_check *check, const char *field, const char *text, char *to);
/* ADDRESS_SIZE; one that others dial. */
void config_take_address(struct config_check *check, const char *field, const char *text, char *to);
/* Of the log; NULL: info. */
void config_take_level(struct config_check *check, const char *text, enum log_level *to);

#endif
