/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody speaks whom this member does not know: the members that it knows are asked, over the
 * links that it dialled, whether he is one of them. Until enough say so, or a person vouches for
 * him, he gets a refusal for an answer, and nothing else of him is read (voices.h has the rule). */
#include "peers/peers_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FORGOTTEN_MS = 10000, /* who has been silent for so long is asked about no more */
    TELL_AGAIN_MS = 30000,
};

static void
refuse(struct peers *peers, const struct voices_stranger *stranger, struct peer_refusal *refusal);
static void tell(const struct peers *peers, const struct voices_stranger *stranger);
static bool is_told(struct voices_stranger *stranger, uint64_t now_ms);
static bool name_is_taken(const struct peers *peers, const char *name);
static void ask(struct peers *peers, const struct voices_identity *about);
static bool names(const struct peers *peers, const struct voices_identity *about);
static enum error read_identity(struct reader *reader, struct voices_identity *identity_out);

enum error peer_stranger_met(struct peers *peers,
                             const struct wire_handshake *handshake,
                             struct peer_refusal *refusal)
{
    struct voices *voices = &peers->voices;
    uint64_t now_ms = peers_now_ms(peers);
    struct voices_stranger *stranger =
        voices_meet(voices, handshake->member, handshake->name, handshake->peer_address, now_ms);
    if (!stranger->looked_up) {
        peers->options.handlers.on_stranger(handshake->member, peers->options.ctx);
    }
    enum voices_standing standing = voices_standing(voices, handshake->member, handshake->name);
    CHECK(standing != VOICES_KNOWN);
    bool believed = standing == VOICES_NAMED || standing == VOICES_VOUCHED;
    if (believed && !peers->refuse_strangers) {
        return ERR_OK;
    }
    if (!peers->refuse_strangers && standing != VOICES_GONE &&
        voices_should_ask(stranger, now_ms)) {
        ask(peers, &stranger->who);
    }
    refuse(peers, stranger, refusal);
    refusal->quiet = !is_told(stranger, now_ms);
    if (!refusal->quiet) {
        tell(peers, stranger);
    }
    return ERR_WRONG_MEMBER;
}

void peer_strangers_tick(struct peers *peers, uint64_t now_ms)
{
    struct voices *voices = &peers->voices;
    for (uint32_t at = peers->count; at > 0; at--) {
        struct peer *peer = peers->items[at - 1];
        if (peer->listed) {
            continue;
        }
        struct voices_stranger *stranger =
            voices_meet(voices, peer->id, peer->name, peer->address, now_ms);
        if (!voices_believes(voices, peer->id, peer->name)) {
            log_event(LOG_WARN,
                      "peer.stranger_let_go",
                      "peer=%s gone=%s",
                      peer->name,
                      stranger->gone ? "yes" : "no");
            peers_remove(peers, peer);
        }
    }
    for (uint32_t i = 0; i < voices->strangers_count; i++) {
        struct voices_stranger *stranger = &voices->strangers[i];
        bool known = voices_standing(voices, stranger->who.id, stranger->who.name) == VOICES_KNOWN;
        if (!known && !stranger->gone && !peers->refuse_strangers &&
            now_ms - stranger->heard_ms < FORGOTTEN_MS && voices_should_ask(stranger, now_ms)) {
            ask(peers, &stranger->who);
        }
    }
}

void peer_strangers_settle(struct peers *peers, const struct member *members, uint32_t count)
{
    voices_forget_known(&peers->voices);
    for (uint32_t i = 0; i < count; i++) {
        if (!member_id_equal(members[i].id, peers->options.config->member)) {
            voices_know(&peers->voices,
                        members[i].id,
                        members[i].name,
                        members[i].standing == MEMBER_VOTER);
        }
    }
    voices_settle(&peers->voices);
}

void peers_stranger_is(struct peers *peers, struct member_id id, bool gone)
{
    struct voices_stranger *stranger = voices_find_stranger(&peers->voices, id);
    if (stranger != NULL) {
        stranger->looked_up = true;
        stranger->gone = gone;
        stranger->told_ms = gone ? 0 : stranger->told_ms;
    }
}

void peers_set_vouched(struct peers *peers, const struct voices_identity *vouched, uint32_t count)
{
    voices_set_vouched(&peers->voices, vouched, count);
}

void peers_set_position(struct peers *peers, struct peers_position position)
{
    peers->position = position;
}

uint32_t
peers_refused(const struct peers *peers, uint64_t now_ms, struct peers_refused *refused_out)
{
    const struct voices *voices = &peers->voices;
    uint32_t count = 0;
    for (uint32_t i = 0; i < voices->strangers_count; i++) {
        const struct voices_stranger *stranger = &voices->strangers[i];
        if (now_ms - stranger->heard_ms >= FORGOTTEN_MS ||
            voices_believes(voices, stranger->who.id, stranger->who.name)) {
            continue;
        }
        struct peers_refused *refused = &refused_out[count++];
        *refused = (struct peers_refused){
            .id = stranger->who.id,
            .heard_ms_ago = now_ms - stranger->heard_ms,
            .named_by = voices_named_by(voices, stranger),
            .needed = voices_needed(voices),
            .gone = stranger->gone,
        };
        (void)snprintf(refused->name, sizeof(refused->name), "%s", stranger->who.name);
        (void)snprintf(refused->address, sizeof(refused->address), "%s", stranger->address);
    }
    return count;
}

