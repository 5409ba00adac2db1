/* SPDX-License-Identifier: Apache-2.0 */
/* Histories made by hand, for judges. */
#ifndef INDABA_TESTS_UNIT_JEPSEN_HISTORIES_H
#define INDABA_TESTS_UNIT_JEPSEN_HISTORIES_H

#include "tests/support/judge.h"

/* A line of a history: TIME in ms, process, type, function, value, and what else there is. */
#define LINE(time, process, type, f, value)                                                      \
    "{:time " #time "000000, :process " #process ", :type :" #type ", :f :" #f ", :value " value \
    "}\n"

/* What is no client's. */
#define SAID(time, who, f, value) \
    "{:time " #time "000000, :process :" #who ", :type :info, :f :" #f ", :value " value "}\n"

/* Judges a text; what the judge said is in `judged_text` until the next call. Fails the test if it
 * is no history. */
uint32_t judged(judge_fn judge, const char *text);
const char *judged_text(void);

#endif
