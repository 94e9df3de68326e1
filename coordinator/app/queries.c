/*
 * queries.c - what people read: answers in pieces, and the status pushed to who watches.
 *
 * Answers are made from committed state only: queries are answered after the commit of their group. A large answer
 * leaves piece by piece, as the reader takes them; a new push waits until the last one has left, so that a slow watcher
 * costs one text and sees the newest status when it can.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

enum {
    HISTORY_DEFAULT = 100,
    HISTORY_MAX = 1000,
    PUSH_BYTES_PER_MS = 2000 /* a large status is pushed less often: 5 MB every 2.5 s */
};

/* ---- Which migration ---- */

static const struct coord_migration *pick_active(const struct coord_state *state, size_t *out_active)
{
    const struct coord_migration *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < state->n_migrations; i++) {
        if (state->migrations[i]->mode == COORD_ENDED)
            continue;
        found = state->migrations[i];
        n++;
    }
    *out_active = n;
    if (n == 0 && state->n_migrations != 0)
        found = state->migrations[state->n_migrations - 1];
    return found;
}

static void refuse_several(const struct coord_state *state, size_t active, struct zdm_error *err)
{
    struct zdm_buffer names = ZDM_BUFFER_INIT;
    for (size_t i = 0; i < state->n_migrations; i++)
        if (state->migrations[i]->mode != COORD_ENDED)
            zdm_buffer_printf(&names, "%s%s", names.len != 0 ? ", " : "", state->migrations[i]->id);
    zdm_error_set(err, ZDM_INVALID, "%zu migrations are active: name one of %s", active, zdm_buffer_text(&names));
    zdm_buffer_fini(&names);
}

const struct coord_migration *pick_migration(const struct coord_driver *d, const char *id, struct zdm_error *err)
{
    zdm_error_clear(err);
    if (id[0] != '\0') {
        const struct coord_migration *named = coord_find_migration(d->state, id);
        if (named == NULL)
            zdm_error_set(err, ZDM_NOT_FOUND, "there is no migration %s", id);
        return named;
    }
    size_t active = 0;
    const struct coord_migration *found = pick_active(d->state, &active);
    if (active <= 1)
        return found;
    refuse_several(d->state, active, err);
    return NULL;
}

/* ---- Notes ---- */

const struct zdm_notes *notes_of(struct coord_driver *d, const struct coord_migration *migration)
{
    struct zdm_error err;
    for (size_t i = 0; i < NOTES_CACHED; i++)
        if (d->notes[i].submitted_seq == migration->submitted_seq)
            return d->notes[i].notes;
    struct cached_notes *slot = &d->notes[d->next_notes++ % NOTES_CACHED];
    zdm_notes_free(slot->notes);
    *slot = (struct cached_notes){.submitted_seq = migration->submitted_seq};
    if (migration->n_notes == 0 || zdm_notes_decode(migration->notes, migration->n_notes, &slot->notes, &err) != ZDM_OK)
        slot->notes = NULL;
    return slot->notes;
}

const char *phase_title(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase)
{
    const struct zdm_notes *notes = notes_of(d, migration);
    if (notes != NULL && phase >= 1 && phase <= notes->n_phases && notes->phases[phase - 1].title[0] != '\0')
        return notes->phases[phase - 1].title;
    const struct zdm_phase *planned = zdm_plan_phase(migration->plan, phase);
    return planned != NULL ? zdm_phase_class_name(planned->class) : "?";
}

/* ---- Pieces ---- */

void person_free(struct coord_driver *d, struct coord_peer *peer)
{
    struct person *person = peer->user;
    if (person == NULL)
        return;
    uploads_free(d, person);
    for (size_t i = 0; i < QUERIES_PER_PERSON; i++)
        free(person->outgoing[i].text);
    d->n_persons--;
    free(person);
    peer->user = NULL;
}

static struct outgoing *free_outgoing(struct person *person)
{
    for (size_t i = 0; i < QUERIES_PER_PERSON; i++)
        if (person->outgoing[i].text == NULL)
            return &person->outgoing[i];
    return NULL;
}

