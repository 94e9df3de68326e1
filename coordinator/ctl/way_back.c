/*
 * way_back.c - a rollback before it is signed. See way_back.h.
 */
#include "coordinator/ctl/way_back.h"

#include <stdlib.h>
#include <string.h>

enum { SENTENCE = 512 };

/* ---- How far ---- */

static uint32_t farthest(const struct ctl_places *places)
{
    uint32_t entered = 0;
    for (size_t i = 0; i < places->n; i++)
        if (!places->items[i].excluded && places->items[i].entered > entered)
            entered = places->items[i].entered;
    return entered;
}

/* The lowest switch phase in (above, up_to], 0 for none. */
static uint32_t lowest_switch(const struct zdm_plan *plan, uint32_t above, uint32_t up_to)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        if (plan->phases[i].class == ZDM_PHASE_SWITCH && plan->phases[i].number > above &&
            plan->phases[i].number <= up_to)
            return plan->phases[i].number;
    return 0;
}

/* The shards that were chosen, as options: to be typed again. */
static void chosen_text(char *out, size_t size, const struct ctl_places *places)
{
    enum { NAMED = 4 };
    size_t used = 0;
    snprintf(out, size, places->all ? "--all-shards" : "-l SELECTOR");
    for (size_t i = 0; !places->all && places->n <= NAMED && i < places->n && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s--shard %s", i == 0 ? "" : " ", places->items[i].shard);
}

static enum zdm_code refuse_barrier(const struct ctl_way *way, const char *shard, struct zdm_error *err)
{
    char chosen[SENTENCE];
    chosen_text(chosen, sizeof chosen, way->places);
    const char *flag = ctl_way_flag(way->plan, way->crossed), *id = way->plan->id;
    zdm_error_set(err, ZDM_REFUSED, "shard %s is beyond phase %u, whose flag %s%smay be on: it goes back in two legs",
                  shard, way->crossed, flag, flag[0] != '\0' ? " " : "");
    zdm_error_detail(err, "New code needs what the shard would lose. First the old columns come back, then the flag is "
                          "turned off, then the rest is undone.");
    return zdm_error_hint(err,
                          "An operator says \"zdmctl rollback %s %s --to %u\", turns the flag off everywhere, and "
                          "then says \"zdmctl rollback %s %s --to %u --flag-off\".",
                          id, chosen, way->crossed, id, chosen, way->to_phase);
}

static enum zdm_code check_places(const struct ctl_way *way, struct zdm_error *err)
{
    bool any = false;
    for (size_t i = 0; i < way->places->n; i++) {
        const struct ctl_place *place = &way->places->items[i];
        const struct zdm_step *purged = zdm_plan_purged(way->plan, way->to_phase, place->next_step);
        if (place->excluded)
            continue;
        any = any || place->entered > way->to_phase;
        if (way->crossed != 0 && place->entered > way->crossed)
            return refuse_barrier(way, place->shard, err);
        if (purged != NULL) {
            zdm_error_set(err, ZDM_REFUSED, "shard %s cannot go back: step %s has dropped what it would need",
                          place->shard, purged->id);
            return zdm_error_hint(err, "What is purged is gone. Restore it from a backup, or write a new migration.");
        }
    }
    if (any)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "no shard that is chosen is beyond phase %u: there is nothing to take back",
                  way->to_phase);
    return zdm_error_hint(err,
                          "zdmctl status says where they are; --to PHASE says how far back to go, 0 is the start.");
}

