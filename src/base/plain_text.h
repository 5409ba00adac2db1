/* SPDX-License-Identifier: Apache-2.0 */
/* Text of others for a person's terminal. What was written into a reason, a name in a certificate
 * or an error of somebody else must not move the cursor, hide a line or begin one of its own. */
#ifndef INDABA_BASE_PLAIN_TEXT_H
#define INDABA_BASE_PLAIN_TEXT_H

#include "base/buf.h"

/* Appends `len` bytes of text as they can be shown on one line: control characters (those of C1,
 * too), marks that turn the direction of writing, and bytes that are no UTF-8 become \n, \t or
 * \xNN. */
void plain_text_append(struct buf *out, const char *text, size_t len);

/* The bytes of the character at `text`, of which `len` follow, if it is one that can be shown; 0 if
 * not. */
size_t plain_text_shown(const char *text, size_t len);

/* Whether nothing of it would be changed. */
bool plain_text_is(const char *text, size_t len);

#endif
