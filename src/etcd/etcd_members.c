/* SPDX-License-Identifier: Apache-2.0 */
/* Cluster and Maintenance of etcd's API: who the members are, and how the asked one is. Ids are the
 * first halves of ours, which are random: etcd has 64 bits. */
#include "etcd/etcd_members.h"

#include "base/check.h"
#include "wire/wire_text.h"

#include <stdio.h>

/* What clients may use of the protocol. */
#define ETCD_PROTOCOL_VERSION "3.4.23"

enum {
    URL_SIZE = ADDRESS_SIZE + 16
};

static void
put_member(struct wire_arena *arena, const struct member *from, Etcdserverpb__Member *to);
static char **one_url(struct wire_arena *arena, const char *address);
static const struct member *member_of(const struct etcd *etcd, uint64_t id);

void etcd_members_list(struct etcd_op *op)
{
    const struct node_port_status status = node_port_status(op->etcd->port);
    const uint32_t count = status.members_count;
    Etcdserverpb__MemberListResponse response = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    response.header = etcd_header(op);
    response.n_members = count;
    response.members =
        (Etcdserverpb__Member **)wire_new_messages(&op->arena, count, sizeof(Etcdserverpb__Member));
    for (uint32_t i = 0; i < count; i++) {
        put_member(&op->arena, &status.members[i], response.members[i]);
    }
    etcd_op_answer(op, &response.base);
}

void etcd_members_status(struct etcd_op *op)
{
    const struct etcd *etcd = op->etcd;
    const struct node_office office = node_port_office(etcd->port);
    const struct node_port_status status = node_port_status(etcd->port);
    Etcdserverpb__StatusResponse response = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    response.header = etcd_header(op);
    response.version = wire_string(ETCD_PROTOCOL_VERSION);
    response.dbsize = (int64_t)status.store_used_bytes;
    response.dbsizeinuse = (int64_t)status.store_used_bytes;
    response.leader = office.leader == NULL ? 0 : office.leader->id.hi;
    response.raftindex = status.commit;
    response.raftterm = office.term;
    response.raftappliedindex = status.applied;
    char *no_leader = wire_string(etcd_error_text(ETCD_NO_LEADER));
    if (office.leader == NULL) {
        response.n_errors = 1;
        response.errors = &no_leader;
    }
    etcd_op_answer(op, &response.base);
}

/* There are no alarms to raise or to disarm: what an operator must know is on the ops port. */
void etcd_members_alarm(struct etcd_op *op)
{
    Etcdserverpb__AlarmResponse response = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    response.header = etcd_header(op);
    etcd_op_answer(op, &response.base);
}

/* Freed pages are used again as they are, and the file never shrinks: nothing to do. */
void etcd_members_defragment(struct etcd_op *op)
{
    Etcdserverpb__DefragmentResponse response = ETCDSERVERPB__DEFRAGMENT_RESPONSE__INIT;
    response.header = etcd_header(op);
    etcd_op_answer(op, &response.base);
}

/* Of the whole state, not of the keys alone: equal on members that have applied the same entry. */
void etcd_members_hash(struct etcd_op *op)
{
    const uint64_t hash = node_port_status(op->etcd->port).state_hash;
    Etcdserverpb__HashResponse response = ETCDSERVERPB__HASH_RESPONSE__INIT;
    response.header = etcd_header(op);
    response.hash = (uint32_t)(hash ^ hash >> 32);
    etcd_op_answer(op, &response.base);
}

void etcd_members_move_leader(struct etcd_op *op)
{
    const Etcdserverpb__MoveLeaderRequest *request = (const void *)op->message;
    const struct member *target = member_of(op->etcd, request->targetid);
    const struct node_office office = node_port_office(op->etcd->port);
    if (!office.leads || target == NULL) {
        etcd_op_fail(op, target == NULL ? ETCD_BAD_TRANSFEREE : ETCD_NOT_LEADER);
        return;
    }
    char why[TEXT_SIZE] = "";
    struct member_id to = target->id;
    if (!member_id_equal(to, front_config(op->etcd->front)->member) &&
        node_port_hand_over(op->etcd->port, to, why, &to) != ERR_OK) {
        etcd_op_fail(op, ETCD_BAD_TRANSFEREE);
        return;
    }
    Etcdserverpb__MoveLeaderResponse response = ETCDSERVERPB__MOVE_LEADER_RESPONSE__INIT;
    response.header = etcd_header(op);
    etcd_op_answer(op, &response.base);
}

static void
put_member(struct wire_arena *arena, const struct member *from, Etcdserverpb__Member *to)
{
    etcdserverpb__member__init(to);
    to->id = from->id.hi;
    to->name = wire_string(from->name);
    to->n_peerurls = 1;
    to->peerurls = one_url(arena, from->peer_address);
    to->n_clienturls = 1;
    to->clienturls = one_url(arena, from->api_address);
}

static char **one_url(struct wire_arena *arena, const char *address)
{
    char **urls = wire_new(arena, sizeof(*urls));
    urls[0] = wire_new(arena, URL_SIZE);
    (void)snprintf(urls[0], URL_SIZE, "https://%s", address);
    return urls;
}

static const struct member *member_of(const struct etcd *etcd, uint64_t id)
{
    const struct node_port_status status = node_port_status(etcd->port);
    const struct member *members = status.members; /* the node's */
    for (uint32_t i = 0; i < status.members_count; i++) {
        if (members[i].id.hi == id) {
            return &members[i];
        }
    }
    return NULL;
}
