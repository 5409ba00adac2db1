/* SPDX-License-Identifier: Apache-2.0 */
/* Is the primary of a shard dead? Two kinds of evidence from different observers, never one alone,
 * except the fence report of the primary's own sidecar, which is proof. The table of verdicts is in
 * docs/failover.md, "Detection". A wrong verdict costs an outage of seconds, never data: exclusion
 * and completeness do not rest on it. Pure. */
#ifndef INDABA_DECIDE_DETECTOR_H
#define INDABA_DECIDE_DETECTOR_H

#include "decide/observation.h"

enum {
    DETECTOR_INTERVAL_MS = 1000, /* after its election a leader waits so long for a session */
    DETECTOR_SILENT_MS = 2000,   /* no report for so long is first evidence */
    DETECTOR_TOUCH_MS = 2500,    /* who was out of touch itself judges nobody for so long */
    DETECTOR_REACH_MS = 1000,    /* a database port silent for so long is second evidence */
    DETECTOR_STALL_MS = 5000,    /* a write of the primary that hangs so long is first evidence, a
                                    standby that was sent nothing for so long is second */
    DETECTOR_STREAM_MS = 1000,   /* a receiver that heard its upstream within this vetoes */
};

struct verdict {
    enum failover_cause cause; /* CAUSE_NONE: not dead */
    bool suspect;              /* first evidence stands, the second is missing */
    uint64_t first_ms;         /* since when the first evidence stands */
    char evidence[TEXT_SIZE];  /* for people; says what is missing while suspect */
};

/* The verdict on view->shard.primary. CAUSE_NONE if the shard has no primary. Overwrites
 * `verdict_out`. */
void detect(const struct shard_view *view,
            const struct observations *observations,
            uint64_t now_ms,
            struct verdict *verdict_out);

/* The same without what its own sidecar reported while it was heard: who said that it is fenced,
 * and is gone since, does not restart in place. */
void detect_gone(const struct shard_view *view,
                 const struct observations *observations,
                 uint64_t now_ms,
                 struct verdict *verdict_out);

#endif
