/* SPDX-License-Identifier: Apache-2.0 */
/* See kv_model.h. */
#include "kv_model.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void add(struct kv_model *model, const struct model_change *change);

void kv_model_init(struct kv_model *model)
{
    memset(model, 0, sizeof(*model));
    model->revision = 1;
}

void kv_model_free(struct kv_model *model)
{
    mem_free(model->changes);
}

void kv_model_put(struct kv_model *model, int key, uint32_t value, int64_t lease)
{
    struct model_change change = {
        .revision = model->revision + 1,
        .key = key,
        .value = value,
        .lease = lease,
    };
    add(model, &change);
}

int kv_model_delete(struct kv_model *model, int first, int end)
{
    int deleted = 0;
    for (int key = first; key < end; key++) {
        if (kv_model_get(model, key, INT64_MAX).exists) {
            struct model_change change = {
                .revision = model->revision + 1, .key = key, .deleted = true};
            add(model, &change);
            deleted++;
        }
    }
    return deleted;
}

void kv_model_revoke(struct kv_model *model, int64_t lease)
{
    for (int key = 0; key < MODEL_KEYS; key++) {
        struct model_pair pair = kv_model_get(model, key, INT64_MAX);
        if (pair.exists && pair.lease == lease) {
            (void)kv_model_delete(model, key, key + 1);
        }
    }
    model->leases[lease] = false;
}

void kv_model_finish(struct kv_model *model)
{
    if (model->count > 0) {
        model->revision = model->changes[model->count - 1].revision;
    }
}

struct model_pair kv_model_get(const struct kv_model *model, int key, int64_t revision)
{
    struct model_pair pair = {.exists = false};
    for (size_t i = 0; i < model->count && model->changes[i].revision <= revision; i++) {
        const struct model_change *change = &model->changes[i];
        if (change->key != key) {
            continue;
        }
        if (change->deleted) {
            pair = (struct model_pair){.exists = false};
            continue;
        }
        pair.create_revision = pair.exists ? pair.create_revision : change->revision;
        pair.version = pair.exists ? pair.version + 1 : 1;
        pair.exists = true;
        pair.value = change->value;
        pair.mod_revision = change->revision;
        pair.lease = change->lease;
    }
    return pair;
}

struct slice kv_model_key(int key, char *bytes)
{
    CHECK(key >= 0 && key <= MODEL_KEYS);
    bytes[0] = (char)('a' + key / 6);
    bytes[1] = (char)(key % 6 / 3);
    bytes[2] = (char)(key % 3);
    return slice_of(bytes, key % 6 == 0 ? 2 : MODEL_KEY_SIZE);
}

struct slice kv_model_value(uint32_t value, char *text)
{
    (void)snprintf(text, MODEL_VALUE_SIZE, "%" PRIu32, value);
    return slice_of_string(text);
}

void kv_model_assert_pair(const struct kv_pair *pair, int key, const struct model_pair *wanted)
{
    char key_bytes[MODEL_KEY_SIZE];
    char value_text[MODEL_VALUE_SIZE];
    assert_true(wanted->exists);
    assert_true(slice_equal(pair->key, kv_model_key(key, key_bytes)));
    assert_true(slice_equal(pair->value, kv_model_value(wanted->value, value_text)));
    assert_int_equal(pair->create_revision, wanted->create_revision);
    assert_int_equal(pair->mod_revision, wanted->mod_revision);
    assert_int_equal(pair->version, wanted->version);
    assert_int_equal(pair->lease, wanted->lease);
}

static void add(struct kv_model *model, const struct model_change *change)
{
    if (model->count == model->cap) {
        model->cap = model->cap == 0 ? 256 : model->cap * 2;
        model->changes = mem_resize(model->changes, model->cap * sizeof(*model->changes));
    }
    model->changes[model->count++] = *change;
}
