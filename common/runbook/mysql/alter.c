/*
 * alter.c - ALTER TABLE, action by action: each becomes steps of its own, which ask for their lock alone.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* ---- ADD ---- */

/* Behind [CONSTRAINT [n]]: UNIQUE, FOREIGN KEY, CHECK, PRIMARY KEY. */
static void add_constraint(struct my_action *a, const char *name)
{
    struct my *m = a->m;
    size_t token = m->at;
    if (my_take(m, "foreign key")) {
        my_add_foreign_key(a, name, NULL);
    } else if (my_take(m, "unique")) {
        struct my_index index = {.name = name, .unique = true};
        (void)(my_take(m, "index") || my_take(m, "key"));
        if (name != NULL && (my_peek(m, 0)->kind == MY_NAME || my_peek(m, 0)->kind == MY_WORD) && !my_is(m, 0, "using"))
            index.name = my_name(m, "the name of an index");
        if (my_index_parts(m, &a->d.table, &index))
            my_add_index(a, &index);
    } else if (my_take(m, "primary key")) {
        my_fail(m, "primary-key", my_place(m, token),
                "Make a new table with the key, fill it from the application, and change over.",
                "a PRIMARY KEY that is added writes the whole table anew");
    } else if (my_take(m, "check")) {
        my_fail(m, "copies", my_place(m, token),
                my_recipe(m->rb, a->d.source, "Let the application keep the rule, and prove it with a check."),
                "MySQL and MariaDB add a CHECK by copying the whole table under a lock");
    } else {
        my_unexpected(m, "UNIQUE, FOREIGN KEY, CHECK or PRIMARY KEY");
    }
}

static void add_index(struct my_action *a)
{
    struct my *m = a->m;
    struct my_index index = {.fulltext = my_take(m, "fulltext")};
    index.spatial = my_take(m, "spatial");
    (void)(my_take(m, "index") || my_take(m, "key"));
    (void)my_if_not_exists(m, "an index of that name");
    if (my_index_parts(m, &a->d.table, &index))
        my_add_index(a, &index);
}

/* ADD (a int, b int): a column each. */
static void add_columns(struct my_action *a)
{
    struct my *m = a->m;
    if (!my_take_sign(m, "(")) {
        my_add_column(a);
        return;
    }
    do {
        my_add_column(a);
    } while (!m->failed && my_take_sign(m, ","));
    my_need_sign(m, ")");
}

static void add(struct my_action *a)
{
    static const char *const constraints[] = {"unique", "primary", "foreign", "check"};
    struct my *m = a->m;
    if (my_is(m, 0, "partition")) {
        my_fail(m, "partitioning", my_place(m, a->from), "Change partitions by hand, or make the table anew.",
                "partitions are not part of a plan for MySQL and MariaDB");
        return;
    }
    if (my_take(m, "constraint")) {
        bool bare = false;
        for (size_t i = 0; i < sizeof constraints / sizeof constraints[0]; i++)
            bare = bare || my_is(m, 0, constraints[i]);
        (void)my_if_not_exists(m, "a constraint of that name");
        add_constraint(a, bare ? NULL : my_name(m, "the name of a constraint"));
        return;
    }
    for (size_t i = 0; i < sizeof constraints / sizeof constraints[0]; i++) {
        if (my_is(m, 0, constraints[i])) {
            add_constraint(a, NULL);
            return;
        }
    }
    if (my_is(m, 0, "index") || my_is(m, 0, "key") || my_is(m, 0, "fulltext") || my_is(m, 0, "spatial")) {
        add_index(a);
        return;
    }
    (void)my_take(m, "column");
    add_columns(a);
}

/* ---- DROP ---- */

