/* SPDX-License-Identifier: Apache-2.0 */
/* Visits of the apply thread, a few at a time. Entries of the log, with the renewals of databases
 * behind them, wait for those that were asked for before; so however many clients read much, no
 * more than VISITS_IN_FLIGHT_MAX are, and the rest waits here. */
#include "etcd/etcd_visit.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    VISITS_IN_FLIGHT_MAX = 2
};

struct visit {
    STAILQ_ENTRY(visit) others;
    struct etcd *etcd;
    void (*run)(const struct tables *tables, void *ctx);
    etcd_visited_fn done;
    void *ctx;
};

/* Those that wait for their turn. */
struct etcd_visits {
    STAILQ_HEAD(visit_list, visit) waiting;
    uint32_t in_flight;
};

static void start(struct visit *visit);
static void run(const struct tables *tables, void *ctx);
static void on_run(const struct node_port_answer *answer, void *ctx);

void etcd_visit(struct etcd *etcd,
                void (*run_fn)(const struct tables *tables, void *ctx),
                etcd_visited_fn done,
                void *ctx)
{
    struct visit *visit = mem_new(sizeof(*visit));
    *visit = (struct visit){.etcd = etcd, .run = run_fn, .done = done, .ctx = ctx};
    if (etcd->visits->in_flight < VISITS_IN_FLIGHT_MAX) {
        start(visit);
    } else {
        STAILQ_INSERT_TAIL(&etcd->visits->waiting, visit, others);
    }
}

bool etcd_visits_wait(const struct etcd *etcd)
{
    return !STAILQ_EMPTY(&etcd->visits->waiting);
}

void etcd_visits_check_invariants(const struct etcd *etcd)
{
    CHECK(etcd->visits->in_flight <= VISITS_IN_FLIGHT_MAX);
    CHECK(!etcd_visits_wait(etcd) || etcd->visits->in_flight == VISITS_IN_FLIGHT_MAX);
}

void etcd_visits_init(struct etcd *etcd)
{
    etcd->visits = mem_new(sizeof(*etcd->visits));
    STAILQ_INIT(&etcd->visits->waiting);
}

void etcd_visits_deinit(struct etcd *etcd)
{
    struct visit *visit = NULL;
    while ((visit = STAILQ_FIRST(&etcd->visits->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&etcd->visits->waiting, others);
        mem_free(visit);
    }
    mem_free(etcd->visits);
    etcd->visits = NULL;
}

static void start(struct visit *visit)
{
    visit->etcd->visits->in_flight++;
    node_port_query(
        visit->etcd->port, run, (struct node_port_waiter){.done = on_run, .ctx = visit});
}

/* On the apply thread. */
static void run(const struct tables *tables, void *ctx)
{
    const struct visit *visit = ctx;
    visit->run(tables, visit->ctx);
}

static void on_run(const struct node_port_answer *answer, void *ctx)
{
    struct visit visit = *(struct visit *)ctx;
    struct etcd_visits *visits = visit.etcd->visits;
    mem_free(ctx);
    CHECK(visits->in_flight > 0);
    visits->in_flight--;
    struct visit *next = STAILQ_FIRST(&visits->waiting);
    if (next != NULL) {
        STAILQ_REMOVE_HEAD(&visits->waiting, others);
        start(next);
    }
    visit.done(visit.ctx, answer->index);
}
