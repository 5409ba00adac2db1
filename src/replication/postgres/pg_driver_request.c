/* SPDX-License-Identifier: Apache-2.0 */
/* Under which settings an action of the keeper is done. */
#include "replication/postgres/pg_driver_internal.h"

#include <string.h>

/* Standbys have the placeholder in force from their start (E4); a primary the pair of its goal. */
void pg_driver_fill_settings(struct pg_settings *settings, const struct driver_request *request)
{
    const struct goal *goal = &request->goal;
    bool follows = request->kind == KEEPER_START || request->kind == KEEPER_FOLLOW ||
                   request->kind == KEEPER_CLONE;
    bool leads = request->kind == KEEPER_SET_SYNC || request->kind == KEEPER_CONFIRM_SYNC ||
                 request->kind == KEEPER_CANARY;

    *settings = (struct pg_settings){
        .shard = goal->shard,
        .self = {.instance = goal->instance, .incarnation = request->incarnation},
        .sync = goal->mode == SHARD_SYNC,
        .system_identifier = goal->system_identifier,
    };
    if (follows) {
        settings->upstream = request->upstream;
        memcpy(settings->upstream_address, request->upstream_address, ADDRESS_SIZE);
    }
    /* Whoever starts it by hand starts it with what is written for a start. */
    settings->nameless = request->kind != KEEPER_FOLLOW && settings->upstream.value != 0;
    if (leads) {
        settings->pair = goal->sync;
    }
    /* Who starts without an upstream is being failed over. */
    settings->closed = !leads && settings->upstream.value == 0;
}
