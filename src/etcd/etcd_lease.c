/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of etcd's API. The store knows which there are and what hangs on them; when they expire is
 * the leader's reckoning, in memory: from when it took office, or from the last keep-alive that it
 * answered, the whole TTL. An expired lease is revoked by an entry of the leader's own, which is
 * void in any other term. A keep-alive is answered behind a confirmation that we lead, and never
 * once the revocation was proposed. */
#include "etcd/etcd_lease.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "etcd/etcd_lease_table.h"
#include "etcd/etcd_propose.h"
#include "etcd/etcd_visit.h"
#include "rpc/proto_bytes.h"

#include <inttypes.h>

enum {
    LEASE_REVOKES_MAX = 500 /* in one entry */
};

struct etcd_leases {
    struct etcd_lease_table table;
    uint64_t term; /* whose they are loaded for; 0: not loaded */
    bool revoking; /* an entry is under way */
};

/* The leases of the store, for the office of `term`. */
struct load {
    struct etcd *etcd;
    uint64_t term;
    struct etcd_lease_table found;
};

static void load_start(struct etcd *etcd);
static void on_confirmed(const struct node_port_answer *answer, void *ctx);
static void load_run(const struct tables *tables, void *ctx);
static bool load_one(int64_t id, int64_t ttl, void *ctx);
static void load_done(const struct node_port_answer *answer, void *ctx);
static void insert(struct etcd_lease_table *table, int64_t id, int64_t ttl_s);
static uint64_t deadline_after(int64_t ttl_s);
static bool is_ready(const struct etcd *etcd);
static bool wait_until_ready(struct etcd_op *op);
static void on_revoked(const struct node_port_answer *answer, void *ctx);
static void put_time_to_live(struct etcd_op *op, const struct etcd_lease *lease, int64_t id);
static void keys_run(const struct tables *tables, void *ctx);
static bool put_key(struct slice key, void *ctx);
static void keys_done(void *ctx, uint64_t seen_index);
static bool put_status(int64_t id, int64_t ttl, void *ctx);

void etcd_lease_init(struct etcd *etcd)
{
    etcd->leases = mem_new(sizeof(*etcd->leases));
}

void etcd_lease_deinit(struct etcd *etcd)
{
    etcd_lease_table_deinit(&etcd->leases->table);
    mem_free(etcd->leases);
}

void etcd_lease_check_invariants(const struct etcd *etcd)
{
    const struct etcd_leases *leases = etcd->leases;
    CHECK(leases->term != 0 || leases->table.count == 0);
    CHECK(leases->term != 0 || !leases->revoking);
    CHECK(leases->revoking || LIST_EMPTY(&leases->table.revoking));
    etcd_lease_table_check_invariants(&leases->table);
}

void etcd_lease_leader_changed(struct etcd *etcd)
{
    struct etcd_leases *leases = etcd->leases;
    const struct node_office office = node_port_office(etcd->port);
    if (!office.leads || leases->term != office.term) {
        etcd_lease_table_deinit(&leases->table);
        leases->term = 0;
        leases->revoking = false;
    }
    if (office.leads && leases->term == 0) {
        load_start(etcd);
    }
}

void etcd_lease_applied(struct etcd *etcd, const struct kv_reply *reply)
{
    struct etcd_leases *leases = etcd->leases;
    if (leases->term == 0 || reply->error != KV_OK) {
        return;
    }
    if (reply->kind == KV_OP_LEASE_GRANT) {
        insert(&leases->table, reply->lease_id, reply->lease_ttl);
    } else if (reply->kind == KV_OP_LEASE_REVOKE) {
        etcd_lease_table_remove(&leases->table, reply->lease_id);
    }
}

void etcd_lease_tick(struct etcd *etcd)
{
    struct etcd_leases *leases = etcd->leases;
    if (leases->revoking || !is_ready(etcd)) {
        return;
    }
    uint64_t now_ms = clock_monotonic_ms();
    struct buf ops = {0};
    uint32_t count = 0;
    const struct etcd_lease *lease = NULL;
    while (count < LEASE_REVOKES_MAX &&
           (lease = etcd_lease_table_expire(&leases->table, now_ms)) != NULL) {
        const struct kv_op revoke = {.kind = KV_OP_LEASE_REVOKE, .lease = {.id = lease->id}};
        kv_op_encode(&ops, &revoke);
        count++;
    }
    if (count > 0) {
        leases->revoking = true;
        log_event(LOG_INFO, "lease.expired", "count=%" PRIu32, count);
        etcd_propose(etcd,
                     buf_view(&ops),
                     UINT64_MAX,
                     (struct node_port_waiter){.done = on_revoked, .ctx = etcd});
    }
    buf_deinit(&ops);
}

void etcd_lease_keep_alive(struct etcd_op *op)
{
    if (wait_until_ready(op)) {
        return;
    }
    const Etcdserverpb__LeaseKeepAliveRequest *request = (const void *)op->message;
    struct etcd_lease *lease = etcd_lease_table_find(&op->etcd->leases->table, request->id);
    Etcdserverpb__LeaseKeepAliveResponse response = ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    response.header = etcd_header(op);
    response.id = request->id;
    if (lease != NULL && !lease->revoking) {
        etcd_lease_table_renew(&op->etcd->leases->table, lease, deadline_after(lease->ttl_s));
        response.ttl = lease->ttl_s;
    }
    etcd_op_answer(op, &response.base);
}

void etcd_lease_time_to_live(struct etcd_op *op)
{
    if (wait_until_ready(op)) {
        return;
    }
    const Etcdserverpb__LeaseTimeToLiveRequest *request = (const void *)op->message;
    const struct etcd_lease *lease = etcd_lease_table_find(&op->etcd->leases->table, request->id);
    put_time_to_live(op, lease, request->id);
    if (lease != NULL && request->keys) {
        etcd_visit(op->etcd, keys_run, keys_done, op);
    } else {
        etcd_op_end(op);
    }
}

