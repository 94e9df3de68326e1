/*
 * table.c - a plain table through libsmartcols. See table.h.
 */
#include "coordinator/ctl/text/table.h"

#include <libsmartcols.h>
#include <stdlib.h>

struct ctl_table {
    struct libscols_table *scols;
    struct ctl_look look;
    size_t n_columns;
    bool failed;
};

static int flags_of(enum ctl_column_kind kind)
{
    switch (kind) {
    case CTL_COLUMN_RIGHT:
        return SCOLS_FL_RIGHT;
    case CTL_COLUMN_WRAP:
        return SCOLS_FL_WRAP;
    case CTL_COLUMN_TEXT:
        break;
    }
    return 0;
}

struct ctl_table *ctl_table_new(const struct ctl_look *look, const struct ctl_column *columns, size_t n, bool headings)
{
    struct ctl_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->look = *look;
    table->look.color = false;
    table->n_columns = n;
    table->scols = scols_new_table();
    if (table->scols == NULL) {
        free(table);
        return NULL;
    }
    scols_table_enable_noheadings(table->scols, headings ? 0 : 1);
    scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_ALWAYS);
    scols_table_set_termwidth(table->scols, look->width);
    table->failed = scols_table_set_column_separator(table->scols, "  ") != 0;
    for (size_t i = 0; i < n; i++)
        if (scols_table_new_column(table->scols, columns[i].title, 0, flags_of(columns[i].kind)) == NULL)
            table->failed = true;
    return table;
}

void ctl_table_row(struct ctl_table *table, const char *const *cells)
{
    struct libscols_line *line = table != NULL ? scols_table_new_line(table->scols, NULL) : NULL;
    if (table == NULL)
        return;
    if (line == NULL)
        table->failed = true;
    for (size_t i = 0; line != NULL && i < table->n_columns; i++) {
        struct zdm_buffer text = ZDM_BUFFER_INIT;
        ctl_put(&text, &table->look, CTL_PLAIN, cells[i] != NULL ? cells[i] : "");
        if (scols_line_set_data(line, i, zdm_buffer_text(&text)) != 0)
            table->failed = true;
        zdm_buffer_fini(&text);
    }
}

/* libsmartcols pads the last column: nobody wants blanks at the end of a line. */
static void append_trimmed(struct zdm_buffer *out, const char *text)
{
    for (const char *line = text; *line != '\0';) {
        const char *end = line;
        while (*end != '\0' && *end != '\n')
            end++;
        size_t n = (size_t)(end - line);
        while (n > 0 && line[n - 1] == ' ')
            n--;
        zdm_buffer_append(out, line, n);
        zdm_buffer_puts(out, "\n");
        line = *end == '\n' ? end + 1 : end;
    }
}

void ctl_table_put(struct ctl_table *table, struct zdm_buffer *out)
{
    char *text = NULL;
    if (table == NULL || table->failed || scols_print_table_to_string(table->scols, &text) != 0)
        out->failed = true;
    else if (text != NULL)
        append_trimmed(out, text);
    free(text);
    if (table != NULL)
        scols_unref_table(table->scols);
    free(table);
}
