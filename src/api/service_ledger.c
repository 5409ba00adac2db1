/* SPDX-License-Identifier: Apache-2.0 */
/* indaba.v1.Ledger: the append-only log of everything committed and refused. Answered by the asked
 * member from its own tables, never passed on: people compare the roots of all members. */
#include "api/service.h"

#include "api/ledger_summary.h"
#include "base/check.h"
#include "base/mem.h"
#include "indaba/v1/ledger.pb-c.h"
#include "state/ledger.h"

#include <inttypes.h>

enum {
    LEAVES_BYTES_MAX = 3 * 1024 * 1024, /* of one answer; a message holds 4 MiB */
    VERIFY_ROWS = 5000 /* of one visit: some milliseconds; renewals wait behind it */
};

static enum error head_query(struct service_call *call, const struct tables *tables);
static enum error leaves_query(struct service_call *call, const struct tables *tables);
static enum error find_query(struct service_call *call, const struct tables *tables);
static enum error inclusion_query(struct service_call *call, const struct tables *tables);
static enum error consistency_query(struct service_call *call, const struct tables *tables);
static enum error verify_query(struct service_call *call, const struct tables *tables);
static Indaba__V1__Leaf *convert_leaf(struct service_call *call, const struct ledger_leaf *leaf);
static ProtobufCBinaryData copy_bytes(struct service_call *call, struct slice bytes);
static char *convert_hash(struct service_call *call, const struct sha256 *hash);
static char **convert_proof(struct service_call *call, const struct merkle_proof *proof);
static enum error damaged(struct service_call *call);
static enum error too_large(struct service_call *call, enum error error, uint64_t size);

static const struct service_method methods[] = {
    {
        .path = "/indaba.v1.Ledger/GetHead",
        .kind = SERVICE_LOCAL,
        .request = &indaba__v1__get_head_request__descriptor,
        .response = &indaba__v1__get_head_response__descriptor,
        .query = head_query,
    },
    {
        .path = "/indaba.v1.Ledger/ListLeaves",
        .kind = SERVICE_LOCAL,
        .request = &indaba__v1__list_leaves_request__descriptor,
        .response = &indaba__v1__list_leaves_response__descriptor,
        .query = leaves_query,
    },
    {
        .path = "/indaba.v1.Ledger/FindEntry",
        .kind = SERVICE_LOCAL,
        .request = &indaba__v1__find_entry_request__descriptor,
        .response = &indaba__v1__find_entry_response__descriptor,
        .query = find_query,
    },
    {
        .path = "/indaba.v1.Ledger/GetInclusionProof",
        .kind = SERVICE_LOCAL,
        .request = &indaba__v1__get_inclusion_proof_request__descriptor,
        .response = &indaba__v1__get_inclusion_proof_response__descriptor,
        .query = inclusion_query,
    },
    {
        .path = "/indaba.v1.Ledger/GetConsistencyProof",
        .kind = SERVICE_LOCAL,
        .request = &indaba__v1__get_consistency_proof_request__descriptor,
        .response = &indaba__v1__get_consistency_proof_response__descriptor,
        .query = consistency_query,
    },
    {
        .path = "/indaba.v1.Ledger/Verify",
        .kind = SERVICE_LOCAL,
        .request = &indaba__v1__verify_request__descriptor,
        .response = &indaba__v1__verify_response__descriptor,
        .query = verify_query,
    },
};

const struct service_method *service_ledger_methods(size_t *count_out)
{
    *count_out = ARRAY_LEN(methods);
    return methods;
}

static enum error head_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__GetHeadRequest *request = (const void *)call->request;
    Indaba__V1__GetHeadResponse *response = (void *)call->response;
    struct ledger_head head;
    query_ledger_head(tables, &head);
    if (request->size != 0) {
        head.size = request->size;
        enum error error = query_ledger_root_at(tables, request->size, &head.root);
        if (error == ERR_CORRUPT) {
            return damaged(call);
        }
        if (error != ERR_OK) {
            return too_large(call, error, request->size);
        }
    }
    response->size = head.size;
    response->root = convert_hash(call, &head.root);
    return ERR_OK;
}

static enum error leaves_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__ListLeavesRequest *request = (const void *)call->request;
    Indaba__V1__ListLeavesResponse *response = (void *)call->response;
    struct ledger_head head;
    query_ledger_head(tables, &head);
    uint64_t count = request->count == 0 ? SERVICE_PAGE_DEFAULT : request->count;
    count = count > SERVICE_PAGE_MAX ? SERVICE_PAGE_MAX : count;
    uint64_t first = request->first;
    if (request->from_end) {
        first = head.size > count ? head.size - count : 0;
    }
    response->size = head.size;
    response->leaves = wire_new(&call->arena, count * sizeof(*response->leaves));
    size_t bytes = 0;
    for (uint64_t number = first; number < head.size && response->n_leaves < count; number++) {
        struct ledger_leaf leaf;
        if (query_ledger_leaf(tables, number, &leaf) != ERR_OK) {
            return damaged(call);
        }
        bytes += leaf.bytes.len + leaf.payload.len + 512;
        if (bytes > LEAVES_BYTES_MAX && response->n_leaves > 0) {
            break;
        }
        response->leaves[response->n_leaves++] = convert_leaf(call, &leaf);
    }
    return ERR_OK;
}