static void refuse_query(struct coord_driver *d, struct coord_peer *peer, enum zdm_frame_type type, uint32_t id,
                         const struct zdm_error *err)
{
    struct zdm_frame frame = {.type = type};
    frame.u.rows.id = id;
    frame.u.rows.last = true;
    frame.u.rows.code = err->code;
    (void)zdm_copy_text(frame.u.rows.message, sizeof frame.u.rows.message, err->message);
    if (coord_hub_send(d->hub, peer, &frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

/* One piece; false when the net has no room or the peer is gone. */
static bool send_piece(struct coord_driver *d, struct coord_peer *peer, struct outgoing *outgoing)
{
    size_t n = outgoing->n - outgoing->sent;
    if (n > ZDM_PIECE_MAX)
        n = ZDM_PIECE_MAX;
    struct zdm_frame frame = {.type = outgoing->type};
    frame.u.rows.id = outgoing->id;
    frame.u.rows.last = outgoing->sent + n == outgoing->n;
    frame.u.rows.code = ZDM_OK;
    frame.u.rows.bytes = (const uint8_t *)outgoing->text + outgoing->sent;
    frame.u.rows.n = n;
    if (coord_hub_send(d->hub, peer, &frame) != ZDM_SEND_OK)
        return false;
    outgoing->sent += n;
    return true;
}

/* True when everything has left. */
static bool send_outgoing(struct coord_driver *d, struct coord_peer *peer, struct outgoing *outgoing)
{
    while (outgoing->sent < outgoing->n)
        if (!send_piece(d, peer, outgoing))
            return false;
    free(outgoing->text);
    *outgoing = (struct outgoing){.text = NULL};
    return true;
}

/* Takes the text, which may be any bytes. */
static void send_text(struct coord_driver *d, struct coord_peer *peer, enum zdm_frame_type type, uint32_t id,
                      char *text, size_t n)
{
    struct outgoing *outgoing = free_outgoing(peer->user);
    struct zdm_error err;
    if (outgoing == NULL) {
        free(text);
        zdm_error_set(&err, ZDM_LIMIT, "%d answers are on their way already", (int)QUERIES_PER_PERSON);
        refuse_query(d, peer, type, id, &err);
        return;
    }
    *outgoing = (struct outgoing){.type = type, .id = id, .text = text, .n = n};
    (void)send_outgoing(d, peer, outgoing);
}

/* ---- Queries ---- */

/* The trust file as it is on disk: who verifies it needs no other word for it. */
static char *trust_bytes(struct coord_driver *d, size_t *out_n, struct zdm_error *err)
{
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    zdm_trust_chain_write(&d->chain, &bytes);
    *out_n = bytes.len;
    char *text = zdm_buffer_take(&bytes);
    if (text == NULL)
        zdm_error_set(err, ZDM_NOMEM, "could not get memory for the answer");
    return text;
}

/* *out_n: of what is no text; left alone for a text. */
static char *answer_text(struct coord_driver *d, const struct zdm_frame *frame, size_t *out_n, struct zdm_error *err)
{
    uint32_t limit = frame->u.query.limit;
    switch (frame->u.query.kind) {
    case ZDM_QUERY_STATUS:
        return json_status(d, frame->u.query.migration, err);
    case ZDM_QUERY_HISTORY:
        if (limit == 0 || limit > HISTORY_MAX)
            limit = limit == 0 ? HISTORY_DEFAULT : HISTORY_MAX;
        return json_history(d, frame->u.query.migration, frame->u.query.from_seq, limit, err);
    case ZDM_QUERY_AGENTS:
        return json_agents(d, err);
    case ZDM_QUERY_VERSION:
        return json_version(d, err);
    case ZDM_QUERY_FLEET:
        return json_fleet(d, err);
    case ZDM_QUERY_PLAN:
        return json_plan(d, frame->u.query.migration, err);
    case ZDM_QUERY_TRUST:
        return trust_bytes(d, out_n, err);
    case ZDM_QUERY_ANCHORS:
        return json_anchors(d, err);
    case ZDM_QUERY_LOG:
        return json_log(d, frame->u.query.from_seq, limit, err);
    case ZDM_QUERY_CHECK:
        break; /* answered by survey.c */
    }
    zdm_error_set(err, ZDM_UNSUPPORTED, "this coordinator does not know that query");
    return NULL;
}

void query_answer(struct coord_driver *d, const struct pending *pending)
{
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    struct zdm_error err;
    if (peer == NULL || peer->user == NULL || peer->closing)
        return;
    if (pending->frame.u.query.kind == ZDM_QUERY_CHECK) {
        if (survey_begin(d, peer, &pending->frame, &err) != ZDM_OK)
            refuse_query(d, peer, ZDM_FRAME_ROWS, pending->frame.u.query.id, &err);
        return;
    }
    size_t n = 0;
    char *text = answer_text(d, &pending->frame, &n, &err);
    if (text == NULL)
        refuse_query(d, peer, ZDM_FRAME_ROWS, pending->frame.u.query.id, &err);
    else
        send_text(d, peer, ZDM_FRAME_ROWS, pending->frame.u.query.id, text, n != 0 ? n : strlen(text));
}

/* ---- Watching ---- */

static void push(struct coord_driver *d, struct coord_peer *peer)
{
    struct person *person = peer->user;
    struct zdm_error err;
    char *text = json_status(d, person->watch_migration, &err);
    person->watch_change = d->change;
    person->watched_at_ms = d->now_ms;
    person->watch_at_ms = d->now_ms + PUSH_MS;
    if (text == NULL) {
        refuse_query(d, peer, ZDM_FRAME_PUSH, person->watch_id, &err);
        return;
    }
    person->watch_at_ms += (int64_t)(strlen(text) / PUSH_BYTES_PER_MS);
    send_text(d, peer, ZDM_FRAME_PUSH, person->watch_id, text, strlen(text));
}

void watch_begin(struct coord_driver *d, const struct pending *pending)
{
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    struct person *person = peer != NULL ? peer->user : NULL;
    if (person == NULL || peer->closing)
        return;
    person->watching = true;
    person->watch_id = pending->frame.u.query.id;
    (void)zdm_copy_text(person->watch_migration, sizeof person->watch_migration, pending->frame.u.query.migration);
    peer->may_be_silent = true;
    push(d, peer);
}

static bool is_sending(const struct person *person, enum zdm_frame_type type)
{
    for (size_t i = 0; i < QUERIES_PER_PERSON; i++)
        if (person->outgoing[i].text != NULL && person->outgoing[i].type == type)
            return true;
    return false;
}

/* Sends to one person what can be sent; the next time at which there is more. */
static int64_t pump_person(struct coord_driver *d, struct coord_peer *peer, struct person *person)
{
    int64_t wake_ms = INT64_MAX;
    for (size_t i = 0; i < QUERIES_PER_PERSON; i++)
        if (person->outgoing[i].text != NULL && !send_outgoing(d, peer, &person->outgoing[i]))
            wake_ms = d->now_ms + RETRY_SEND_MS;
    if (!person->watching || is_sending(person, ZDM_FRAME_PUSH))
        return wake_ms;
    bool changed = person->watch_change != d->change;
    int64_t due_ms = changed ? person->watch_at_ms : person->watched_at_ms + PUSH_AT_LEAST_MS;
    if (d->now_ms < due_ms)
        return due_ms < wake_ms ? due_ms : wake_ms;
    push(d, peer);
    return wake_ms < person->watch_at_ms ? wake_ms : person->watch_at_ms;
}

int64_t queries_pump(struct coord_driver *d)
{
    int64_t wake_ms = coord_hub_flush(d->hub) ? d->now_ms + RETRY_SEND_MS : INT64_MAX;
    if (d->n_persons == 0)
        return wake_ms;
    for (struct coord_peer *peer = coord_hub_first(d->hub); peer != NULL; peer = peer->next) {
        if (peer->user == NULL || peer->closing)
            continue;
        int64_t next_ms = pump_person(d, peer, peer->user);
        if (next_ms < wake_ms)
            wake_ms = next_ms;
    }
    return wake_ms;
}