enum zdm_code ctl_way_find(const struct zdm_plan *plan, const struct ctl_places *places, uint32_t opened, int64_t to,
                           struct ctl_way *out, struct zdm_error *err)
{
    struct ctl_way way = {.plan = plan, .places = places, .entered = farthest(places), .chosen = "--all-shards"};
    uint32_t beyond = way.entered > 0 ? zdm_plan_switch_between(plan, 0, way.entered - 1) : 0;
    way.to_phase = to >= 0 ? (uint32_t)to : beyond;
    way.gate = way.to_phase == beyond ? beyond : 0;
    way.crossed = lowest_switch(plan, way.to_phase, opened > way.entered ? opened : way.entered);
    enum zdm_code code = check_places(&way, err);
    if (code != ZDM_OK)
        return code;
    for (size_t i = 0; i < places->n && !way.loses; i++)
        if (!places->items[i].excluded)
            way.loses = zdm_plan_undo_loses(plan, way.to_phase, places->items[i].entered, &way.loses_step);
    *out = way;
    return ZDM_OK;
}

const char *ctl_way_flag(const struct zdm_plan *plan, uint32_t phase)
{
    const struct zdm_phase *p = phase == 0 ? NULL : zdm_plan_phase(plan, phase);
    for (size_t i = 0; p != NULL && i < p->n_steps; i++)
        if (p->steps[i].action == ZDM_ACTION_GATE_FLAG && p->steps[i].flag != NULL)
            return p->steps[i].flag->key;
    return "";
}

/* ---- In words ---- */

/* "users.name", with the schema where it is not the usual one. */
static const char *column_text(char *out, size_t size, const struct zdm_table *table, const char *column)
{
    bool usual = strcmp(table->schema, "public") == 0;
    snprintf(out, size, "%s%s%s.%s", usual ? "" : table->schema, usual ? "" : ".", table->name, column);
    return out;
}

/* Do the triggers of a step in [floor, from] take the column along when they go? */
static bool is_hidden_with_sync(const struct zdm_plan *plan, const struct zdm_step *add, uint32_t floor, uint32_t from)
{
    for (uint32_t o = floor; o <= from && o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *sync = zdm_plan_step(plan, o);
        for (size_t i = 0; sync->action == ZDM_ACTION_SYNC_INSTALL && i < sync->derivation->n_assignments; i++)
            if (zdm_plan_adds(plan, &sync->table, sync->derivation->assignments[i].target) == add)
                return true;
    }
    return false;
}

/* "" for a step that names no table. */
static const char *table_name(const struct zdm_step *step)
{
    return step->table.name != NULL ? step->table.name : "";
}

