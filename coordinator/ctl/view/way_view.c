/*
 * way_view.c - the page of a rollback: what will happen, what is not exact, what comes after. See way_back.h.
 */
#include "coordinator/ctl/model/way_back.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/text/back_text.h"

enum { SENTENCE = 512 };

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

static bool is_at(const struct zdm_step *step, enum zdm_engine engine)
{
    return engine == ZDM_ENGINE_ANY || zdm_step_is_for(step, engine);
}

static void put_phase(struct page *p, const struct zdm_phase *phase, enum zdm_engine engine, uint32_t from,
                      uint32_t floor)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    char part[SENTENCE];
    const char *comma = "";
    zdm_buffer_printf(&text, "phase %u %s: ", phase->number, zdm_phase_class_name(phase->class));
    for (size_t i = phase->n_steps; i-- > 0;) {
        const struct zdm_step *step = &phase->steps[i];
        if (step->ordinal > from || step->ordinal < floor || !is_at(step, engine))
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
    uint32_t floor = zdm_plan_undo_floor(plan, place->engine, p->way->to_phase, place->next_step);
    uint32_t last = zdm_plan_first_after(plan, place->entered) - 1;
    for (size_t i = plan->n_phases; i-- > 0;) {
        const struct zdm_phase *phase = &plan->phases[i];
        bool reaches = phase->n_steps > 0 && phase->steps[phase->n_steps - 1].ordinal >= floor;
        if (phase->number <= place->entered && (phase->number > p->way->to_phase || reaches))
            put_phase(p, phase, place->engine, last, floor);
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

/* Do both stand in one place, and is what goes back there the same in words? Steps of two engines need not be. */
static bool read_alike(const struct page *p, const struct ctl_place *a, const struct ctl_place *b)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer one = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer other = ZDM_BUFFER_INIT;
    struct page first = *p, second = *p;
    if (a->at != b->at || a->entered != b->entered)
        return false;
    if (a->engine == b->engine)
        return true;
    first.out = &one;
    second.out = &other;
    put_phases(&first, a);
    put_phases(&second, b);
    return strcmp(zdm_buffer_text(&one), zdm_buffer_text(&other)) == 0;
}

/* The first shard that reads as the i-th does: that one's group. */
static size_t group_of(const struct page *p, const size_t *groups, size_t i)
{
    const struct ctl_place *items = p->way->places->items;
    for (size_t k = 0; k < i; k++)
        if (goes(p->way, &items[k]) && groups[k] == k && read_alike(p, &items[k], &items[i]))
            return k;
    return i;
}

/* Heading and phases of all shards of one group. */
static void put_group(struct page *p, const size_t *groups, size_t group)
{
    const struct ctl_places *places = p->way->places;
    const struct ctl_place *first = &places->items[group];
    ZDM_CLEANUP(zdm_freep) const struct ctl_place **same = calloc(places->n, sizeof(struct ctl_place *));
    char names[SENTENCE], text[2 * SENTENCE];
    size_t n = 0;
    if (same == NULL) {
        p->out->failed = true;
        return;
    }
    for (size_t i = group; i < places->n; i++)
        if (goes(p->way, &places->items[i]) && groups[i] == group)
            same[n++] = &places->items[i];
    ctl_names_text(names, sizeof names, same, n);
    snprintf(text, sizeof text, "%zu shard%s %s phase %u: %s", n, n == 1 ? "" : "s",
             first->entered > first->at ? "inside" : "at the end of", first->entered, names);
    line(p, CTL_BOLD, 0, text);
    put_phases(p, first);
}

static void put_staying(struct page *p, size_t staying)
{
    char text[SENTENCE];
    if (staying == 0)
        return;
    if (p->way->to_phase == 0)
        snprintf(text, sizeof text, "%zu shard%s at the start: nothing to take back there", staying,
                 staying == 1 ? "" : "s");
    else
        snprintf(text, sizeof text, "%zu shard%s not beyond phase %u: nothing to take back there", staying,
                 staying == 1 ? "" : "s", p->way->to_phase);
    line(p, CTL_DIM, 0, text);
}

static void put_groups(struct page *p)
{
    const struct ctl_places *places = p->way->places;
    ZDM_CLEANUP(zdm_freep) size_t *groups = calloc(places->n + 1, sizeof *groups);
    size_t staying = 0;
    for (size_t i = 0; groups != NULL && i < places->n; i++) {
        staying += !places->items[i].excluded && !goes(p->way, &places->items[i]) ? 1 : 0;
        groups[i] = goes(p->way, &places->items[i]) ? group_of(p, groups, i) : i;
    }
    for (size_t i = 0; groups != NULL && i < places->n; i++)
        if (goes(p->way, &places->items[i]) && groups[i] == i)
            put_group(p, groups, i);
    p->out->failed = p->out->failed || groups == NULL;
    put_staying(p, staying);
}

static void put_loss(struct page *p, uint32_t needed)
{
    const struct ctl_way *way = p->way;
    char text[2 * SENTENCE], loss[SENTENCE];
    ctl_loss_text(loss, sizeof loss, way->loses_step);
    snprintf(text, sizeof text, "lost: %s. That needs %u approval%s: zdmctl approve %s --rollback-to %u", loss, needed,
             needed == 1 ? "" : "s", way->plan->id, way->to_phase);
    line(p, CTL_BAD, 0, text);
}

/* What shards inside a phase would be refused by their agents. */
static void put_doubt(struct page *p)
{
    char text[2 * SENTENCE], repeat[SENTENCE];
    zdm_undo_repeat_text(repeat, sizeof repeat, &p->way->repeat);
    snprintf(text, sizeof text, "in doubt: the agent of %s refuses where it has begun to fill a column: %s",
             p->way->in_doubt, repeat);
    line(p, CTL_WARN, 0, text);
}

/* Of all that the shard that is farthest has entered. */
static bool put_rests(struct page *p)
{
    const struct ctl_way *way = p->way;
    uint32_t end = zdm_plan_first_after(way->plan, way->entered);
    enum zdm_engine engine = ctl_places_engine(way->places);
    uint32_t floor = zdm_plan_undo_floor(way->plan, engine, way->to_phase, end);
    ZDM_CLEANUP(zdm_freep) const struct zdm_step **steps = calloc(end + 1, sizeof *steps);
    size_t n = 0;
    for (uint32_t o = end; steps != NULL && o-- > 1;) {
        const struct zdm_step *step = zdm_plan_step(way->plan, o);
        if (step->kind != ZDM_STEP_PURGE && is_at(step, engine) && zdm_plan_phase_of(way->plan, o) > way->to_phase)
            steps[n++] = step;
    }
    p->out->failed = p->out->failed || steps == NULL;
    return steps != NULL && ctl_put_rests(p->out, p->look, way->plan, steps, n, floor);
}

/* The next sync that some shard copies back by, of those above ordinal `behind`. */
static const struct zdm_step *next_copy(const struct ctl_way *way, uint32_t behind)
{
    const struct zdm_step *next = NULL;
    for (size_t i = 0; i < way->places->n; i++) {
        const struct ctl_place *place = &way->places->items[i];
        const struct zdm_step *sync = goes(way, place) ? zdm_plan_undo_copies(way->plan, place->engine, way->to_phase,
                                                                              place->entered, place->switched, behind)
                                                       : NULL;
        if (sync != NULL && (next == NULL || sync->ordinal < next->ordinal))
            next = sync;
    }
    return next;
}

/* The agents count on the way what does not fit: the plan alone does not know it. */
static bool put_copies(struct page *p)
{
    enum { NAMED = 8 };
    char text[2 * SENTENCE];
    size_t n = 0;
    for (const struct zdm_step *sync = next_copy(p->way, 0); sync != NULL; sync = next_copy(p->way, sync->ordinal)) {
        const struct zdm_derivation *d = sync->derivation;
        for (size_t i = 0; i < d->n_assignments; i++) {
            const struct zdm_assignment *a = &d->assignments[i];
            if (n++ >= NAMED)
                continue;
            snprintf(text, sizeof text,
                     "copied back: what new code wrote into %s.%s, as far as %s can hold it; rows that do not fit are "
                     "counted on the way",
                     sync->table.name, a->target, a->copy_of != NULL ? a->copy_of : d->sources[0]);
            line(p, CTL_WARN, 0, text);
        }
    }
    if (n > NAMED) {
        snprintf(text, sizeof text, "and %zu more column%s likewise; the plan names %s", n - NAMED,
                 n - NAMED == 1 ? "" : "s", n - NAMED == 1 ? "it" : "them");
        line(p, CTL_WARN, 0, text);
    }
    return n > 0;
}

/* What the agents have counted by now: on the way of a first leg, or when old and new were compared. */
static bool put_remarks(struct page *p)
{
    enum { NAMED = 4 };
    const struct ctl_places *places = p->way->places;
    char text[2 * SENTENCE];
    size_t n = 0;
    for (size_t i = 0; i < places->n; i++) {
        if (!goes(p->way, &places->items[i]) || places->items[i].remark[0] == '\0' || n++ >= NAMED)
            continue;
        snprintf(text, sizeof text, "on %s: %s", places->items[i].shard, places->items[i].remark);
        line(p, CTL_WARN, 0, text);
    }
    if (n > NAMED) {
        snprintf(text, sizeof text, "and %zu more shards with such rows: zdmctl status %s --all", n - NAMED,
                 p->way->plan->id);
        line(p, CTL_WARN, 0, text);
    }
    return n > 0;
}

static void put_what_is_not_exact(struct page *p, uint32_t needed)
{
    const struct ctl_way *way = p->way;
    bool any = put_rests(p) || way->loses;
    any = put_copies(p) || any;
    any = put_remarks(p) || any;
    if (way->loses)
        put_loss(p, needed);
    if (way->in_doubt != NULL)
        put_doubt(p);
    line(p, CTL_PLAIN, 0, any ? "all else comes back exactly" : "everything comes back exactly; no data is dropped");
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
    put_what_is_not_exact(&p, needed);
    put_after(&p);
}
