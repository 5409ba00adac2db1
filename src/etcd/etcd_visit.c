/* SPDX-License-Identifier: Apache-2.0 */
/* Visits of the apply thread, a few at a time. Entries of the log, with the renewals of databases
 * behind them, wait for those that were asked for before; so however many clients read much, no
 * more than VISITS_IN_FLIGHT_MAX are, and the rest waits here. */
#include "etcd/etcd_internal.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    VISITS_IN_FLIGHT_MAX = 2
};

struct etcd_visit {
    struct etcd_visit *next;
    struct etcd *etcd;
    void (*run)(const struct tables *tables, void *ctx);
    etcd_visited_fn done;
    void *ctx;
};

static void start(struct etcd_visit *visit);
static void run(const struct tables *tables, void *ctx);
static void on_run(const struct node_port_answer *answer, void *ctx);

void etcd_visit(struct etcd *etcd,
                void (*run_fn)(const struct tables *tables, void *ctx),
                etcd_visited_fn done,
                void *ctx)
{
    struct etcd_visit *visit = mem_new(sizeof(*visit));
    *visit = (struct etcd_visit){.etcd = etcd, .run = run_fn, .done = done, .ctx = ctx};
    if (etcd->visits.in_flight < VISITS_IN_FLIGHT_MAX) {
        start(visit);
        return;
    }
    if (etcd->visits.last == NULL) {
        etcd->visits.first = visit;
    } else {
        etcd->visits.last->next = visit;
    }
    etcd->visits.last = visit;
}

bool etcd_visits_wait(const struct etcd *etcd)
{
    return etcd->visits.first != NULL;
}

void etcd_visits_deinit(struct etcd *etcd)
{
    for (struct etcd_visit *visit = etcd->visits.first; visit != NULL;) {
        struct etcd_visit *next = visit->next;
        mem_free(visit);
        visit = next;
    }
    etcd->visits.first = NULL;
    etcd->visits.last = NULL;
}

static void start(struct etcd_visit *visit)
{
    visit->etcd->visits.in_flight++;
    node_port_query(
        visit->etcd->port, run, (struct node_port_waiter){.done = on_run, .ctx = visit});
}

/* On the apply thread. */
static void run(const struct tables *tables, void *ctx)
{
    const struct etcd_visit *visit = ctx;
    visit->run(tables, visit->ctx);
}

static void on_run(const struct node_port_answer *answer, void *ctx)
{
    struct etcd_visit visit = *(struct etcd_visit *)ctx;
    struct etcd_visits *visits = &visit.etcd->visits;
    mem_free(ctx);
    CHECK(visits->in_flight > 0);
    visits->in_flight--;
    struct etcd_visit *next = visits->first;
    if (next != NULL) {
        visits->first = next->next;
        visits->last = visits->first == NULL ? NULL : visits->last;
        start(next);
    }
    visit.done(visit.ctx, answer->index);
}
