/*
 * text.c - text for people in a terminal. See text.h.
 */
#include "coordinator/ctl/text/text.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { ESCAPE_MAX = 8, GLYPH_MAX = 5 };

static const char *const style_codes[] = {
    [CTL_PLAIN] = "\033[0m", [CTL_BOLD] = "\033[1m",  [CTL_DIM] = "\033[2m",    [CTL_GOOD] = "\033[32m",
    [CTL_BUSY] = "\033[36m", [CTL_WARN] = "\033[33m", [CTL_BAD] = "\033[1;31m",
};

static unsigned environment_number(const char *name)
{
    const char *text = getenv(name);
    long value = text != NULL ? strtol(text, NULL, 10) : 0;
    return value > 0 && value < 10000 ? (unsigned)value : 0;
}

void ctl_look_resize(struct ctl_look *look, FILE *stream)
{
    struct winsize size = {.ws_col = 0};
    unsigned width = environment_number("COLUMNS");
    look->height = 0;
    if (look->terminal && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        width = size.ws_col;
        look->height = size.ws_row;
    }
    if (width == 0)
        width = CTL_WIDTH_DEFAULT;
    if (width < CTL_WIDTH_MIN)
        width = CTL_WIDTH_MIN;
    look->width = width > CTL_WIDTH_MAX ? CTL_WIDTH_MAX : width;
}

void ctl_look_detect(struct ctl_look *out, FILE *stream, const char *color)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    struct ctl_look look = {.terminal = isatty(fileno(stream)) == 1};
    bool dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
    look.color = look.terminal && !dumb && (no_color == NULL || no_color[0] == '\0');
    if (color != NULL && strcmp(color, "always") == 0)
        look.color = true;
    if (color != NULL && strcmp(color, "never") == 0)
        look.color = false;
    look.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    ctl_look_resize(&look, stream);
    *out = look;
}

void ctl_style(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style)
{
    if (look->color)
        zdm_buffer_puts(out, style_codes[style]);
}

/* One character of UTF-8: its length in bytes; *out is U+FFFD for what is not UTF-8. */
static size_t decode(const char *text, uint32_t *out)
{
    const unsigned char *s = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    *out = 0xfffd;
    if (n == 0)
        return 1;
    uint32_t c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return i;
        c = c << 6 | (s[i] & 0x3fU);
    }
    if (c >= (n == 1 ? 0 : least[n]) && c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000))
        *out = c;
    return n;
}

