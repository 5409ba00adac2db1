/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for people. A text that does not fit is cut, never refused: it decides nothing. */
#include "decide/explain.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

void explain(char *text, const char *format, ...)
{
    va_list arguments;

    CHECK(text != NULL);
    va_start(arguments, format);
    int len = vsnprintf(text, TEXT_SIZE, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
}

const char *explain_instance(const struct shard_view *view, struct instance_id instance)
{
    enum {
        RING = 8,
        SIZE = 32
    };

    static _Thread_local char ring[RING][SIZE];
    static _Thread_local unsigned next;

    for (uint32_t i = 0; i < view->instances_count; i++) {
        if (view->instances[i].id.value == instance.value) {
            return view->instances[i].name;
        }
    }
    char *text = ring[next++ % RING];
    int len = snprintf(text, SIZE, "instance %u", instance.value);
    CHECK(len > 0 && len < SIZE);
    return text;
}
