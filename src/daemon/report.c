/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a daemon says of itself.  The member names of `status` are an
 * interface (ecluse(1)): members may be added, never renamed.
 */
#include "internal.h"
#include <stdio.h>
#include <unistd.h>

#define HEADS_SHOWN (ANSWER_MAX - 8192u)  /* what an answer has room for */

static void identity(const struct served *s, bool closing, struct buf *out)
{
    char vault[ID_TEXT];

    id_format(&s->vault, vault);
    json_string(out, "vault", vault);
    json_string(out, "mountpoint", s->config->mountpoint);
    json_string(out, "state", s->state_path);
    json_number(out, "pid", getpid());
    json_bool(out, "mounted", !closing && served_is_mounted(s));
}

static int finish(struct buf *out)
{
    json_raw(out, "}\n");
    return out->failed ? -ENOMEM : 0;
}

int report_identity(const struct served *s, bool closing, struct buf *out)
{
    json_raw(out, "{");
    identity(s, closing, out);
    return finish(out);
}

static void result_members(int result, struct buf *out)
{
    json_raw(out, "{");
    json_number(out, "code", result);
    json_string(out, "error", result ? error_name(result) : "");
}

void report_result(int result, struct buf *out)
{
    result_members(result, out);
    finish(out);
}

void report_refusal(int result, struct buf *out)
{
    result_members(result, out);
    json_bool(out, "heard", false);
    finish(out);
}

void report_unmount(int result, bool mounted, struct buf *out)
{
    result_members(result, out);
    json_bool(out, "mounted", mounted);
    finish(out);
}

void report_gc(const struct gc_report *r, struct buf *out)
{
    json_raw(out, "{");
    json_number(out, "code", 0);
    json_string(out, "error", "");
    json_number(out, "removed", (int64_t)r->removed);
    json_number(out, "removed_bytes", (int64_t)r->removed_bytes);
    json_number(out, "compacted", (int64_t)r->compacted);
    json_number(out, "moved_bytes", (int64_t)r->moved_bytes);
    json_number(out, "damaged", (int64_t)r->damaged);
    json_number(out, "dead", (int64_t)r->dead);
    json_number(out, "dead_bytes", (int64_t)r->dead_bytes);
    json_number(out, "dead_until", r->next);
    finish(out);
}

static void figures(const struct fs_status *f, struct buf *out)
{
    json_bool(out, "read_only", f->read_only);
    json_string(out, "latched", f->latched ? error_name(f->latched) : "");
    json_bool(out, "no_space", f->no_space);
    json_number(out, "dirty_bytes", (int64_t)f->dirty_bytes);
    json_number(out, "unpublished", (int64_t)f->unpublished_rows);
    json_number(out, "staged_bytes", (int64_t)f->staged_bytes);
    json_number(out, "publications", (int64_t)f->publications);
    json_number(out, "published_at", f->published_at);
    json_string(out, "publish_error", f->publish_error ? error_name(f->publish_error) : "");
    json_number(out, "publish_code", f->publish_error);
    json_number(out, "objects", (int64_t)f->objects);
    json_number(out, "object_bytes", (int64_t)f->object_bytes);
    json_number(out, "dead", (int64_t)f->dead);
    json_number(out, "dead_bytes", (int64_t)f->dead_bytes);
    json_number(out, "dead_until", f->dead_until);
    json_number(out, "inodes", (int64_t)f->inodes);
    json_number(out, "cache_bytes", (int64_t)f->cache_bytes);
    json_key(out, "warnings");
    json_raw(out, "{");
    json_number(out, "missing", (int64_t)f->missing);
    json_number(out, "foreign", (int64_t)f->foreign);
    json_number(out, "refused", (int64_t)f->refused);
    json_number(out, "unseen", (int64_t)f->unseen);
    json_number(out, "forked", (int64_t)f->forked);
    json_bool(out, "older", f->older);
    json_raw(out, "}");
}

static int head(void *ctx, const struct fs_head *h)
{
    struct buf *out = ctx;
    char device[17];

    snprintf(device, sizeof device, "%016llx", (unsigned long long)h->actor);
    json_raw(out, out->data[out->len - 1] == '[' ? "{" : ", {");
    json_string(out, "device", device);
    json_bool(out, "own", h->own);
    json_number(out, "number", (int64_t)h->seq);
    json_number(out, "date", h->time);
    json_string(out, "phrase", h->phrase);
    json_raw(out, "}");
    return out->len > HEADS_SHOWN ? -ENOBUFS : 0;
}

/* The last publication of each device that is known. */
static int heads(const struct served *s, struct buf *out)
{
    json_key(out, "heads");
    json_raw(out, "[");
    int rc = fs_heads(s->fs, head, out);
    json_raw(out, "]");
    return rc == -ENOBUFS ? 0 : rc;
}

int report_status(const struct served *s, bool closing, struct buf *out)
{
    struct fs_status f;

    json_raw(out, "{");
    identity(s, closing, out);
    json_string(out, "store", s->config->store_path);
    json_string(out, "suite", suite_name(s->suite));
    json_number(out, "since", s->since);
    json_bool(out, "cloned", s->cloned);
    json_number(out, "publish_every", s->config->publish_every);
    if (!closing) {
        int surveyed = fs_survey(s->fs);
        if (surveyed)
            log_warning("ECL-0501 survey of the store: %s", error_name(surveyed));
        int rc = fs_status(s->fs, &f);
        if (rc)
            return rc;
        json_number(out, "open_files", session_open_files(s->session));
        json_number(out, "survey_code", surveyed);
        figures(&f, out);
        rc = heads(s, out);
        if (rc)
            return rc;
    }
    return finish(out);
}
