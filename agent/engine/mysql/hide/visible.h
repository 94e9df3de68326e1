/*
 * visible.h - the statements that take a column out of sight and bring it back (database.md 7). Each commits by itself,
 * is INSTANT, and does nothing where the catalogue says so already.
 */
#ifndef AGENT_ENGINE_MYSQL_HIDE_VISIBLE_H
#define AGENT_ENGINE_MYSQL_HIDE_VISIBLE_H

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/work.h"

/* INVISIBLE, or visible. */
enum zdm_code mydb_column_show(struct mydb_work *w, const char *table, const char *column, bool visible,
                               struct zdm_error *err) ZDM_CHECKED;
/* Must it get a default, so that an INSERT may leave it out: NOT NULL, and none of its own? */
bool mydb_column_needs_default(const struct mydb_column *column);
/* The zero value of its type as default; ZDM_REFUSED where none is known. */
enum zdm_code mydb_column_set_default(struct mydb_work *w, const char *table, const struct mydb_column *column,
                                      struct zdm_error *err) ZDM_CHECKED;
/* … appends that value; false: none is known. */
bool mydb_column_put_default(struct zdm_buffer *b, const struct mydb_session *s, const struct mydb_column *column);
enum zdm_code mydb_column_drop_default(struct mydb_work *w, const char *table, const char *column,
                                       struct zdm_error *err) ZDM_CHECKED;

/* omitted.c: a CHECK that would refuse a row which leaves the column out, once that is hidden and has such a default,
 * or of which nobody can tell; "": there is none. */
enum zdm_code mydb_omitted_refused(struct mydb_work *w, const struct mydb_table *table,
                                   const struct mydb_column *column, char out[ZDM_IDENTIFIER_MAX + 2],
                                   struct zdm_error *err) ZDM_CHECKED;

/* column_drop.c: drops the indexes that are of the column alone, and then the column. */
enum zdm_code mydb_column_drop(struct mydb_work *w, const char *table, const char *column,
                               struct zdm_error *err) ZDM_CHECKED;
/* Would that be a change of the catalogue alone, when the plan's steps before w's have had their purge? Tried on a
 * clone; ZDM_REFUSED with what stands against it. */
enum zdm_code mydb_column_try_drop(struct mydb_work *w, const struct mydb_table *table, const char *column,
                                   struct zdm_error *err) ZDM_CHECKED;

/* What stands against taking the column away: keys, partitions, and what else reads or writes it by its name. */
enum zdm_code mydb_column_refuse(struct mydb_work *w, const struct mydb_table *table, const struct mydb_column *column,
                                 struct zdm_error *err) ZDM_CHECKED;
/* Appends a definition with INVISIBLE: in front of a CHECK, which must be the last. Pure. */
void mydb_put_invisible(struct zdm_buffer *b, const char *definition);
/* Does a trigger's body name NEW.column or OLD.column? Pure. */
bool mydb_body_names(const char *body, const char *column);

#endif
