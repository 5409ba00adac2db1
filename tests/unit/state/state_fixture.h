/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for tests of the state machine: three regions, three members, one shard "orders"
 * with the instances a, b and c (ids 1, 2, 3; incarnations 11, 12, 13), applied entry by entry to
 * tables in memory. Each step of a failover has a command that would pass; tests change one thing.
 */
#ifndef INDABA_TESTS_STATE_FIXTURE_H
#define INDABA_TESTS_STATE_FIXTURE_H

#include "state/apply.h"
#include "state/query.h"
#include "state/tables_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    FIXTURE_WALL_MS = 1700000000,
    A = 1,
    B = 2,
    C = 3
};

#define FIXTURE_NONCE UINT64_C(4711) /* of the start under which each primary is promoted */

struct fixture {
    struct tables_memory *memory;
    struct tables table_ops;
    const struct tables *tables;
    uint64_t index;
    uint64_t term;
    uint64_t requests;
    struct command_result result; /* of the last command */
    struct shard_id changed;
    struct command command; /* the one that the helpers below fill */
};

/* Empty tables. */
void fixture_empty(struct fixture *fixture);
/* With cluster, shard of this mode and the three instances; no primary yet. */
void fixture_world(struct fixture *fixture, enum shard_mode mode);
/* … and `a` in office at epoch 1, its sync record {b, c}, W = 1, confirmed. */
void fixture_steady(struct fixture *fixture, enum shard_mode mode);
void fixture_free(struct fixture *fixture);

/* Applies fixture->command as the next entry; its error is returned, too. Orders get the term,
 * requests a new id unless they have one. */
enum error fixture_apply(struct fixture *fixture);
/* Applies an entry that is no command. */
void fixture_noop(struct fixture *fixture);

/* fixture->command := an order of this kind, for shard 1. */
struct command_failover *fixture_failover(struct fixture *fixture, enum command_kind kind);
struct command_sync *fixture_sync(struct fixture *fixture, enum command_kind kind);
void fixture_member(struct sync_pair *pair, uint32_t instance);
void fixture_report(struct command_failover *body, uint32_t instance, struct position position);

/* Filled with what would pass when `a` is replaced by `b` at epoch 2: */
struct command_failover *fixture_begin(struct fixture *fixture);
struct command_failover *fixture_excluded(struct fixture *fixture);
struct command_failover *fixture_completed(struct fixture *fixture);
struct command_failover *fixture_decided(struct fixture *fixture);
struct command_failover *fixture_promoted(struct fixture *fixture);
struct command_failover *fixture_opened(struct fixture *fixture);
/* Applies those steps up to and including this one. */
void fixture_advance(struct fixture *fixture, enum command_kind last);

struct shard_view fixture_view(struct fixture *fixture);

/* The command must be refused with `error`, its message contain `text`, and the shard, if
 * there is one yet, not change. */
void fixture_refused(struct fixture *fixture, enum error error, const char *text);
#define fixture_passes(fixture) assert_string_equal(fixture_apply_text(fixture), "")
/* Applies; the message, "" if it passed. */
const char *fixture_apply_text(struct fixture *fixture);

#endif
