/* SPDX-License-Identifier: Apache-2.0 */
/* See reason.h. */
#include "storage/reason.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

enum error reason_set(struct reason *reason, enum error error, const char *format, ...)
{
    CHECK(reason != NULL);
    CHECK(error != ERR_OK);

    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason->text, sizeof(reason->text), format, arguments);
    va_end(arguments);
    return error;
}
