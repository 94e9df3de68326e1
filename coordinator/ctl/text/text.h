/*
 * text.h - text for people in a terminal: width, colour, wrapping, bars, short numbers.
 *
 * All texts that came from elsewhere (errors of a database, statements that block, prose) pass through ctl_put or
 * ctl_wrap, which make control characters harmless: a row in somebody's database must not move a cursor here.
 * Widths are columns, not bytes; characters that the locale cannot show become '?'.
 */
#ifndef COORDINATOR_CTL_TEXT_TEXT_H
#define COORDINATOR_CTL_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/buffer.h"

enum { CTL_WIDTH_DEFAULT = 80, CTL_WIDTH_MIN = 40, CTL_WIDTH_MAX = 200 };

/* What the output can show. */
struct ctl_look {
    bool terminal; /* it is one */
    bool color;
    bool unicode;
    unsigned width;
    unsigned height; /* 0: not known */
};

enum ctl_style { CTL_PLAIN, CTL_BOLD, CTL_DIM, CTL_GOOD, CTL_BUSY, CTL_WARN, CTL_BAD };

/* Finds out about `stream`; color: "auto" (NO_COLOR and TERM=dumb say no), "always" or "never". setlocale must have
 * been called. */
void ctl_look_detect(struct ctl_look *out, FILE *stream, const char *color);
/* Width and height again, after the terminal was resized. */
void ctl_look_resize(struct ctl_look *look, FILE *stream);

/* Starts and ends a style; nothing without colour. */
void ctl_style(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style);
/* The text in a style. */
void ctl_put(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text);
/* Columns that the text takes. */
size_t ctl_columns(const struct ctl_look *look, const char *text);
/* The text in exactly `width` columns: padded (on the left when `right`), or cut with an ellipsis. */
void ctl_cell(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text, size_t width,
              bool right);
/* n times the character c. */
void ctl_repeat(struct zdm_buffer *out, char c, size_t n);
/* Paragraphs wrapped at words to the width of the look, every line but the first with `indent` spaces; the first line
 * starts at column `column`. Ends with a newline. */
void ctl_wrap(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text,
              size_t column, size_t indent);
/* A progress bar of `width` columns; permille 0 to 1000, or -1: not known. */
void ctl_bar(struct zdm_buffer *out, const struct ctl_look *look, int permille, size_t width);

/* 940, 12.3k, 4.56M; at most 6 columns. */
void ctl_number_text(char *out, size_t size, uint64_t n);
/* 8 s, 4 min, 19h 35m, 3 d: at most 7 columns up to 99 days. */
void ctl_seconds_text(char *out, size_t size, int64_t seconds);

/* How alike two words are: insertions, deletions and replacements between them (words of at most 64 bytes). */
size_t ctl_distance(const char *a, const char *b);

#endif
