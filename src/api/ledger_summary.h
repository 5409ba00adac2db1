/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger leaf in one line, for people. */
#ifndef INDABA_API_LEDGER_SUMMARY_H
#define INDABA_API_LEDGER_SUMMARY_H

#include "state/query.h"

/* Writes at most `size` bytes with a NUL; "" for a leaf that has nothing to say. */
void ledger_summary(const struct ledger_leaf *leaf, char *text, size_t size);

#endif
