/*
 * loop_net.h - a network of two ends in one process: what one sends, the other receives at the next pump.
 */
#ifndef TESTS_UNIT_AGENT_APP_LOOP_NET_H
#define TESTS_UNIT_AGENT_APP_LOOP_NET_H

#include "common/net/net.h"

struct loop_net;

/* dialler: the end that dials; listener: the end that is dialled. */
struct loop_net *loop_net_new(void);
void loop_net_free(struct loop_net *net);
struct zdm_net loop_net_end(struct loop_net *net, bool listener);
void loop_net_upcalls(struct loop_net *net, bool listener, const struct zdm_net_upcalls *upcalls);
/* Delivers what is under way, and what comes of it; false when there was nothing. */
bool loop_net_pump(struct loop_net *net);
/* That end has ended: what comes for it is dropped until it has upcalls again. */
void loop_net_hang_up(struct loop_net *net, bool listener);
/* Refuses or allows new connections. */
void loop_net_refuse(struct loop_net *net, bool refuse);
/* Closes all connections, as a cut cable that both ends notice. */
void loop_net_cut(struct loop_net *net);
const char *loop_net_dialled(const struct loop_net *net);

#endif
