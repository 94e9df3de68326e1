/*
 * cutter.h - stands between an agent and its server, and cuts the connection around a COMMIT: before it reached the
 * server, or after the server has carried it out. Reads the protocol in the clear.
 */
#ifndef TESTS_INTEGRATION_MYSQL_CUTTER_H
#define TESTS_INTEGRATION_MYSQL_CUTTER_H

enum cut { CUT_NOTHING, CUT_BEFORE, CUT_AFTER };

struct cutter;

/* Listens on a port of loopback and passes on to that one. */
struct cutter *cutter_start(int server_port);
void cutter_stop(struct cutter *cutter);
int cutter_port(const struct cutter *cutter);
/* At the next COMMIT; once. */
void cutter_arm(struct cutter *cutter, enum cut cut);

#endif
