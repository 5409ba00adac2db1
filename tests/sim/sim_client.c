/* SPDX-License-Identifier: Apache-2.0 */
/* The clients: what they ask for, what they write down, and the judgement. */
#include "tests/sim/sim_client.h"

#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    START_US = 4000 * SIM_MS,
    THINK_US_MIN = 40 * SIM_MS,
    THINK_US_MAX = 400 * SIM_MS,
    RETRY_US_MAX = 100 * SIM_MS,
    PATIENCE_US = 2000 * SIM_MS,
    SERIAL_SHIFT = 8,
    DESCRIPTION_SIZE = 160,
    SEARCH_STEPS = 400000,
};

static void resolve(struct sim *sim);
static void begin(struct sim *sim, uint32_t number);
static void draw(struct sim *sim, struct sim_ask *ask);
static uint32_t write_down(struct sim *sim, const struct sim_ask *ask);
static void fill(struct lin_history *history, struct lin_op *op, const struct sim_answer *answer);
static void send(struct sim *sim, uint32_t member, const struct sim_ask *ask);
static void wake(struct sim *sim, uint32_t number, uint64_t after_us);
static void note(struct sim *sim, const struct sim_client *client, const struct sim_answer *answer);

void sim_clients_start(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        sim->clients.all[i].member = i % sim->members_count + 1;
        wake(sim, i, START_US + prng_below(&sim->keys, THINK_US_MAX));
    }
}

void sim_clients_deinit(struct sim *sim)
{
    lin_deinit(&sim->clients.history);
    mem_free(sim->clients.effects);
}

void sim_client_timer(struct sim *sim, uint64_t number)
{
    uint32_t at = (uint32_t)(number & ((1U << SERIAL_SHIFT) - 1));
    struct sim_client *client = &sim->clients.all[at];

    if (number >> SERIAL_SHIFT != client->ask.serial) {
        return; /* of an operation that has ended */
    }
    if (!client->busy) {
        begin(sim, at);
        return;
    }
    /* Its outcome stays open; the client goes on, at another member. */
    sim->clients.unknown++;
    client->busy = false;
    client->member = (uint32_t)prng_between(&sim->keys, 1, sim->members_count);
    wake(sim, at, prng_between(&sim->keys, THINK_US_MIN, THINK_US_MAX));
}

void sim_client_answer(struct sim *sim, const struct sim_answer *answer)
{
    struct sim_client *client = &sim->clients.all[answer->client];

    if (!client->busy || client->ask.serial != answer->serial) {
        return;
    }
    client->busy = false;
    if (answer->outcome == LIN_OK) {
        note(sim, client, answer);
        wake(sim, answer->client, prng_between(&sim->keys, THINK_US_MIN, THINK_US_MAX));
        return;
    }
    if (answer->outcome == LIN_FAIL) {
        lin_end(&sim->clients.history, client->ask.op, sim->now_us, LIN_FAIL);
    } else {
        sim->clients.unknown++;
    }
    client->member = answer->leader != 0
                         ? answer->leader
                         : (uint32_t)prng_between(&sim->keys, 1, sim->members_count);
    wake(sim, answer->client, prng_between(&sim->keys, 1, RETRY_US_MAX));
}

void sim_client_appended(struct sim *sim, const struct sim_ask *ask, uint64_t index, uint64_t term)
{
    struct sim_clients *clients = &sim->clients;

    if (clients->effects_count == clients->effects_cap) {
        clients->effects_cap = clients->effects_cap == 0 ? 256 : clients->effects_cap * 2;
        clients->effects =
            mem_resize(clients->effects, clients->effects_cap * sizeof(clients->effects[0]));
    }
    clients->effects[clients->effects_count++] =
        (struct sim_effect){.ask = *ask, .index = index, .term = term};
}

void sim_clients_judge(struct sim *sim)
{
    const struct lin_history *history = &sim->clients.history;
    struct lin_verdict verdict = lin_check(history, SEARCH_STEPS);
    char culprits[2][DESCRIPTION_SIZE] = {"", ""};

    if (verdict.judgement == LIN_UNDECIDED) {
        resolve(sim);
        verdict = lin_check(history, 0);
    }

    if (verdict.judgement == LIN_LINEARIZABLE) {
        return;
    }
    for (uint32_t i = 0; i < verdict.culprits_count && i < 2; i++) {
        lin_describe(history, verdict.culprits[i], culprits[i], sizeof(culprits[i]));
    }
    sim->stood_still = sim->stood_still || verdict.judgement == LIN_UNDECIDED;
    sim_fail(sim,
             "not linearizable%s: %s: %s; %s",
             verdict.judgement == LIN_UNDECIDED ? " as far as the search went" : "",
             verdict.rule,
             culprits[0],
             culprits[1]);
}

static void begin(struct sim *sim, uint32_t number)
{
    struct sim_client *client = &sim->clients.all[number];

    draw(sim, &client->ask);
    client->ask.client = number;
    client->ask.serial = ++sim->clients.serial_last;
    client->busy = true;
    client->ask.op = write_down(sim, &client->ask);
    uint32_t member = client->member;
    if (client->ask.kind == ASK_GET) {
        member = (uint32_t)prng_between(&sim->keys, 1, sim->members_count);
    }
    send(sim, member, &client->ask);
    wake(sim, number, PATIENCE_US);
}

