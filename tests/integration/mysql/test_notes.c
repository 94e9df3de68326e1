/*
 * test_notes.c - what is written down beside the progress: zdm.owned, zdm.former, zdm.hidden, and what people are shown
 * of it.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/journal/journal.h"

/* An operation on step 1, in a session beside the engine's. */
struct beside {
    struct mydb_session *s;
    struct agent_op op;
    struct agent_result result;
    struct mydb_work w;
    struct zdm_error err;
};

static void begin(struct rig *r, struct beside *b)
{
    rig_sql(r, "CREATE TABLE orders (id int PRIMARY KEY)");
    rig_plan(r, "orders", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_1", NULL);
    rig_ddl(r, 2, ZDM_ACTION_GATE_FLAG, NULL, NULL, NULL);
    rig_accept(r, 1);
    *b = (struct beside){.s = rig_session(r, rig_dsn(r, "")), .op = {.plan = r->plan, .step = 1, .grace_ms = 60000}};
    snprintf(b->op.migration, sizeof b->op.migration, "%s", r->plan->id);
    b->w = (struct mydb_work){.s = b->s, .op = &b->op, .step = rig_step(r, 1), .result = &b->result};
    if (mydb_open(b->s, &b->err) != ZDM_OK) {
        fail_msg("%s", b->err.message);
    }
}

static void end(struct beside *b)
{
    rig_session_free(b->s);
    free(b->result.hidden);
}

static void ok(struct beside *b, enum zdm_code code)
{
    if (code != ZDM_OK) {
        fail_msg("%s %s", b->err.sqlstate, b->err.message);
    }
}

static bool owns(struct beside *b, const char *object)
{
    bool out = false;
    ok(b, mydb_owned_is(&b->w, "column", object, &out, &b->err));
    return out;
}

static void what_is_owned_is_one_migrations(void **state)
{
    struct rig *r = *state;
    struct beside b;
    begin(r, &b);
    ok(&b, mydb_owned_put(&b.w, "column", "orders.c", &b.err));
    ok(&b, mydb_owned_put(&b.w, "column", "orders.c", &b.err));
    assert_true(owns(&b, "orders.c"));
    assert_false(owns(&b, "orders.d"));
    snprintf(b.op.migration, sizeof b.op.migration, "another");
    assert_false(owns(&b, "orders.c"));
    ok(&b, mydb_owned_forget(&b.w, "column", "orders.c", &b.err)); /* not its own */
    ok(&b, mydb_owned_put(&b.w, "column", "orders.c", &b.err));    /* taken over: the object is gone */
    assert_true(owns(&b, "orders.c"));
    ok(&b, mydb_owned_forget(&b.w, "column", "orders.c", &b.err));
    assert_false(owns(&b, "orders.c"));
    end(&b);
}

static void former_is(struct beside *b, unsigned part, const char *back_sql, const char *made)
{
    char *sql = NULL, *text = NULL;
    ok(b, mydb_former_read(&b->w, part, &sql, &text, &b->err));
    assert_string_equal(sql == NULL ? "none" : sql, back_sql);
    assert_string_equal(text == NULL ? "none" : text, made);
    free(sql);
    free(text);
}

static void first_former_state_stays_and_what_was_made_is_the_latest(void **state)
{
    struct rig *r = *state;
    struct beside b;
    begin(r, &b);
    former_is(&b, 1, "none", "none");
    ok(&b, mydb_former_keep(&b.w, 1, "ALTER TABLE `o` COMMENT 'it''s'", NULL, &b.err));
    former_is(&b, 1, "ALTER TABLE `o` COMMENT 'it''s'", "none");
    ok(&b, mydb_former_keep(&b.w, 1, "another", "made \\ by us", &b.err));
    former_is(&b, 1, "ALTER TABLE `o` COMMENT 'it''s'", "made \\ by us");
    ok(&b, mydb_former_forget(&b.w, &b.err));
    former_is(&b, 1, "none", "none");
    end(&b);
}

/* An agent that was killed between the statement and its confirmation: who finds the step done confirms it. */
static void what_was_on_its_way_out_of_sight_is_hidden_once_the_step_is_found_done(void **state)
{
    struct rig *r = *state;
    struct beside b;
    struct mydb_hidden h = {.kind = "table",
                            .table = "orders",
                            .name = "orders",
                            .hidden_name = "zdm_trash_1",
                            .definition = "",
                            .state = "hiding"};
    begin(r, &b);
    ok(&b, mydb_hidden_put(&b.w, 1, &h, &b.err));
    ok(&b, mydb_hidden_show(&b.w, &b.err));
    assert_int_equal(b.result.n_hidden, 0);
    rig_sql(r, "RENAME TABLE orders TO zdm_trash_1");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    struct agent_result *signals = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(signals->n_hidden, 1);
    assert_string_equal(signals->hidden[0].what, "table orders");
    assert_string_equal(signals->hidden[0].migration, r->plan->id);
    assert_int_equal(signals->hidden[0].scans, -1);
    assert_false(signals->hidden[0].by_rollback);
    agent_result_free(signals);
    end(&b);
}

static void grace_counts_from_the_time_that_was_kept(void **state)
{
    struct rig *r = *state;
    struct beside b;
    struct mydb_hidden h = {.kind = "column", .table = "orders", .name = "c", .hidden_name = "c", .definition = "d'\\"};
    struct mydb_hidden *list = NULL;
    size_t n = 0;
    int64_t now_ms = 0, wait_ms = 0;
    begin(r, &b);
    ok(&b, mydb_clock(b.s, &now_ms, &b.err));
    h.hidden_at_ms = now_ms - 50000;
    ok(&b, mydb_hidden_put(&b.w, 1, &h, &b.err));
    ok(&b, mydb_hidden_list(&b.w, 1, "column", &list, &n, &b.err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].hidden_at_ms, now_ms - 50000);
    assert_string_equal(list[0].definition, "d'\\");
    assert_null(list[0].back_sql);
    assert_string_equal(list[0].state, "hidden");
    assert_false(mydb_hidden_is_due(&b.w, &list[0], now_ms, &wait_ms));
    assert_int_equal(wait_ms, 10000);
    assert_true(mydb_hidden_is_due(&b.w, &list[0], now_ms + 10000, &wait_ms));
    b.op.purge_now = true;
    assert_true(mydb_hidden_is_due(&b.w, &list[0], now_ms, &wait_ms));
    mydb_hidden_free(list, n);
    h.hidden_at_ms = 0; /* from now on */
    ok(&b, mydb_hidden_put(&b.w, 1, &h, &b.err));
    ok(&b, mydb_hidden_list(&b.w, 0, NULL, &list, &n, &b.err));
    assert_int_equal(n, 1);
    assert_true(list[0].hidden_at_ms >= now_ms && list[0].hidden_at_ms < now_ms + 30000);
    mydb_hidden_free(list, n);
    ok(&b, mydb_hidden_list(&b.w, 2, NULL, &list, &n, &b.err));
    assert_int_equal(n, 0);
    mydb_hidden_free(list, n);
    ok(&b, mydb_hidden_forget(&b.w, 1, NULL, NULL, &b.err));
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
    end(&b);
}

static void tables_of_what_was_kept_are_shown_with_their_size(void **state)
{
    struct rig *r = *state;
    struct beside b;
    struct mydb_hidden h = {.kind = "images", .table = "orders", .name = "undo_1", .definition = ""};
    char name[80];
    begin(r, &b);
    snprintf(name, sizeof name, "undo_%s", r->database);
    h.hidden_name = name;
    ok(&b, mydb_hidden_put(&b.w, 1, &h, &b.err));
    ok(&b, mydb_hidden_show(&b.w, &b.err));
    assert_string_equal(b.result.hidden[0].what, "before-images of orders (gone)");
    free(b.result.hidden);
    rig_sql(r, "CREATE TABLE zdm.%s (id int PRIMARY KEY)", name);
    h.definition = MYDB_HOLDS_ROWS;
    ok(&b, mydb_hidden_put(&b.w, 1, &h, &b.err));
    ok(&b, mydb_hidden_show(&b.w, &b.err));
    assert_string_equal(b.result.hidden[0].what, "deleted rows of orders (16 kB)");
    rig_sql(r, "DROP TABLE zdm.%s", name);
    end(&b);
}

/* The words that a rollback under way has for people, read by a process that has just started. */
static void remarks_of_a_rollback_are_read_back(void **state)
{
    struct rig *r = *state;
    struct beside b;
    begin(r, &b);
    rig_sql(r, "INSERT INTO zdm.walk_back (home, migration, step, rows_told, told, rows_left, why_left, `over`) SELECT"
               " home, migration, 2, 1204, 'brought back', 1, 'left', 1 FROM zdm.migration WHERE home = DATABASE()");
    rig_sql(r, "INSERT INTO zdm.hidden (home, migration, step, table_name, kind, name, hidden_name, definition, state,"
               " remark) SELECT home, migration, 1, 't', 'column', 'c', 'c', '', 'back', 'c lost its check' FROM"
               " zdm.migration WHERE home = DATABASE()");
    rig_reload(r);
    assert_string_equal(r->row.remark, "");
    rig_sql(r, "UPDATE zdm.migration SET undo_nonce = UNHEX(REPEAT('ab', 16)) WHERE home = DATABASE()");
    rig_reload(r);
    assert_string_equal(r->row.remark, "1,204 rows were brought back; 1 row was left; c lost its check");
    rig_sql(r, "UPDATE zdm.walk_back SET rows_kept = 1002, why_kept = 'kept: no' WHERE home = DATABASE()");
    rig_reload(r);
    assert_string_equal(r->row.remark,
                        "1,204 rows were brought back; 1 row was left; 1,002 rows were kept: no; c lost its check");
    end(&b);
}

RIG_MAIN(RIG_TEST(what_is_owned_is_one_migrations), RIG_TEST(first_former_state_stays_and_what_was_made_is_the_latest),
         RIG_TEST(what_was_on_its_way_out_of_sight_is_hidden_once_the_step_is_found_done),
         RIG_TEST(grace_counts_from_the_time_that_was_kept),
         RIG_TEST(tables_of_what_was_kept_are_shown_with_their_size), RIG_TEST(remarks_of_a_rollback_are_read_back))
