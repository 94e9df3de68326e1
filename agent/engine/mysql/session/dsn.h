/*
 * dsn.h - how a MySQL or MariaDB server is named: "mysql:host=db1 port=3306 user=zdm database=shop
 * defaults-file=/etc/zdm/my.cnf group=zdm ssl=verify ssl-ca=/etc/zdm/ca.pem".
 *
 * Pairs key=value separated by blanks; a value with blanks stands in single quotes, doubled inside. A password is
 * taken from the option file alone, which must be there when it is named and must not be readable by others.
 * ssl: verify (encrypted, and the certificate is proven), require (encrypted), off. ssl-ca without ssl means verify;
 * with neither, a connection over the network must be encrypted, one over the loopback is when the server offers it.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_DSN_H
#define AGENT_ENGINE_MYSQL_SESSION_DSN_H

#include "agent/engine/mysql/session/session.h"

/* ZDM_INVALID names the key, and never repeats a value. `out` is freed with mydb_target_fini, also after a failure. */
enum zdm_code mydb_target_read(const char *dsn, struct mydb_target *out, struct zdm_error *err) ZDM_CHECKED;
void mydb_target_fini(struct mydb_target *target);

#endif
