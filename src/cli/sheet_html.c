/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The recovery sheet as a page: for a browser, on a screen and on paper, without
 * scripts and without anything from elsewhere.
 *
 * The groups are a numbered list, so that one of them can be asked for; below the
 * code, for copying, the key once more without anything between, which is where
 * recovery_parse finds it.
 */
#include "internal.h"
#include <qrencode.h>
#include <stdarg.h>
#include <stdio.h>

#define PAGE_MAX 49152u    /* the longest path, each byte spelled, and more than all else */
#define MODULES_MAX 128u    /* a side of the code: 33 for this text */
#define QUIET 4             /* the empty edge that readers want, in modules */

struct page { char *text; size_t len; bool failed; };

static void put(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct page *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(p->text + p->len, PAGE_MAX - p->len, format, args);
    va_end(args);
    if (n < 0 || p->len + (size_t)n >= PAGE_MAX)
        p->failed = true;
    else
        p->len += (size_t)n;
}

static void put_text(struct page *p, const char *text)
{
    for (; *text; text++) {
        const char *name = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
        if (name)
            put(p, "%s", name);
        else
            put(p, "%c", *text);
    }
}

/* --- the code ------------------------------------------------------------------------ */

/* Its modules, one byte each, row after row. */
static ssize_t encode(const void *in, size_t len, uint8_t *out, size_t size)
{
    (void)len;
    QRcode *code = QRcode_encodeString(in, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    if (!code || (size_t)code->width * (size_t)code->width > size)
        return -1;
    ssize_t count = (ssize_t)code->width * code->width;
    for (ssize_t k = 0; k < count; k++)
        out[k] = code->data[k] & 1;
    return count;
}

static int side_of(ssize_t count)
{
    int side = 0;

    while ((ssize_t)side * side < count)
        side++;
    return side;
}

static int put_code(struct page *p, const char key[RECOVERY_TEXT])
{
    uint8_t *modules = secret_alloc(MODULES_MAX * MODULES_MAX);
    if (!modules)
        return -ENOMEM;
    ssize_t count = aside_run(encode, key, RECOVERY_TEXT, modules, MODULES_MAX * MODULES_MAX);
    int side = count > 0 ? side_of(count) : 0;
    if (side) {
        put(p, "<svg role=\"img\" aria-label=\"%s\" viewBox=\"%d %d %d %d\" shape-rendering=\"crispEdges\">"
               "<path fill=\"#fff\" d=\"M-%d-%dh%dv%dh-%dz\"/><path d=\"",
            _("QR code of the recovery key"), -QUIET, -QUIET, side + 2 * QUIET, side + 2 * QUIET,
            QUIET, QUIET, side + 2 * QUIET, side + 2 * QUIET, side + 2 * QUIET);
        for (int y = 0; y < side; y++)
            for (int x = 0, n; x < side; x += n) {
                const uint8_t *m = modules + (size_t)y * (size_t)side;
                for (n = 1; x + n < side && m[x + n] == m[x]; n++)
                    ;
                if (m[x])
                    put(p, "M%d %dh%dv1h-%dz", x, y, n, n);
            }
        put(p, "\"/></svg>\n");
    }
    secret_free(modules);
    return count > 0 ? 0 : count < 0 ? (int)count : -EIO;
}

/* --- the page --------------------------------------------------------------------------- */

static const char style[] =
    "@page{margin:18mm}\n"
    "body{font:11pt/1.45 'DejaVu Sans',Verdana,sans-serif;color:#000;background:#fff;max-width:44em;margin:2em auto;"
    "padding:0 1em}\n"
    "h1{font-size:1.5em;border-bottom:3px solid #0b4a6f;padding-bottom:.2em}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1.2em}dt{font-weight:bold}dd{margin:0;"
    "overflow-wrap:anywhere}\n"
    ".key{display:flex;gap:2em;align-items:center;flex-wrap:wrap;border:2px solid #000;border-radius:.4em;"
    "padding:1em;break-inside:avoid}\n"
    "ol{columns:3;font:bold 1.25em/1.7 'DejaVu Sans Mono',monospace;margin:0;padding-left:2em;flex:1 1 18em}"
    "li::marker{font:normal .65em sans-serif}\n"
    "svg{width:42mm;height:42mm}pre{font-size:.62em;white-space:pre-wrap;overflow-wrap:anywhere;margin:.4em 0 0}\n"
    "@media print{body{margin:0;max-width:none;padding:0}}\n";

static void put_item(struct page *p, const char *label, const char *value)
{
    put(p, "<dt>");
    put_text(p, label);
    put(p, "</dt><dd>");
    put_text(p, value);
    put(p, "</dd>\n");
}

static void put_head(struct page *p, const struct id128 *vault, const char *store)
{
    char id[ID_TEXT], when[WORDS_MAX];

    id_format(vault, id);
    /* TRANSLATORS: the code of your language: fr, en… */
    put(p, "<!DOCTYPE html>\n<html lang=\"%s\">\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n<style>\n%s</style>\n"
           "<h1>%s</h1>\n<dl>\n", _("en"), _("Écluse: recovery key"), style, _("Écluse: recovery key"));
    put_item(p, _("Vault"), id);
    put_item(p, _("Store"), spelled(store));
    put_item(p, _("Made on"), words_for_time(time(NULL), when));
    put(p, "</dl>\n");
}

static void put_groups(struct page *p, const char key[RECOVERY_TEXT])
{
    put(p, "<ol aria-label=\"%s\">\n", _("The groups of the recovery key"));
    for (int g = 0; g < RECOVERY_GROUPS; g++)
        put(p, "<li>%.5s</li>\n", key + g * 6);
    put(p, "</ol>\n");
}

static void put_advice(struct page *p)
{
    const char *const all[] = {
        _("Print this sheet or copy the key by hand, and check it by reading it aloud."),
        _("Keep it under lock and key, away from this computer and from the store."),
        _("Delete the file, if there is one, once the paper is safe."),
        _("Never send it by email and never put it in the cloud."),
    };

    put(p, "<p><strong>");
    put_text(p, _("Whoever has this key and a copy of the store can read the whole vault. Without it, once the passphrase "
                  "is forgotten or this computer is lost, nobody can: neither the hosting provider nor the authors of "
                  "Écluse."));
    put(p, "</strong></p>\n<ul>\n");
    for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
        put(p, "<li>");
        put_text(p, all[k]);
        put(p, "</li>\n");
    }
    put(p, "</ul>\n<p>%s <code>ecluse passwd --recovery %s</code><br>\n", _("To choose a new passphrase with it:"), _("STORE"));
    put(p, "%s <code>ecluse recover %s</code></p>\n", _("To open the vault on another computer:"), _("STORE"));
}

char *sheet_html(const uint8_t recovery[KEY_SIZE], const struct id128 *vault, const char *store)
{
    char key[RECOVERY_TEXT];
    struct page p = { .text = secret_alloc(PAGE_MAX) };

    if (!p.text)
        return NULL;
    recovery_format(recovery, key);
    put_head(&p, vault, store);
    put(&p, "<div class=\"key\">\n");
    put_groups(&p, key);
    put(&p, "<div>\n");
    int rc = put_code(&p, key);
    put(&p, "</div>\n</div>\n<pre>%s</pre>\n", key);
    put_advice(&p);
    put(&p, "</html>\n");
    secret_wipe(key, sizeof key);
    if (!rc && !p.failed)
        return p.text;
    secret_free(p.text);
    return NULL;
}
