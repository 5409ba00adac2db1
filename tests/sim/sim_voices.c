/* SPDX-License-Identifier: Apache-2.0 */
/* Those who are nobody, or were removed, and speak all the same; and the person who vouches for a
 * member where nobody is left who could name it. Whose word reaches a core is for the links of
 * production to say (src/peers). */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"
#include "peers/peers_internal.h"
#include "storage/vouch_file.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NEVER_A_MEMBER = 0x8000, /* as an incarnation */
    STRANGERS_IDS = 64,
    SPEECHES_MAX = 20,
    REFUSED_US = 8000 * SIM_MS, /* so long somebody is refused before a person comes */
};

static void vouch(struct sim *sim, struct sim_member *member, const struct voices_identity *who);
static const struct raft_server *server_of(const struct raft_configuration *configuration,
                                           struct member_id id);
static void speech(struct sim *sim,
                   const struct sim_member *member,
                   struct member_id from,
                   struct raft_message *message_out);

/* As if a person had vouched for whoever comes. */
void sim_voices_believe(struct peers *peers, struct member_id who)
{
    struct voices_identity identity = {.id = who};

    (void)sim_voices_name(who, identity.name);
    voices_set_vouched(&peers->voices, &identity, 1);
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
        const struct voices *voices = member->up ? &member->core->peers->voices : NULL;
        uint64_t now_ms = sim_member_local_ms(sim, member);
        for (uint32_t k = 0; member->up && k < voices->strangers_count; k++) {
            const struct voices_stranger *stranger = &voices->strangers[k];
            bool for_long = now_ms - stranger->first_ms > REFUSED_US / SIM_MS;
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
        struct raft_message message = {0};
        speech(sim, member, from, &message);
        sim_pipe_stranger(
            sim, target, sim->now_us + prng_below(&sim->faults, 3000) * SIM_MS, &message);
        raft_message_deinit(&message);
    }
}

bool sim_voices_is_nobody(struct member_id id)
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

/* The latest that could be said, and one entry that nobody else has. */
static void speech(struct sim *sim,
                   const struct sim_member *member,
                   struct member_id from,
                   struct raft_message *message)
{
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
}
