/*
 * runbook.h - the compiler: a Markdown runbook -> the plan that is signed, and the notes that are shown.
 *
 * Pure but for memory: the same file name and text give the same plan, byte for byte, on every machine; no clock, no
 * catalogue, no files. What only a database can tell (types, constraints, dependents) is decided by the agent before
 * it touches anything.
 *
 * Threads: any number of compilations at once, each on one thread. Memory: cmark and libpg_query end the process when
 * there is none, and so does this library.
 */
#ifndef ZDM_RUNBOOK_RUNBOOK_H
#define ZDM_RUNBOOK_RUNBOOK_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/plan/notes.h"
#include "common/plan/plan.h"

enum { ZDM_RUNBOOK_MAX = 256 * 1024 }; /* bytes of a runbook */

/*
 * Compiles n bytes of text. file_name may have folders in front; its base name without ".md" is the migration's id when
 * the front matter gives none.
 *
 * ZDM_OK: *out_notes holds the findings, sorted by position, and *out_plan the plan; where a finding is an error
 * *out_plan is NULL, and the notes hold findings only. The plan's digests are not filled: encoding does that.
 * ZDM_LIMIT: the text is too long to look at. Nothing is written on failure. The caller frees both.
 */
enum zdm_code zdm_runbook_compile(const char *file_name, const char *text, size_t n, struct zdm_plan **out_plan,
                                  struct zdm_notes **out_notes, struct zdm_error *err) ZDM_CHECKED;

/* The present type of a column, which is named as err->detail names it below. */
struct zdm_draft_type {
    const char *column, *type;
};

/* What is known beside the SQL. Each may be NULL. */
struct zdm_draft_options {
    const char *id;     /* of the migration; NULL: made from the SQL */
    const char *schema; /* of tables without one; NULL: public, and the front matter does not say it */
    const char *type;   /* present type of each column that is renamed or gets another type, and is not in types */
    const struct zdm_draft_type *types;
    size_t n_types;
    bool asks;        /* for a present type that makes a better draft, too, as for one that is needed */
    const char *file; /* what errors call the SQL, as in "0007.sql:3:1: …"; NULL: SQL */
    enum zdm_engine engine;
};

/*
 * Writes the runbook that does what the SQL says, step by step and without downtime: statements as a person or a
 * framework prints them (BEGIN and COMMIT are left out) become a whole runbook, with front matter, title, phases, and
 * prose that says what to do in the application. What it writes compiles.
 *
 * ZDM_OK: *out_text is the runbook; the caller frees it. ZDM_INVALID: the SQL cannot be read, or holds something that
 * no runbook does; message (with the place of the statement) and hint say what to do. ZDM_NOT_FOUND: the type of a
 * column is not known and must be given; err->detail is that column, as SCHEMA.TABLE.COLUMN without quotes.
 */
enum zdm_code zdm_runbook_draft(const char *sql, const struct zdm_draft_options *options, char **out_text,
                                struct zdm_error *err) ZDM_CHECKED;

#endif
