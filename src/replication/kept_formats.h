/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a sidecar's state folder that are kept (kept_file.h), and what is in each. */
#ifndef INDABA_REPLICATION_KEPT_FORMATS_H
#define INDABA_REPLICATION_KEPT_FORMATS_H

#include "model/lineage.h"
#include "model/marks.h"
#include "replication/kept_file.h"

struct kept_marks {
    struct marks marks;
    struct lineage_anchor anchor;
};

/* keeper.state, of struct keeper_state: what it promised. Without it nothing was. */
extern const struct kept_format KEPT_STATE;
/* keeper.state.marks, of struct kept_marks: what folders of the shard were once known to hold, and
 * up to where our own was watched. One that is a second old is still a mark, and an anchor. */
extern const struct kept_format KEPT_MARKS;
/* members, of struct speakers: the coordinators that it knows. Without it it knows nobody, and asks
 * the configured addresses. */
extern const struct kept_format KEPT_SPEAKERS;

#endif
