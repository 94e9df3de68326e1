/*
 * sync.c - installing, proving and removing the triggers of a sync step (sync.h).
 *
 * Each CREATE and DROP is a statement of its own that commits by itself. What is being made or dropped has a row in
 * zdm.sync without a hash; once it stands, the hash of what the catalogue says of it is written there. So whoever comes
 * after a crash sees which triggers are whole, makes what is missing, and drops what is not wanted. Where a form is to
 * be replaced, the new triggers are made beside the old ones first, under other names: there is no moment without.
 *
 * No FOLLOWS is said: a new trigger is the last of its kind, also behind one that the application makes meanwhile.
 */
#include "agent/engine/mysql/walk/sync.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/walk/definer.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/change/locks.h"
#include "agent/engine/mysql/walk/triggers.h"

/* ---- The journal's part ---- */

typedef enum zdm_code note_fn(struct mydb_work *w, const struct zdm_step *sync, const char *trigger,
                              struct zdm_error *err);

static enum zdm_code put_row(struct mydb_work *w, const struct zdm_step *sync, const char *trigger,
                             struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.sync (home, migration, step, table_name, trigger_name, body_hash) VALUES ($1, $2, $3, $4, $5,"
        " '') ON DUPLICATE KEY UPDATE body_hash = ''";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, sync->ordinal);
    const char *params[] = {w->s->database, w->op->migration, step, sync->table.name, trigger};
    return mydb_query(w->s, sql, 5, params, NULL, err);
}

static enum zdm_code forget_row(struct mydb_work *w, const struct zdm_step *sync, const char *trigger,
                                struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.sync WHERE home = $1 AND migration = $2 AND step = $3 AND trigger_name = $4";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, sync->ordinal);
    const char *params[] = {w->s->database, w->op->migration, step, trigger};
    return mydb_query(w->s, sql, 4, params, NULL, err);
}

static enum zdm_code put_hash(struct mydb_work *w, const struct zdm_step *sync, const char *trigger,
                              struct zdm_error *err)
{
    static const char sql[] = "UPDATE zdm.sync SET body_hash = $5 WHERE home = $1 AND migration = $2 AND step = $3 AND"
                              " trigger_name = $4";
    struct mydb_triggers t = {0};
    char step[16];
    enum zdm_code code = mydb_triggers_read(w->s, sync->table.name, &t, err);
    size_t at = code == ZDM_OK ? mydb_triggers_find(&t, trigger) : 0;
    if (code == ZDM_OK && at == t.n) {
        code = zdm_error_set(err, ZDM_CONFLICT, "trigger %s of %s is gone again", trigger, sync->table.name);
    }
    if (code == ZDM_OK) {
        snprintf(step, sizeof step, "%" PRIu32, sync->ordinal);
        const char *params[] = {w->s->database, w->op->migration, step, trigger, mydb_triggers_hash(&t, at)};
        code = mydb_query(w->s, sql, 5, params, NULL, err);
    }
    mydb_triggers_fini(&t);
    return code;
}

/* In a short transaction that holds the fence. */
static enum zdm_code note(struct mydb_work *w, note_fn *fn, const struct zdm_step *sync, const char *trigger,
                          struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = fn(w, sync, trigger, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_commit(w->s, err);
    }
    if (code != ZDM_OK) {
        mydb_rollback(w->s);
    }
    return code;
}

/* ---- One trigger ---- */

static enum zdm_code drop(struct mydb_work *w, const struct zdm_step *sync, const char *trigger, bool is_there,
                          bool keep_record, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = note(w, put_row, sync, trigger, err);
    if (code == ZDM_OK && is_there) {
        zdm_buffer_puts(&sql, "DROP TRIGGER IF EXISTS ");
        mydb_put_name(&sql, trigger);
        code = mydb_ddl(w, sync->table.name, zdm_buffer_text(&sql), err);
    }
    return code == ZDM_OK && !keep_record ? note(w, forget_row, sync, trigger, err) : code;
}

