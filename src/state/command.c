/* SPDX-License-Identifier: Apache-2.0 */
/* See state/command.h. */
#include "state/command.h"

#include "base/check.h"

struct kind_row {
    const char *name;
    bool order;
    uint32_t level;
    bool topology;
    bool grows;
};

/* clang-format off */
static const struct kind_row KINDS[COMMAND_KIND_COUNT] = {
#define X(kind, name, body, handler, order, level, topology, grows) \
    [kind] = {name, order, level, topology, grows},
    COMMAND_TABLE(X)
#undef X
};
/* clang-format on */

#define X(kind, name, body, handler, order, level, topology, grows) \
    _Static_assert((level) >= 1 && (level) <= COMMAND_LEVEL, name ": raise COMMAND_LEVEL with it");
COMMAND_TABLE(X)
#undef X

static const struct kind_row *row_of(enum command_kind kind)
{
    CHECK(kind != COMMAND_NONE);
    CHECK((unsigned)kind < COMMAND_KIND_COUNT);
    return &KINDS[kind];
}

const char *command_kind_name(enum command_kind kind)
{
    if (kind == COMMAND_NONE) {
        return "none";
    }
    return (unsigned)kind < COMMAND_KIND_COUNT ? KINDS[kind].name : "?";
}

bool command_kind_is_order(enum command_kind kind)
{
    return kind != COMMAND_NONE && row_of(kind)->order;
}

bool command_kind_changes_topology(enum command_kind kind)
{
    return kind != COMMAND_NONE && row_of(kind)->topology;
}

bool command_kind_grows(enum command_kind kind)
{
    return row_of(kind)->grows;
}

uint32_t command_kind_level(enum command_kind kind)
{
    return row_of(kind)->level;
}
