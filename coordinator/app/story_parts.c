/*
 * story_parts.c - names, phases, reasons: the words that every sentence of the story is made of. See story_parts.h.
 */
#include "coordinator/app/story_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/os/clock.h"

enum { STORY_SHARDS = sizeof((struct story *)0)->shards / sizeof(char *), KEY_DIGITS = 6 };

/* ---- Shards ---- */

void story_shard(struct story *out, const char *name)
{
    if (out->n_shards < STORY_SHARDS)
        out->shards[out->n_shards++] = name;
    else
        out->more_shards++;
}

void story_shard_index(const struct telling_of *t, uint32_t shard)
{
    if (t->m != NULL && shard < t->m->n_shards)
        story_shard(t->out, t->m->shards[shard].name);
}

void story_shard_bits(const struct telling_of *t, const uint8_t *bytes, size_t n_bytes, uint32_t first)
{
    for (uint32_t i = 0; t->m != NULL && i < t->m->n_shards; i++)
        if (coord_bits_have(bytes, n_bytes, first, i))
            story_shard(t->out, t->m->shards[i].name);
}

void put_story_shards(const struct telling_of *t)
{
    const struct story *story = t->out;
    size_t n = story->n_shards + story->more_shards;
    if (t->m != NULL && n > 2 && n == t->m->n_shards) {
        put_words(t, "all %zu shards", n);
        return;
    }
    size_t shown = story->n_shards < 4 ? story->n_shards : 3;
    for (size_t i = 0; i < shown; i++) {
        const char *between = n == shown && i + 1 == shown ? " and " : ", ";
        put_words(t, "%s%s", i == 0 ? "" : between, story->shards[i]);
    }
    if (n > shown)
        put_words(t, " and %zu more", n - shown);
}

/* ---- Words ---- */

void story_by(struct story *out, const char *name)
{
    (void)zdm_copy_text(out->by, sizeof out->by, name);
}

void put_words(const struct telling_of *t, const char *fmt, ...)
{
    char words[2 * ZDM_TEXT_MAX];
    va_list list;
    va_start(list, fmt);
    (void)vsnprintf(words, sizeof words, fmt, list);
    va_end(list);
    zdm_buffer_puts(&t->out->text, words);
}

void put_quoted(const struct telling_of *t, const char *reason)
{
    if (reason[0] != '\0')
        put_words(t, ": \"%s\"", reason);
}

void put_because(const struct telling_of *t, const char *reason)
{
    if (reason[0] != '\0')
        put_words(t, ": %s", reason);
}

void put_phase(const struct telling_of *t, uint32_t phase)
{
    if (phase == 0) {
        put_words(t, "the start");
        return;
    }
    put_words(t, "phase %" PRIu32, phase);
    if (t->m != NULL)
        put_words(t, " (%s)", phase_title(t->d, t->m, phase));
}

void put_agent(const struct telling_of *t, const struct zdm_id *agent)
{
    char key[ZDM_ID_HEX_SIZE];
    const struct coord_agent *known = coord_find_agent(t->d->state, agent);
    zdm_hex(key, agent->bytes, KEY_DIGITS);
    if (known != NULL)
        put_words(t, "%s's agent %s", known->shard, key);
    else
        put_words(t, "agent %s", key);
}

void put_minute(const struct telling_of *t, int64_t wall_ms)
{
    char text[32];
    zdm_wall_text(text, sizeof text, wall_ms); /* 2026-11-29T17:00:00Z */
    put_words(t, "%.10s %.5s UTC", text, text + 11);
}

void story_person(const struct telling_of *t, const struct zdm_id *key, char *out)
{
    const struct zdm_person *person = zdm_trust_person(t->d->config.crypto, &trust_in_force(t->d)->trust, key);
    char digits[ZDM_ID_HEX_SIZE];
    zdm_hex(digits, key->bytes, KEY_DIGITS);
    if (person != NULL)
        (void)zdm_copy_text(out, ZDM_NAME_MAX + 1, person->name);
    else
        (void)snprintf(out, ZDM_NAME_MAX + 1, "key %s", digits);
}

void put_throttle(const struct telling_of *t, const struct zdm_throttle *throttle)
{
    if (throttle->batch_target_ms == 0 && throttle->duty_percent == 0 && throttle->max_replica_lag_ms == 0) {
        put_words(t, "set the throttle back to what the plan says");
        return;
    }
    put_words(t, "set the throttle to");
    if (throttle->batch_target_ms != 0)
        put_words(t, " batches of %" PRIu32 " ms,", throttle->batch_target_ms);
    if (throttle->duty_percent != 0)
        put_words(t, " %" PRIu32 " %% of the time,", throttle->duty_percent);
    if (throttle->max_replica_lag_ms != 0)
        put_words(t, " replicas up to %" PRIu32 " ms behind,", throttle->max_replica_lag_ms);
    put_words(t, " the rest as planned");
}
