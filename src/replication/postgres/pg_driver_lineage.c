/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the history in the folder. While it runs under the guardian, whatever was proven
 * before its start stays so, unless it receives from somebody who is not of the shard. When it has
 * ended, it is to be looked at anew: who knows who starts it meanwhile. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/log.h"

#include <stdio.h>

void pg_driver_lineage_begin(struct pg_driver *driver, const struct driver_now *now)
{
    struct pg_action *action = &driver->action;

    switch (action->request.kind) {
    case KEEPER_START:
        action->lineage = driver->lineage;
        action->lineage_known = driver->lineage_known && driver->lineage_starts == now->starts;
        driver->lineage_known = false;
        break;
    case KEEPER_PROVE:
        driver->lineage_starts = now->starts;
        driver->lineage_known = false;
        break;
    case KEEPER_INIT:
    case KEEPER_CLONE:
    case KEEPER_REBUILD:
        driver->lineage_known = false;
        break;
    case KEEPER_FOLLOW:
    case KEEPER_CUT:
    case KEEPER_STOP:
    case KEEPER_FINAL_POSITION:
    case KEEPER_PROMOTE:
    case KEEPER_SET_SYNC:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_FENCE:
    case KEEPER_ACTION_COUNT:
        break;
    }
}

void pg_driver_lineage_found(struct pg_driver *driver)
{
    driver->lineage = driver->action.lineage;
    driver->lineage_known = true;
    driver->lineage_of = driver->action.request.goal.fork.timeline;
    if (driver->lineage.doubt != NULL) {
        log_event(LOG_WARN, "lineage.doubted", "why=%s", log_quote(driver->lineage.doubt));
    }
}

void pg_driver_lineage_looked(struct pg_driver *driver)
{
    const struct pg_look *look = &driver->look;

    if (look->in_recovery && look->conninfo_of.value == UINT32_MAX && look->receiver_running &&
        !driver->met_stranger) {
        log_event(LOG_WARN, "lineage.stranger", "why=%s", "primary_conninfo");
        driver->met_stranger = true;
    }
}

void pg_driver_lineage_facts(const struct pg_driver *driver,
                             const struct driver_now *now,
                             struct keeper_facts *facts)
{
    if (facts->state == INSTANCE_STANDBY) {
        facts->lineage = driver->met_stranger ? LINEAGE_UNKNOWN : LINEAGE_PROVEN;
        facts->nameless = driver->look.nameless;
    }
    if (facts->state != INSTANCE_STOPPED || !driver->lineage_known ||
        driver->lineage_starts != now->starts) {
        return;
    }
    facts->needs = driver->lineage.needs;
    if (driver->lineage.doubt == NULL) {
        facts->lineage = LINEAGE_PROVEN;
        facts->proven_from = driver->lineage.from;
        return;
    }
    /* A promotion may be on record later than the folder was looked at. */
    if (driver->has_goal && driver->goal.fork.timeline != driver->lineage_of) {
        return;
    }
    facts->lineage = LINEAGE_DOUBTED;
    (void)snprintf(facts->concern, sizeof(facts->concern), "%s", driver->lineage.doubt);
}
