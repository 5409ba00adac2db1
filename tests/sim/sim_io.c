/* SPDX-License-Identifier: Apache-2.0 */
/* What a member's core asks of the outside (node/node_io.h): clocks, its timer, its end, and its
 * links to the others. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"

enum {
    WALL_MS = 1000000,
};

static uint64_t now_ms(void *ctx);
static uint64_t wall_ms(void *ctx);
static void arm_timer(void *ctx, uint64_t deadline_ms);
static void die(void *ctx, int exit_code);
static bool is_regressed(const struct sim_links *links, struct member_id id);

void sim_io_fill(struct sim_member *member)
{
    struct node_io *io = &member->io;

    *io = (struct node_io){
        .ground.disk = fault_disk_ops(member->store.fault),
        .ground.paths = &member->paths,
        .now_ms = now_ms,
        .wall_ms = wall_ms,
        .arm_timer = arm_timer,
        .die = die,
    };
    sim_io_disk_fill(io);
    sim_io_apply_fill(io);
    sim_io_links_fill(io);
}

static uint64_t now_ms(void *ctx)
{
    const struct sim_member *member = ctx;
    return sim_member_local_ms(member->sim, member);
}

static uint64_t wall_ms(void *ctx)
{
    const struct sim_member *member = ctx;
    return member->sim->now_us / SIM_MS + WALL_MS;
}

static void arm_timer(void *ctx, uint64_t deadline_ms)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;

    member->deadline_us = deadline_ms > UINT64_MAX / SIM_MS
                              ? UINT64_MAX
                              : sim_clock_when(sim, member->node, deadline_ms * SIM_MS);
    if (member->deadline_us >= member->timer_at_us) {
        return; /* the event that is there looks again */
    }
    member->timer_at_us = member->deadline_us > sim->now_us ? member->deadline_us : sim->now_us + 1;
    sim_at(sim,
           member->timer_at_us,
           (struct sim_item){
               .kind = EV_MEMBER_TIMER, .node = member->node, .number = member->generation});
}

/* The process is gone when the call that this comes from has returned (sim_member_settle). */
static void die(void *ctx, int exit_code)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;

    sim_trace(sim, "member %u ends itself, exit code %d", member->node, exit_code);
    sim->quarantines_count += exit_code == NODE_EXIT_QUARANTINE;
    member->dying = true;
}

/* --- links ------------------------------------------------------------------------------------ */

static void link_send(void *ctx, const struct raft_message *message)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;
    uint64_t delays_us[SIM_COPIES_MAX];
    char name[NAME_SIZE];
    uint32_t to = sim_node_of(message->to);

    bool known = sim_voices_knows(&member->links, message->to);
    if (!member->links.speaks || is_regressed(&member->links, message->to) ||
        (!known && !voices_believes(
                       &member->links.voices, message->to, sim_voices_name(message->to, name)))) {
        return;
    }
    uint32_t copies = sim_net_plan(&sim->net, member->node, to, delays_us);
    for (uint32_t i = 0; i < copies; i++) {
        struct raft_message *copy = mem_dup(message, sizeof(*message));
        if (message->type == RAFT_APPEND && message->append.entries_count > 0) {
            uint32_t count = message->append.entries_count;
            copy->append.entries =
                mem_dup(message->append.entries, count * sizeof(struct raft_entry));
            for (uint32_t k = 0; k < count; k++) {
                (void)blob_ref(copy->append.entries[k].payload);
            }
        } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
            (void)blob_ref(copy->install_snapshot.chunk);
        }
        sim_after(sim,
                  delays_us[i],
                  (struct sim_item){.kind = EV_MEMBER_RECEIVE, .node = to, .data = copy});
    }
}

/* As peers_set does. */
static void link_set(void *ctx, const struct member *members, uint32_t count)
{
    struct sim_member *member = ctx;
    struct voices *voices = &member->links.voices;

    member->links.speaks = true;
    voices_forget_known(voices);
    for (uint32_t i = 0; i < count; i++) {
        if (!member_id_equal(members[i].id, member->id)) {
            voices_know(
                voices, members[i].id, members[i].name, members[i].standing == MEMBER_VOTER);
        }
    }
    voices_settle(voices);
}