static void drop(struct my_action *a)
{
    struct my *m = a->m;
    bool index = my_take(m, "index") || my_take(m, "key"), foreign = !index && my_take(m, "foreign key");
    bool check = !index && !foreign && my_take(m, "check");
    bool constraint = !index && !foreign && !check && my_take(m, "constraint");
    if (my_is(m, 0, "primary") && my_is(m, 1, "key")) {
        my_fail(m, "primary-key", my_here(m),
                "Make a new table with the other key, and let the application change over.",
                "a table without its PRIMARY KEY is written anew");
    } else if (my_is(m, 0, "partition")) {
        my_fail(m, "partitioning", my_place(m, a->from), "Change partitions by hand, or make the table anew.",
                "partitions are not part of a plan for MySQL and MariaDB");
    } else if (index || foreign || check || constraint) {
        my_refuse_if_exists(m);
        struct rb_place at = my_here(m);
        const char *name = my_name(m, "a name");
        if (index)
            my_drop_key(a, name, at);
        else
            my_lift_constraint(a, name, at, !foreign);
    } else {
        (void)my_take(m, "column");
        my_drop_column(a);
    }
}

/* ---- the rest ---- */

static void refuse_rename(struct my_action *a)
{
    struct my *m = a->m;
    if (my_is(m, 0, "index") || my_is(m, 0, "key")) {
        my_fail(m, "rename-index", my_place(m, a->from),
                "Leave it as it is called, or build a second one under the new name and drop the old one in Contract.",
                "the name of an index may stand in hints of the application's queries");
        return;
    }
    if (my_take(m, "column")) {
        my_rename_column(a);
        return;
    }
    (void)(my_take(m, "to") || my_take(m, "as"));
    const char *name = my_name(m, "the new name");
    if (!m->failed)
        my_fail(m, "rename-table", my_place(m, a->from),
                my_recipe(m->rb, a->d.source, "Keep the name, or let a view have the new one until all code uses it."),
                "code that runs while %s becomes %s would fail: it knows one of the names only", a->d.table.name, name);
}

struct refusal {
    const char *word, *rule, *what, *hint;
};

static const char itself_hint[] =
    "Leave it out: the agent asks the server for the gentlest way that it has, and refuses a copy.";
static const char copy_hint[] =
    "Make a new table, or a new column, and let the application change over: docs/RUNBOOKS.md, MySQL and MariaDB.";
static const char by_hand[] = "Change partitions by hand, or make the table anew.";
static const char writes_anew[] = "this writes the whole table anew";
static const char partitions[] = "partitions are not part of a plan for MySQL and MariaDB";

static const struct refusal refusals[] = {
    {"algorithm", "stated-itself", "how a change is made a plan says itself", itself_hint},
    {"lock", "stated-itself", "what a change locks a plan says itself", itself_hint},
    {"convert", "convert", "another character set of all columns writes the whole table anew",
     "Add a column in the new character set for each that needs it: ADD COLUMN name_new varchar(255) CHARACTER SET "
     "utf8mb4; fill it with an UPDATE, let the application change over, drop the old one in Contract."},
    {"character", "table-option", "the character set of columns to come is another one on a shard that missed it",
     "Write CHARACTER SET behind each column that is added."},
    {"charset", "table-option", "the character set of columns to come is another one on a shard that missed it",
     "Write CHARACTER SET behind each column that is added."},
    {"default", "table-option", "the character set of columns to come is another one on a shard that missed it",
     "Write CHARACTER SET behind each column that is added."},
    {"collate", "table-option", "the collation of columns to come is another one on a shard that missed it",
     "Write COLLATE behind each column that is added."},
    {"engine", "copies", writes_anew, copy_hint},
    {"force", "copies", writes_anew, copy_hint},
    {"order", "copies", writes_anew, "Leave it out: InnoDB keeps rows in the order of the key."},
    {"row_format", "copies", writes_anew, copy_hint},
    {"key_block_size", "copies", writes_anew, copy_hint},
    {"auto_increment", "table-option", "the next number is another one on each shard",
     "Leave it out; where numbers must jump, set it by hand on each shard."},
    {"tablespace", "copies", writes_anew, copy_hint},
    {"discard", "table-option", "tablespaces are not part of a plan", "Leave it out."},
    {"import", "table-option", "tablespaces are not part of a plan", "Leave it out."},
    {"disable", "table-option", "DISABLE KEYS means nothing to InnoDB", "Leave it out."},
    {"enable", "table-option", "ENABLE KEYS means nothing to InnoDB", "Leave it out."},
    {"with", "table-option", "validation of partitions is not part of a plan", "Leave it out."},
    {"without", "table-option", "validation of partitions is not part of a plan", "Leave it out."},
    {"partition", "partitioning", partitions, by_hand},
    {"remove", "partitioning", partitions, by_hand},
    {"coalesce", "partitioning", partitions, by_hand},
    {"reorganize", "partitioning", partitions, by_hand},
    {"exchange", "partitioning", partitions, by_hand},
    {"truncate", "partitioning", partitions, by_hand},
    {"analyze", "partitioning", partitions, by_hand},
    {"optimize", "partitioning", partitions, by_hand},
    {"rebuild", "partitioning", partitions, by_hand},
    {"repair", "partitioning", partitions, by_hand},
};

