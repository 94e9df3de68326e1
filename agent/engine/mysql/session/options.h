/*
 * options.h - the option file of a connection: user, password and address, as the clients of MySQL keep them.
 *
 * Read by ourselves: the library would also take what loosens a session (init-command, local-infile, plugins), and
 * says nothing of a file that is missing.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_OPTIONS_H
#define AGENT_ENGINE_MYSQL_SESSION_OPTIONS_H

#include "agent/engine/mysql/session/session.h"

struct mydb_options {
    char *host, *user, *password, *database, *socket, *port;
    char *ssl_ca, *ssl_cert, *ssl_key;
};

/* Of the target's file: the groups [client] and target->group, the latter wins. Nothing where the target names none.
 * ZDM_UNAVAILABLE when the file cannot be read; ZDM_REFUSED when others can read it. Values are never repeated. */
enum zdm_code mydb_options_read(const struct mydb_target *target, struct mydb_options *out,
                                struct zdm_error *err) ZDM_CHECKED;
/* Overwrites the password. */
void mydb_options_fini(struct mydb_options *options);

#endif