/* Said from what we know, never from what we were told of others. */
enum error peer_stranger_answer(struct peer_inbound *inbound, struct slice payload)
{
    const struct peers *peers = inbound->peers;
    struct voices_identity about;
    struct reader reader = reader_of(payload);
    TRY(read_identity(&reader, &about));
    TRY(reader_finish(&reader));
    struct buf bytes = {0};
    buf_put_u64(&bytes, about.id.hi);
    buf_put_u64(&bytes, about.id.lo);
    buf_put_string(&bytes, about.name);
    buf_put_u8(&bytes, names(peers, &about) ? 1 : 0);
    buf_put_u64(&bytes, peers->position.term);
    buf_put_u64(&bytes, peers->position.index);
    enum error error = peers_write(peers, inbound->conn, PEER_FRAME_ANSWER, &bytes);
    buf_deinit(&bytes);
    return error;
}

enum error peer_stranger_take(struct peer_link *link, struct slice payload)
{
    struct peers *peers = link->peer->peers;
    struct voices *voices = &peers->voices;
    struct voices_identity about;
    struct reader reader = reader_of(payload);
    TRY(read_identity(&reader, &about));
    bool names_it = reader_u8(&reader) != 0;
    uint64_t term = reader_u64(&reader);
    uint64_t index = reader_u64(&reader);
    TRY(reader_finish(&reader));
    if (!link->peer->listed) {
        return ERR_OK; /* one that others have named names nobody */
    }
    bool before = voices_believes(voices, about.id, about.name);
    voices_answered(voices, link->peer->id, &about, names_it);
    if (!before && voices_believes(voices, about.id, about.name)) {
        log_event(LOG_INFO,
                  "peer.stranger_named",
                  "peer=%s last_by=%s term=%" PRIu64 " index=%" PRIu64,
                  about.name,
                  link->peer->name,
                  term,
                  index);
    }
    return ERR_OK;
}

static void
refuse(struct peers *peers, const struct voices_stranger *stranger, struct peer_refusal *refusal)
{
    const char *ours = peers->options.config->name;
    const char *name = stranger->who.name;
    if (stranger->gone) {
        refusal->for_good = true;
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "this member was removed from the cluster for good: stop it and take its "
                       "folder away; its machine can join with a new id and an empty folder");
    } else if (name_is_taken(peers, name)) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "member %.63s has another id here: remove the old one first (`indaba "
                       "member remove`), then add this one",
                       name);
    } else if (peers->refuse_strangers) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "this member id is not among our members: add it (`indaba member add`)");
    } else {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "member %.63s does not know this member, and %" PRIu32 " of %" PRIu32
                       " needed name it: see its log",
                       ours,
                       voices_named_by(&peers->voices, stranger),
                       voices_needed(&peers->voices));
    }
}

/* With the very command, for whoever is on this machine because nothing goes on. */
static void tell(const struct peers *peers, const struct voices_stranger *stranger)
{
    char id[ID128_TEXT_SIZE];
    (void)id128_format(stranger->who.id.hi, stranger->who.id.lo, id);
    if (stranger->gone) {
        log_event(LOG_WARN,
                  "peer.removed_speaks",
                  "peer=%s id=%s address=%s hint=%s",
                  stranger->who.name,
                  id,
                  stranger->address,
                  log_quote("it was removed for good, and nothing of it is believed"));
        return;
    }
    char hint[2 * TEXT_SIZE + 1024];
    (void)snprintf(hint,
                   sizeof(hint),
                   "nothing of it is believed. If you know that it was added, and the members that "
                   "could say so are lost, type here: %s --name %s --id %s",
                   peers->options.vouch_hint,
                   stranger->who.name,
                   id);
    log_event(LOG_WARN,
              "peer.stranger_refused",
              "peer=%s id=%s address=%s named_by=%" PRIu32 " needed=%" PRIu32 " hint=%s",
              stranger->who.name,
              id,
              stranger->address,
              voices_named_by(&peers->voices, stranger),
              voices_needed(&peers->voices),
              log_quote(peers->refuse_strangers ? "it is not among the members: add it" : hint));
}

/* At once, and now and then; it dials again and again. True if it is time. */
static bool is_told(struct voices_stranger *stranger, uint64_t now_ms)
{
    if (stranger->told_ms != 0 && now_ms - stranger->told_ms < TELL_AGAIN_MS) {
        return false;
    }
    stranger->told_ms = now_ms;
    return true;
}

static bool name_is_taken(const struct peers *peers, const char *name)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (peers->items[i]->listed && strcmp(peers->items[i]->name, name) == 0) {
            return true;
        }
    }
    return strcmp(peers->options.config->name, name) == 0;
}

static void ask(struct peers *peers, const struct voices_identity *about)
{
    buf_clear(&peers->scratch);
    buf_put_u64(&peers->scratch, about->id.hi);
    buf_put_u64(&peers->scratch, about->id.lo);
    buf_put_string(&peers->scratch, about->name);
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = peers->items[i];
        const struct peer_link *link = &peer->links[WIRE_LANE_HEARTBEAT - 1];
        if (peer->listed && link->open && link->names_members &&
            peers_write(peers, link->conn, PEER_FRAME_ASK, &peers->scratch) != ERR_OK) {
            log_event(LOG_DEBUG, "peer.ask_dropped", "peer=%s", peer->name);
        }
    }
}

static bool names(const struct peers *peers, const struct voices_identity *about)
{
    const struct peer *peer = peers_find(peers, about->id);
    return peer != NULL && peer->listed && strcmp(peer->name, about->name) == 0;
}

static enum error read_identity(struct reader *reader, struct voices_identity *identity_out)
{
    identity_out->id.hi = reader_u64(reader);
    identity_out->id.lo = reader_u64(reader);
    reader_string(reader, identity_out->name, sizeof(identity_out->name));
    return reader->failed ? ERR_PROTOCOL : ERR_OK;
}
