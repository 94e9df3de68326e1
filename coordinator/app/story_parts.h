/*
 * story_parts.h - what the files of the story share: story.c has the dispatch and the fleet, story_acts.c what people
 * asked for, story_shards.c what became of shards, story_parts.c the words that all use.
 */
#ifndef COORDINATOR_APP_STORY_PARTS_H
#define COORDINATOR_APP_STORY_PARTS_H

#include "coordinator/app/private.h"

/* One event that is told. */
struct telling_of {
    struct coord_driver *d;
    const struct coord_event *event;
    const struct coord_migration *m; /* as it was at the event; NULL where none is concerned */
    struct story *out;
};

/* ---- Shards of the story ---- */

void story_shard(struct story *out, const char *name);
void story_shard_index(const struct telling_of *t, uint32_t shard);
void story_shard_bits(const struct telling_of *t, const uint8_t *bytes, size_t n_bytes, uint32_t first);
/* "shard-1, shard-2 and 7 more"; "all 12 shards" where it is all of several. */
void put_story_shards(const struct telling_of *t);

/* ---- Words ---- */

void story_by(struct story *out, const char *name);
void put_words(const struct telling_of *t, const char *fmt, ...) ZDM_PRINTF(2, 3);
/* : "checkout is slow" */
void put_quoted(const struct telling_of *t, const char *reason);
/* : the agent follows a later epoch. What a program says stands without quotes. */
void put_because(const struct telling_of *t, const char *reason);
/* "phase 2 (Migrate)"; "the start" for 0. */
void put_phase(const struct telling_of *t, uint32_t phase);
/* "shard-3's agent ab12cd34ef56". */
void put_agent(const struct telling_of *t, const struct zdm_id *agent);
/* "2026-11-29 17:00 UTC". */
void put_minute(const struct telling_of *t, int64_t wall_ms);
/* "set the throttle to 20 % of the time, the rest as planned". */
void put_throttle(const struct telling_of *t, const struct zdm_throttle *throttle);
/* The person with that key by today's trust file, else "key ab12cd34ef56"; out has ZDM_NAME_MAX + 1 bytes. */
void story_person(const struct telling_of *t, const struct zdm_id *key, char *out);

/* ---- Parts ---- */

void tell_acted(const struct telling_of *t);
void tell_approval(const struct telling_of *t);
void tell_approval_revoked(const struct telling_of *t);
void tell_directed(const struct telling_of *t);
void tell_reached(const struct telling_of *t);
void tell_failed(const struct telling_of *t);
void tell_regressed(const struct telling_of *t);
void tell_unsure(const struct telling_of *t);
void tell_excluded(const struct telling_of *t);

#endif
