/*
 * compile.h - what the compiler's files share: the state of one compilation, positions, findings, memory.
 *
 * The way of a runbook through the files:
 *   runbook.c      the order of the stages: each goes on after an error, so that one run shows all of them
 *   source.c       text, lines, positions, findings, memory of the compilation
 *   frontmatter.c, yaml.c  YAML between the first "---" lines    -> struct rb_front
 *   markdown.c     headings and fences                            -> struct rb_phase, struct rb_fence
 *   attributes.c   {batch=2000 name=fill} behind a fence or heading
 *   statements.c   one SQL fence: split, parse, hand each statement to its kind
 *   as_is.c, wait.c, flag.c  statements as they are written, waits, gates
 *   derive.c, fill.c  what an UPDATE means, of either dialect    -> struct rb_step
 *   model.c        phases, steps and columns while they grow
 *   merge.c        the passes of a runbook for two engines, made one
 *   assemble.c     the end of syncs, purge phase, ordinals        -> struct zdm_plan, struct zdm_notes
 *   draft.c, draft_text.c  plain SQL -> a whole runbook
 *
 * In postgresql/, what is said of PostgreSQL's SQL (in mysql/ the same of MySQL's and MariaDB's: mysql/mysql.h):
 *   update.c, where.c, subquery.c, delete.c, check.c  rows; those of the schema: ddl.h
 *   expr.c, expr_write.c, tree.c, functions.c  expressions: what they read, whether they are allowed, written again
 *   own_table.c, settings.c  subqueries over the changed table; what a setting of the session decides
 *   names.c        names that PostgreSQL would choose
 *   refuse.c, recipes.c, proof.c  every other statement: why not, and what to write instead
 *   draft_*.c      the drafts, by the same recipes
 *
 * Beside it rules.c: the page of a rule in docs/RULES.md.
 *
 * Memory: everything but the plan and the notes lives in the compilation's arena and goes with it.
 */
#ifndef ZDM_RUNBOOK_COMPILE_H
#define ZDM_RUNBOOK_COMPILE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/limits.h"
#include "common/plan/notes.h"
#include "common/plan/plan.h"

enum {
    RB_FINDINGS_MAX = 200,   /* findings kept; the last one says that there are more */
    RB_FENCES_MAX = 512,     /* executed fences of a runbook */
    RB_STATEMENTS_MAX = 512, /* statements of a runbook */
    RB_TOKENS_MAX = 2000,    /* tokens of a statement: bounds the depth of its parse tree */
    RB_NAME_MAX = 14,        /* bytes of a fence's name: with ".999" it fits a step's id */
    RB_BATCH_MAX = 50000     /* rows of a batch */
};

/* A position in the runbook, from 1; columns count characters, not bytes. 0 0: the whole file. */
struct rb_place {
    uint32_t line, column;
};

struct rb_front {
    const char *id, *schema, *selector;
    struct rb_place schema_at; /* line 0: not stated */
    struct zdm_wave waves[ZDM_WAVES_MAX];
    size_t n_waves;
    int64_t soak_ms, grace_ms;
    uint32_t max_parallel, failure_budget;
    struct zdm_throttle throttle;
    unsigned engines;                   /* bits of enum zdm_engine that the runbook is for */
    int approvals[ZDM_PHASE_PURGE + 1]; /* by class; -1: not stated */
    struct rb_waiver *waivers;
    size_t n_waivers;
};

struct rb_attribute {
    const char *key, *value; /* value NULL for a bare word */
    struct rb_place at, value_at;
};

struct rb_attributes {
    struct rb_attribute *items;
    size_t n;
};

enum rb_fence_kind { RB_FENCE_SQL, RB_FENCE_FLAG, RB_FENCE_WAIT };

/* What an as-is fence says of its lock; none: it says nothing. */
enum rb_as_is { RB_AS_IS_NO, RB_AS_IS_SHORT, RB_AS_IS_LONG };

/* A finding that somebody knows of and lives with, from the front matter. */
struct rb_waiver {
    const char *rule, *reason;
    struct rb_place at;
};

struct rb_fence {
    enum rb_fence_kind kind;
    const char *text; /* what stands inside */
    uint32_t line;    /* of its first line inside */
    struct rb_place at;
    struct rb_attributes attributes;
    enum zdm_engine engine; /* that the fence is for; ANY: each engine of the runbook */
    /* Meaning of the attributes of an sql fence. */
    const char *name;
    const struct rb_fence *named_before; /* the one that got its name before this one did */
    uint32_t batch;
    bool sync, no_sync, no_undo, check, rollback;
    bool unguarded, publication_ok, skip_triggers, rewrite_ok; /* go to every step of the fence */
    bool visible;                                              /* MySQL: columns that it adds are seen at once */
    enum rb_as_is as_is;
};

