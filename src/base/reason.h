/* SPDX-License-Identifier: Apache-2.0 */
/* The text that goes with an error, for people: what failed, in which file or of which setting,
 * and what to do about it. Whoever fails fills it; the layer that decides logs or prints it once.
 * One size for all, so that no caller can bring too small a buffer. */
#ifndef INDABA_BASE_REASON_H
#define INDABA_BASE_REASON_H

#include "base/error.h"

enum {
    REASON_SIZE = 1024
};

/* Zero is a valid empty reason. */
struct reason {
    char text[REASON_SIZE];
};

/* Replaces the text (cut to fit) and returns `error`, so that a failure is stated where it is
 * returned. `format` is printf's; an argument may be the text that is replaced. */
__attribute__((format(printf, 3, 4))) enum error
reason_set(struct reason *reason, enum error error, const char *format, ...);

/* The same where the error is returned elsewhere. */
__attribute__((format(printf, 2, 3))) void
reason_say(struct reason *reason, const char *format, ...);

#endif
