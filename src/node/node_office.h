/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads, as a member knows it: what nearly every request asks, and so cheap. */
#ifndef INDABA_NODE_NODE_OFFICE_H
#define INDABA_NODE_NODE_OFFICE_H

#include "model/records.h"
#include "raft/types.h"

struct node;

struct node_office {
    enum raft_role role;
    uint64_t term;
    const struct member *leader; /* NULL if unknown; holds until the loop's next turn */
    bool leads;                  /* this member, in office or not yet */
    bool in_office;              /* leads, and its controller acts: sidecars are served */
};

struct node_office node_office(const struct node *node);

#endif