/* What the server keeps with the trigger: values that do not fit are errors, since a guard saw to it that they do not
 * come; a date that some other session let in is copied as it is. */
static const char set_mode_sql[] =
    "SET @zdm_sql_mode = @@SESSION.sql_mode, SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'";

static enum zdm_code create_in_mode(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err)
{
    struct zdm_error later = ZDM_ERROR_INIT;
    enum zdm_code code = mydb_run(w->s, set_mode_sql, NULL, err);
    if (code == ZDM_OK) {
        code = mydb_ddl(w, table, sql, err);
    }
    if (mydb_is_open(w->s) && mydb_run(w->s, "SET SESSION sql_mode = @zdm_sql_mode", NULL, &later) != ZDM_OK) {
        mydb_close(w->s);
    }
    return code;
}

static enum zdm_code create(struct mydb_work *w, const struct zdm_step *sync, const char *trigger, bool insert,
                            const struct zdm_buffer *body, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "CREATE DEFINER = " MYDB_DEFINER_SQL " TRIGGER ");
    mydb_put_name(&sql, trigger);
    zdm_buffer_printf(&sql, " BEFORE %s ON ", insert ? "INSERT" : "UPDATE");
    mydb_put_name(&sql, sync->table.name);
    zdm_buffer_printf(&sql, " FOR EACH ROW %s", zdm_buffer_text(body));
    enum zdm_code code = note(w, put_row, sync, trigger, err);
    if (code == ZDM_OK) {
        code = create_in_mode(w, sync->table.name, zdm_buffer_text(&sql), err);
    }
    if (code != ZDM_OK) {
        mydb_definer_explain(err);
        return code;
    }
    return note(w, put_hash, sync, trigger, err);
}

/* ---- Both ---- */

/* What stands of a step, and what was written down of it. */
struct standing {
    struct mydb_triggers live;
    struct mydb_sync_rows kept;
};

static enum zdm_code read_standing(struct mydb_work *w, const struct zdm_step *sync, struct standing *out,
                                   struct zdm_error *err)
{
    *out = (struct standing){0};
    enum zdm_code code = mydb_triggers_read(w->s, sync->table.name, &out->live, err);
    return code == ZDM_OK ? mydb_sync_rows_read(w, sync->ordinal, &out->kept, err) : code;
}

static void standing_fini(struct standing *st)
{
    mydb_triggers_fini(&st->live);
    mydb_sync_rows_fini(&st->kept);
}

enum state { ABSENT, UNFINISHED, WHOLE, BEHIND, CHANGED, NOT_OURS };

static enum state state_of(const struct standing *st, const char *trigger)
{
    size_t live = mydb_triggers_find(&st->live, trigger), kept = mydb_sync_rows_find(&st->kept, trigger);
    if (live == st->live.n) {
        return ABSENT;
    }
    if (kept == st->kept.n) {
        return NOT_OURS;
    }
    const char *hash = mydb_sync_rows_hash(&st->kept, kept);
    if (hash[0] == '\0') {
        return UNFINISHED;
    }
    if (strcmp(hash, mydb_triggers_hash(&st->live, live)) != 0) {
        return CHANGED;
    }
    return mydb_triggers_is_last(&st->live, live) ? WHOLE : BEHIND;
}

struct pair_of_names {
    char update[MYDB_TRIGGER_NAME_SIZE], insert[MYDB_TRIGGER_NAME_SIZE];
};

static void name_pair(struct pair_of_names *out, const struct mydb_work *w, const struct zdm_step *sync,
                      bool reverse_only, bool beside)
{
    mydb_trigger_name(out->update, w->op->migration, sync->ordinal, 'u', reverse_only, beside);
    mydb_trigger_name(out->insert, w->op->migration, sync->ordinal, 'i', reverse_only, beside);
}

static bool is_whole(const struct standing *st, const struct pair_of_names *names)
{
    return state_of(st, names->update) == WHOLE && state_of(st, names->insert) == WHOLE;
}

/* Nothing in service has to go for it. */
static bool is_free(const struct standing *st, const char *trigger)
{
    enum state state = state_of(st, trigger);
    return state == ABSENT || state == WHOLE;
}

