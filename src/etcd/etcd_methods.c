/* SPDX-License-Identifier: Apache-2.0 */
/* The unary methods of etcd's API, one row each. Watch and LeaseKeepAlive are streams, and have
 * files of their own. */
#include "etcd/etcd_methods.h"

#include "base/check.h"
#include "etcd/etcd_kv.h"
#include "etcd/etcd_lease.h"
#include "etcd/etcd_members.h"

#include <string.h>

/* One of a stream's questions; the stream itself is bound by etcd_keep_alive.c. */
static const struct etcd_method keep_alive = {
    .code = 10,
    .path = ETCD_KEEP_ALIVE,
    .kind = ETCD_LEADER,
    .request = &etcdserverpb__lease_keep_alive_request__descriptor,
    .answer = etcd_lease_keep_alive,
};

static const struct etcd_method methods[] = {
    {.code = 16,
     .path = "/etcdserverpb.Maintenance/MoveLeader",
     .kind = ETCD_MEMBER,
     .of_operators = true,
     .request = &etcdserverpb__move_leader_request__descriptor,
     .answer = etcd_members_move_leader},
    {.code = 1,
     .path = "/etcdserverpb.KV/Range",
     .kind = ETCD_READ,
     .request = &etcdserverpb__range_request__descriptor,
     .is_local = etcd_kv_range_is_local,
     .query = etcd_kv_range},
    {.code = 2,
     .path = "/etcdserverpb.KV/Put",
     .kind = ETCD_WRITE,
     .request = &etcdserverpb__put_request__descriptor,
     .take = etcd_kv_take_put},
    {.code = 3,
     .path = "/etcdserverpb.KV/DeleteRange",
     .kind = ETCD_WRITE,
     .request = &etcdserverpb__delete_range_request__descriptor,
     .take = etcd_kv_take_delete},
    {.code = 4,
     .path = "/etcdserverpb.KV/Txn",
     .kind = ETCD_WRITE,
     .request = &etcdserverpb__txn_request__descriptor,
     .take = etcd_txn_take},
    {.code = 5,
     .path = "/etcdserverpb.KV/Compact",
     .kind = ETCD_WRITE,
     .request = &etcdserverpb__compaction_request__descriptor,
     .take = etcd_kv_take_compact},
    {.code = 6,
     .path = "/etcdserverpb.Lease/LeaseGrant",
     .kind = ETCD_WRITE,
     .request = &etcdserverpb__lease_grant_request__descriptor,
     .take = etcd_kv_take_grant},
    {.code = 7,
     .path = "/etcdserverpb.Lease/LeaseRevoke",
     .kind = ETCD_WRITE,
     .request = &etcdserverpb__lease_revoke_request__descriptor,
     .take = etcd_kv_take_revoke},
    {.code = 8,
     .path = "/etcdserverpb.Lease/LeaseTimeToLive",
     .kind = ETCD_LEADER,
     .request = &etcdserverpb__lease_time_to_live_request__descriptor,
     .answer = etcd_lease_time_to_live},
    {.code = 9,
     .path = "/etcdserverpb.Lease/LeaseLeases",
     .kind = ETCD_READ,
     .request = &etcdserverpb__lease_leases_request__descriptor,
     .query = etcd_lease_list},
    {.code = 11,
     .path = "/etcdserverpb.Cluster/MemberList",
     .kind = ETCD_MEMBER,
     .request = &etcdserverpb__member_list_request__descriptor,
     .answer = etcd_members_list},
    {.code = 12,
     .path = "/etcdserverpb.Maintenance/Status",
     .kind = ETCD_MEMBER,
     .request = &etcdserverpb__status_request__descriptor,
     .answer = etcd_members_status},
    {.code = 13,
     .path = "/etcdserverpb.Maintenance/Alarm",
     .kind = ETCD_MEMBER,
     .request = &etcdserverpb__alarm_request__descriptor,
     .answer = etcd_members_alarm},
    {.code = 14,
     .path = "/etcdserverpb.Maintenance/Defragment",
     .kind = ETCD_MEMBER,
     .request = &etcdserverpb__defragment_request__descriptor,
     .answer = etcd_members_defragment},
    {.code = 15,
     .path = "/etcdserverpb.Maintenance/Hash",
     .kind = ETCD_MEMBER,
     .request = &etcdserverpb__hash_request__descriptor,
     .answer = etcd_members_hash},
};

const struct etcd_method *etcd_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

const struct etcd_method *etcd_method_of_code(uint32_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (methods[i].code == code) {
            return &methods[i];
        }
    }
    return code == keep_alive.code ? &keep_alive : NULL;
}

const struct etcd_method *etcd_method_of_path(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(methods[i].path, path) == 0) {
            return &methods[i];
        }
    }
    return strcmp(path, keep_alive.path) == 0 ? &keep_alive : NULL;
}
