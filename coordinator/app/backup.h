/*
 * backup.h - copying the log of a coordinator that may be running.
 *
 * Only the coordinator ever opens its log. `zdm-coordinator backup` therefore asks it: it leaves a file
 * `backup.request` with the path in the data folder, which only the coordinator's user can write to, and waits for
 * `backup.answer`. When nobody holds the folder's lock it opens the log itself.
 */
#ifndef COORDINATOR_APP_BACKUP_H
#define COORDINATOR_APP_BACKUP_H

#include "coordinator/store/store.h"

/* The coordinator's part, called about once a second: answers a request that lies there. True when a backup was made or
 * tried; *err then says how it went (ZDM_OK: made), path (size bytes) where. */
bool backup_serve(const char *data, const struct store *store, char *path, size_t size, struct zdm_error *err);

#endif
