/*
 * made.c - one line of SHOW CREATE TABLE, as a fingerprint of a column or an index (judge.h, ddl.h).
 */
#include <string.h>

#include "agent/engine/mysql/change/judge.h"

/* Lines begin with two blanks; an index with its kind. A line break within a text or a name is printed as it is, so
 * that a line may be a piece of one: the name at its beginning decides, and the same piece is found again. */
static const char *const heads[][4] = {
    [MYDB_LINE_COLUMN] = {"  "},
    [MYDB_LINE_INDEX] = {"  KEY ", "  UNIQUE KEY ", "  FULLTEXT KEY ", "  SPATIAL KEY "},
    [MYDB_LINE_CONSTRAINT] = {"  CONSTRAINT "},
};

static char *copy_line(const char *line)
{
    size_t n = strcspn(line, "\n");
    while (n > 0 && (line[n - 1] == ',' || line[n - 1] == ' ')) {
        n--;
    }
    return zdm_memdup(line, n);
}

char *mydb_line_in(const char *create_table, enum mydb_line kind, const char *name)
{
    for (size_t i = 0; i < 4 && heads[kind][i] != NULL; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer head = ZDM_BUFFER_INIT;
        zdm_buffer_printf(&head, "\n%s", heads[kind][i]);
        mydb_put_name(&head, name);
        zdm_buffer_puts(&head, " ");
        const char *at = strstr(create_table, zdm_buffer_text(&head));
        if (at != NULL) {
            return copy_line(at + 1);
        }
    }
    return NULL;
}

enum zdm_code mydb_line_read(struct mydb_session *s, const char *schema, const char *table, enum mydb_line kind,
                             const char *name, char **out_line, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    *out_line = NULL;
    zdm_buffer_puts(&sql, "SHOW CREATE TABLE ");
    if (schema != NULL) {
        mydb_put_name(&sql, schema);
        zdm_buffer_puts(&sql, ".");
    }
    mydb_put_name(&sql, table);
    enum zdm_code code = mydb_run(s, zdm_buffer_text(&sql), &rows, err);
    const char *text = code == ZDM_OK && rows->n > 0 && rows->columns > 1 ? mydb_text(rows, 0, 1) : NULL;
    if (text != NULL) {
        *out_line = mydb_line_in(text, kind, name);
    }
    return code;
}