struct rb_table {
    const char *schema, *name;
};

/* A step while the plan grows: references are pointers, ordinals come at the end. */
struct rb_step {
    struct zdm_step step;       /* parts malloc'd: they move into the plan */
    struct zdm_step_notes note; /* parts malloc'd */
    struct rb_fence *fence;     /* NULL for an implicit step */
    struct rb_step *superseded; /* SYNC_INSTALL: the step that ends it */
    struct rb_step *sync;
    const struct rb_step *cause; /* the step whose fence's attributes this implicit one has; NULL for none */
    struct rb_step *next;
};

struct rb_phase {
    enum zdm_phase_class class;
    const char *title;
    const char *prose;
    struct rb_place at;
    struct rb_fence **fences;
    size_t n_fences;
    struct rb_step *first, *last;
    struct rb_phase *next;
};

/* What the plan says of a column so far. */
struct rb_column {
    struct rb_table table;
    const char *name;
    struct rb_place at;
    const char *type; /* PostgreSQL: the name of its type, where that is one of pg_catalog and known; else NULL */
    bool added;
    bool created;          /* with its table */
    bool not_null;         /* was added so */
    bool has_default;      /* of this runbook, and rows that exist do not all hold it: new rows do */
    const char *initial;   /* SQL literal; NULL: SQL NULL */
    bool filled;           /* is the target of an UPDATE */
    struct rb_step *sync;  /* the sync whose target it is */
    struct rb_step *check; /* SET NOT NULL: its step */
    struct rb_step *hide;
    struct rb_column *next;
};

struct rb_index {
    struct rb_table table;
    const char *name;
    const char **columns;
    size_t n_columns;
    size_t n_keys; /* of them, the first ones; the rest is INCLUDEd or read by expressions and the condition */
    bool unique;
    const char *unfit; /* why it cannot become a constraint's; NULL */
    const struct rb_phase *phase;
    struct rb_place at;
    struct rb_index *next;
};

struct rb_sync {
    struct rb_step *install;
    struct rb_step *compare, *again; /* at the end of its phase; where the sync ends. NULL for none */
    struct rb_phase *phase;
    struct rb_place at;
    struct rb_sync *next;
};

/* An UPDATE without triggers of columns that the runbook adds, as far as it can be computed again. */
struct rb_fill {
    const struct rb_step *backfill;
    struct zdm_derivation *compared; /* moves into the step that compares */
    struct rb_phase *phase;
    struct rb_fill *next;
};

struct rb_chunk;
struct rb_tree;
struct rb_object; /* ddl.h */

/* One pass over the text, for one engine: a runbook for two has two, merged at the end (merge.c). */
struct rb {
    enum zdm_engine engine; /* of this pass; known once the front matter is read */
    bool neutral;           /* the fence at hand is compiled for each of several engines: the common subset alone */
    const char *file;       /* base name */
    const char *text;
    size_t n;
    size_t body; /* where the Markdown begins */
    size_t *lines;
    size_t n_lines;
    struct rb_front front;
    const char *title;
    struct rb_phase *phases, *last_phase;
    size_t n_fences, n_statements, n_steps;
    const struct rb_fence *named; /* the last fence with a name */
    struct rb_column *columns;
    struct rb_index *indexes;
    struct rb_object *objects;
    struct rb_sync *syncs;
    struct rb_fill *fills;
    struct zdm_finding *findings;
    size_t n_findings, findings_cap, n_errors;
    struct rb_chunk *chunks;
    struct rb_tree *trees;
};

/* ---- source.c ---- */

/* Memory of the compilation, zeroed. Never NULL. */
void *rb_alloc(struct rb *rb, size_t n);
char *rb_copy(struct rb *rb, const char *text, size_t n);
char *rb_format(struct rb *rb, const char *fmt, ...) ZDM_PRINTF(2, 3);
/* Memory that moves into the plan. Never NULL (except rb_dup(NULL)). */
void *rb_heap(size_t n);
char *rb_dup(const char *text);
/* The buffer's text as memory of the compilation; empties the buffer. */
char *rb_take(struct rb *rb, struct zdm_buffer *b);
void rb_fini(struct rb *rb);

/* Line starts; false with a finding when the text is not what a runbook can be (UTF-8, no NUL). */
bool rb_source_open(struct rb *rb);
/* A line without its end, from 1. */
const char *rb_line(const struct rb *rb, uint32_t line, size_t *out_n);
/* The place of a byte of a line (0: the first). */
struct rb_place rb_place_in_line(const struct rb *rb, uint32_t line, size_t byte);
/* The place of a byte of a fence's text. */
struct rb_place rb_place_in_fence(const struct rb *rb, const struct rb_fence *fence, size_t byte);

