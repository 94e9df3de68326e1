/*
 * count.c - see count.h.
 */
#include "tests/attack/count.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 128, TOLD_MAX = 200 };

static struct row {
    const char *name;
    unsigned long sent, accepted;
} attacks[CLASSES_MAX], controls[CLASSES_MAX];

static unsigned told;

static struct row *row_of(struct row *rows, const char *name)
{
    for (size_t i = 0; i < CLASSES_MAX; i++) {
        if (rows[i].name == NULL)
            rows[i].name = name;
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    fprintf(stderr, "too many classes\n");
    exit(1);
}

void count_sent(const char *class_name, unsigned long n)
{
    row_of(attacks, class_name)->sent += n;
}

void count_accepted(const char *class_name, const char *fmt, ...)
{
    va_list args;
    row_of(attacks, class_name)->accepted++;
    if (told++ >= TOLD_MAX)
        return;
    va_start(args, fmt);
    fprintf(stderr, "ACCEPTED: %s: ", class_name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

void count_control(const char *class_name, bool accepted, const char *what)
{
    struct row *row = row_of(controls, class_name);
    row->sent++;
    row->accepted += accepted;
    if (!accepted && told++ < TOLD_MAX)
        fprintf(stderr, "REFUSED: control %s: %s\n", class_name, what);
}

unsigned long count_total(void)
{
    unsigned long n = 0;
    for (size_t i = 0; i < CLASSES_MAX; i++)
        n += attacks[i].sent;
    return n;
}

static void print(const char *title, const struct row *rows)
{
    unsigned long sent = 0, accepted = 0;
    printf("%-62s %8s %9s\n", title, "sent", "accepted");
    for (size_t i = 0; i < CLASSES_MAX && rows[i].name != NULL; i++) {
        printf("  %-60s %8lu %9lu\n", rows[i].name, rows[i].sent, rows[i].accepted);
        sent += rows[i].sent;
        accepted += rows[i].accepted;
    }
    printf("  %-60s %8lu %9lu\n\n", "all", sent, accepted);
}

bool count_report(void)
{
    bool good = true;
    print("attacks (none may be accepted)", attacks);
    print("controls (all must be accepted)", controls);
    for (size_t i = 0; i < CLASSES_MAX; i++)
        good = good && attacks[i].accepted == 0 && controls[i].accepted == controls[i].sent;
    return good;
}
