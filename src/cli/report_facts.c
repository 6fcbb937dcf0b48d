/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The facts of a report: what the store holds, and what this device has noted of it.
 *
 * No secret is needed, nor the state's lock, so it works while the vault is mounted.  Each
 * fact says no more than its source: the header and the key slots are not authenticated, and
 * of the audit log nothing counts that stands behind a break of its chain.
 */
#include "report.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_LEAST 65536u

/* --- the store ------------------------------------------------------------------------- */

static int count_object(void *ctx, const struct id128 *id, uint64_t size)
{
    struct report_facts *f = ctx;
    unsigned class = 0;

    (void)id;
    f->objects++;
    f->bytes += size;
    while (class < REPORT_SIZES && (uint64_t)SIZE_LEAST << class != size)
        class++;
    f->sizes[class]++;
    return 0;
}

static int count_foreign(void *ctx, const char *path)
{
    struct report_facts *f = ctx;

    (void)path;
    f->foreign++;
    return 0;
}

/* --- the audit log ------------------------------------------------------------------------ */

static uint64_t number_of(const struct audit_record *r, const char *name)
{
    for (size_t k = 0; k < r->field_count; k++)
        if (!r->fields[k].is_word && strcmp(r->fields[k].name, name) == 0)
            return r->fields[k].number;
    return 0;
}

static const char *word_of(const struct audit_record *r, const char *name)
{
    for (size_t k = 0; k < r->field_count; k++)
        if (r->fields[k].is_word && strcmp(r->fields[k].name, name) == 0)
            return r->fields[k].word;
    return "";
}

static void take_check(struct report_facts *f, const struct audit_record *r)
{
    struct report_check c = {
        .time = r->time, .older = number_of(r, "older"), .read_data = number_of(r, "read_data"),
        .objects = number_of(r, "objects"), .foreign = number_of(r, "foreign"),
        .not_arrived = number_of(r, "not_arrived"), .damaged = number_of(r, "damaged"), .attack = number_of(r, "attack"),
    };

    snprintf(c.verdict, sizeof c.verdict, "%s", word_of(r, "verdict"));
    snprintf(c.keys, sizeof c.keys, "%s", word_of(r, "keys"));
    f->checks[strcmp(c.keys, "none") == 0 ? REPORT_WITHOUT_KEYS : REPORT_WITH_KEYS] = c;
    if (c.read_data)
        f->checks[REPORT_CONTENTS] = c;
}

static uint64_t less(uint64_t have, uint64_t gone)
{
    return have > gone ? have - gone : 0;
}

static int take_point(struct report_facts *f, const struct audit_record *r, bool removed)
{
    struct report_point p = f->point_count ? f->points[f->point_count - 1] : (struct report_point){ 0 };
    uint64_t objects = number_of(r, "objects"), bytes = number_of(r, "bytes");

    if (f->point_count == f->point_room) {
        size_t room = f->point_room ? 2 * f->point_room : 64;
        struct report_point *more = reallocarray(f->points, room, sizeof *more);
        if (!more)
            return -ENOMEM;
        f->points = more;
        f->point_room = room;
    }
    p.time = r->time;
    p.objects = removed ? less(p.objects, objects) : p.objects + objects;
    p.bytes = removed ? less(p.bytes, bytes) : p.bytes + bytes;
    f->points[f->point_count++] = p;
    return 0;
}

static int take_record(void *ctx, const struct audit_record *r, const char *line)
{
    static const char *const names[] = {
#define X(id, name, at_once) name,
        AUDIT_EVENTS(X)
#undef X
    };
    struct report_facts *f = ctx;
    bool ok = strcmp(r->outcome, "ok") == 0;
    size_t k = 0;

    (void)line;
    if (f->log.harm == AUDIT_BROKEN)
        return 0;
    while (k < AUDIT_EVENT_COUNT && strcmp(names[k], r->event))
        k++;
    if (k == AUDIT_EVENT_COUNT)    /* of a later version */
        return 0;
    struct report_tally *t = ok ? &f->done[k] : &f->failed[k];
    t->count++;
    t->last = r->time;
    if (k == AUDIT_VAULT_MADE && ok)
        f->made = r->time;
    if (k == AUDIT_CHECKED && ok)
        take_check(f, r);
    bool removed = k == AUDIT_REMOVED;   /* some may be gone although it failed */
    return removed || (k == AUDIT_PUBLISHED && ok) ? take_point(f, r, removed) : 0;
}

/* --- all of it ------------------------------------------------------------------------------ */

static int read_state(struct report_facts *f)
{
    struct unlocked *u = &f->vault;

    int dir = open(u->state_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT) {
        f->state = E_STATE_MISSING;
        return 0;
    }
    if (dir < 0) {
        int error = -errno;
        snprintf(u->blamed, sizeof u->blamed, "%s", u->state_path);
        return error;
    }
    f->keyring = keyring_load(&u->own, dir, "keyring");
    if (!f->keyring && !id_equal(keyring_vault(u->own), &u->vault.vault))
        f->keyring = E_STATE_FOREIGN;
    else if (f->keyring == -ENOENT)
        f->keyring = E_KEYRING;
    int rc = audit_read(dir, &u->vault.vault, NULL, take_record, f, &f->log);
    close(dir);
    if (rc)
        snprintf(u->blamed, sizeof u->blamed, "%s", u->state_path);
    return rc;
}

int report_gather(struct report_facts *f, const char *store, const char *state_dir)
{
    struct unlocked *u = &f->vault;

    f->now = clock_now();
    if (gethostname(f->computer, sizeof f->computer - 1))
        *f->computer = '\0';
    int rc = unlocked_store(u, store);
    if (!rc && (rc = store_list(u->store, count_object, count_foreign, f)))
        snprintf(u->blamed, sizeof u->blamed, "%s", store);
    if (!rc && (rc = state_path(u->state_path, state_dir, &u->vault.vault)))
        snprintf(u->blamed, sizeof u->blamed, "%s", state_dir ? state_dir : "HOME");
    return rc ? rc : read_state(f);
}

void report_free(struct report_facts *f)
{
    unlocked_close(&f->vault);
    free(f->points);
    f->points = NULL;
}

const struct report_check *report_last_check(const struct report_facts *f)
{
    const struct report_check *last = &f->checks[REPORT_WITH_KEYS];

    return f->checks[REPORT_WITHOUT_KEYS].time > last->time ? &f->checks[REPORT_WITHOUT_KEYS] : last;
}

size_t report_points(const struct report_facts *f, struct report_point out[REPORT_ROWS])
{
    size_t used = 0, part = 0;

    if (!f->point_count)
        return 0;
    int64_t first = f->points[0].time, span = f->points[f->point_count - 1].time - first;
    for (size_t k = 0; k < f->point_count; k++) {
        int64_t since = f->points[k].time - first;
        size_t now = k;
        if (f->point_count > REPORT_ROWS)   /* a clock that went back stays in its part */
            now = since <= 0 || span <= 0 ? 0 : since >= span ? REPORT_ROWS - 1
                                              : (size_t)((uint64_t)since * REPORT_ROWS / (uint64_t)span);
        if (k && now <= part) {
            out[used - 1] = f->points[k];
            continue;
        }
        part = now;
        out[used++] = f->points[k];
    }
    return used;
}
