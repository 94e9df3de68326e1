/*
 * daemon.c - see daemon.h.
 *
 * Signals are taken with sigwait on a thread of their own rather than in a handler: there, any function may be called,
 * so a stop can wake an event loop through its ordinary mutex. The state is the process's own: a process is one daemon.
 */
#include "common/os/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

static struct {
    void (*wake)(void *ctx);
    void *ctx;
    sigset_t signals;
    atomic_bool stop;
} daemon_state;

static void *wait_for_signals(void *unused)
{
    (void)unused;
    for (;;) {
        int number = 0;
        if (sigwait(&daemon_state.signals, &number) != 0 || number == SIGHUP)
            continue;
        atomic_store(&daemon_state.stop, true);
        daemon_state.wake(daemon_state.ctx);
    }
    return NULL;
}

/* Keys live in this process's memory: no copy of it on disk, no other process of the same user looking in. */
static enum zdm_code close_memory(struct zdm_error *err)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return zdm_error_system(err, ZDM_IO, errno, "could not turn off core dumps");
    /* The leak checker attaches to its own process, which this would forbid. */
    if (!UNDER_SANITIZER && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return zdm_error_system(err, ZDM_IO, errno, "could not forbid tracing of this process");
    return ZDM_OK;
}

enum zdm_code zdm_daemon_start(void (*wake)(void *ctx), void *ctx, struct zdm_error *err)
{
    pthread_t thread;
    enum zdm_code code = close_memory(err);
    if (code != ZDM_OK)
        return code;
    daemon_state.wake = wake;
    daemon_state.ctx = ctx;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&daemon_state.signals);
    sigaddset(&daemon_state.signals, SIGINT);
    sigaddset(&daemon_state.signals, SIGTERM);
    sigaddset(&daemon_state.signals, SIGHUP);
    int failed = pthread_sigmask(SIG_BLOCK, &daemon_state.signals, NULL);
    if (failed == 0)
        failed = pthread_create(&thread, NULL, wait_for_signals, NULL);
    if (failed != 0)
        return zdm_error_system(err, ZDM_IO, failed, "could not start the thread that waits for signals");
    pthread_detach(thread);
    return ZDM_OK;
}

bool zdm_daemon_should_stop(void)
{
    return atomic_load(&daemon_state.stop);
}

void zdm_daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = path != NULL ? strlen(path) : 0;
    if (n == 0 || n >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, n);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* a name in the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    /* Telling is a courtesy: a supervisor that does not listen changes nothing here. */
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    (void)sent;
    close(fd);
}
