/*
 * refuse.c - every statement that a runbook for MySQL and MariaDB cannot hold: why not, and what to write instead.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

struct refusal {
    const char *words, *rule, *what, *hint; /* hint NULL: the as-is form of the statement */
};

static const char in_transaction[] = "a transaction around steps would hold its locks from the first to the last";
static const char leave_transaction[] =
    "Leave it out: each step is a transaction of its own and can be repeated; DDL commits by itself.";
static const char settings[] = "sessions of the agent have settings of their own";
static const char routine[] = "what a routine does is not known to a plan";
static const char rights[] = "rights are not part of a plan";
static const char accounts[] = "accounts belong to the whole server, not to one database";
static const char by_hand[] = "Do it by hand, or with what sets the server up.";

static const struct refusal rows[] = {
    {"select", "select", "a SELECT changes nothing",
     "Write ```sql {check} where the query must return no row, or keep it as documentation with the language text."},
    {"with", "select", "a SELECT changes nothing", "Write ```sql {check} where the query must return no row."},
    {"insert", "insert", "rows that an INSERT adds cannot be kept in step or undone", NULL},
    {"replace", "replace", "REPLACE deletes rows and inserts others, with triggers and foreign keys of both",
     "Write UPDATE … SET, which is run in batches; insert from the application."},
    {"load", "copy", "LOAD DATA moves rows in, which no plan can repeat", "Load the rows by hand between two phases."},
    {"import", "copy", "IMPORT moves tables in, which no plan can repeat", "Do it by hand between two phases."},
    {"truncate", "truncate", "TRUNCATE locks the table and destroys its rows",
     "Write DELETE FROM … WHERE true, which keeps the rows for a rollback; or DROP TABLE in the contract phase."},
    {"begin", "transaction", in_transaction, leave_transaction},
    {"start transaction", "transaction", in_transaction, leave_transaction},
    {"commit", "transaction", in_transaction, leave_transaction},
    {"rollback", "transaction", in_transaction, leave_transaction},
    {"savepoint", "transaction", in_transaction, leave_transaction},
    {"release", "transaction", in_transaction, leave_transaction},
    {"xa", "transaction", in_transaction, leave_transaction},
    {"set", "set", settings, "Leave SET out; throttle: in the front matter says how fast the work may go."},
    {"use", "set", settings, "Leave USE out: an agent works in the database that it is connected to."},
    {"lock", "lock", "a lock of one's own would stall the application",
     "Leave LOCK out: each step takes the lock it needs, for at most 100 ms at a time."},
    {"unlock", "lock", "a lock of one's own would stall the application", "Leave UNLOCK out."},
    {"flush", "lock", "FLUSH stops every table that it names", "Leave it out."},
    {"call", "call", "what a procedure does cannot be known, batched or undone", "Write the statements themselves."},
    {"do", "call", "what is called cannot be known, batched or undone", "Write the statements themselves."},
    {"create view", "view", "what a view means is not known to a plan", NULL},
    {"create or replace view", "view", "what a view means is not known to a plan", NULL},
    {"create algorithm", "view", "what a view means is not known to a plan", NULL},
    {"create sql", "view", "what a view means is not known to a plan", NULL},
    {"alter view", "view", "what a view means is not known to a plan", NULL},
    {"drop view", "view", "what a view means is not known to a plan", NULL},
    {"create trigger", "trigger", "a trigger of one's own changes every write of the application", NULL},
    {"drop trigger", "trigger", "a trigger of one's own changes every write of the application", NULL},
    {"create procedure", "function", routine, NULL},
    {"create function", "function", routine, NULL},
    {"create event", "function", routine, NULL},
    {"drop procedure", "function", routine, NULL},
    {"drop function", "function", routine, NULL},
    {"drop event", "function", routine, NULL},
    {"alter event", "function", routine, NULL},
    {"create definer", "function", routine, NULL},
    {"create sequence", "sequence-statement", "sequences are MariaDB's alone, and not part of a plan", NULL},
    {"alter sequence", "sequence-statement", "sequences are MariaDB's alone, and not part of a plan", NULL},
    {"drop sequence", "sequence-statement", "sequences are MariaDB's alone, and not part of a plan", NULL},
    {"create database", "schema-statement", "databases are not part of a plan", by_hand},
    {"create schema", "schema-statement", "databases are not part of a plan", by_hand},
    {"alter database", "schema-statement", "databases are not part of a plan", by_hand},
    {"alter schema", "schema-statement", "databases are not part of a plan", by_hand},
    {"drop database", "schema-statement", "DROP DATABASE takes everything away", by_hand},
    {"drop schema", "schema-statement", "DROP SCHEMA takes everything away", by_hand},
    {"grant", "grant", rights, NULL},
    {"revoke", "grant", rights, NULL},
    {"create user", "role", accounts, by_hand},
    {"alter user", "role", accounts, by_hand},
    {"drop user", "role", accounts, by_hand},
    {"rename user", "role", accounts, by_hand},
    {"create role", "role", accounts, by_hand},
    {"drop role", "role", accounts, by_hand},
    {"optimize", "maintenance", "OPTIMIZE writes the whole table anew", "Leave it out."},
    {"repair", "maintenance", "REPAIR is not for InnoDB", "Leave it out."},
    {"analyze", "maintenance", "ANALYZE is no part of a migration", "Run it by hand between two phases."},
    {"check table", "maintenance", "CHECK TABLE is no part of a migration", "Run it by hand between two phases."},
    {"checksum", "maintenance", "CHECKSUM is no part of a migration", "Run it by hand between two phases."},
    {"prepare", "prepare", "what is prepared stays in the agent's session", "Write the statement itself."},
    {"execute", "prepare", "what is prepared stays in the agent's session", "Write the statement itself."},
    {"deallocate", "prepare", "what is prepared stays in the agent's session", "Leave it out."},
    {"show", "select", "SHOW changes nothing", "Leave it out."},
    {"describe", "select", "DESCRIBE changes nothing", "Leave it out."},
    {"desc", "select", "DESCRIBE changes nothing", "Leave it out."},
    {"explain", "select", "EXPLAIN changes nothing", "Leave it out."},
    {"kill", "statement", "KILL ends the application's sessions", "Leave it out."},
    {"source", "statement", "SOURCE is a word of the client program, not of SQL", "Write the statements themselves."},
};

