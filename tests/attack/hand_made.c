/*
 * hand_made.c - plans that no compiler made, signed by an operator whose key was stolen: PLAN_KINDS with one lie each.
 * None may begin: where SQL closes its form, where what destroys says that it does not, where the names of what zdm
 * makes point at something else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/liar.h"

static const char class_name[] = "lying coordinator: plans by hand, signed with an operator's key";

enum part { SQL, INVERSE_SQL, PROOF, OBJECT, TABLE, COLUMN, UNTIL, FILTER, EXPR };

static struct zdm_step *step_of(struct zdm_plan *plan, enum zdm_action action)
{
    for (size_t p = 0; p < plan->n_phases; p++)
        for (size_t i = 0; i < plan->phases[p].n_steps; i++)
            if (plan->phases[p].steps[i].action == action)
                return &plan->phases[p].steps[i];
    world_fail("the plan has no step of action %s", zdm_action_name(action));
}

static char **member(struct zdm_step *step, enum part part)
{
    switch (part) {
    case SQL:
        return &step->sql;
    case INVERSE_SQL:
        return &step->inverse_sql;
    case PROOF:
        return &step->proof_sql;
    case OBJECT:
        return &step->object;
    case TABLE:
        return &step->table.name;
    case COLUMN:
        return &step->column;
    case UNTIL:
        return &step->wait->until;
    case FILTER:
        return &step->derivation->filter;
    case EXPR:
        return &step->derivation->assignments[0].expr;
    }
    world_fail("no such part");
}

/* ---- One text is another one ---- */

#define ITEMS "\"public\".\"items\""

/* '+' in front: what follows is added to what is there. */
static const struct {
    enum zdm_action action;
    enum part part;
    const char *text;
} texts[] = {
    {ZDM_ACTION_CREATE_TABLE, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_CREATE_TABLE, SQL, "CREATE TABLE \"public\".\"notes\" (id) AS SELECT id FROM public.items"},
    {ZDM_ACTION_CREATE_TABLE, SQL, "CREATE TABLE \"public\".\"notes\" (id int); DROP TABLE public.items; --)"},
    {ZDM_ACTION_CREATE_TABLE, SQL, "CREATE TABLE \"public\".\"notes\" PARTITION OF public.log DEFAULT"},
    {ZDM_ACTION_CREATE_TABLE, TABLE, "items"},
    {ZDM_ACTION_CREATE_TYPE, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_ADD_VALUE, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_ADD_COLUMN, SQL, "+, DROP COLUMN name"},
    {ZDM_ACTION_ADD_CHECK, SQL, "ALTER TABLE " ITEMS " ADD CONSTRAINT \"positive\" CHECK (true), DROP COLUMN name"},
    {ZDM_ACTION_ADD_CHECK, INVERSE_SQL, "DROP TABLE " ITEMS},
    {ZDM_ACTION_ADD_CHECK, INVERSE_SQL, "ALTER TABLE " ITEMS " DROP CONSTRAINT IF EXISTS \"items_pkey\""},
    {ZDM_ACTION_ADD_UNIQUE, SQL, "+, DROP COLUMN name"},
    {ZDM_ACTION_ADD_UNIQUE, OBJECT, "items_pkey"},
    {ZDM_ACTION_ADD_FOREIGN_KEY, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_WIDEN_TYPE, SQL, "+ USING NULL"},
    {ZDM_ACTION_WIDEN_TYPE, SQL, "+, DROP COLUMN name"},
    {ZDM_ACTION_SET_DEFAULT, SQL, "+, DROP COLUMN name"},
    {ZDM_ACTION_SET_STORAGE, SQL, "+, DROP COLUMN name"},
    {ZDM_ACTION_DROP_NOT_NULL, SQL, "+, DROP COLUMN name"},
    {ZDM_ACTION_COMMENT, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_COMMENT, SQL, "COMMENT ON COLUMN " ITEMS ".\"name\" IS 'zdm:hand'"},
    {ZDM_ACTION_ADD_PARTITION_CHECK, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_ATTACH_PARTITION, SQL, "+, DROP COLUMN at"},
    {ZDM_ACTION_ATTACH_PARTITION, INVERSE_SQL, "DROP TABLE public.log"},
    {ZDM_ACTION_DETACH_PARTITION, SQL, "+; DROP TABLE public.log_1"},
    {ZDM_ACTION_CREATE_INDEX, SQL, "+; DROP TABLE public.items"},
    {ZDM_ACTION_CREATE_INDEX, INVERSE_SQL, "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"items_pkey\""},
    {ZDM_ACTION_DROP_CONSTRAINT, OBJECT, "items_pkey"},
    {ZDM_ACTION_AS_IS, SQL, "+; COMMIT; DROP TABLE public.items"},
    {ZDM_ACTION_AS_IS, SQL, "SET session_replication_role = replica"},
    {ZDM_ACTION_AS_IS, PROOF, "DELETE FROM public.items RETURNING 1"},
    {ZDM_ACTION_AS_IS, PROOF, "SELECT 1; DELETE FROM public.items"},
    {ZDM_ACTION_AS_IS, INVERSE_SQL, "ROLLBACK; DROP TABLE public.items"},
    {ZDM_ACTION_GATE_WAIT, UNTIL, "DELETE FROM public.items RETURNING true"},
    {ZDM_ACTION_GATE_WAIT, UNTIL, "SELECT true; DROP TABLE public.items"},
    {ZDM_ACTION_DELETE, FILTER, "true) OR (true"},
    {ZDM_ACTION_DELETE, FILTER, "true; DROP TABLE public.items; --"},
    {ZDM_ACTION_DELETE, OBJECT, "migration"},
    {ZDM_ACTION_DELETE, OBJECT, "undo_1"},
    {ZDM_ACTION_BACKFILL, EXPR, "1 WHERE true; DROP TABLE public.items; --"},
    {ZDM_ACTION_HIDE_TABLE, OBJECT, "public"},
    {ZDM_ACTION_HIDE_TABLE, OBJECT, "zdm"},
    {ZDM_ACTION_HIDE_TABLE, OBJECT, "zdm_trash_public00"},
    {ZDM_ACTION_PURGE_TABLE, OBJECT, "public"},
    {ZDM_ACTION_PURGE_TABLE, OBJECT, "zdm_trash_00000000"},
    {ZDM_ACTION_PURGE_TABLE, TABLE, "items"},
    {ZDM_ACTION_PURGE_INDEX, OBJECT, "items_pkey"},
    {ZDM_ACTION_PURGE_IMAGES, OBJECT, "migration"},
    {ZDM_ACTION_PURGE_IMAGES, OBJECT, "undo_00000000"},
};