/* On the apply thread. */
void etcd_lease_list(struct etcd_op *op, const struct tables *tables)
{
    struct kv_position position;
    kv_position(tables, &position);
    if (op->part.lease_after == 0) {
        buf_clear(&op->reply);
        etcd_reply_put_header(&op->reply, &op->identity, position.revision);
    }
    op->part.done = true; /* unless stopped before */
    kv_leases(tables, op->part.lease_after, put_status, op);
}

/* Behind a confirmation of leadership, so that every lease granted by our predecessors is there. */
static void load_start(struct etcd *etcd)
{
    const struct node_office office = node_port_office(etcd->port);
    struct load *load = mem_new(sizeof(*load));
    load->etcd = etcd;
    load->term = office.term;
    load->found.seed = clock_monotonic_ms() ^ (uint64_t)(uintptr_t)load;
    node_port_read(etcd->port, (struct node_port_waiter){.done = on_confirmed, .ctx = load});
}

static void on_confirmed(const struct node_port_answer *answer, void *ctx)
{
    struct load *load = ctx;
    if (answer->error == ERR_OK) {
        node_port_query(
            load->etcd->port, load_run, (struct node_port_waiter){.done = load_done, .ctx = load});
    } else {
        mem_free(load); /* not confirmed: this office is over */
    }
}

/* On the apply thread. */
static void load_run(const struct tables *tables, void *ctx)
{
    struct load *load = ctx;
    kv_leases(tables, 0, load_one, &load->found);
}

static bool load_one(int64_t id, int64_t ttl, void *ctx)
{
    insert(ctx, id, ttl);
    return true;
}

static void load_done(const struct node_port_answer *answer, void *ctx)
{
    struct load *load = ctx;
    struct etcd_leases *leases = load->etcd->leases;
    const struct node_office office = node_port_office(load->etcd->port);
    if (office.leads && answer->term == load->term) {
        etcd_lease_table_deinit(&leases->table);
        *leases = (struct etcd_leases){.table = load->found, .term = load->term};
        etcd_lease_table_renew_all(&leases->table, clock_monotonic_ms());
    } else {
        etcd_lease_table_deinit(&load->found);
    }
    mem_free(load);
}

static void insert(struct etcd_lease_table *table, int64_t id, int64_t ttl_s)
{
    etcd_lease_table_set(table, id, ttl_s, deadline_after(ttl_s));
}

static uint64_t deadline_after(int64_t ttl_s)
{
    return clock_monotonic_ms() + (uint64_t)ttl_s * 1000;
}

static bool is_ready(const struct etcd *etcd)
{
    const struct node_office office = node_port_office(etcd->port);
    return office.leads && etcd->leases->term == office.term;
}

/* True if the operation waits on: a fresh leader has not read the leases yet. */
static bool wait_until_ready(struct etcd_op *op)
{
    if (is_ready(op->etcd)) {
        return false;
    }
    etcd_op_enter(op, ETCD_OP_WAITING);
    return true;
}

/* What was not applied is tried again by a later tick, if we still lead. */
static void on_revoked(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    struct etcd *etcd = ctx;
    struct etcd_leases *leases = etcd->leases;
    leases->revoking = false;
    etcd_lease_table_end_revoking(
        &leases->table); /* those that were revoked are not here any more */
}

static void put_time_to_live(struct etcd_op *op, const struct etcd_lease *lease, int64_t id)
{
    uint64_t now_ms = clock_monotonic_ms();
    const struct node_office office = node_port_office(op->etcd->port);
    const struct etcd_identity identity = etcd_identity(op->etcd, office.term);
    etcd_reply_put_header(&op->reply, &identity, (int64_t)op->etcd->revision);
    proto_put_number(&op->reply, 2, (uint64_t)id);
    int64_t left_s = -1;
    if (lease != NULL) {
        left_s = lease->deadline_ms > now_ms ? (int64_t)((lease->deadline_ms - now_ms) / 1000) : 0;
        proto_put_number(&op->reply, 4, (uint64_t)lease->ttl_s);
    }
    proto_put_number(&op->reply, 3, (uint64_t)left_s);
}

/* On the apply thread. */
static void keys_run(const struct tables *tables, void *ctx)
{
    struct etcd_op *op = ctx;
    const Etcdserverpb__LeaseTimeToLiveRequest *request = (const void *)op->message;
    kv_lease_keys(tables, request->id, put_key, op);
}

static bool put_key(struct slice key, void *ctx)
{
    struct etcd_op *op = ctx;
    proto_put_bytes(&op->reply, 5, key);
    return op->reply.len < ETCD_REPLY_BYTES_MAX;
}

static void keys_done(void *ctx, uint64_t seen_index)
{
    (void)seen_index;
    struct etcd_op *op = ctx;
    etcd_op_end(op);
}

static bool put_status(int64_t id, int64_t ttl, void *ctx)
{
    (void)ttl;
    struct etcd_op *op = ctx;
    if (op->part.cursor.rows == 0) {
        op->part.done = false;
        return false;
    }
    if (op->reply.len >= ETCD_REPLY_BYTES_MAX) {
        op->error = ETCD_REPLY_TOO_LARGE;
        return false;
    }
    op->part.cursor.rows--;
    op->part.lease_after = id;
    uint8_t bytes[16];
    struct buf status = {.data = bytes, .cap = sizeof(bytes)}; /* never grows: one varint */
    proto_put_number(&status, 1, (uint64_t)id);
    proto_put_bytes(&op->reply, 2, buf_view(&status));
    return true;
}
