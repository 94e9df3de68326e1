/*
 * trigger.c - writes the bodies of the sync triggers: database.md 3, word for word.
 *
 * Target t, its sources S (columns read by its expression and the filter), key K of the backfill, initial value d.
 *   forward:  INSERT  t identical to d and filter(NEW)             t := f(NEW)
 *             UPDATE  t the same in OLD and NEW, S or K changed    t := f(NEW) where filter(NEW),
 *                                                                  t := d where filter(OLD) and not filter(NEW)
 *   both:     INSERT  t identical to d                             t := o, else o := t
 *             UPDATE  t changed                                    o := t, else if o or K changed: t := o
 * Where the reverse copy is guarded, the two columns may differ for good: a key that moves then fills t only where
 * nobody has yet, since it would push the old value over what new code wrote. fill_once (volatile f) is written only
 * where t is identical to d: on INSERT, and when the key of such a row moves, since the row may thereby pass behind the
 * cursor.
 *
 * WHEN has what any of the targets needs, and each target's own test stands in the function: one that new code has
 * written must not follow what another is made of.
 *
 * What stands in WHEN runs in the application's session and must not depend on its settings: identity tests only. What
 * depends on settings (the filter, f, a literal d) stands in the function, which has settings of its own.
 */
#include "agent/engine/postgresql/walk/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/steps.h"

void pgsql_trigger_text_fini(struct pgsql_trigger_text *text)
{
    zdm_buffer_fini(&text->insert_body);
    zdm_buffer_fini(&text->update_body);
    zdm_buffer_fini(&text->insert_when);
    zdm_buffer_fini(&text->update_when);
}

static void put_field(struct zdm_buffer *b, const char *row, const char *name)
{
    zdm_buffer_puts(b, row);
    pgsql_put_name(b, name);
}

/* NEW.x differs from OLD.x */
static void put_changed(struct zdm_buffer *b, const char *name, bool exact)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer new = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer old = ZDM_BUFFER_INIT;
    put_field(&new, "NEW.", name);
    put_field(&old, "OLD.", name);
    pgsql_put_differs(b, zdm_buffer_text(&new), zdm_buffer_text(&old), exact);
}

static void put_key_changed(struct zdm_buffer *b, const struct pgsql_key *key)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : " OR ");
        put_changed(b, key->names[i], key->exact[i]);
    }
}

/* Anything in S or K changed: of one target, or of all (NULL). */
static void put_inputs_changed(struct zdm_buffer *b, const struct pgsql_facts *facts, const struct pgsql_pair *pair)
{
    zdm_buffer_puts(b, "(");
    put_key_changed(b, &facts->key);
    for (size_t i = 0; i < facts->n_sources; i++) {
        if (pair != NULL && !agent_target_reads(facts->d, pair->a, facts->d->sources[i], '"')) {
            continue;
        }
        zdm_buffer_puts(b, " OR ");
        put_changed(b, facts->sources[i].name, facts->sources[i].exact);
    }
    zdm_buffer_puts(b, ")");
}

/* <row>t is identical to d */
static void put_initial(struct zdm_buffer *b, const struct pgsql_pair *pair, const char *row)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer initial = ZDM_BUFFER_INIT;
    put_field(&target, row, pair->target.name);
    if (pair->a->initial == NULL) {
        zdm_buffer_printf(b, "(%s IS NULL)", zdm_buffer_text(&target));
        return;
    }
    zdm_buffer_printf(&initial, "(%s)::%s", pair->a->initial, pair->target.type);
    zdm_buffer_puts(b, "NOT ");
    pgsql_put_differs(b, zdm_buffer_text(&target), zdm_buffer_text(&initial), pair->target.exact);
}

static void put_set_initial(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    zdm_buffer_puts(b, "    ");
    put_field(b, "NEW.", pair->target.name);
    zdm_buffer_printf(b, " := %s;\n", pair->a->initial == NULL ? "NULL" : pair->a->initial);
}

static void put_forward(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    zdm_buffer_puts(b, "    ");
    put_field(b, "NEW.", pair->target.name);
    zdm_buffer_printf(b, " := %s;\n", pair->a->expr_new);
}

static void forward_insert(struct zdm_buffer *b, const struct zdm_derivation *d, const struct pgsql_pair *pair)
{
    zdm_buffer_puts(b, "  IF ");
    put_initial(b, pair, "NEW.");
    if (d->filter_new != NULL) {
        zdm_buffer_printf(b, " AND (%s)", d->filter_new);
    }
    zdm_buffer_puts(b, " THEN\n");
    put_forward(b, pair);
    zdm_buffer_puts(b, "  END IF;\n");
}

