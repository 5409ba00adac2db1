/* SPDX-License-Identifier: Apache-2.0 */
/* See state/command.h. */
#include "state/command.h"

#include "base/check.h"

struct kind_row {
    const char *name;
    bool by_leader;
};

/* clang-format off */
static const struct kind_row KINDS[] = {
    {"none", false},
#define X(name, text, by_leader) {text, by_leader},
    COMMAND_TABLE(X)
#undef X
};
/* clang-format on */

_Static_assert(ARRAY_LEN(KINDS) == COMMAND_KIND_COUNT, "one row per kind");

const char *command_kind_name(enum command_kind kind)
{
    return (unsigned)kind < COMMAND_KIND_COUNT ? KINDS[kind].name : "?";
}

uint32_t command_kind_level(enum command_kind kind)
{
    CHECK((unsigned)kind < COMMAND_KIND_COUNT);
    return 1; /* every kind so far */
}

bool command_kind_is_order(enum command_kind kind)
{
    CHECK((unsigned)kind < COMMAND_KIND_COUNT);
    return KINDS[kind].by_leader;
}