static bool is_usable(const struct standing *st, const char *trigger)
{
    return is_free(st, trigger) || state_of(st, trigger) == UNFINISHED;
}

static enum zdm_code refuse_others(const struct zdm_step *sync, const struct standing *st, const char *trigger,
                                   struct zdm_error *err)
{
    if (state_of(st, trigger) != NOT_OURS) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_EXISTS, "trigger %s of %s is there and was not made by this migration", trigger,
                  sync->table.name);
    return zdm_error_hint(err, "Drop it: names that begin with zdm_ are the agent's.");
}

/* How good a pair of names is for making both, or for leaving what stands: one that is in service, and not as it should
 * be, is left in service until another stands beside it. */
static int rank(const struct standing *st, const struct pair_of_names *names)
{
    return is_whole(st, names)                                            ? 3
           : is_free(st, names->update) && is_free(st, names->insert)     ? 2
           : is_usable(st, names->update) && is_usable(st, names->insert) ? 1
                                                                          : 0;
}

static enum zdm_code choose(struct mydb_work *w, const struct zdm_step *sync, const struct standing *st,
                            bool reverse_only, struct pair_of_names *out, struct zdm_error *err)
{
    struct pair_of_names names[2];
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < 2; i++) {
        name_pair(&names[i], w, sync, reverse_only, i == 1);
        code = refuse_others(sync, st, names[i].update, err);
        if (code == ZDM_OK) {
            code = refuse_others(sync, st, names[i].insert, err);
        }
    }
    if (code == ZDM_OK) {
        *out = names[rank(st, &names[1]) > rank(st, &names[0]) ? 1 : 0];
    }
    return code;
}

static enum zdm_code stand(struct mydb_work *w, const struct zdm_step *sync, const struct standing *st,
                           const char *trigger, bool insert, const struct zdm_buffer *body, struct zdm_error *err)
{
    enum state state = state_of(st, trigger);
    enum zdm_code code = ZDM_OK;
    if (state == WHOLE) {
        return ZDM_OK;
    }
    if (state != ABSENT) {
        code = drop(w, sync, trigger, true, true, err);
    }
    return code == ZDM_OK ? create(w, sync, trigger, insert, body, err) : code;
}

/* All of the step but these two; NULL: all. */
static enum zdm_code drop_others(struct mydb_work *w, const struct zdm_step *sync, const struct pair_of_names *but,
                                 bool keep_record, struct zdm_error *err)
{
    struct standing st;
    enum zdm_code code = read_standing(w, sync, &st, err);
    for (size_t i = 0; code == ZDM_OK && i < st.kept.n; i++) {
        const char *trigger = mydb_sync_rows_name(&st.kept, i);
        if (but == NULL || (strcmp(trigger, but->update) != 0 && strcmp(trigger, but->insert) != 0)) {
            code = drop(w, sync, trigger, mydb_triggers_find(&st.live, trigger) < st.live.n, keep_record, err);
        }
    }
    standing_fini(&st);
    return code;
}

/* Changes nothing where the right ones stand alone. */
static enum zdm_code put_pair(struct mydb_work *w, const struct zdm_step *sync, bool reverse_only,
                              const struct mydb_trigger_text *text, struct zdm_error *err)
{
    struct standing st;
    struct pair_of_names names;
    enum zdm_code code = read_standing(w, sync, &st, err);
    if (code == ZDM_OK) {
        code = choose(w, sync, &st, reverse_only, &names, err);
    }
    if (code == ZDM_OK && !is_whole(&st, &names)) {
        code = mydb_definer_check(w->s, err);
    }
    if (code == ZDM_OK) {
        code = stand(w, sync, &st, names.update, false, &text->update_body, err);
    }
    if (code == ZDM_OK) {
        code = stand(w, sync, &st, names.insert, true, &text->insert_body, err);
    }
    standing_fini(&st);
    return code == ZDM_OK ? drop_others(w, sync, &names, false, err) : code;
}