static void forward_update(struct zdm_buffer *b, const struct pgsql_facts *facts, const struct pgsql_pair *pair)
{
    const struct zdm_derivation *d = facts->d;
    zdm_buffer_puts(b, "  IF NOT ");
    put_changed(b, pair->target.name, pair->target.exact);
    zdm_buffer_puts(b, " AND ");
    if (pair->a->fill_once) {
        zdm_buffer_puts(b, "(");
        put_key_changed(b, &facts->key);
        zdm_buffer_puts(b, ") AND ");
        put_initial(b, pair, "NEW.");
    } else {
        put_inputs_changed(b, facts, pair);
    }
    zdm_buffer_puts(b, " THEN\n");
    if (d->filter_new == NULL) {
        put_forward(b, pair);
    } else {
        zdm_buffer_printf(b, "   IF (%s) THEN\n", d->filter_new);
        put_forward(b, pair);
        if (!pair->a->fill_once) {
            zdm_buffer_printf(b, "   ELSIF (%s) THEN\n", d->filter_old);
            put_set_initial(b, pair);
        }
        zdm_buffer_puts(b, "   END IF;\n");
    }
    zdm_buffer_puts(b, "  END IF;\n");
}

/* o := t, where it fits. On INSERT an old column that must not be NULL gets its zero value where nothing else is known.
 */
static void put_reverse(struct zdm_buffer *b, const struct pgsql_pair *pair, bool insert)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer value = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer zero = ZDM_BUFFER_INIT;
    put_field(&value, "NEW.", pair->target.name);
    if (!pair->guarded) {
        zdm_buffer_puts(b, "    ");
        put_field(b, "NEW.", pair->source.name);
        zdm_buffer_printf(b, " := %s;\n", zdm_buffer_text(&value));
        return;
    }
    zdm_buffer_puts(b, "    IF ");
    pgsql_put_fits(b, zdm_buffer_text(&value), &pair->target, &pair->source);
    zdm_buffer_puts(b, " THEN ");
    put_field(b, "NEW.", pair->source.name);
    zdm_buffer_printf(b, " := %s;", zdm_buffer_text(&value));
    if (insert && pair->source.not_null && pgsql_put_zero(&zero, &pair->source)) {
        zdm_buffer_puts(b, " ELSIF ");
        put_field(b, "NEW.", pair->source.name);
        zdm_buffer_puts(b, " IS NULL THEN ");
        put_field(b, "NEW.", pair->source.name);
        zdm_buffer_printf(b, " := %s;", zdm_buffer_text(&zero));
    }
    zdm_buffer_puts(b, " END IF;\n");
}

static void put_copy(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    zdm_buffer_puts(b, "    ");
    put_field(b, "NEW.", pair->target.name);
    zdm_buffer_puts(b, " := ");
    put_field(b, "NEW.", pair->source.name);
    zdm_buffer_puts(b, ";\n");
}

static void both_insert(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer zero = ZDM_BUFFER_INIT;
    zdm_buffer_puts(b, "  IF ");
    put_initial(b, pair, "NEW.");
    zdm_buffer_puts(b, " THEN\n");
    /* Neither is given: new code that leaves a nullable column out must not meet the old one's NOT NULL. */
    if (pair->source.not_null && !pair->target.not_null && pgsql_put_zero(&zero, &pair->source)) {
        zdm_buffer_puts(b, "   IF ");
        put_field(b, "NEW.", pair->source.name);
        zdm_buffer_puts(b, " IS NULL THEN ");
        put_field(b, "NEW.", pair->source.name);
        zdm_buffer_printf(b, " := %s;\n   ELSE\n", zdm_buffer_text(&zero));
        put_copy(b, pair);
        zdm_buffer_puts(b, "   END IF;\n");
    } else {
        put_copy(b, pair);
    }
    zdm_buffer_puts(b, "  ELSE\n");
    put_reverse(b, pair, true);
    zdm_buffer_puts(b, "  END IF;\n");
}

static void both_update(struct zdm_buffer *b, const struct pgsql_facts *facts, const struct pgsql_pair *pair)
{
    zdm_buffer_puts(b, "  IF ");
    put_changed(b, pair->target.name, pair->target.exact);
    zdm_buffer_puts(b, " THEN\n");
    put_reverse(b, pair, false);
    zdm_buffer_puts(b, "  ELSIF ");
    put_changed(b, pair->source.name, pair->source.exact);
    zdm_buffer_puts(b, " OR (");
    put_key_changed(b, &facts->key);
    zdm_buffer_puts(b, ")");
    if (pair->guarded) {
        zdm_buffer_puts(b, " AND ");
        put_initial(b, pair, "NEW.");
    }
    zdm_buffer_puts(b, " THEN\n");
    put_copy(b, pair);
    zdm_buffer_puts(b, "  END IF;\n");
}

