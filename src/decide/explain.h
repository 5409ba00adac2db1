/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for people, of at most TEXT_SIZE bytes: evidence, reasons, what is being waited for. */
#ifndef INDABA_DECIDE_EXPLAIN_H
#define INDABA_DECIDE_EXPLAIN_H

#include "model/records.h"

/* Writes the text, cut to TEXT_SIZE - 1 bytes. */
__attribute__((format(printf, 2, 3))) void explain(char *text, const char *format, ...);

/* The name of an instance of the view, "instance N" if it is not of it. Borrowed from the view or
 * from a ring of 8 per thread: use it within one call. */
const char *explain_instance(const struct shard_view *view, struct instance_id instance);

#endif
