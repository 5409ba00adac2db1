/* SPDX-License-Identifier: Apache-2.0 */
/* See shard_kind.h. */
#include "model/shard_kind.h"

#include "base/check.h"

#include <string.h>

static const struct {
    enum shard_kind kind;
    const char *name;
    bool driven;
    bool quorum;
} KINDS[] = {
    {SHARD_POSTGRES, "postgres", true, true},
    {SHARD_REDIS, "redis", false, false},
    {SHARD_KEYVALUE, "keyvalue", true, false},
};

const char *shard_kind_name(enum shard_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (KINDS[i].kind == kind) {
            return KINDS[i].name;
        }
    }
    return "unknown";
}

enum error shard_kind_parse(const char *name, enum shard_kind *kind_out)
{
    if (name[0] == '\0') {
        *kind_out = SHARD_POSTGRES;
        return ERR_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (strcmp(KINDS[i].name, name) == 0) {
            *kind_out = KINDS[i].kind;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

bool shard_kind_is_driven(enum shard_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (KINDS[i].kind == kind) {
            return KINDS[i].driven;
        }
    }
    return false;
}

bool shard_kind_has_quorum(enum shard_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (KINDS[i].kind == kind) {
            return KINDS[i].quorum;
        }
    }
    return false;
}
