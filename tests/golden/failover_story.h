/* SPDX-License-Identifier: Apache-2.0 */
/* A failover as a story: the leader's controller, the replicated state, and a sidecar's keeper and
 * lease holder beside each database, all of them those of production, driven by a script in virtual
 * time. Databases, guardians and the network between them are played, as simply as they can be: an
 * entry commits 10 ms after it is proposed, a message takes none, an action of a sidecar 30 ms.
 *
 * Each thing that happens is one line. Left out is what repeats: renewals that are granted again,
 * reports that say nothing new, goals that differ only in marks. */
#ifndef INDABA_TESTS_GOLDEN_FAILOVER_STORY_H
#define INDABA_TESTS_GOLDEN_FAILOVER_STORY_H

#include "decide/controller.h"
#include "replication/keeper.h"
#include "replication/lease_holder.h"
#include "state/tables_memory.h"

enum {
    STORY_SITES_MAX = 3, /* instances a, b and c */
    STORY_TEXT_SIZE = 512,
};

enum story_process {
    STORY_DOWN,
    STORY_STARTING,
    STORY_STANDBY,
    STORY_PRIMARY
};

struct story_database {
    bool folder;
    enum story_process process;
    struct position end; /* of its WAL, durable */
    uint32_t upstream;   /* number of the site that it receives from; 0: nobody */
    bool streaming;
    bool final;    /* its end was found after it was cut */
    bool proven;   /* since it ended, its history was looked at */
    bool nameless; /* it streams under a name that confirms nothing */
    struct fork fork;
    uint64_t set_version;
    struct sync_pair set; /* the setting in force */
    bool confirmed;
    struct epoch slots_epoch;
    uint64_t slots_index;
    struct epoch canary_epoch;
    struct position acked;
};

struct story_guardian {
    bool writable; /* what it started was made writable, and has not ended since */
    uint64_t deadline_ms;
    uint64_t nonce;        /* of the start before the last end */
    uint64_t office_nonce; /* … under which the folder was last made writable */
};

struct story_site {
    uint32_t number; /* from 1; the same as the id of its instance */
    bool machine_up;
    bool sidecar_up;
    bool cut_off; /* nothing arrives here, nothing leaves, no connection is closed */
    bool promotion_fails;
    uint64_t redo_bytes;

    uint64_t session; /* with the leader; 0: none */
    struct instance_id instance;
    struct keeper_state state;
    struct goal goal;
    bool has_goal;
    uint32_t goal_of_epoch; /* of the cluster, which it came from */
    struct lease_holder holder;
    struct marks marks;
    enum keeper_action_kind running;
    struct keeper_action action;
    struct goal action_goal;
    uint64_t action_ends_ms;
    struct report said;
    uint64_t reports;
    uint64_t fresh;
    enum reach reach;
    uint64_t reach_since_ms;
    struct story_database database;
    struct story_guardian guardian;

    /* Last printed. */
    char goal_text[STORY_TEXT_SIZE];
    const char *waits_text;
    const char *acts_text;
    struct epoch leased;
};

struct story {
    enum shard_mode mode;
    uint32_t sites_count;
    struct story_site sites[STORY_SITES_MAX + 1]; /* from 1 */

    struct tables_memory *memory;
    struct tables tables;
    uint64_t term;
    uint64_t index;
    uint64_t requests;
    struct controller *controller;
    uint64_t session_last;

    struct {
        bool due;
        uint64_t ticket;
        struct command command;
    } proposal;

    uint64_t read_id; /* asked for, answered in the next step; 0: none */

    uint64_t now_ms;
    uint64_t start_ms; /* of the story that is told */
    char waiting_text[STORY_TEXT_SIZE];
    struct buf trace;
};

/* failover_story.c: the leader, the state, the clock. */
/* A cluster of three regions with the shard `orders` and no database yet. */
struct story *story_new(enum shard_mode mode, uint32_t sites);
/* … that is steady: `a` is the primary, everybody follows; how that came is left out. */
struct story *story_new_steady(enum shard_mode mode, uint32_t sites);
void story_run(struct story *story, uint64_t for_ms);
/* Until the shard has gone through the failover of this epoch and is confirmed, at most 60 s. */
void story_run_until_confirmed(struct story *story, uint64_t epoch);
__attribute__((format(printf, 2, 3))) void story_note(struct story *story, const char *format, ...);
/* A request of a client, or an order that the script gives: applied at once. */
void story_apply(struct story *story, const struct command *command);
/* The member that leads from now on, with what these tables hold. */
void story_elect(struct story *story, struct tables_memory *memory_take);
struct shard_view story_view(const struct story *story);
/* Compares with tests/golden/NAME.txt and ends the story. */
void story_finish(struct story *story, const char *name);

/* failover_site.c: a sidecar, its database and its guardian. */
const char *story_site_name(uint32_t number);
const char *story_site_region(uint32_t number);
void story_site_step(struct story *story, struct story_site *site);
void story_site_output(struct story *story,
                       struct story_site *site,
                       const struct controller_output *output);
void story_site_closed(struct story_site *site);

/* failover_database.c */
/* The database's process is gone; what it holds stays. */
void story_database_dies(struct story_site *site);
void story_database_write(struct story_site *site, uint64_t bytes);
/* What it writes, receives and acknowledges in one step of the clock. */
void story_database_step(struct story *story, struct story_site *site);
/* The action of the sidecar that is under way takes effect. */
void story_database_act(struct story *story, struct story_site *site);
bool story_can_talk(const struct story_site *a, const struct story_site *b);

/* failover_words.c: everything in words. */
void story_tell_order(struct story *story, const struct command *command);
void story_tell_applied(struct story *story,
                        const struct command *command,
                        const struct command_result *result);
void story_tell_goal(struct story *story, struct story_site *site, const struct goal *goal);
void story_tell_action(struct story *story,
                       struct story_site *site,
                       const struct keeper_action *action);
void story_tell_report(struct story *story, struct story_site *site, const struct report *report);

#endif
