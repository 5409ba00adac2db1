/* SPDX-License-Identifier: Apache-2.0 */
/* See base/reason.h. */
#include "base/reason.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void
set_text(struct reason *reason, const char *format, va_list arguments);

enum error reason_set(struct reason *reason, enum error error, const char *format, ...)
{
    CHECK(error != ERR_OK);

    va_list arguments;
    va_start(arguments, format);
    set_text(reason, format, arguments);
    va_end(arguments);
    return error;
}

void reason_say(struct reason *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_text(reason, format, arguments);
    va_end(arguments);
}

/* By way of a copy: what is put before a text names that text as an argument. */
static void set_text(struct reason *reason, const char *format, va_list arguments)
{
    char text[REASON_SIZE];

    CHECK(reason != NULL);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    memcpy(reason->text, text, strlen(text) + 1);
}
