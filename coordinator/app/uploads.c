/*
 * uploads.c - plans, notes and trust files on their way in: pieces in order, bounded per session and over all sessions.
 *
 * An upload is nothing until a signed request names it: it lives with the session, and whoever breaks the order or the
 * bounds loses the session.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

static void drop(struct coord_driver *d, struct upload *upload)
{
    if (upload->total == 0)
        return;
    d->upload_bytes -= upload->total;
    free(upload->bytes);
    *upload = (struct upload){.total = 0};
}

void uploads_free(struct coord_driver *d, struct person *person)
{
    for (size_t i = 0; i < UPLOADS_PER_PERSON; i++)
        drop(d, &person->uploads[i]);
}

static struct upload *find(struct person *person, const struct zdm_hash *hash)
{
    for (size_t i = 0; i < UPLOADS_PER_PERSON; i++)
        if (person->uploads[i].total != 0 && zdm_hash_equal(&person->uploads[i].hash, hash))
            return &person->uploads[i];
    return NULL;
}

static struct upload *begin(struct coord_driver *d, struct person *person, const struct zdm_piece *piece)
{
    struct upload *upload = NULL;
    for (size_t i = 0; i < UPLOADS_PER_PERSON && upload == NULL; i++)
        if (person->uploads[i].total == 0)
            upload = &person->uploads[i];
    if (upload == NULL || piece->total == 0 || piece->total > UPLOAD_MAX ||
        d->upload_bytes + piece->total > UPLOAD_BYTES_MAX)
        return NULL;
    upload->bytes = malloc(piece->total);
    if (upload->bytes == NULL)
        return NULL;
    upload->hash = piece->hash;
    upload->total = piece->total;
    upload->received = 0;
    d->upload_bytes += piece->total;
    return upload;
}

static bool is_whole_and_right(const struct coord_driver *d, const struct upload *upload)
{
    struct zdm_hash hash;
    if (upload->received != upload->total)
        return true; /* not yet whole */
    zdm_hash_bytes(d->config.crypto, hash.bytes, sizeof hash.bytes, upload->bytes, upload->total);
    return zdm_hash_equal(&hash, &upload->hash);
}

static bool put(struct coord_driver *d, struct person *person, const struct zdm_piece *piece)
{
    struct upload *upload = find(person, &piece->hash);
    if (upload != NULL && piece->offset == 0)
        drop(d, upload); /* begun anew */
    if (piece->offset == 0)
        upload = begin(d, person, piece);
    if (upload == NULL || upload->total != piece->total || upload->received != piece->offset ||
        piece->n > upload->total - upload->received || piece->n == 0)
        return false;
    memcpy(upload->bytes + upload->received, piece->bytes, piece->n);
    upload->received += (uint32_t)piece->n;
    return is_whole_and_right(d, upload);
}

void upload_take(struct coord_driver *d, struct coord_peer *peer, const struct zdm_piece *piece)
{
    if (peer->user == NULL || !put(d, peer->user, piece))
        coord_hub_close(d->hub, peer, "the upload is out of order or too large");
}
