/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a sidecar's state folder that are kept (kept_file.h), and what is in each. */
#ifndef INDABA_REPLICATION_KEPT_FORMATS_H
#define INDABA_REPLICATION_KEPT_FORMATS_H

#include "replication/kept_file.h"

/* keeper.state, of struct keeper_state: what it promised. Without it nothing was. */
extern const struct kept_format KEPT_STATE;
/* keeper.state.marks, of struct marks: what folders of the shard were once known to hold. One that
 * is a second old is still a mark. */
extern const struct kept_format KEPT_MARKS;
/* members, of struct speakers: the coordinators that it knows. Without it it knows nobody, and asks
 * the configured addresses. */
extern const struct kept_format KEPT_SPEAKERS;

#endif
