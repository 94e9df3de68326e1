/*
 * log.c - see log.h.
 *
 * A line is built in an array on the stack and written with one write(2): lines of several threads, and of several
 * processes on one pipe, never mix. What does not fit LINE_MAX_BYTES is cut and ends in "...".
 *
 * The settings are the one piece of state of the process that every thread reads; they are set before threads start.
 */
#include "common/os/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/seams.h"
#include "common/os/clock.h"

enum { LINE_MAX_BYTES = 4000, PAIRS_MAX = 32 };

static struct {
    const char *program;
    enum zdm_log_level least;
    bool journal;
} settings = {.program = NULL, .least = ZDM_LOG_INFO, .journal = false};

static const struct {
    const char *name;
    int priority; /* of syslog, which the journal understands */
} levels[] = {
    [ZDM_LOG_DEBUG] = {"debug", 7},
    [ZDM_LOG_INFO] = {"info", 6},
    [ZDM_LOG_WARN] = {"warn", 4},
    [ZDM_LOG_ERROR] = {"error", 3},
};

struct line {
    char text[LINE_MAX_BYTES + 8]; /* room for "..." and the newline */
    size_t n;
    bool cut;
};

/* JOURNAL_STREAM names the device and inode of the stream; a program whose stderr was sent elsewhere inherits it too.
 */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat info;
    unsigned long long device, inode;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &info) == 0 &&
           info.st_dev == (dev_t)device && info.st_ino == (ino_t)inode;
}

void zdm_log_start(const char *program, enum zdm_log_level least)
{
    settings.program = program;
    settings.least = least;
    settings.journal = stderr_is_journal();
}

bool zdm_log_level_parse(const char *text, enum zdm_log_level *out_level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(text, levels[i].name) == 0) {
            *out_level = (enum zdm_log_level)i;
            return true;
        }
    }
    return false;
}

static void put(struct line *line, const char *bytes, size_t n)
{
    if (line->cut || line->n + n > LINE_MAX_BYTES) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->n, bytes, n);
    line->n += n;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Bytes that a terminal or a line reader would act upon: C0, DEL, and C1 as UTF-8 writes it. */
static size_t control_length(const char *at)
{
    unsigned char c = (unsigned char)at[0], next = c != 0 ? (unsigned char)at[1] : 0;
    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && next >= 0x80 && next < 0xa0 ? 2 : 0;
}

static void put_escaped(struct line *line, const char *text, bool quoted)
{
    for (; *text != '\0'; text++) {
        char escape[8];
        size_t controls = control_length(text);
        if (controls > 0) {
            for (size_t i = 0; i < controls; i++) {
                snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)text[i]);
                put_text(line, text[i] == '\n' ? "\\n" : escape);
            }
            text += controls - 1;
            continue;
        }
        if (quoted && (*text == '"' || *text == '\\'))
            put(line, "\\", 1);
        put(line, text, 1);
    }
}

static bool needs_quotes(const char *value)
{
    if (*value == '\0' || strpbrk(value, " \"=\\") != NULL)
        return true;
    for (; *value != '\0'; value++)
        if (control_length(value) > 0)
            return true;
    return false;
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    value = value != NULL ? value : "";
    bool quotes = needs_quotes(value);
    put_text(line, " ");
    put_text(line, key);
    put_text(line, quotes ? "=\"" : "=");
    put_escaped(line, value, quotes);
    if (quotes)
        put_text(line, "\"");
}

static void begin(struct line *line, enum zdm_log_level level, const char *message)
{
    char time[32], priority[8];
    line->n = 0;
    line->cut = false;
    if (settings.journal) {
        snprintf(priority, sizeof priority, "<%d>", levels[level].priority);
        put_text(line, priority);
    } else {
        zdm_wall_text(time, sizeof time, zdm_wall_ms(zdm_clock_system()));
        put_text(line, time);
        put_text(line, " ");
        put_text(line, levels[level].name);
        put_text(line, " ");
    }
    if (settings.program != NULL) {
        put_text(line, settings.program);
        put_text(line, ": ");
    }
    put_escaped(line, message, false);
}

static void end(struct line *line)
{
    if (line->cut) {
        memcpy(line->text + line->n, "...", 3);
        line->n += 3;
    }
    line->text[line->n++] = '\n';
    /* There is nowhere to say that the log cannot be written. */
    ssize_t written = write(STDERR_FILENO, line->text, line->n);
    (void)written;
}

void zdm_log(enum zdm_log_level level, const char *message, ...)
{
    struct line line;
    va_list args;
    if (level < settings.least)
        return;
    begin(&line, level, message);
    va_start(args, message);
    for (int i = 0; i < PAIRS_MAX; i++) {
        const char *key = va_arg(args, const char *);
        if (key == NULL)
            break;
        put_pair(&line, key, va_arg(args, const char *));
    }
    va_end(args);
    end(&line);
}

void zdm_log_error(enum zdm_log_level level, const char *message, const struct zdm_error *err)
{
    struct line line;
    if (level < settings.least)
        return;
    begin(&line, level, message);
    put_pair(&line, "code", zdm_code_name(err->code));
    put_pair(&line, "error", err->message);
    if (err->sqlstate[0] != '\0')
        put_pair(&line, "sqlstate", err->sqlstate);
    if (err->detail[0] != '\0')
        put_pair(&line, "detail", err->detail);
    if (err->hint[0] != '\0')
        put_pair(&line, "hint", err->hint);
    end(&line);
}
