/* SPDX-License-Identifier: Apache-2.0 */
/* What speaks for the old primary's own data folder (docs/safety.md, section 1): continuity, its
 * guardian having seen the end of what it started; or witnesses, final positions of enough of the
 * sync record with nobody above. Who is not heard yet has not said that he holds no more. And which
 * folders stand below what they once held. Pure; `state` judges all of it again. */
#ifndef INDABA_DECIDE_WITNESS_H
#define INDABA_DECIDE_WITNESS_H

#include "decide/failover_planner.h"

/* True if this folder ends at `position`, below what is known to have been in it. */
bool witness_is_below_mark(const struct shard_view *view,
                           const struct observations *observations,
                           struct sync_member folder,
                           struct position position);

/* The guardian of the primary by record saw it end on its own folder, under the recorded start, and
 * nothing that is known of the folder's end speaks against it. */
bool witness_is_continuous(const struct plan_input *input);

/* What the primary by record is known to have acknowledged. */
struct position witness_acked_floor(const struct plan_input *input);

/* The primary by record is back with a folder that may be asked for its end, and enough others are
 * there to say whether anybody holds more. */
bool witness_may_decide(const struct plan_input *input);

/* The old primary's own final position for the attempt under way, if it has given it and stands
 * below no mark. */
bool witness_own_report(const struct shard_view *view,
                        const struct observations *observations,
                        struct final_report *report_out);
/* It has not, but may be about to, and was not waited for long enough. */
bool witness_own_is_coming(const struct plan_input *input);

/* Async, where nobody is needed: who comes up together with the old primary is heard before its
 * folder is taken for the highest. */
bool witness_others_may_come(const struct plan_input *input, uint32_t reports_count);

/* " of pg2 (not heard), pg3 (holds less than it once acknowledged)": the members of the sync record
 * that do not count yet; "" if none. `text_out` of TEXT_SIZE bytes. */
void witness_missing(const struct plan_input *input, char *text_out);

/* What completeness waits for, in words. */
void witness_explain_few(const struct plan_input *input, uint32_t count, char *text_out);
/* Why nobody among the final positions may lead. */
void witness_explain_lack(const struct shard_view *view,
                          const struct final_report *reports,
                          uint32_t count,
                          char *text_out);

#endif
