/* SPDX-License-Identifier: Apache-2.0 */
/* Answers made fit for a terminal, in the one place where they come in: whatever prints them then
 * prints text (base/plain_text.h). JSON is made of them as they are. */
#ifndef INDABA_CMD_SCREEN_H
#define INDABA_CMD_SCREEN_H

#include "wire/arena.h"

/* Every string in it, and in the messages within, is one that can be shown; new ones come from the
 * arena. */
void screen_message(ProtobufCMessage *message, struct wire_arena *arena);

/* `text`, or a copy in the arena that can be shown. */
char *screen_text(char *text, struct wire_arena *arena);

#endif
