/* SPDX-License-Identifier: Apache-2.0 */
/* What members say to each other first, and whom a member speaks with: its peers, and strangers
 * that may be members it does not know of yet. */
#include "peers/peers_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum error meet_stranger(struct peers *peers,
                                const struct wire_handshake *handshake,
                                struct peer_refusal *refusal,
                                struct peer **peer_out);

static enum error check_memory(const struct peer *peer,
                               const struct wire_handshake *handshake,
                               struct peer_refusal *refusal);

enum error peers_check_handshake(struct peers *peers,
                                 const struct wire_handshake *handshake,
                                 const struct peer_party *party,
                                 struct peer_refusal *refusal,
                                 struct peer **peer_out)
{
    if (handshake->protocol_version != WIRE_PEER_PROTOCOL_VERSION) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "peer protocol %" PRIu32 " is not spoken here (%d is): upgrade one of us",
                       handshake->protocol_version,
                       WIRE_PEER_PROTOCOL_VERSION);
        return ERR_VERSION;
    }
    if (!cluster_id_equal(handshake->cluster, peers->options.config->cluster)) {
        (void)snprintf(refusal->text, WIRE_REFUSAL_SIZE, "another cluster's id: check cluster.id");
        return ERR_WRONG_CLUSTER;
    }
    if (!peers->started) {
        (void)snprintf(
            refusal->text, WIRE_REFUSAL_SIZE, "the stored state is still being read here");
        return ERR_UNAVAILABLE;
    }
    if (handshake->process_incarnation == 0) {
        (void)snprintf(
            refusal->text, WIRE_REFUSAL_SIZE, "the handshake has no process incarnation");
        return ERR_PROTOCOL;
    }
    struct peer *peer = peers_find(peers, handshake->member);
    const char *name = peer == NULL ? handshake->name : peer->name;
    if (!peers_is_party(party, name)) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "the certificate is of %.100s, the member id of %.63s",
                       party->identity,
                       name[0] == '\0' ? "no member of ours" : name);
        return ERR_DENIED;
    }
    TRY(peer == NULL ? meet_stranger(peers, handshake, refusal, &peer)
                     : check_memory(peer, handshake, refusal));
    *peer_out = peer;
    return ERR_OK;
}

bool peers_is_party(const struct peer_party *party, const char *name)
{
    char path[NAME_SIZE + sizeof("/member/")];
    (void)snprintf(path, sizeof(path), "/member/%s", name);
    return strcmp(party->path, path) == 0;
}

enum error peers_write_handshake(const struct peers *peers,
                                 struct peer_conn *conn,
                                 enum wire_lane lane,
                                 const struct peer_refusal *refusal)
{
    struct wire_handshake handshake = {
        .protocol_version = WIRE_PEER_PROTOCOL_VERSION,
        .cluster = peers->options.config->cluster,
        .member = peers->options.config->member,
        .process_incarnation = peers->options.process_incarnation,
        .lane = lane,
        .command_level = peers->options.command_level,
        .cluster_epoch_plus_1 = peers->cluster_epoch_plus_1,
        .answers_pings = true,
        .names_members = true,
        .blank = peers->blank,
        .refused_for_good = refusal->for_good,
    };
    const struct member *self =
        member_config_find(peers->options.config, peers->options.config->member);
    (void)snprintf(handshake.name, sizeof(handshake.name), "%s", self->name);
    (void)snprintf(
        handshake.peer_address, sizeof(handshake.peer_address), "%s", self->peer_address);
    (void)snprintf(handshake.refusal, sizeof(handshake.refusal), "%s", refusal->text);
    struct buf bytes = {0};
    wire_handshake_encode(&handshake, &bytes);
    enum error error = peers_write(peers, conn, PEER_FRAME_HANDSHAKE, &bytes);
    buf_deinit(&bytes);
    return error;
}

/* A member with less than it once acknowledged is not the same member (safety.md 6): it would vote
 * twice in a term, and a majority that counts it is none. */
static enum error check_memory(const struct peer *peer,
                               const struct wire_handshake *handshake,
                               struct peer_refusal *refusal)
{
    bool wiped = handshake->blank && peer->known;
    if (!wiped && !peer->regressed) {
        return ERR_OK;
    }
    if (wiped) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "member %.63s comes with an empty folder, and was here before: give its own "
                       "folder back, or remove it and add its machine again, with a new id",
                       peer->name);
    } else { /* that it has them again we cannot tell before we count anew */
        (void)snprintf(
            refusal->text,
            WIRE_REFUSAL_SIZE,
            "member %.63s has lost entries that it had acknowledged: give its own folder "
            "back and restart member %.63s, or remove it and add a new one",
            peer->name,
            peer->peers->options.config->name);
    }
    refusal->for_good = true;
    return ERR_WRONG_MEMBER;
}

/* One that was added while we were away, or before we are told; a member that returns with an empty
 * disk under a new id; one that was removed and does not know it; or nobody of ours. */
static enum error meet_stranger(struct peers *peers,
                                const struct wire_handshake *handshake,
                                struct peer_refusal *refusal,
                                struct peer **peer_out)
{
    uint32_t strangers = 0;
    for (uint32_t i = 0; i < peers->count; i++) {
        strangers += !peers->items[i]->listed;
    }
    if (handshake->cluster_epoch_plus_1 != 0 &&
        handshake->cluster_epoch_plus_1 < peers->cluster_epoch_plus_1) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "this member was left behind by a forced recovery: stop it, take its folder "
                       "away, and add it as a new member");
        refusal->for_good = true;
        return ERR_WRONG_MEMBER;
    }
    if (!address_is_valid(handshake->peer_address)) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "this member id is not among our members, and it gives no peer address");
        return ERR_WRONG_MEMBER;
    }
    TRY(peer_stranger_met(peers, handshake, refusal));
    if (strangers == PEERS_STRANGERS_MAX) {
        (void)snprintf(refusal->text,
                       WIRE_REFUSAL_SIZE,
                       "too many members are here that the record does not name yet: try again");
        return ERR_EXHAUSTED;
    }
    log_event(
        LOG_INFO, "peer.stranger", "peer=%s address=%s", handshake->name, handshake->peer_address);
    *peer_out = peers_add(peers, handshake->member, handshake->name, handshake->peer_address);
    return ERR_OK;
}