static void change_text(struct zdm_step *step, enum part part, const char *text)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    char **at = member(step, part);
    zdm_buffer_puts(&out, text[0] == '+' && *at != NULL ? *at : "");
    zdm_buffer_puts(&out, text[0] == '+' ? text + 1 : text);
    free(*at);
    *at = zdm_buffer_take(&out);
}

/* ---- One promise is a lie ---- */

static struct zdm_phase *phase(struct zdm_plan *plan, enum zdm_phase_class class)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        if (plan->phases[i].class == class)
            return &plan->phases[i];
    world_fail("the plan has no phase of class %d", (int)class);
}

static void contract_destroys_nothing(struct zdm_plan *plan)
{
    phase(plan, ZDM_PHASE_CONTRACT)->destructive = false;
}

static void purge_destroys_nothing(struct zdm_plan *plan)
{
    phase(plan, ZDM_PHASE_PURGE)->destructive = false;
}

static void as_is_is_exact(struct zdm_plan *plan)
{
    struct zdm_phase *contract = phase(plan, ZDM_PHASE_CONTRACT);
    for (size_t i = 0; i < contract->n_steps; i++)
        contract->steps[i].exact_inverse = true;
    contract->destructive = false;
}

static void delete_keeps_nothing_and_is_exact(struct zdm_plan *plan)
{
    struct zdm_step *step = step_of(plan, ZDM_ACTION_DELETE);
    step->inverse = ZDM_INVERSE_IMPOSSIBLE;
    free(step->object);
    step->object = NULL;
    step->exact_inverse = true;
}

static void delete_needs_no_inverse(struct zdm_plan *plan)
{
    struct zdm_step *step = step_of(plan, ZDM_ACTION_DELETE);
    step->inverse = ZDM_INVERSE_NONE;
    free(step->object);
    step->object = NULL;
}

static void contract_is_an_expand_phase(struct zdm_plan *plan)
{
    phase(plan, ZDM_PHASE_CONTRACT)->class = ZDM_PHASE_EXPAND;
}

static void purge_is_a_migrate_phase(struct zdm_plan *plan)
{
    phase(plan, ZDM_PHASE_PURGE)->class = ZDM_PHASE_MIGRATE;
}

static void hidden_table_needs_no_inverse(struct zdm_plan *plan)
{
    step_of(plan, ZDM_ACTION_HIDE_TABLE)->inverse = ZDM_INVERSE_NONE;
}

static void backfill_needs_no_inverse(struct zdm_plan *plan)
{
    struct zdm_phase *migrate = phase(plan, ZDM_PHASE_MIGRATE);
    for (size_t i = 0; i < migrate->n_steps; i++) {
        struct zdm_step *step = &migrate->steps[i];
        if (step->action != ZDM_ACTION_BACKFILL)
            continue;
        step->inverse = ZDM_INVERSE_NONE;
        free(step->object);
        step->object = NULL;
    }
}

static void create_is_a_hide(struct zdm_plan *plan)
{
    step_of(plan, ZDM_ACTION_CREATE_TABLE)->kind = ZDM_STEP_HIDE;
}

static void add_is_a_purge(struct zdm_plan *plan)
{
    step_of(plan, ZDM_ACTION_CREATE_TABLE)->action = ZDM_ACTION_PURGE_TABLE;
}

static void (*const lies[])(struct zdm_plan *) = {
    contract_destroys_nothing,
    purge_destroys_nothing,
    as_is_is_exact,
    delete_keeps_nothing_and_is_exact,
    delete_needs_no_inverse,
    contract_is_an_expand_phase,
    purge_is_a_migrate_phase,
    hidden_table_needs_no_inverse,
    backfill_needs_no_inverse,
    create_is_a_hide,
    add_is_a_purge,
};

/* ---- Offered ---- */

static void offer(struct liar *l, struct zdm_plan *plan)
{
    zdm_copy_text(plan->id, sizeof plan->id, "hand");
    struct zdm_envelope envelope = world_sign_plan(l->w, plan);
    liar_offer_plan(l, class_name, plan->id, &plan->hash, &envelope);
    zdm_envelope_fini(&envelope);
    zdm_plan_unref(plan);
}

void liar_hand_made(struct liar *l)
{
    liar_note(l);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct zdm_plan *plan = world_compile(world_runbook(PLAN_KINDS), NULL);
        change_text(step_of(plan, texts[i].action), texts[i].part, texts[i].text);
        offer(l, plan);
    }
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct zdm_plan *plan = world_compile(world_runbook(PLAN_KINDS), NULL);
        lies[i](plan);
        offer(l, plan);
    }
}