static void sync_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    char name[2 * ZDM_IDENTIFIER_MAX + 80];
    zdm_buffer_printf(&text, "triggers on %s removed", step->table.name);
    for (size_t i = 0; i < step->derivation->n_assignments; i++) {
        const char *target = step->derivation->assignments[i].target;
        const struct zdm_step *add = zdm_plan_adds(plan, &step->table, target);
        if (add != NULL && add->ordinal >= floor)
            zdm_buffer_printf(&text, ", %s hidden as ~zdm_u..., kept until zdmctl purge",
                              column_text(name, sizeof name, &step->table, target));
    }
    zdm_copy_text(out, size, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

void ctl_back_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor,
                   uint32_t from)
{
    char name[2 * ZDM_IDENTIFIER_MAX + 80];
    bool of_table = step->column != NULL && step->table.name != NULL;
    const char *column = of_table ? column_text(name, sizeof name, &step->table, step->column) : "";
    out[0] = '\0';
    switch (step->action) {
    case ZDM_ACTION_ADD_COLUMN:
        if (!is_hidden_with_sync(plan, step, floor, from))
            snprintf(out, size, "%s hidden as ~zdm_u..., kept until zdmctl purge", column);
        break;
    case ZDM_ACTION_ADD_CHECK:
        snprintf(out, size, "constraint %s dropped", step->object);
        break;
    case ZDM_ACTION_SET_NOT_NULL:
        snprintf(out, size, "%s may be null again", column);
        break;
    case ZDM_ACTION_CREATE_INDEX:
        snprintf(out, size, "index %s dropped", step->object);
        break;
    case ZDM_ACTION_SYNC_INSTALL:
        sync_text(out, size, plan, step, floor);
        break;
    case ZDM_ACTION_SYNC_REMOVE:
        snprintf(out, size, "triggers on %s installed again", step->table.name);
        break;
    case ZDM_ACTION_BACKFILL:
        if (step->inverse == ZDM_INVERSE_IMAGES)
            snprintf(out, size, "old values of %s written back, but for rows changed since", step->table.name);
        break;
    case ZDM_ACTION_HIDE_COLUMN:
        snprintf(out, size, "%s comes back%s", column,
                 step->exact_inverse ? step->sync_step != 0 ? ", in sync" : "" : ", as it was when it was hidden");
        break;
    case ZDM_ACTION_GATE_FLAG:
        if (step->flag != NULL)
            snprintf(out, size, "flag %s must be off", step->flag->key);
        break;
    case ZDM_ACTION_PURGE_COLUMN:
        snprintf(out, size, "stops where %s is dropped already", column);
        break;
    case ZDM_ACTION_ADD_FOREIGN_KEY:
    case ZDM_ACTION_ADD_UNIQUE:
    case ZDM_ACTION_ADD_PRIMARY_KEY:
    case ZDM_ACTION_ADD_PARTITION_CHECK:
        snprintf(out, size, "constraint %s dropped", step->object);
        break;
    case ZDM_ACTION_LIFT_CONSTRAINT:
        snprintf(out, size, "constraint %s comes back", step->object);
        break;
    case ZDM_ACTION_DROP_NOT_NULL:
        snprintf(out, size, "%s may not be null again", column);
        break;
    case ZDM_ACTION_SET_DEFAULT:
        snprintf(out, size, "%s gets its former default back", column);
        break;
    case ZDM_ACTION_SET_STORAGE:
        snprintf(out, size, "the former parameters of %s come back", of_table ? column : table_name(step));
        break;
    case ZDM_ACTION_COMMENT:
        snprintf(out, size, "the former comment of %s comes back",
                 of_table               ? column
                 : step->object != NULL ? step->object
                                        : table_name(step));
        break;
    case ZDM_ACTION_CREATE_TABLE:
        snprintf(out, size, "table %s moved out of sight, kept until zdmctl purge", step->table.name);
        break;
    case ZDM_ACTION_CREATE_TYPE:
        snprintf(out, size, "type %s moved out of sight, kept until zdmctl purge", step->object);
        break;
    case ZDM_ACTION_HIDE_TABLE:
        snprintf(out, size, "table %s comes back", step->table.name);
        break;
    case ZDM_ACTION_HIDE_INDEX:
        snprintf(out, size, "index %s stays: it was never out of use", step->object);
        break;
    case ZDM_ACTION_ATTACH_PARTITION:
    case ZDM_ACTION_DETACH_PARTITION:
        snprintf(out, size, "partition %s %s %s", step->n_others > 0 ? step->others[0].name : "",
                 step->action == ZDM_ACTION_ATTACH_PARTITION ? "detached from" : "attached to", step->table.name);
        break;
    case ZDM_ACTION_DELETE:
        if (step->inverse == ZDM_INVERSE_IMAGES)
            snprintf(out, size, "deleted rows of %s put back, but where their key is taken", step->table.name);
        else
            snprintf(out, size, "deleted rows of %s stay deleted", step->table.name);
        break;
    case ZDM_ACTION_AS_IS:
        if (step->inverse == ZDM_INVERSE_SQL)
            snprintf(out, size, "the runbook's own rollback is run: %.80s%s", step->inverse_sql,
                     strlen(step->inverse_sql) > 80 ? " ..." : "");
        else
            snprintf(out, size, "the as-is statement cannot be taken back");
        break;
    case ZDM_ACTION_PURGE_TABLE:
        snprintf(out, size, "stops where table %s is dropped already", table_name(step));
        break;
    case ZDM_ACTION_PURGE_INDEX:
        snprintf(out, size, "stops where index %s is dropped already", step->object);
        break;
    case ZDM_ACTION_WIDEN_TYPE:
        snprintf(out, size, "%s keeps its wider type", column);
        break;
    case ZDM_ACTION_ADD_VALUE:
        snprintf(out, size, "the new value of type %s stays, unused", step->object);
        break;
    case ZDM_ACTION_DROP_CONSTRAINT:
    case ZDM_ACTION_VALIDATE:
    case ZDM_ACTION_CHECK_QUERY:
    case ZDM_ACTION_CHECK_COMPARE:
    case ZDM_ACTION_PURGE_IMAGES:
    case ZDM_ACTION_REINDEX:
    case ZDM_ACTION_GATE_WAIT:
        break;
    }
}

