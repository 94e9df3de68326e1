/*
 * test_vectors.c - the bytes of one handshake and two frames with fixed keys, compared with vectors.txt, which the
 * documentation quotes. `test_unit_session_vectors --print` prints them anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "common/base/buffer.h"
#include "common/os/file.h"
#include "tests/unit/session/ends.h"

static void put(struct zdm_buffer *out, const char *name, const void *bytes, size_t n)
{
    char hex[2 * ZDM_WELCOME_SIZE + 1];
    zdm_hex(hex, bytes, n);
    zdm_buffer_printf(out, "%s %s\n", name, hex);
}

static void put_keys(struct zdm_buffer *out, const struct ends *e)
{
    zdm_buffer_puts(out, "# Seeds, each one byte 32 times: coordinator 11, agent 22, dialler's ephemeral key 33,\n"
                         "# listener's ephemeral key 44. Fleet: 16 bytes 55, instance: 16 bytes 66. Role: agent.\n");
    put(out, "coordinator_public_key", e->coordinator.public_key.bytes, 32);
    put(out, "coordinator_key_id", e->coordinator.id.bytes, 16);
    put(out, "agent_public_key", e->agent.public_key.bytes, 32);
    put(out, "agent_key_id", e->agent.id.bytes, 16);
}

/* false when the handshake itself does not work. */
static bool put_session(struct zdm_buffer *out, struct ends *e)
{
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    uint8_t auth[ZDM_AUTH_SIZE], order[5 + ZDM_SEAL_OVERHEAD], report[6 + ZDM_SEAL_OVERHEAD];
    ends_dial(e, &e->coordinator.id, false);
    if (ends_hello(e) != ZDM_OK || ends_welcome(e) != ZDM_OK || ends_auth(e) != ZDM_OK ||
        !crypto->open(crypto->self, auth, e->auth, sizeof e->auth, 0, e->listener->keys.receive) ||
        zdm_session_seal(e->listener, "order", 5, order, &e->err) != ZDM_OK ||
        zdm_session_seal(e->dialler, "report", 6, report, &e->err) != ZDM_OK)
        return false;
    put(out, "hello", e->hello, sizeof e->hello);
    put(out, "welcome", e->welcome, sizeof e->welcome);
    put(out, "transcript", zdm_session_transcript(e->dialler).bytes, 32);
    put(out, "key_dialler_to_listener", e->dialler->keys.send, 32);
    put(out, "key_listener_to_dialler", e->dialler->keys.receive, 32);
    put(out, "auth", auth, sizeof auth);
    put(out, "auth_sealed", e->auth, sizeof e->auth);
    put(out, "frame_0_to_dialler_order", order, sizeof order);
    put(out, "frame_1_to_listener_report", report, sizeof report);
    return true;
}

static bool print_vectors(struct zdm_buffer *out)
{
    struct ends e;
    ends_init(&e);
    put_keys(out, &e);
    bool good = put_session(out, &e);
    ends_fini(&e);
    return good;
}

static void the_handshake_gives_the_bytes_of_the_documentation(void **state)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer made = ZDM_BUFFER_INIT, kept = ZDM_BUFFER_INIT;
    struct zdm_error err;
    (void)state;
    assert_true(print_vectors(&made));
    assert_int_equal(zdm_file_read(ZDM_SOURCE_DIR "/tests/unit/session/vectors.txt", 16384, &kept, &err), ZDM_OK);
    assert_string_equal(zdm_buffer_text(&made), zdm_buffer_text(&kept));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_handshake_gives_the_bytes_of_the_documentation)};
    struct zdm_error err;
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer out = ZDM_BUFFER_INIT;
        bool good = print_vectors(&out);
        fputs(zdm_buffer_text(&out), stdout);
        return good ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
