/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Objects of this vault that do not open: the newest changes may be in one of them.
 *
 * A publication that can be read is missed when what it names is absent.  The last one is
 * named by nothing: if its object does not open, the history before it looks whole, and
 * to take it for all there is would lose somebody's newest work in silence.  So an
 * object is in doubt when
 *
 *   - something shows that it is of this vault (inspect.c), or the system cannot read it,
 *     or a newer version of this program wrote it, as it says, and the id of this vault is in
 *     its beginning (docs/format.md),
 *   - no publication that was read names it as a segment: that one came later, and
 *   - its trailer, if that opens, does not say that it carries an older publication than
 *     is needed, or none.
 *
 * Garbage with an object's name, an empty file and one full of zeros show nothing of any
 * vault and are no doubt: they are counted, lest planted files refuse a recovery.
 * Whoever hosts the store can take an object away as well; nobody can tell that but the
 * device that made it (rebuild_heads.c).
 */
#include "inspect.h"
#include "rebuild.h"
#include <unistd.h>

#define LEAST 8u                 /* bytes that say something: the magic */

static size_t read_front(const struct rebuild *b, const struct object *o, uint8_t front[SEGMENT_DATA])
{
    size_t len = o->size < SEGMENT_DATA ? (size_t)o->size : SEGMENT_DATA;

    int fd = store_get(b->o->store, &o->id);
    if (fd < 0)
        return 0;
    if (io_read_at(fd, front, len, 0))
        len = 0;
    close(fd);
    return len;
}

/* The beginning agrees as far as it goes, and there is one. */
static bool begins(const struct rebuild *b, const struct object *o)
{
    uint8_t front[SEGMENT_DATA];

    size_t len = read_front(b, o, front);
    return len >= LEAST && (front[0] || memcmp(front, front + 1, len - 1));
}

/* Another object of ours under a foreign name: missed unless it is under its own, too. */
static bool is_missed(struct rebuild *b, const struct object *o)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header h;

    return read_front(b, o, front) == sizeof front && segment_header_parse(front, &h) == 0 &&
           !survey_find(&b->survey, &h.segment);
}

/* Nothing of it can be checked here: whoever plants one refuses a recovery, as he does by altering another one. */
static bool names_vault(const struct rebuild *b, const struct object *o)
{
    const struct id128 *vault = keyring_vault(b->o->keys);
    uint8_t front[SEGMENT_DATA];

    return memmem(front, read_front(b, o, front), vault->b, sizeof vault->b) != NULL;
}

int doubt_object(struct rebuild *b, struct object *o)
{
    struct inspected seen = { .fd = -1 };
    int rc = 0;

    if (o->staged)
        return 0;
    switch (inspect_object(b->o->keys, b->o->store, &o->id, &seen)) {
    case INSPECT_FRONT:
    case INSPECT_LONGER:
    case INSPECT_FOOTER:
    case INSPECT_MALFORMED:
        o->doubt = DOUBT_ALTERED;
        break;
    case INSPECT_MISPLACED:
        o->doubt = is_missed(b, o) ? DOUBT_ALTERED : DOUBT_NONE;
        break;
    case INSPECT_TRAILER:
        o->doubt = DOUBT_LATE;
        break;
    case INSPECT_SHORT:
    case INSPECT_FILLING:
        o->doubt = begins(b, o) ? DOUBT_LATE : DOUBT_NONE;
        break;
    case INSPECT_UNREADABLE:
        rc = seen.error == -ENOMEM ? -ENOMEM : 0;
        o->doubt = DOUBT_ALTERED;
        break;
    case INSPECT_WHOLE:          /* it has just come */
        o->doubt = DOUBT_LATE;
        break;
    case INSPECT_NEWER:
        o->doubt = names_vault(b, o) ? DOUBT_NEWER : DOUBT_NONE;
        break;
    case INSPECT_GONE:
    case INSPECT_STRANGE:
        break;
    }
    inspected_free(&seen);
    return rc;
}

void doubts_count(struct rebuild *b)
{
    static const char *const how[] = {
        [DOUBT_LATE] = "not whole", [DOUBT_ALTERED] = "altered", [DOUBT_NEWER] = "of a newer version",
    };
    uint64_t from = b->chain.count ? b->survey.links[b->chain.order[b->chain.base]].self.seq : 0;

    for (size_t k = 0; k < b->survey.count; k++) {
        const struct object *o = &b->survey.objects[k];
        char id[ID_TEXT];
        if (o->doubt == DOUBT_NONE || o->named || (o->publication && o->publication < from))
            continue;
        id_format(&o->id, id);
        log_warning("ECL-0351 object %s is of this vault, is %s, and may hold newer changes", id, how[o->doubt]);
        b->report->late += o->doubt == DOUBT_LATE;
        b->report->altered += o->doubt == DOUBT_ALTERED;
        b->report->newer += o->doubt == DOUBT_NEWER;
    }
}