static void link_set_cluster_epoch(void *ctx, uint32_t cluster_epoch_plus_1)
{
    (void)ctx;
    (void)cluster_epoch_plus_1;
}

static void link_set_position(void *ctx, uint64_t term, uint64_t index)
{
    (void)ctx;
    (void)term;
    (void)index;
}

static void link_set_reluctant(void *ctx, bool reluctant)
{
    struct sim_member *member = ctx;
    member->links.reluctant = reluctant;
}

static void link_set_vouched(void *ctx, const struct voices_identity *vouched, uint32_t count)
{
    struct sim_member *member = ctx;
    voices_set_vouched(&member->links.voices, vouched, count);
}

static void link_refuse_strangers(void *ctx, bool refuse)
{
    struct sim_member *member = ctx;
    member->links.refuse_strangers = refuse;
}

static void link_refuse_for_good(void *ctx, struct member_id id)
{
    struct sim_member *member = ctx;
    struct sim_links *links = &member->links;

    if (!is_regressed(links, id) && links->regressed_count < SIM_MEMBERS_MAX) {
        links->regressed[links->regressed_count++] = id;
    }
}

static void link_stranger_is(void *ctx, struct member_id id, bool gone)
{
    struct sim_member *member = ctx;
    struct voices_stranger *stranger = voices_find_stranger(&member->links.voices, id);

    if (stranger != NULL) {
        stranger->looked_up = true;
        stranger->gone = gone;
    }
}

static void link_tick(void *ctx)
{
    (void)ctx;
}

static bool
link_tell_vouched(void *ctx, struct member_id to, const struct command_member_vouched *vouched)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;
    uint64_t delays_us[SIM_COPIES_MAX];

    if (sim_net_plan(&sim->net, member->node, sim_node_of(to), delays_us) == 0) {
        return false;
    }
    sim_after(sim,
              delays_us[0],
              (struct sim_item){.kind = EV_MEMBER_VOUCHED,
                                .node = sim_node_of(to),
                                .data = mem_dup(vouched, sizeof(*vouched))});
    return true;
}

/* What pings and handshakes would say of one that is there. */
static const struct sim_member *reached(const struct sim_member *member, struct member_id id)
{
    const struct sim_member *other = &member->sim->members[sim_node_of(id)];
    bool cut = member->sim->net.links[member->node][other->node].cut;

    return other->up && member_id_equal(other->id, id) && !cut ? other : NULL;
}

static bool link_is_reluctant(void *ctx, struct member_id id)
{
    const struct sim_member *other = reached(ctx, id);
    return other != NULL && other->links.reluctant;
}

static bool link_has_ended(void *ctx, struct member_id id)
{
    return reached(ctx, id) == NULL;
}

static uint32_t link_command_level(void *ctx, struct member_id id)
{
    return reached(ctx, id) == NULL ? 0 : COMMAND_LEVEL;
}

static uint32_t link_rtt_longest_us(void *ctx)
{
    const struct sim_member *member = ctx;
    return (uint32_t)(2 * member->sim->swarm.delay_max_us);
}

void sim_io_links_fill(struct node_io *io)
{
    io->links = (struct node_links){
        .send = link_send,
        .set = link_set,
        .set_cluster_epoch = link_set_cluster_epoch,
        .set_position = link_set_position,
        .set_reluctant = link_set_reluctant,
        .set_vouched = link_set_vouched,
        .refuse_strangers = link_refuse_strangers,
        .refuse_for_good = link_refuse_for_good,
        .stranger_is = link_stranger_is,
        .tick = link_tick,
        .tell_vouched = link_tell_vouched,
        .is_reluctant = link_is_reluctant,
        .has_ended = link_has_ended,
        .command_level = link_command_level,
        .rtt_longest_us = link_rtt_longest_us,
    };
}

static bool is_regressed(const struct sim_links *links, struct member_id id)
{
    for (uint32_t i = 0; i < links->regressed_count; i++) {
        if (member_id_equal(links->regressed[i], id)) {
            return true;
        }
    }
    return false;
}