/* Letters, blanks and case of ASCII alone: what a plan says must not depend on the locale of who compiles it. */
bool rb_is_letter(char c);
bool rb_is_blank(char c);
char rb_lower(char c);
/* Do the first n bytes of both agree but for case? False when one ends before. */
bool rb_same_start(const char *a, const char *b, size_t n);
bool rb_same_word(const char *a, const char *b);

/* Moves a finding from another pass into this one. */
void rb_finding_move(struct rb *rb, struct zdm_finding *finding);
/* Adds a finding. hint may be NULL. */
void rb_report(struct rb *rb, enum zdm_level level, const char *rule, struct rb_place at, const char *hint,
               const char *fmt, ...) ZDM_PRINTF(6, 7);
#define rb_error(rb, rule, at, hint, ...)   rb_report(rb, ZDM_LEVEL_ERROR, rule, at, hint, __VA_ARGS__)
#define rb_warning(rb, rule, at, hint, ...) rb_report(rb, ZDM_LEVEL_WARNING, rule, at, hint, __VA_ARGS__)
#define rb_note(rb, rule, at, hint, ...)    rb_report(rb, ZDM_LEVEL_NOTE, rule, at, hint, __VA_ARGS__)

/* The nearest of the words (NULL-terminated list) when it is near enough to be a typing error, else NULL. */
const char *rb_nearest(const char *word, const char *const *words);
/* "50ms", "1h30m", "3d" -> ms; false when it is no duration. */
bool rb_duration(const char *text, int64_t *out_ms);
/* Digits only, at most max. */
bool rb_number(const char *text, uint32_t max, uint32_t *out);
/* "25%" -> 25; 1 to 100. */
bool rb_percent(const char *text, uint32_t *out);

/* ---- frontmatter.c, markdown.c, attributes.c, flag.c ---- */
void rb_front_read(struct rb *rb);
void rb_markdown_read(struct rb *rb);
/* Reads `{…}` in line `line` from byte `start`, which is '{', to byte `end`. False with a finding. */
bool rb_attributes_read(struct rb *rb, uint32_t line, size_t start, size_t end, struct rb_attributes *out);
/* Gives the attributes of an sql fence their meaning. False with findings. */
bool rb_attributes_of_sql(struct rb *rb, struct rb_fence *fence);
/* An attribute engine=…: false with a finding. */
bool rb_attribute_engine(struct rb *rb, struct rb_fence *fence, const struct rb_attribute *a);
/* The bit of an engine as people write it; ZDM_ENGINE_ANY: none. */
enum zdm_engine rb_engine_of(const char *name);
/* Is the runbook for more than one engine? */
bool rb_has_several(const struct rb *rb);
/* Where that attribute stands, or the fence where it does not. */
struct rb_place rb_attribute_place(const struct rb_fence *fence, const char *key);
void rb_flag_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence);
/* A YAML mapping of scalars, sequences and mappings of scalars; `base` is the line before its first. */
struct rb_yaml;
typedef void rb_yaml_key(struct rb *rb, struct rb_yaml *yaml, const char *key, struct rb_place at, void *ctx);
bool rb_yaml_read(struct rb *rb, const char *text, size_t n, const struct rb_fence *fence, uint32_t base,
                  rb_yaml_key *on_key, void *ctx);
/* The value of the key at hand: NULL when it is no scalar (with a finding that says what was expected). */
const char *rb_yaml_scalar(struct rb *rb, struct rb_yaml *yaml, const char *expected, struct rb_place *out_at);
/* Walks a sequence of scalars, or one scalar as a sequence of one. */
typedef void rb_yaml_item(struct rb *rb, const char *value, struct rb_place at, void *ctx);
void rb_yaml_sequence(struct rb *rb, struct rb_yaml *yaml, const char *expected, rb_yaml_item *on_item, void *ctx);
/* Walks a mapping of scalars. */
typedef void rb_yaml_pair(struct rb *rb, const char *key, struct rb_place at, const char *value,
                          struct rb_place value_at, void *ctx);
void rb_yaml_mapping(struct rb *rb, struct rb_yaml *yaml, const char *expected, rb_yaml_pair *on_pair, void *ctx);

/* ---- statements.c, as_is.c, wait.c: each hands MySQL's text to mysql/mysql.h ---- */
void rb_sql_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence);
/* The as-is fence at `i` of the phase with the check and the way back behind it; returns how many fences that were.
 * One of another engine is passed by. */