/* What a step is about, in one word or two: an as-is statement may name no table at all. */
static const char *subject_text(char *out, size_t size, const struct zdm_step *step)
{
    if (step->action == ZDM_ACTION_AS_IS)
        snprintf(out, size, "the as-is statement%s%s", step->table.name != NULL ? " on " : "", table_name(step));
    else if (step->column != NULL && step->table.name != NULL)
        column_text(out, size, &step->table, step->column);
    else if (step->table.name != NULL)
        snprintf(out, size, "%s", step->table.name);
    else
        snprintf(out, size, "%s", step->object != NULL ? step->object : "it");
    return out;
}

const char *ctl_inexact_text(const struct zdm_step *step)
{
    if (step->exact_inverse)
        return NULL;
    if (step->action == ZDM_ACTION_HIDE_COLUMN)
        return "comes back as it was; rows written since have no value in it";
    if (step->action == ZDM_ACTION_DELETE)
        return step->inverse == ZDM_INVERSE_IMAGES ? "gets its rows back, but where their key is taken"
                                                   : "loses its rows for good";
    if (step->action == ZDM_ACTION_AS_IS)
        return step->inverse == ZDM_INVERSE_SQL ? "is taken back by what the runbook says, which nobody can prove"
                                                : "cannot be taken back";
    if (step->action == ZDM_ACTION_WIDEN_TYPE || step->action == ZDM_ACTION_ADD_VALUE)
        return "stays as the migration made it";
    if (step->kind == ZDM_STEP_PURGE)
        return "is dropped for good";
    if (step->action == ZDM_ACTION_BACKFILL)
        return "is overwritten, and the old values are not kept";
    return "cannot be taken back exactly";
}

/* ---- The page ---- */

struct page {
    struct zdm_buffer *out;
    const struct ctl_look *look;
    const struct ctl_way *way;
};

static void line(struct page *p, enum ctl_style style, size_t indent, const char *text)
{
    ctl_repeat(p->out, ' ', indent);
    ctl_wrap(p->out, p->look, style, text, indent, indent + 2);
}

