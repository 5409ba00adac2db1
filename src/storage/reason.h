/* SPDX-License-Identifier: Apache-2.0 */
/* The text that goes with an error of storage: what failed, in which file and where, and what the
 * operator should do. The layer that decides logs or prints it once. */
#ifndef INDABA_STORAGE_REASON_H
#define INDABA_STORAGE_REASON_H

#include "base/error.h"

enum {
    REASON_SIZE = 768
};

/* Zero is a valid empty reason. */
struct reason {
    char text[REASON_SIZE];
};

/* Replaces the text (cut to fit) and returns `error`, so that a failure is stated where it is
 * returned. `format` is printf's. */
__attribute__((format(printf, 3, 4))) enum error
reason_set(struct reason *reason, enum error error, const char *format, ...);

#endif