size_t rb_as_is_compile(struct rb *rb, struct rb_phase *phase, size_t i);
/* What an as-is fence runs, as its dialect reads it. */
enum { RB_AS_IS_TABLES_MAX = 64 };
struct rb_as_is_text {
    const char *sql;
    size_t n_statements;
    struct rb_table tables[RB_AS_IS_TABLES_MAX]; /* that it names, each once, but not those that it makes */
    size_t n_tables;
};
void rb_wait_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence);
/* An error of a fence without engine= in a runbook for several: what is not the same in each of them. */
void rb_not_neutral(struct rb *rb, struct rb_place at, const char *fmt, ...) ZDM_PRINTF(3, 4);
/* An error for a statement that made no step and was not refused: no statement vanishes from a plan. Counts from before
 * it. */
void rb_judge_nothing(struct rb *rb, struct rb_place at, size_t steps, size_t findings);
/* What to write instead of a statement that no kind covers: the as-is form of exactly that statement. */
const char *rb_as_is_hint(struct rb *rb, const char *sql);

/* ---- model of the plan so far (model.c) ---- */
struct rb_phase *rb_phase_add(struct rb *rb, enum zdm_phase_class class, const char *title, const char *prose,
                              struct rb_place at);
/* Appends a step of the pass's engine; the note's texts are empty. */
struct rb_step *rb_step_add(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, enum zdm_step_kind kind,
                            enum zdm_action action, enum zdm_lock_class lock);
/* Frees what would have moved into the plan. */
void rb_step_free(struct rb_step *step);
/* MySQL's tables have the schema "". */
void rb_step_table(struct rb_step *step, const struct rb_table *table);
/* Appends a table to what the step's statement locks too (once). */
void rb_step_other(struct rb_step *step, const struct rb_table *table);
/* What is shown of it. does and lock are formatted copies. */
void rb_step_does(struct rb_step *step, const char *fmt, ...) ZDM_PRINTF(2, 3);
bool rb_same_table(const struct rb_table *a, const struct rb_table *b);
/* The column of the plan's model, made when it is not there yet. */
struct rb_column *rb_column_of(struct rb *rb, const struct rb_table *table, const char *name);
/* The name as people would write it: bare where the pass's engine reads it so, else quoted. */
const char *rb_plain(struct rb *rb, const char *identifier);
/* "users", or "shop.users" when the schema is not the runbook's default: for people. */
const char *rb_table_text(struct rb *rb, const struct rb_table *table);
/* Quoted as the pass's engine does: "public"."users", or `users`. */
const char *rb_table_sql(struct rb *rb, const struct rb_table *table);
const char *rb_quote(struct rb *rb, const char *identifier);
/* A derived name of at most 63 bytes: "~zdm_1f2e3d4c_h", from the migration's id, the table and the column. */
const char *rb_derived_name(struct rb *rb, const struct rb_table *table, const char *column, const char *suffix);
/* MySQL: the name that a table gets while it is hidden: "zdm_trash_1f2e3d4c_users", at most 64 bytes. */
const char *rb_trash_name(struct rb *rb, const struct rb_table *table);
/* The table of schema (MySQL: database) zdm that keeps what the UPDATE with that first target, or the DELETE,
 * overwrites: "undo_1f2e3d4c". No other step of the plan so far has it. */
const char *rb_images_name(struct rb *rb, const struct rb_table *table, const char *key);
struct zdm_derivation *rb_derivation_copy(const struct zdm_derivation *d);
/* Its targets, for people: "a, b and c". */
const char *rb_targets_text(struct rb *rb, const struct zdm_derivation *d);

/* ---- merge.c ---- */
/* Moves what the other pass over the same text found and built into this one. Whatever both found is told once. */
void rb_merge(struct rb *rb, struct rb *other);

/* ---- assemble.c ---- */
/* Of one pass: the last look at every sync and its end, columns that are shown, the purge phase. */
void rb_finish(struct rb *rb);
/* Of all passes: ordinals and ids. */
void rb_number_steps(struct rb *rb);
/* Moves what was built into plan and notes. */
struct zdm_plan *rb_make_plan(struct rb *rb);
struct zdm_notes *rb_make_notes(struct rb *rb, bool with_steps);

/* ---- draft.c, recipes.c: ready text for hints ---- */
/* The whole runbook for SQL that is refused as it stands, with a sentence in front; NULL when none can be drafted. */
const char *rb_recipe_of(struct rb *rb, const char *sql);
/* With a type: another type for `from`, computed by the expression. */
const char *rb_recipe_rename(struct rb *rb, const char *table, const char *from, const char *to, const char *type,
                             const char *expression);
const char *rb_recipe_not_null(struct rb *rb, const char *column, const char *type, const char *sql);
const char *rb_recipe_default(struct rb *rb, const char *table, const char *column, const char *type,
                              const char *expression);

#endif