/* The next character as it may be shown: its bytes in glyph, its columns; *used bytes of text taken. */
static size_t next_glyph(const struct ctl_look *look, const char *text, char glyph[GLYPH_MAX], size_t *used)
{
    uint32_t c;
    size_t n = decode(text, &c);
    *used = n;
    if (c == '\t' || c == '\n' || c == '\r') {
        memcpy(glyph, " ", 2);
        return 1;
    }
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
                   (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || c == 0xfffd;
    int columns = c < 0x7f ? 1 : look->unicode ? wcwidth((wchar_t)c) : -1;
    if (control || columns < 0) {
        memcpy(glyph, "?", 2);
        return 1;
    }
    memcpy(glyph, text, n);
    glyph[n] = '\0';
    return (size_t)columns;
}

size_t ctl_columns(const struct ctl_look *look, const char *text)
{
    char glyph[GLYPH_MAX];
    size_t used, columns = 0;
    for (; *text != '\0'; text += used)
        columns += next_glyph(look, text, glyph, &used);
    return columns;
}

/* Appends as much of text as fits; the columns it took. */
static size_t put_upto(struct zdm_buffer *out, const struct ctl_look *look, const char *text, size_t width)
{
    char glyph[GLYPH_MAX];
    size_t used, columns = 0;
    for (; *text != '\0'; text += used) {
        size_t n = next_glyph(look, text, glyph, &used);
        if (columns + n > width)
            break;
        zdm_buffer_puts(out, glyph);
        columns += n;
    }
    return columns;
}

void ctl_put(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text)
{
    if (style != CTL_PLAIN)
        ctl_style(out, look, style);
    put_upto(out, look, text, SIZE_MAX);
    if (style != CTL_PLAIN)
        ctl_style(out, look, CTL_PLAIN);
}

void ctl_repeat(struct zdm_buffer *out, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        zdm_buffer_append(out, &c, 1);
}

void ctl_cell(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text, size_t width,
              bool right)
{
    const char *ellipsis = look->unicode ? "…" : "~";
    size_t columns = ctl_columns(look, text);
    bool cut = columns > width;
    if (right && columns < width)
        ctl_repeat(out, ' ', width - columns);
    if (style != CTL_PLAIN)
        ctl_style(out, look, style);
    if (columns <= width) {
        put_upto(out, look, text, width);
    } else if (width > 0) {
        columns = put_upto(out, look, text, width - 1) + 1;
        zdm_buffer_puts(out, ellipsis);
    }
    if (style != CTL_PLAIN)
        ctl_style(out, look, CTL_PLAIN);
    if (columns < width && (!right || cut)) /* a wide character that did not fit leaves a column */
        ctl_repeat(out, ' ', width - columns);
}

/* The bytes of the next word, and whether a line break stands in front of it. */
static size_t next_word(const char **text, bool *breaks)
{
    *breaks = false;
    while (**text == ' ' || **text == '\t' || **text == '\n' || **text == '\r') {
        *breaks = *breaks || **text == '\n';
        (*text)++;
    }
    return strcspn(*text, " \t\r\n");
}

/* Puts one word at *column, on lines of its own where it is longer than a line. */
static void wrap_word(struct zdm_buffer *out, const struct ctl_look *look, const char *word, size_t *column,
                      size_t indent)
{
    char glyph[GLYPH_MAX];
    size_t used;
    for (; *word != '\0'; word += used) {
        size_t n = next_glyph(look, word, glyph, &used);
        if (*column + n > look->width) {
            zdm_buffer_puts(out, "\n");
            ctl_repeat(out, ' ', indent);
            *column = indent;
        }
        zdm_buffer_puts(out, glyph);
        *column += n;
    }
}

void ctl_wrap(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text,
              size_t column, size_t indent)
{
    bool breaks, first = true;
    size_t n;
    if (style != CTL_PLAIN)
        ctl_style(out, look, style);
    while ((n = next_word(&text, &breaks)) > 0) {
        ZDM_CLEANUP(zdm_freep) char *word = zdm_memdup(text, n);
        if (word == NULL)
            break;
        size_t columns = ctl_columns(look, word);
        if (!first && (breaks || column + 1 + columns > look->width)) {
            zdm_buffer_puts(out, "\n");
            ctl_repeat(out, ' ', indent);
            column = indent;
        } else if (!first) {
            zdm_buffer_puts(out, " ");
            column++;
        }
        wrap_word(out, look, word, &column, indent);
        first = false;
        text += n;
    }
    if (style != CTL_PLAIN)
        ctl_style(out, look, CTL_PLAIN);
    zdm_buffer_puts(out, "\n");
}

static void bar_unicode(struct zdm_buffer *out, const struct ctl_look *look, int permille, size_t width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    size_t eighth = permille < 0 ? 0 : (size_t)permille * width * 8 / 1000;
    size_t drawn = eighth / 8;
    ctl_style(out, look, permille >= 1000 ? CTL_GOOD : CTL_BUSY);
    for (size_t i = 0; i < drawn; i++)
        zdm_buffer_puts(out, "█");
    if (eighth % 8 != 0) {
        zdm_buffer_puts(out, eighths[eighth % 8]);
        drawn++;
    }
    ctl_style(out, look, CTL_PLAIN);
    ctl_style(out, look, CTL_DIM);
    for (; drawn < width; drawn++)
        zdm_buffer_puts(out, permille < 0 ? "┄" : "░");
    ctl_style(out, look, CTL_PLAIN);
}

static void bar_ascii(struct zdm_buffer *out, int permille, size_t width)
{
    size_t inner = width - 2;
    size_t drawn = permille < 0 ? 0 : (size_t)permille * inner / 1000;
    zdm_buffer_puts(out, "[");
    ctl_repeat(out, '#', drawn);
    ctl_repeat(out, permille < 0 ? '.' : '-', inner - drawn);
    zdm_buffer_puts(out, "]");
}

void ctl_bar(struct zdm_buffer *out, const struct ctl_look *look, int permille, size_t width)
{
    if (permille > 1000)
        permille = 1000;
    if (look->unicode)
        bar_unicode(out, look, permille, width);
    else if (width >= 2)
        bar_ascii(out, permille, width);
}

void ctl_number_text(char *out, size_t size, uint64_t n)
{
    static const char units[] = "kMGTPE";
    double value = (double)n;
    size_t unit = 0;
    if (n < 1000) {
        snprintf(out, size, "%" PRIu64, n);
        return;
    }
    for (value /= 1000; value >= 999.5 && unit + 1 < sizeof units - 1; unit++)
        value /= 1000;
    snprintf(out, size, "%.*f%c", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
}

void ctl_seconds_text(char *out, size_t size, int64_t seconds)
{
    int64_t s = seconds < 0 ? 0 : seconds;
    if (s < 100)
        snprintf(out, size, "%" PRId64 " s", s);
    else if (s < 100 * 60)
        snprintf(out, size, "%" PRId64 " min", (s + 30) / 60);
    else if (s < 48 * 3600)
        snprintf(out, size, "%" PRId64 "h %02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        snprintf(out, size, "%" PRId64 " d", (s + 43200) / 86400);
}

size_t ctl_distance(const char *a, const char *b)
{
    size_t row[65];
    size_t n = strlen(b);
    if (n > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; *a != '\0' && i <= 64; i++, a++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t replace = corner + (*a != b[j - 1] ? 1 : 0);
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = replace < step ? replace : step;
        }
    }
    return row[n];
}
