/*
 * cmd_keys.c - keys generate, keys show.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/os/crypto.h"
#include "common/os/file.h"

enum { KEY_FILE_MAX = 4096 };

static enum zdm_code print_key(const struct ctl *ctl, const struct zdm_hash *public_key, const char *comment,
                               const char *secret_path, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct zdm_id id = zdm_key_id(zdm_crypto_sodium(), public_key);
    char hex[ZDM_ID_HEX_SIZE], text[ZDM_BASE64_SIZE(32)];
    zdm_hex(hex, id.bytes, sizeof id.bytes);
    zdm_base64url(text, public_key->bytes, sizeof public_key->bytes);
    if (ctl_wants_json(ctl)) {
        zdm_buffer_printf(&out, "{\"id\": \"%s\", \"public_key\": \"%s\"}\n", hex, text);
    } else {
        zdm_buffer_printf(&out, "id       %s\npublic   %s\n", hex, text);
        if (comment[0] != '\0') {
            zdm_buffer_puts(&out, "comment  ");
            ctl_put(&out, &ctl->look, CTL_PLAIN, comment);
            zdm_buffer_puts(&out, "\n");
        }
        if (secret_path != NULL)
            zdm_buffer_printf(&out, "written  %s (secret: stays here), %s.pub (to hand out)\n", secret_path,
                              secret_path);
    }
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

/* The usual place of a key, its folder made. */
static enum zdm_code usual_path(char **out, struct zdm_error *err)
{
    char *path = ctl_config_path("key");
    ZDM_CLEANUP(zdm_freep) char *folder = ctl_config_path("");
    if (path == NULL || folder == NULL) {
        free(path);
        zdm_error_set(err, ZDM_INVALID, "there is no home folder to put the key into");
        return zdm_error_hint(err, "Say where: --out FILE");
    }
    enum zdm_code code = zdm_dir_make(folder, 0700, err);
    if (code == ZDM_OK)
        *out = path;
    else
        free(path);
    return code;
}

enum zdm_code ctl_run_keys_generate(struct ctl *ctl, struct zdm_error *err)
{
    const char *given = ctl_option_text(&ctl->options, CTL_OPT_OUT);
    const char *comment = ctl_option_text(&ctl->options, CTL_OPT_COMMENT);
    ZDM_CLEANUP(zdm_freep) char *path = NULL;
    struct zdm_signing_key key;
    enum zdm_code code = ZDM_OK;
    if (given == NULL)
        code = usual_path(&path, err);
    else if ((path = zdm_strdup(given)) == NULL)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (code == ZDM_OK)
        code = zdm_key_file_create(path, comment, &key, err);
    if (code != ZDM_OK)
        return code;
    struct zdm_hash public_key = key.public_key;
    zdm_signing_key_wipe(&key);
    return print_key(ctl, &public_key, comment != NULL ? comment : "", path, err);
}

/* Does the file hold a secret key? Only its first word is looked at here. */
static enum zdm_code is_secret(const char *path, bool *out, struct zdm_error *err)
{
    static const char word[] = "zdm-secret-key";
    struct zdm_buffer bytes;
    zdm_buffer_init(&bytes, KEY_FILE_MAX);
    enum zdm_code code = zdm_file_read(path, KEY_FILE_MAX, &bytes, err);
    if (code == ZDM_OK)
        *out = bytes.len >= sizeof word - 1 && memcmp(bytes.data, word, sizeof word - 1) == 0;
    if (bytes.data != NULL)
        zdm_crypto_sodium()->wipe(zdm_crypto_sodium()->self, bytes.data, bytes.len);
    zdm_buffer_fini(&bytes);
    return code;
}

enum zdm_code ctl_run_keys_show(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct zdm_signing_key key;
    struct zdm_hash public_key;
    char comment[160] = "";
    bool secret = false;
    enum zdm_code code = is_secret(path, &secret, err);
    if (code == ZDM_OK && secret) {
        code = zdm_key_file_read(path, &key, err);
        if (code == ZDM_OK) {
            public_key = key.public_key;
            zdm_signing_key_wipe(&key);
        }
    } else if (code == ZDM_OK) {
        code = zdm_public_key_read(path, &public_key, comment, sizeof comment, err);
    }
    return code == ZDM_OK ? print_key(ctl, &public_key, comment, NULL, err) : code;
}