static void refuse(struct my_action *a)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (my_is(a->m, 0, refusals[i].word)) {
            my_fail(a->m, refusals[i].rule, my_here(a->m), refusals[i].hint, "%s", refusals[i].what);
            return;
        }
    }
    my_unexpected(a->m, "ADD, DROP, MODIFY, CHANGE, ALTER COLUMN or COMMENT");
}

static void action(struct my_action *a)
{
    struct my *m = a->m;
    if (my_take(m, "add")) {
        add(a);
    } else if (my_take(m, "drop")) {
        drop(a);
    } else if (my_take(m, "modify") || my_take(m, "change")) {
        bool change = rb_same_word(m->tokens[m->at - 1].value, "change");
        (void)my_take(m, "column");
        my_refuse_if_exists(m);
        my_change_column(a, change);
    } else if (my_take(m, "alter")) {
        my_alter_column(a);
    } else if (my_take(m, "rename")) {
        refuse_rename(a);
    } else if (my_take(m, "comment")) {
        (void)my_take_sign(m, "=");
        const char *text = my_text(m, "a text");
        if (!m->failed)
            my_comment(a, my_literal(m->rb, text));
    } else {
        refuse(a);
    }
}

/* What people see as the source of its steps. */
static const char *source(const struct my_action *a, size_t n)
{
    const struct my *m = a->m;
    size_t end = a->from, depth = 0;
    for (; end < m->n && (depth > 0 || m->tokens[end].kind != MY_SIGN || strcmp(m->tokens[end].value, ",") != 0);
         end++) {
        depth += m->tokens[end].kind == MY_SIGN && strcmp(m->tokens[end].value, "(") == 0;
        depth -= depth > 0 && m->tokens[end].kind == MY_SIGN && strcmp(m->tokens[end].value, ")") == 0;
    }
    if (n == 0 && end == m->n)
        return m->s.sql;
    return rb_format(m->rb, "ALTER TABLE %s %s", rb_table_text(m->rb, &a->d.table), my_source(m, a->from, end));
}

void my_alter_table(struct my *m)
{
    struct rb_table table;
    if (my_take(m, "online") || my_take(m, "ignore"))
        my_fail(m, "ignore", my_place(m, m->at - 1), "Leave it out.",
                "ALTER %s TABLE is MariaDB's alone, and may throw rows away", m->tokens[m->at - 1].value);
    my_need(m, "table");
    if (my_is(m, 0, "if"))
        my_fail(m, "alter-if-exists", my_here(m), "Leave IF EXISTS out: every shard must have what the plan changes.",
                "a table that may not be there is no part of a plan");
    if (m->failed || !my_table(m, &table))
        return;
    if (my_is(m, 0, "wait") || my_is(m, 0, "nowait"))
        my_fail(m, "stated-itself", my_here(m), itself_hint, "how long a change waits a plan says itself");
    if (!m->failed && my_peek(m, 0)->kind == MY_END)
        my_unexpected(m, "what shall be changed");
    for (size_t n = 0; !m->failed; n++) {
        struct my_action a = {.m = m, .d = my_ddl(m, &table), .from = m->at};
        a.d.source = source(&a, n);
        a.d.body = m->tokens[m->at].start;
        if (n > 0)
            a.d.from = a.d.body;
        action(&a);
        if (m->failed || my_peek(m, 0)->kind == MY_END)
            return;
        if (my_is(m, 0, "partition") || my_is(m, 0, "remove"))
            my_fail(m, "partitioning", my_here(m), by_hand, "%s", partitions);
        else
            my_need_sign(m, ",");
    }
}