void pgsql_put_pair_differs(struct zdm_buffer *b, const struct pgsql_pair *pair, const char *row)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer source = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    bool same = strcmp(pair->source.type, pair->target.type) == 0;
    put_field(&source, row, pair->source.name);
    put_field(&target, row, pair->target.name);
    if (same) {
        pgsql_put_differs(b, zdm_buffer_text(&source), zdm_buffer_text(&target), pair->target.exact);
    } else {
        /* Integers of different size compare directly; so do texts, byte for byte where their collation is not. */
        const char *cast = pair->target.exact && pair->source.exact ? "" : "::pg_catalog.text COLLATE pg_catalog.\"C\"";
        zdm_buffer_printf(b, "(%s%s IS DISTINCT FROM %s%s)", zdm_buffer_text(&source), cast, zdm_buffer_text(&target),
                          cast);
    }
}

static void both_when(struct zdm_buffer *b, const struct pgsql_facts *facts, bool insert)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct pgsql_pair *pair = &facts->pairs[i];
        zdm_buffer_puts(b, i == 0 ? "" : " OR ");
        /* The batch's own UPDATE makes them the same and so never calls the function. */
        pgsql_put_pair_differs(b, pair, "NEW.");
        if (insert && pair->source.not_null) {
            zdm_buffer_puts(b, " OR ");
            put_field(b, "NEW.", pair->source.name);
            zdm_buffer_puts(b, " IS NULL");
        }
    }
}

/* The function is called where some target is as added; a literal d is judged inside. */
static void forward_insert_when(struct zdm_buffer *b, const struct pgsql_facts *facts)
{
    bool all_null = true;
    for (size_t i = 0; i < facts->n_pairs; i++) {
        all_null = all_null && facts->pairs[i].a->initial == NULL;
    }
    for (size_t i = 0; all_null && i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : " OR ");
        put_initial(b, &facts->pairs[i], "NEW.");
    }
    zdm_buffer_puts(b, all_null ? "" : "true");
}

static enum zdm_code whole(struct pgsql_trigger_text *out, struct zdm_error *err)
{
    zdm_buffer_puts(&out->insert_body, "  RETURN NEW;\nEND");
    zdm_buffer_puts(&out->update_body, "  RETURN NEW;\nEND");
    bool failed =
        out->insert_body.failed || out->update_body.failed || out->insert_when.failed || out->update_when.failed;
    return failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
}

enum zdm_code pgsql_trigger_write(const struct pgsql_facts *facts, struct pgsql_trigger_text *out,
                                  struct zdm_error *err)
{
    zdm_buffer_puts(&out->insert_body, "BEGIN\n");
    zdm_buffer_puts(&out->update_body, "BEGIN\n");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        if (facts->d->both_ways) {
            both_insert(&out->insert_body, &facts->pairs[i]);
            both_update(&out->update_body, facts, &facts->pairs[i]);
        } else {
            forward_insert(&out->insert_body, facts->d, &facts->pairs[i]);
            forward_update(&out->update_body, facts, &facts->pairs[i]);
        }
    }
    if (facts->d->both_ways) {
        both_when(&out->insert_when, facts, true);
        both_when(&out->update_when, facts, false);
    } else {
        forward_insert_when(&out->insert_when, facts);
        put_inputs_changed(&out->update_when, facts, NULL);
    }
    return whole(out, err);
}

enum zdm_code pgsql_trigger_write_reverse(const struct pgsql_facts *facts, struct pgsql_trigger_text *out,
                                          struct zdm_error *err)
{
    zdm_buffer_puts(&out->insert_body, "BEGIN\n");
    zdm_buffer_puts(&out->update_body, "BEGIN\n");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        put_reverse(&out->insert_body, &facts->pairs[i], true);
        zdm_buffer_puts(&out->update_body, "  IF ");
        put_changed(&out->update_body, facts->pairs[i].target.name, facts->pairs[i].target.exact);
        zdm_buffer_puts(&out->update_body, " THEN\n");
        put_reverse(&out->update_body, &facts->pairs[i], false);
        zdm_buffer_puts(&out->update_body, "  END IF;\n");
    }
    return whole(out, err);
}