static void put_phase(struct page *p, const struct zdm_phase *phase, uint32_t from, uint32_t floor)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    char part[SENTENCE];
    const char *comma = "";
    zdm_buffer_printf(&text, "phase %u %s: ", phase->number, zdm_phase_class_name(phase->class));
    for (size_t i = phase->n_steps; i-- > 0;) {
        const struct zdm_step *step = &phase->steps[i];
        if (step->ordinal > from || step->ordinal < floor)
            continue;
        ctl_back_text(part, sizeof part, p->way->plan, step, floor, from);
        if (part[0] == '\0')
            continue;
        zdm_buffer_printf(&text, "%s%s", comma, part);
        comma = "; ";
    }
    if (comma[0] == '\0')
        zdm_buffer_puts(&text, "nothing to do");
    line(p, CTL_PLAIN, 2, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

static void put_phases(struct page *p, const struct ctl_place *place)
{
    const struct zdm_plan *plan = p->way->plan;
    uint32_t floor = zdm_plan_undo_floor(plan, p->way->to_phase, place->next_step);
    uint32_t last = zdm_plan_first_after(plan, place->entered) - 1;
    for (size_t i = plan->n_phases; i-- > 0;) {
        const struct zdm_phase *phase = &plan->phases[i];
        bool reaches = phase->n_steps > 0 && phase->steps[phase->n_steps - 1].ordinal >= floor;
        if (phase->number <= place->entered && (phase->number > p->way->to_phase || reaches))
            put_phase(p, phase, last, floor);
    }
    if (floor < zdm_plan_first_after(plan, p->way->to_phase)) {
        char text[SENTENCE];
        snprintf(text, sizeof text,
                 "then forward again to the end of phase %u: what was hidden and belongs to it is added anew, empty",
                 p->way->to_phase);
        line(p, CTL_PLAIN, 2, text);
    }
}

static bool goes(const struct ctl_way *way, const struct ctl_place *place)
{
    return !place->excluded && place->entered > way->to_phase;
}

static bool stand_alike(const struct ctl_place *a, const struct ctl_place *b)
{
    return a->at == b->at && a->entered == b->entered;
}

/* Heading and phases of all shards that stand where `first` stands. */
static void put_group(struct page *p, const struct ctl_place *first)
{
    const struct ctl_places *places = p->way->places;
    ZDM_CLEANUP(zdm_freep) const struct ctl_place **same = calloc(places->n, sizeof(struct ctl_place *));
    char names[SENTENCE], text[2 * SENTENCE];
    size_t n = 0;
    if (same == NULL) {
        p->out->failed = true;
        return;
    }
    for (size_t i = 0; i < places->n; i++)
        if (goes(p->way, &places->items[i]) && stand_alike(first, &places->items[i]))
            same[n++] = &places->items[i];
    ctl_names_text(names, sizeof names, same, n);
    snprintf(text, sizeof text, "%zu shard%s %s phase %u: %s", n, n == 1 ? "" : "s",
             first->entered > first->at ? "inside" : "at the end of", first->entered, names);
    line(p, CTL_BOLD, 0, text);
    put_phases(p, first);
}

static void put_groups(struct page *p)
{
    const struct ctl_places *places = p->way->places;
    size_t staying = 0;
    for (size_t i = 0; i < places->n; i++) {
        bool seen = false;
        staying += !places->items[i].excluded && !goes(p->way, &places->items[i]) ? 1 : 0;
        if (!goes(p->way, &places->items[i]))
            continue;
        for (size_t j = 0; j < i; j++)
            seen = seen || (goes(p->way, &places->items[j]) && stand_alike(&places->items[i], &places->items[j]));
        if (!seen)
            put_group(p, &places->items[i]);
    }
    if (staying > 0) {
        char text[SENTENCE];
        if (p->way->to_phase == 0)
            snprintf(text, sizeof text, "%zu shard%s at the start: nothing to take back there", staying,
                     staying == 1 ? "" : "s");
        else
            snprintf(text, sizeof text, "%zu shard%s not beyond phase %u: nothing to take back there", staying,
                     staying == 1 ? "" : "s", p->way->to_phase);
        line(p, CTL_DIM, 0, text);
    }
}

/* Steps that do not come back exactly, over what the shard that is farthest has entered. */
static void put_inexact(struct page *p, uint32_t needed)
{
    const struct ctl_way *way = p->way;
    char text[2 * SENTENCE], name[2 * ZDM_IDENTIFIER_MAX + 80];
    bool any = false;
    for (uint32_t o = zdm_plan_first_after(way->plan, way->entered); o-- > 1;) {
        const struct zdm_step *step = zdm_plan_step(way->plan, o);
        const char *why = ctl_inexact_text(step);
        if (why == NULL || step->kind == ZDM_STEP_PURGE || zdm_plan_phase_of(way->plan, o) <= way->to_phase)
            continue;
        snprintf(text, sizeof text, "not exact: step %s: %s %s", step->id, subject_text(name, sizeof name, step), why);
        line(p, CTL_WARN, 0, text);
        any = true;
    }
    if (way->loses) {
        snprintf(text, sizeof text,
                 "lost: what new code wrote into %s by itself (step %s does not run backwards). That needs %u "
                 "approval%s: zdmctl approve %s --rollback-to %u",
                 way->loses_step->table.name, way->loses_step->id, needed, needed == 1 ? "" : "s", way->plan->id,
                 way->to_phase);
        line(p, CTL_BAD, 0, text);
    }
    if (!any && !way->loses)
        line(p, CTL_PLAIN, 0, "everything comes back exactly; nothing is dropped");
}

static void paragraph(struct page *p, enum ctl_style style, const char *text)
{
    ctl_wrap(p->out, p->look, style, text, 0, 0);
}

/* A command on a line of its own, to be copied. */
static void command(struct page *p, const char *text)
{
    zdm_buffer_puts(p->out, "    ");
    ctl_put(p->out, p->look, CTL_BOLD, text);
    zdm_buffer_puts(p->out, "\n");
}

static void put_first_leg(struct page *p, const char *flag)
{
    char text[2 * SENTENCE];
    snprintf(text, sizeof text,
             "This is the first of two legs: new code may run, and goes on to work. After it turn the flag %s%soff "
             "everywhere and wait until no new code runs. Then:",
             flag, flag[0] != '\0' ? " " : "");
    paragraph(p, CTL_PLAIN, text);
    snprintf(text, sizeof text, "zdmctl rollback %s %s --flag-off", p->way->plan->id, p->way->chosen);
    command(p, text);
}

static void put_after(struct page *p)
{
    const struct ctl_way *way = p->way;
    const char *flag = ctl_way_flag(way->plan, way->gate != 0 ? way->gate : way->crossed);
    char text[2 * SENTENCE];
    zdm_buffer_puts(p->out, "\n");
    if (way->gate != 0) {
        put_first_leg(p, flag);
        return;
    }
    if (way->crossed != 0) {
        snprintf(text, sizeof text, "Phase %u was opened: the flag %s%smust be off everywhere, and no new code run.",
                 way->crossed, flag, flag[0] != '\0' ? " " : "");
        paragraph(p, CTL_WARN, text);
    }
    if (way->others_beyond > 0) {
        snprintf(text, sizeof text,
                 "%zu other shard%s beyond phase %u, where old code does not work any more: take %s back to phase %u "
                 "first, or see to it that old code runs only on the shards that go back now.",
                 way->others_beyond, way->others_beyond == 1 ? " stays" : "s stay", way->crossed,
                 way->others_beyond == 1 ? "it" : "them", way->crossed);
        paragraph(p, CTL_BAD, text);
    }
    if (way->to_phase != 0)
        paragraph(p, CTL_PLAIN, "After it resume, then advance, goes forward again; this goes on back:");
    else if (way->places->all)
        paragraph(p, CTL_PLAIN,
                  "With that the migration ends. To begin it again submit the same runbook; this drops "
                  "what is left hidden, once its grace period is over:");
    else
        paragraph(p, CTL_PLAIN,
                  "After it resume, then advance, goes forward again; this drops what is left hidden, "
                  "once its grace period is over:");
    if (way->to_phase == 0)
        snprintf(text, sizeof text, "zdmctl purge %s %s", way->plan->id, way->chosen);
    else
        snprintf(text, sizeof text, "zdmctl rollback %s %s --to 0", way->plan->id, way->chosen);
    command(p, text);
}

void ctl_way_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_way *way, uint32_t needed)
{
    struct page p = {.out = out, .look = look, .way = way};
    zdm_buffer_puts(out, "rollback of ");
    ctl_put(out, look, CTL_BOLD, way->plan->id);
    if (way->to_phase == 0)
        zdm_buffer_puts(out, " to where it began\n\n");
    else
        zdm_buffer_printf(out, " to the end of phase %u (%s)\n\n", way->to_phase,
                          zdm_phase_class_name(zdm_plan_phase(way->plan, way->to_phase)->class));
    put_groups(&p);
    put_inexact(&p, needed);
    put_after(&p);
}