static enum zdm_code install(struct mydb_work *w, const struct zdm_step *sync, bool reverse_only, bool judged,
                             struct zdm_error *err)
{
    struct mydb_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    struct mydb_facts facts;
    enum zdm_code code = mydb_facts_read(w, sync, &facts, err);
    if (code == ZDM_OK && !judged) {
        code = mydb_sync_validate(w, &facts, err);
    }
    if (code == ZDM_OK) {
        code = mydb_trigger_write(&facts, reverse_only, &text, err);
    }
    if (code == ZDM_OK && !reverse_only) {
        code = mydb_sync_give_defaults(w, sync, &facts, err);
    }
    if (code == ZDM_OK) {
        code = put_pair(w, sync, reverse_only, &text, err);
    }
    mydb_trigger_text_fini(&text);
    mydb_facts_fini(&facts);
    return code;
}

enum zdm_code mydb_sync_replace(struct mydb_work *w, const struct zdm_step *sync, bool reverse_only,
                                struct zdm_error *err)
{
    /* It was judged when it was installed first. */
    return install(w, sync, reverse_only, true, err);
}

enum zdm_code mydb_sync_drop(struct mydb_work *w, const struct zdm_step *sync, bool keep_record, struct zdm_error *err)
{
    return drop_others(w, sync, NULL, keep_record, err);
}

/* ---- Looks ---- */

enum zdm_code mydb_sync_look(struct mydb_work *w, const struct zdm_step *sync, enum agent_proof *out_proof,
                             struct zdm_error *err)
{
    struct standing st;
    bool whole = false;
    enum zdm_code code = read_standing(w, sync, &st, err);
    for (unsigned form = 0; code == ZDM_OK && form < 4; form++) {
        struct pair_of_names names;
        name_pair(&names, w, sync, form > 1, form % 2 == 1);
        whole = whole || is_whole(&st, &names);
    }
    standing_fini(&st);
    *out_proof = mydb_done_if(whole);
    return code;
}

enum zdm_code mydb_sync_is_gone(struct mydb_work *w, const struct zdm_step *sync, bool *out, struct zdm_error *err)
{
    struct standing st;
    enum zdm_code code = read_standing(w, sync, &st, err);
    *out = code == ZDM_OK && st.kept.n == 0;
    for (unsigned form = 0; *out && form < 4; form++) {
        struct pair_of_names names;
        name_pair(&names, w, sync, form > 1, form % 2 == 1);
        *out = state_of(&st, names.update) == ABSENT && state_of(&st, names.insert) == ABSENT;
    }
    standing_fini(&st);
    return code;
}

enum zdm_code mydb_look_sync(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                             struct zdm_error *err)
{
    (void)table;
    return mydb_sync_look(w, w->step, out_proof, err);
}

static const struct zdm_step *removed_sync(const struct mydb_work *w)
{
    return zdm_plan_step(w->op->plan, w->step->sync_step);
}

enum zdm_code mydb_look_removed_sync(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                     struct zdm_error *err)
{
    const struct zdm_step *sync = removed_sync(w);
    bool gone = true;
    (void)table;
    enum zdm_code code = sync == NULL ? ZDM_OK : mydb_sync_is_gone(w, sync, &gone, err);
    *out_proof = mydb_done_if(gone);
    return code;
}

/* ---- Runs ---- */

enum zdm_code mydb_run_install_sync(struct mydb_work *w, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = mydb_sync_look(w, w->step, &proof, err);
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE && w->op->step != w->op->journal_step) {
        code = mydb_note(w, mydb_watch_note, NULL, false, err);
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        code = install(w, w->step, false, false, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, NULL, NULL, true, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

enum zdm_code mydb_run_remove_sync(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_step *sync = removed_sync(w);
    if (sync == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s removes no sync", w->step->id);
    }
    enum zdm_code code = mydb_sync_take_defaults(w, sync, err);
    if (code == ZDM_OK) {
        code = mydb_sync_drop(w, sync, false, err);
    }
    return code == ZDM_OK ? mydb_note(w, NULL, NULL, true, err) : code;
}
