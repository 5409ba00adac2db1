/* SPDX-License-Identifier: Apache-2.0 */
/* Whose messages reach a member's core: those of whom it knows as members, and of
 * whomever the rule of production lets in (peers/voices.h), asked over the same network;
 * those who are nobody, or were removed, and speak all the same; and the person who vouches for a
 * member where nobody is left who could name it. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "storage/vouch_file.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NEVER_A_MEMBER = 0x8000, /* as an incarnation */
    STRANGERS_IDS = 64,
    SPEECHES_MAX = 20,
    ASKER_SHIFT = 40,
    YES_SHIFT = 48,
    REFUSED_US = 8000 * SIM_MS, /* so long somebody is refused before a person comes */
};

static bool meets(struct sim *sim, struct sim_member *member, struct member_id from);
static void vouch(struct sim *sim, struct sim_member *member, const struct voices_identity *who);
static void asked(struct sim *sim, const struct sim_member *member, uint64_t number);
static void answered(struct sim *sim, struct sim_member *member, uint64_t number);
static bool is_nobody(struct member_id id);
static const struct raft_server *server_of(const struct raft_configuration *configuration,
                                           struct member_id id);
static void ask(struct sim *sim, const struct sim_member *member, struct voices_stranger *stranger);
static struct raft_message *
speech(struct sim *sim, const struct sim_member *member, struct member_id from);

bool sim_voices_knows(const struct sim_links *links, struct member_id id)
{
    for (uint32_t i = 0; i < links->voices.known_count; i++) {
        if (member_id_equal(links->voices.known[i].id, id)) {
            return true;
        }
    }
    return false;
}

bool sim_voices_hears(struct sim *sim, struct sim_member *member, struct member_id from)
{
    struct sim_links *links = &member->links;
    bool believed = sim_voices_knows(links, from);
    for (uint32_t i = 0; i < links->regressed_count; i++) {
        if (member_id_equal(links->regressed[i], from)) {
            return false;
        }
    }
    if (links->speaks && !believed) {
        believed = meets(sim, member, from) && !links->refuse_strangers;
    }
    believed = believed || sim->mutant == MUTANT_STRANGER_HEARD;
    if (believed && is_nobody(from)) {
        sim_fail(sim, "member %u takes the word of somebody who never was a member", member->node);
    }
    return believed;
}

/* As peer_stranger_met does. */
static bool meets(struct sim *sim, struct sim_member *member, struct member_id from)
{
    struct voices *voices = &member->links.voices;
    char name[NAME_SIZE];
    (void)sim_voices_name(from, name);
    struct voices_stranger *stranger = voices_meet(voices, from, name, "", sim->now_us / SIM_MS);
    if (!stranger->looked_up) {
        node_stranger_spoke(member->core, from);
    }
    bool believed = voices_believes(voices, from, name);
    bool gone = voices_standing(voices, from, name) == VOICES_GONE;
    if (!believed && !gone && !member->links.refuse_strangers &&
        voices_should_ask(stranger, sim->now_us / SIM_MS + 1)) {
        ask(sim, member, stranger);
    }
    return believed;
}

void sim_voices_event(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    if (!member->up || member->paused) {
        return;
    }
    if (item->kind == EV_MEMBER_ASKED) {
        asked(sim, member, item->number);
    } else {
        answered(sim, member, item->number);
    }
}

/* As far as the asked member's own log says. */
static void asked(struct sim *sim, const struct sim_member *member, uint64_t number)
{
    struct member_id about = {.lo = number & UINT32_MAX};
    uint32_t asker = (uint32_t)(number >> ASKER_SHIFT) & 0xFF;
    uint64_t delays_us[SIM_COPIES_MAX];
    if (sim_net_plan(&sim->net, member->node, asker, delays_us) == 0) {
        return;
    }
    char name[NAME_SIZE];
    bool yes =
        voices_standing(&member->links.voices, about, sim_voices_name(about, name)) == VOICES_KNOWN;
    sim_after(sim,
              delays_us[0],
              (struct sim_item){.kind = EV_MEMBER_ANSWER,
                                .node = asker,
                                .number = about.lo | (uint64_t)member->node << ASKER_SHIFT |
                                          (uint64_t)yes << YES_SHIFT});
}

static void answered(struct sim *sim, struct sim_member *member, uint64_t number)
{
    uint32_t from = (uint32_t)(number >> ASKER_SHIFT) & 0xFF;
    struct voices_identity about = {.id = {.lo = number & UINT32_MAX}};
    (void)sim_voices_name(about.id, about.name);
    bool yes = (number >> YES_SHIFT & 1) != 0;
    voices_answered(&member->links.voices, sim->members[from].id, &about, yes);
}

/* A person looks who is refused for long, and whether the newest configuration has him. */
void sim_voices_vouch(struct sim *sim)
{
    struct raft_status newest = {0};
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct raft_status status = {0};
        if (sim->members[i].up) {
            raft_status(node_raft(sim->members[i].core), &status);
        }
        if (status.configuration_index > newest.configuration_index) {
            newest = status;
        }
    }
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct sim_member *member = &sim->members[i];
        const struct voices *voices = &member->links.voices;
        for (uint32_t k = 0; member->up && k < voices->strangers_count; k++) {
            const struct voices_stranger *stranger = &voices->strangers[k];
            bool for_long = sim->now_us - stranger->first_ms * SIM_MS > REFUSED_US;
            if (for_long && server_of(&newest.configuration, stranger->who.id) != NULL &&
                !voices_believes(voices, stranger->who.id, stranger->who.name)) {
                vouch(sim, member, &stranger->who);
                break;
            }
        }
    }
}