static void draw(struct sim *sim, struct sim_ask *ask)
{
    struct sim_clients *clients = &sim->clients;
    struct prng *prng = &sim->keys;
    uint64_t roll = prng_below(prng, 100);

    *ask = (struct sim_ask){.kind = roll < 50 ? ASK_GET : ASK_PUT};
    ask->keys[0] = (uint32_t)prng_below(prng, SIM_PLAIN_KEYS);
    if (prng_chance(prng, 300)) {
        static const enum sim_ask_kind kinds[] = {ASK_GET,
                                                  ASK_GET,
                                                  ASK_PUT,
                                                  ASK_SWAP,
                                                  ASK_CAS,
                                                  ASK_CAS,
                                                  ASK_CAS,
                                                  ASK_DELETE,
                                                  ASK_PUT_TWO,
                                                  ASK_GET_TWO};

        uint32_t which = (uint32_t)prng_below(prng, SIM_MIXED_KEYS);
        ask->kind = kinds[prng_below(prng, ARRAY_LEN(kinds))];
        ask->keys[0] = SIM_PLAIN_KEYS + which;
        ask->keys[1] = SIM_PLAIN_KEYS + (which + 1) % SIM_MIXED_KEYS;
    }
    ask->expected = clients->known[ask->keys[0]];
    ask->values[0] = ++clients->value_last;
    ask->values[1] = ++clients->value_last;
}

/* As an operation that is under way; its answers are filled in by note. */
static uint32_t write_down(struct sim *sim, const struct sim_ask *ask)
{
    struct lin_step steps[3] = {0};
    const struct lin_op op = {
        .process = ask->serial,
        .invoke = sim->now_us,
        .outcome = LIN_UNKNOWN,
    };
    const struct lin_step read = {.kind = LIN_READ, .key = ask->keys[0]};
    const struct lin_step write = {.kind = LIN_WRITE, .key = ask->keys[0], .value = ask->values[0]};
    uint32_t count = 1;

    steps[0] = read;
    switch (ask->kind) {
    case ASK_GET:
        break;
    case ASK_PUT:
        steps[0] = write;
        break;
    case ASK_SWAP:
    case ASK_DELETE:
        steps[1] = write;
        steps[1].value = ask->kind == ASK_DELETE ? LIN_ABSENT : ask->values[0];
        count = 2;
        break;
    case ASK_CAS:
        steps[0].branch = LIN_ELSE;
        steps[1] = write;
        steps[1].branch = LIN_THEN;
        steps[2] =
            (struct lin_step){.kind = LIN_EXPECT, .key = ask->keys[0], .value = ask->expected};
        count = 3;
        break;
    case ASK_PUT_TWO:
    case ASK_GET_TWO:
        steps[0] = ask->kind == ASK_GET_TWO ? read : write;
        steps[1] = steps[0];
        steps[1].key = ask->keys[1];
        steps[1].value = ask->kind == ASK_GET_TWO ? 0 : ask->values[1];
        count = 2;
        break;
    }
    return lin_add(&sim->clients.history, &op, steps, count);
}

/* An outcome that a client does not know: without effect if nobody has applied it; else as it was
 * applied first, which is not before it took effect. */
static void resolve(struct sim *sim)
{
    struct sim_clients *clients = &sim->clients;
    struct lin_history *history = &clients->history;

    for (uint32_t i = 0; i < clients->effects_count; i++) {
        const struct sim_effect *effect = &clients->effects[i];
        if (effect->applied_us != 0 && history->ops[effect->ask.op].outcome == LIN_UNKNOWN) {
            lin_end(history, effect->ask.op, effect->applied_us, effect->result.outcome);
            fill(history, &history->ops[effect->ask.op], &effect->result);
        }
    }
    for (uint32_t i = 0; i < history->ops_count; i++) {
        if (history->ops[i].outcome == LIN_UNKNOWN) {
            lin_end(history, i, sim->now_us, LIN_FAIL);
        }
    }
}

static void fill(struct lin_history *history, struct lin_op *op, const struct sim_answer *answer)
{
    uint32_t seen = 0;

    op->succeeded = answer->succeeded;
    for (uint32_t i = 0; i < op->steps_count; i++) {
        struct lin_step *step = &history->steps[op->first_step + i];
        if (step->kind == LIN_READ) {
            step->value = answer->seen[seen++];
        }
    }
}

static bool is_taken(const struct lin_step *step, bool succeeded)
{
    return step->branch == LIN_ALWAYS || (step->branch == LIN_THEN) == succeeded;
}

/* The answer as results of the steps. */
static void note(struct sim *sim, const struct sim_client *client, const struct sim_answer *answer)
{
    struct sim_clients *clients = &sim->clients;
    struct lin_history *history = &clients->history;
    struct lin_op *op = &history->ops[client->ask.op];

    lin_end(history, client->ask.op, sim->now_us, LIN_OK);
    fill(history, op, answer);
    for (uint32_t i = 0; i < op->steps_count; i++) {
        const struct lin_step *step = &history->steps[op->first_step + i];
        if (step->kind != LIN_EXPECT && is_taken(step, op->succeeded)) {
            clients->known[step->key] = step->value;
        }
    }
    clients->answered++;
    clients->answered_invoke_us =
        op->invoke > clients->answered_invoke_us ? op->invoke : clients->answered_invoke_us;
}

static void send(struct sim *sim, uint32_t member, const struct sim_ask *ask)
{
    uint64_t delays_us[SIM_COPIES_MAX];

    if (sim_net_plan(&sim->net, SIM_CLIENT_NODE, member, delays_us) > 0) {
        sim_after(sim,
                  delays_us[0],
                  (struct sim_item){
                      .kind = EV_KEYS_ASK, .node = member, .data = mem_dup(ask, sizeof(*ask))});
    }
}

static void wake(struct sim *sim, uint32_t number, uint64_t after_us)
{
    uint64_t serial = sim->clients.all[number].ask.serial;

    sim_after(sim,
              after_us,
              (struct sim_item){.kind = EV_KEYS_CLIENT, .number = serial << SERIAL_SHIFT | number});
}
