/*
 * count.h - what was sent, class by class, and what came of it.
 *
 * An attack is accepted when it had an effect that nobody's signature allows. A control is something that must be
 * accepted: without them a program that refuses everything would pass.
 */
#ifndef TESTS_ATTACK_COUNT_H
#define TESTS_ATTACK_COUNT_H

#include <stdbool.h>

#include "common/base/error.h"

/* n messages of this class went out. Names are literals. */
void count_sent(const char *class_name, unsigned long n);
/* One was accepted: the test fails; the text says which and how it was seen. */
void count_accepted(const char *class_name, const char *fmt, ...) ZDM_PRINTF(2, 3);
/* A message that must be accepted. */
void count_control(const char *class_name, bool accepted, const char *what);
/* Sent by attackers, controls not counted. */
unsigned long count_total(void);
/* Prints the table; false when an attack was accepted or a control was not. */
bool count_report(void);

#endif
