/* SPDX-License-Identifier: Apache-2.0 */
/* Golden traces: what a script printed is compared with a file that people have read. Tests run in
 * the root of the tree. */
#ifndef INDABA_SUPPORT_SUPPORT_GOLDEN_H
#define INDABA_SUPPORT_SUPPORT_GOLDEN_H

#include "base/buf.h"

/* Fails the test at the first line of `text` that differs from tests/golden/NAME.txt, showing both.
 * With GOLDEN_UPDATE=1 in the environment the file is written anew instead; read the difference
 * before you commit it. */
void support_golden_compare(const char *name, struct slice text);

/* The same for a part of a document, between the lines `<!-- PART: written by make golden-update
 * -->` and `<!-- end of PART -->` of the file at `path`. */
void support_golden_compare_part(const char *path, const char *part, struct slice text);

#endif