static const struct refusal other = {"", "statement", "this statement is not one that a plan knows", NULL};

/* RENAME TABLE a TO b. */
void my_rename_table(struct my *m)
{
    my_need(m, "table");
    struct rb_table table;
    struct rb_place at = rb_at_start(&m->s);
    if (m->failed || !my_table(m, &table))
        return;
    my_need(m, "to");
    const char *to = my_name(m, "the new name");
    if (!m->failed)
        my_fail(m, "rename-table", at,
                my_recipe(m->rb, m->s.sql, "Keep the name, or let a view have the new one until all code uses it."),
                "code that runs while %s becomes %s would fail: it knows one of the names only", table.name, to);
}

void my_refuse(struct my *m)
{
    const struct refusal *found = &other;
    m->at = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && found == &other; i++) {
        size_t at = m->at;
        if (my_take(m, rows[i].words))
            found = &rows[i];
        m->at = at;
    }
    if (found == &other && m->rb->neutral) {
        rb_not_neutral(m->rb, rb_at_start(&m->s), "MySQL and MariaDB do not know this statement");
        return;
    }
    my_fail(m, found->rule, rb_at_start(&m->s),
            found->hint != NULL ? found->hint
                                : rb_format(m->rb,
                                            "Where it must be, write it as it is, with its check and its way back:\n\n"
                                            "```sql {as-is lock=short}\n%s;\n```\n```sql {check}\nSELECT 1 WHERE …;\n"
                                            "```\n```sql {rollback}\n…;\n```",
                                            m->s.sql),
            "%s", found->what);
}
