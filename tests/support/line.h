/*
 * line.h - the line between a client and a test server, to be cut at a chosen word: what a kill -9 of the client's host
 * looks like to a server that does not notice.
 *
 * A TCP proxy on loopback. Each connection is passed on as it is, until the client sends the text it is armed with:
 * then the client's side is closed, once, and the server's side stays open, with its session and locks.
 */
#ifndef TESTS_SUPPORT_LINE_H
#define TESTS_SUPPORT_LINE_H

#include <stdbool.h>

struct test_line;

enum test_line_cut {
    TEST_LINE_BEFORE = 1, /* the server never gets what holds the text */
    TEST_LINE_AFTER       /* the server gets it, nobody gets its answer */
};

/* Listens, and passes on to that port of 127.0.0.1. Failures end the test. */
struct test_line *test_line_open(int port);
/* Ends everything, orphans too. NULL is allowed. */
void test_line_close(struct test_line *line);
int test_line_port(const struct test_line *line);

/* Cuts at the first `text` behind the first `behind` ("": at once). */
void test_line_arm(struct test_line *line, enum test_line_cut cut, const char *behind, const char *text);
/* Was it cut since? Waits up to 10 s. */
bool test_line_was_cut(struct test_line *line);
/* Hands on what was held back, however late; closes the server's side of what was cut, as its host would in the end. */
void test_line_deliver(struct test_line *line);
void test_line_hang_up(struct test_line *line);

#endif