/* As `indaba member vouch` does: in the folder, and a signal. */
static void vouch(struct sim *sim, struct sim_member *member, const struct voices_identity *who)
{
    const struct disk *disk = member->io.ground.disk;
    struct vouch one = {.id = who->id, .by = "sim", .wall_ms = sim->now_us / SIM_MS};
    struct vouches vouches;
    struct reason reason = {0};
    (void)snprintf(one.name, sizeof(one.name), "%s", who->name);
    if (vouch_file_read(disk, member->paths.dir, &reason, &vouches) == ERR_OK &&
        vouches_add(&vouches, &one) == ERR_OK &&
        vouch_file_write(disk, member->paths.dir, &vouches, &reason) == ERR_OK) {
        sim_trace(sim, "somebody vouches for %s at member %u", who->name, member->node);
        sim->vouches_count++;
        node_load_vouched(member->core);
        sim_member_settle(sim, member);
    }
}

/* Somebody who never was a member, or the member that was here before the last replacement. */
void sim_fault_stranger(struct sim *sim, uint32_t target)
{
    struct sim_member *member = &sim->members[target];
    uint32_t node = (uint32_t)prng_between(&sim->faults, 1, sim->members_count);
    uint32_t incarnation = sim->members[node].incarnation;
    uint64_t nobody = NEVER_A_MEMBER | prng_below(&sim->faults, STRANGERS_IDS);
    bool removed = incarnation > 0 && prng_chance(&sim->faults, 500);
    struct member_id from = {.lo = node | (removed ? incarnation - 1 : nobody) << 8};
    struct raft_status status;
    if (!member->up) {
        return;
    }
    raft_status(node_raft(member->core), &status);
    if (server_of(&status.configuration, from) != NULL) {
        return;
    }
    uint64_t count = prng_between(&sim->faults, 1, SPEECHES_MAX);
    for (uint64_t i = 0; i < count; i++) {
        sim_after(sim,
                  prng_below(&sim->faults, 3000) * SIM_MS,
                  (struct sim_item){.kind = EV_MEMBER_RECEIVE,
                                    .node = target,
                                    .data = speech(sim, member, from)});
    }
}

static bool is_nobody(struct member_id id)
{
    return (id.lo >> 8 & NEVER_A_MEMBER) != 0;
}

const char *sim_voices_name(struct member_id id, char text[NAME_SIZE])
{
    (void)snprintf(text, NAME_SIZE, "m%u.%" PRIu64, sim_node_of(id), id.lo >> 8);
    return text;
}

static const struct raft_server *server_of(const struct raft_configuration *configuration,
                                           struct member_id id)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (member_id_equal(configuration->servers[i].id, id)) {
            return &configuration->servers[i];
        }
    }
    return NULL;
}

static void ask(struct sim *sim, const struct sim_member *member, struct voices_stranger *stranger)
{
    for (uint32_t i = 0; i < member->links.voices.known_count; i++) {
        uint32_t to = sim_node_of(member->links.voices.known[i].id);
        uint64_t delays_us[SIM_COPIES_MAX];
        if (member_id_equal(sim->members[to].id, member->links.voices.known[i].id) &&
            sim_net_plan(&sim->net, member->node, to, delays_us) > 0) {
            sim_after(sim,
                      delays_us[0],
                      (struct sim_item){.kind = EV_MEMBER_ASKED,
                                        .node = to,
                                        .number = stranger->who.id.lo | (uint64_t)member->node
                                                                            << ASKER_SHIFT});
        }
    }
}

/* The latest that could be said, and one entry that nobody else has. */
static struct raft_message *
speech(struct sim *sim, const struct sim_member *member, struct member_id from)
{
    struct raft_message *message = mem_new(sizeof(*message));
    struct raft_status status;
    raft_status(node_raft(member->core), &status);
    bool far = prng_chance(&sim->faults, 300);
    message->from = from;
    message->to = member->id;
    message->term = far ? RAFT_TERM_MAX : status.term + prng_between(&sim->faults, 0, 2);
    switch (prng_below(&sim->faults, 3)) {
    case 0:
        message->type = RAFT_HEARTBEAT;
        message->heartbeat.commit = status.last_index;
        break;
    case 1:
        message->type = RAFT_REQUEST_VOTE;
        message->request_vote = (struct raft_request_vote){
            .last_index = status.last_index + 100, .last_term = message->term, .disrupt = true};
        break;
    default: {
        const struct raft_entry *last = raft_entry_at(node_raft(member->core), status.last_index);
        message->type = RAFT_APPEND;
        message->append.prev_index = status.last_index;
        message->append.prev_term = last == NULL ? 0 : last->term;
        message->append.commit = status.last_index + 1;
        message->append.entries = mem_new(sizeof(*message->append.entries));
        message->append.entries[0] = (struct raft_entry){.term = message->term,
                                                         .index = status.last_index + 1,
                                                         .kind = RAFT_ENTRY_NOOP,
                                                         .payload = blob_new(slice_of("", 0))};
        message->append.entries_count = 1;
        break;
    }
    }
    return message;
}
