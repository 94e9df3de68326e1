/*
 * table.h - a plain table of texts through libsmartcols, which aligns, cuts and wraps to the terminal's width.
 *
 * Every cell is made harmless first (text.h). Errors are only those of memory: they show in the buffer it is put into.
 */
#ifndef COORDINATOR_CTL_TEXT_TABLE_H
#define COORDINATOR_CTL_TEXT_TABLE_H

#include <stdbool.h>

#include "coordinator/ctl/text/text.h"

enum ctl_column_kind { CTL_COLUMN_TEXT, CTL_COLUMN_RIGHT, CTL_COLUMN_WRAP };

struct ctl_column {
    const char *title;
    enum ctl_column_kind kind;
};

struct ctl_table;

/* headings: show the titles. NULL without memory; every function takes that NULL. */
struct ctl_table *ctl_table_new(const struct ctl_look *look, const struct ctl_column *columns, size_t n, bool headings);
/* Appends a line of n cells. */
void ctl_table_row(struct ctl_table *table, const char *const *cells);
/* Appends the table's text to out and frees the table. */
void ctl_table_put(struct ctl_table *table, struct zdm_buffer *out);

#endif