static enum error find_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__FindEntryRequest *request = (const void *)call->request;
    Indaba__V1__FindEntryResponse *response = (void *)call->response;
    struct ledger_place place;
    enum error error = ledger_find(tables, request->index, &place);
    if (error == ERR_CORRUPT) {
        return damaged(call);
    }
    if (error != ERR_OK) {
        return service_fail(call,
                            error,
                            "no leaf covers log index %" PRIu64
                            ": it does not exist, or its run of writes is still open",
                            request->index);
    }
    response->number = place.number;
    if (place.in_run) {
        response->entry_hash = convert_hash(call, &place.entry_hash);
        response->run_root = convert_hash(call, &place.run_root);
        response->run_first = place.run_first;
        response->run_entries = place.run_entries;
        response->hashes = convert_proof(call, &place.proof);
        response->n_hashes = place.proof.count;
    }
    return ERR_OK;
}

static enum error inclusion_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__GetInclusionProofRequest *request = (const void *)call->request;
    Indaba__V1__GetInclusionProofResponse *response = (void *)call->response;
    struct ledger_head head;
    query_ledger_head(tables, &head);
    uint64_t size = request->size == 0 ? head.size : request->size;
    struct merkle_proof proof;
    enum error error = query_ledger_root_at(tables, size, &head.root);
    if (error == ERR_OK) {
        error = ledger_inclusion(tables, request->number, size, &proof);
    }
    if (error == ERR_CORRUPT) {
        return damaged(call);
    }
    if (error != ERR_OK) {
        return service_fail(call,
                            error,
                            "leaf %" PRIu64 " is not in a ledger of %" PRIu64 " leaves",
                            request->number,
                            size);
    }
    response->size = size;
    response->root = convert_hash(call, &head.root);
    response->hashes = convert_proof(call, &proof);
    response->n_hashes = proof.count;
    return ERR_OK;
}

static enum error consistency_query(struct service_call *call, const struct tables *tables)
{
    const Indaba__V1__GetConsistencyProofRequest *request = (const void *)call->request;
    Indaba__V1__GetConsistencyProofResponse *response = (void *)call->response;
    struct ledger_head head;
    query_ledger_head(tables, &head);
    uint64_t second = request->second_size == 0 ? head.size : request->second_size;
    struct merkle_proof proof;
    enum error error = ledger_consistency(tables, request->first_size, second, &proof);
    if (error == ERR_CORRUPT) {
        return damaged(call);
    }
    if (error != ERR_OK) {
        return service_fail(call,
                            error,
                            "sizes must be 0 < %" PRIu64 " <= %" PRIu64 " <= %" PRIu64,
                            request->first_size,
                            second,
                            head.size);
    }
    response->second_size = second;
    response->hashes = convert_proof(call, &proof);
    response->n_hashes = proof.count;
    return ERR_OK;
}

static enum error verify_query(struct service_call *call, const struct tables *tables)
{
    Indaba__V1__VerifyResponse *response = (void *)call->response;
    struct ledger_head head = {0};
    char problem[LEDGER_PROBLEM_SIZE] = "";
    if (call->data == NULL) {
        call->data = mem_new(sizeof(struct ledger_verification));
    }
    enum ledger_verdict verdict =
        ledger_verify_part(tables, call->data, VERIFY_ROWS, &head, problem);
    call->goes_on = verdict == LEDGER_GOES_ON;
    if (call->goes_on) {
        return ERR_OK;
    }
    response->ok = verdict == LEDGER_AGREES;
    response->size = head.size;
    response->root = convert_hash(call, &head.root);
    response->problem = service_text(call, problem);
    return ERR_OK;
}

static Indaba__V1__Leaf *convert_leaf(struct service_call *call, const struct ledger_leaf *leaf)
{
    char summary[TEXT_SIZE];
    ledger_summary(leaf, summary, sizeof(summary));
    Indaba__V1__Leaf *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__leaf__init(to);
    to->number = leaf->number;
    to->index = leaf->index;
    to->term = leaf->term;
    to->wall_ms = leaf->wall_ms;
    to->kind = service_text(call, leaf->kind);
    to->actor = service_text(call, leaf->actor);
    to->result = wire_string(error_name(leaf->result));
    to->payload = copy_bytes(call, leaf->payload);
    to->leaf = copy_bytes(call, leaf->bytes);
    to->summary = service_text(call, summary);
    return to;
}

/* The tables' bytes end with the transaction. */
static ProtobufCBinaryData copy_bytes(struct service_call *call, struct slice bytes)
{
    ProtobufCBinaryData copy = {.len = bytes.len};
    copy.data = wire_new(&call->arena, bytes.len + 1);
    for (size_t i = 0; i < bytes.len; i++) {
        copy.data[i] = bytes.data[i];
    }
    return copy;
}

static char *convert_hash(struct service_call *call, const struct sha256 *hash)
{
    char text[SHA256_TEXT_SIZE];
    return service_text(call, sha256_format(hash, text));
}

static char **convert_proof(struct service_call *call, const struct merkle_proof *proof)
{
    char **hashes = wire_new(&call->arena, (proof->count + 1) * sizeof(*hashes));
    for (uint32_t i = 0; i < proof->count; i++) {
        hashes[i] = convert_hash(call, &proof->hashes[i]);
    }
    return hashes;
}

static enum error too_large(struct service_call *call, enum error error, uint64_t size)
{
    return service_fail(
        call, error, "the ledger of this member has fewer than %" PRIu64 " leaves", size);
}

/* The disk's doing or somebody's: an answer for who asked, and no reason to end the member. */
static enum error damaged(struct service_call *call)
{
    return service_fail(call,
                        ERR_CORRUPT,
                        "a row of this member's ledger is missing or damaged; `indaba ledger "
                        "verify` names it. Ask another member, and replace this one by a new");
}
