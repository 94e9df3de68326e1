/*
 * key_file.c - signing keys in files: see crypto.h.
 *
 * The secret file holds the seed only: public key and id follow from it. Text that holds a seed lives in arrays on the
 * stack that are wiped, never in a growing buffer, whose old copies nobody could wipe.
 */
#include "common/os/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buffer.h"
#include "common/os/file.h"

static const char secret_prefix[] = "zdm-secret-key-v1 ";
static const char public_prefix[] = "zdm-public-key-v1 ";

enum {
    SEED_SIZE = 32,
    KEY_TEXT_SIZE = ZDM_BASE64_SIZE(32),
    KEY_DIGITS = (32 * 8 + 5) / 6, /* of base64url without padding */
    COMMENT_MAX = 128,
    LINE_SIZE = 256
};

static void wipe(void *bytes, size_t n)
{
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    crypto->wipe(crypto->self, bytes, n);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* A comment goes into one line that people print. */
static bool is_comment(const char *text)
{
    size_t n = strlen(text);
    if (n > COMMENT_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static enum zdm_code write_public(const char *path, const char *comment, const struct zdm_signing_key *key,
                                  struct zdm_error *err)
{
    char public_path[PATH_MAX], line[LINE_SIZE], text[KEY_TEXT_SIZE];
    zdm_base64url(text, key->public_key.bytes, sizeof key->public_key.bytes);
    int path_n = snprintf(public_path, sizeof public_path, "%s.pub", path);
    int n = snprintf(line, sizeof line, "%s%s%s%s\n", public_prefix, text, comment[0] != '\0' ? " " : "", comment);
    if (path_n < 0 || (size_t)path_n >= sizeof public_path || n < 0 || (size_t)n >= sizeof line)
        return zdm_error_set(err, ZDM_INVALID, "path or comment of the key file is too long");
    return zdm_file_create(public_path, line, (size_t)n, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, err);
}

enum zdm_code zdm_key_file_create(const char *path, const char *comment, struct zdm_signing_key *out_key,
                                  struct zdm_error *err)
{
    uint8_t seed[SEED_SIZE];
    char text[KEY_TEXT_SIZE], line[LINE_SIZE];
    struct zdm_signing_key key;
    comment = comment != NULL ? comment : "";
    if (!is_comment(comment))
        return zdm_error_set(err, ZDM_INVALID, "a key's comment is one line of at most %d bytes", COMMENT_MAX);

    zdm_random_fill(zdm_random_system(), seed, sizeof seed);
    zdm_signing_key_make(&key, seed);
    zdm_base64url(text, seed, sizeof seed);
    int n = snprintf(line, sizeof line, "%s%s\n", secret_prefix, text);
    enum zdm_code code = zdm_file_create(path, line, (size_t)n, S_IRUSR | S_IWUSR, err);
    if (code == ZDM_OK) {
        code = write_public(path, comment, &key, err);
        if (code != ZDM_OK)
            unlink(path); /* ours, made above */
    }
    if (code == ZDM_EXISTS)
        zdm_error_hint(err, "A key is never overwritten: choose another path, or move the old files away.");
    if (code == ZDM_OK)
        *out_key = key;
    wipe(seed, sizeof seed);
    wipe(text, sizeof text);
    wipe(line, sizeof line);
    zdm_signing_key_wipe(&key);
    return code;
}

/* A key that others can read is a key that others have. */
static enum zdm_code check_owner(int fd, const char *path, struct zdm_error *err)
{
    struct stat info;
    if (fstat(fd, &info) < 0)
        return zdm_error_system(err, ZDM_IO, errno, "could not look at key file \"%s\"", path);
    if (!S_ISREG(info.st_mode))
        return zdm_error_set(err, ZDM_INVALID, "key file \"%s\" is not a regular file", path);
    if (info.st_uid != geteuid()) {
        zdm_error_set(err, ZDM_REFUSED, "key file \"%s\" belongs to another user", path);
        zdm_error_detail(err, "Its owner has uid %u, this process runs as uid %u.", (unsigned)info.st_uid,
                         (unsigned)geteuid());
        return zdm_error_hint(err, "Run: chown %u '%s'", (unsigned)geteuid(), path);
    }
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        zdm_error_set(err, ZDM_REFUSED, "key file \"%s\" can be used by others", path);
        zdm_error_detail(err, "Its mode is %04o.", (unsigned)(info.st_mode & 07777));
        return zdm_error_hint(err, "Run: chmod 600 '%s'", path);
    }
    return ZDM_OK;
}

static enum zdm_code not_a_key(const char *path, const char *kind, struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_INVALID, "\"%s\" does not hold a %s key", path, kind);
}

/* The line's seed; the line is "prefix base64url" with at most white space behind it. */
static bool parse_secret(char *line, uint8_t seed[SEED_SIZE])
{
    size_t prefix_n = sizeof secret_prefix - 1;
    if (strncmp(line, secret_prefix, prefix_n) != 0)
        return false;
    char *text = line + prefix_n;
    size_t n = strcspn(text, " \t\r\n");
    if (strspn(text + n, " \t\r\n") != strlen(text + n))
        return false;
    text[n] = '\0';
    return zdm_unbase64url(seed, SEED_SIZE, text) == SEED_SIZE;
}

static enum zdm_code read_line(int fd, const char *path, char line[LINE_SIZE], struct zdm_error *err)
{
    size_t used = 0;
    for (;;) {
        ssize_t n = read(fd, line + used, LINE_SIZE - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return zdm_error_system(err, ZDM_IO, errno, "could not read key file \"%s\"", path);
        used += (size_t)n;
        if (used == LINE_SIZE || memchr(line, '\0', used) != NULL)
            return not_a_key(path, "secret", err);
        if (n == 0)
            break;
    }
    line[used] = '\0';
    return ZDM_OK;
}

enum zdm_code zdm_key_file_read(const char *path, struct zdm_signing_key *out_key, struct zdm_error *err)
{
    char line[LINE_SIZE] = "";
    uint8_t seed[SEED_SIZE];
    ZDM_CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return zdm_error_system(err, errno == ENOENT ? ZDM_NOT_FOUND : ZDM_IO, errno, "could not open key file \"%s\"",
                                path);
    enum zdm_code code = check_owner(fd, path, err);
    if (code == ZDM_OK)
        code = read_line(fd, path, line, err);
    if (code == ZDM_OK && !parse_secret(line, seed))
        code = not_a_key(path, "secret", err);
    if (code == ZDM_OK)
        zdm_signing_key_make(out_key, seed);
    wipe(line, sizeof line);
    wipe(seed, sizeof seed);
    return code;
}

enum zdm_code zdm_public_key_parse(const char *text, struct zdm_hash *out_key, char *comment, size_t size,
                                   struct zdm_error *err)
{
    char digits[KEY_TEXT_SIZE];
    struct zdm_hash key;
    const char *start = text;
    if (strncmp(start, public_prefix, sizeof public_prefix - 1) == 0)
        start += sizeof public_prefix - 1;
    size_t n = strcspn(start, " \t\r\n");
    const char *rest = start + n;
    rest += strspn(rest, " \t");
    size_t rest_n = strcspn(rest, "\r\n");
    bool one_line = strspn(rest + rest_n, "\r\n") == strlen(rest + rest_n);
    if (n == KEY_DIGITS) {
        memcpy(digits, start, n);
        digits[n] = '\0';
    }
    if (!one_line || n != KEY_DIGITS ||
        zdm_unbase64url(key.bytes, sizeof key.bytes, digits) != (long)sizeof key.bytes) {
        zdm_error_set(err, ZDM_INVALID, "text is not a public key");
        if (strncmp(text, secret_prefix, sizeof secret_prefix - 1) == 0)
            return zdm_error_hint(err, "This is a secret key. Keep it to yourself and give the .pub file.");
        return zdm_error_hint(err, "A public key is the line of a .pub file, or its %d characters of base64url.",
                              KEY_DIGITS);
    }
    *out_key = key;
    if (comment != NULL && size > 0) {
        size_t kept = rest_n < size ? rest_n : size - 1;
        memcpy(comment, rest, kept);
        comment[kept] = '\0';
    }
    return ZDM_OK;
}

enum zdm_code zdm_public_key_read(const char *path, struct zdm_hash *out_key, char *comment, size_t size,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    enum zdm_code code = zdm_file_read(path, LINE_SIZE, &text, err);
    if (code != ZDM_OK)
        return code;
    if (strlen(zdm_buffer_text(&text)) != text.len)
        return not_a_key(path, "public", err);
    code = zdm_public_key_parse(zdm_buffer_text(&text), out_key, comment, size, err);
    if (code != ZDM_OK)
        zdm_error_wrap(err, "while reading \"%s\"", path);
    return code;
}
