/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading a policy, strictly: bytes in, rules or the first flaw out.
 *
 * A rule that is not understood is a flaw of the whole: half a policy would be taken
 * for all of it.
 */
#include <ctype.h>
#include <ecluse/error.h>
#include <ecluse/policy.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[POLICY_RULE_COUNT] = {
#define X(rule, key) [POLICY_##rule] = key,
    POLICY_RULES(X)
#undef X
};

static const char *const options[POLICY_OPTION_COUNT] = {
#define X(bit, word) [POLICY_NO_##bit] = word,
    POLICY_OPTIONS(X)
#undef X
};

const char *policy_rule_name(enum policy_rule rule) { return names[rule]; }
const char *policy_option_name(enum policy_option option) { return options[option]; }

/* --- values ----------------------------------------------------------------------------- */

/* Cuts the next element off a list; NULL at its end. Blanks around it do not count. */
static char *next_element(char **rest, char separator)
{
    char *start = *rest, *stop;

    if (!start)
        return NULL;
    stop = strchr(start, separator);
    *rest = stop ? stop + 1 : NULL;
    stop = stop ? stop : start + strlen(start);
    while (start < stop && (*start == ' ' || *start == '\t'))
        start++;
    while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *stop = '\0';
    return start;
}

/* Absolute, or below the user's home; nothing that climbs. */
static bool is_path(const char *s)
{
    size_t len = strlen(s);

    if (len >= PATH_MAX || (s[0] != '/' && strcmp(s, "~") && strncmp(s, "~/", 2)))
        return false;
    for (const char *p = s; (p = strstr(p, "..")); p += 2)
        if (p[-1] == '/' && (p[2] == '/' || !p[2]))
            return false;
    return true;
}

static bool take_paths(struct policy_paths *out, char *list)
{
    for (char *path; (path = next_element(&list, ':'));) {
        size_t len = strlen(path);
        if (!is_path(path) || out->count == POLICY_PATHS_MAX)
            return false;
        while (len > 1 && path[len - 1] == '/')
            path[--len] = '\0';
        out->v[out->count] = strdup(path);
        if (!out->v[out->count++])
            return false;
    }
    return out->count > 0;
}

/* A number with one of the units that follow, at least 1 and at most `most` in all. */
static bool take_number(const char *text, const char *units, const unsigned *each, unsigned most, unsigned *out)
{
    unsigned long long n = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text) && n <= most; text++)
        n = n * 10 + (unsigned)(*text - '0');
    if (*text && (!strchr(units, *text) || text[1]))
        return false;
    n *= *text ? each[strchr(units, *text) - units] : 1;
    *out = (unsigned)n;
    return n >= 1 && n <= most;
}

static bool take_duration(const char *text, unsigned most, unsigned *out)
{
    static const unsigned seconds[] = { 1, 60, 3600, 86400 };
    return take_number(text, "smhd", seconds, most, out);
}

/* Bits for words of a table, each once. */
static bool take_words(char *list, const char *const *words, size_t count, unsigned *out)
{
    for (char *word; (word = next_element(&list, ','));) {
        size_t k = 0;
        while (k < count && (!words[k] || strcmp(word, words[k])))
            k++;
        if (k == count || *out & 1u << k)
            return false;
        *out |= 1u << k;
    }
    return *out != 0;
}

static bool take_slots(char *list, unsigned *out)
{
    static const char *const kinds[] = {
        [SLOT_PASSPHRASE] = "passphrase", [SLOT_RECOVERY] = "recovery", [SLOT_KEYFILE] = "keyfile",
        [SLOT_COMMAND] = "command", [SLOT_CREDENTIAL] = "credential",
    };
    return take_words(list, kinds, ARRAY_SIZE(kinds), out);
}

static bool take_languages(struct policy *p, char *list)
{
    for (char *word; (word = next_element(&list, ','));) {
        bool *which = strcmp(word, "fr") == 0 ? &p->french : strcmp(word, "en") == 0 ? &p->english : NULL;
        if (!which || *which)
            return false;
        *which = true;
        if (!*p->language)
            memcpy(p->language, word, 3);
    }
    return true;
}

/* Standard error is nobody's log. */
static bool take_log(const char *word, enum log_target *out)
{
    return log_target_parse(word, out) && *out != LOG_TARGET_STDERR && *out != LOG_TARGET_JSON;
}

static bool take_value(struct policy *p, enum policy_rule rule, char *value)
{
    static const unsigned kib[] = { 1, 1024, 1024 * 1024 }, one[] = { 1 };

    switch (rule) {
    case POLICY_STORES: return take_paths(&p->stores, value);
    case POLICY_MOUNTPOINTS: return take_paths(&p->mountpoints, value);
    case POLICY_SLOTS: return take_slots(value, &p->slots);
    case POLICY_KDF_MEMORY:
        return take_number(value, "KMG", kib, 1u << 20, &p->floor.memory_kib) &&
               kdf_cost_valid((struct kdf_cost){ p->floor.memory_kib, KDF_FLOOR.passes });
    case POLICY_KDF_PASSES:
        return take_number(value, "", one, 16, &p->floor.passes) &&
               kdf_cost_valid((struct kdf_cost){ KDF_FLOOR.memory_kib, p->floor.passes });
    case POLICY_IDLE_MAX: return take_duration(value, 365 * 86400, &p->idle_max);
    case POLICY_FORBID: return take_words(value, options, POLICY_OPTION_COUNT, &p->forbidden);
    case POLICY_PUBLISH_AFTER: return take_duration(value, 300, &p->publish_after);
    case POLICY_PUBLISH_EVERY: return take_duration(value, POLICY_CADENCE_MAX, &p->publish_every);
    case POLICY_LOG: return take_log(value, &p->log);
    case POLICY_LANGUAGES: return take_languages(p, value);
    case POLICY_RULE_COUNT: break;
    }
    return false;
}

/* --- lines --------------------------------------------------------------------------------- */

static int flawed(struct policy_report *r, enum policy_flaw flaw, unsigned line, const char *word)
{
    r->flaw = flaw;
    r->line = line;
    snprintf(r->word, sizeof r->word, "%s", word);
    return E_POLICY_BROKEN;
}

static char *trim(char *s)
{
    size_t len = strlen(s);

    while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        s[--len] = '\0';
    return s + strspn(s, " \t");
}

static int take_line(struct policy *p, char *text, unsigned line, struct policy_report *r)
{
    unsigned rule = 0;

    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if ((*c < 0x20 && *c != '\t') || *c == 0x7f)
            return flawed(r, POLICY_BAD_BYTE, line, "");
    text = trim(text);
    if (!*text || *text == '#')
        return 0;
    char *equals = strchr(text, '=');
    if (!equals)
        return flawed(r, POLICY_NO_RULE, line, "");
    *equals = '\0';
    char *key = trim(text), *value = trim(equals + 1);
    while (rule < POLICY_RULE_COUNT && strcmp(key, names[rule]))
        rule++;
    if (rule == POLICY_RULE_COUNT)
        return flawed(r, POLICY_UNKNOWN, line, key);
    if (p->line[rule])
        return flawed(r, POLICY_TWICE, line, key);
    p->line[rule] = line;
    p->value[rule] = strdup(value);
    if (!p->value[rule])
        return -ENOMEM;
    return take_value(p, (enum policy_rule)rule, value) ? 0 : flawed(r, POLICY_BAD_VALUE, line, key);
}

int policy_parse(const void *bytes, size_t len, struct policy *out, struct policy_report *report)
{
    char *text = malloc(len + 1);
    unsigned line = 0;
    int rc = text ? 0 : -ENOMEM;

    *out = (struct policy){ 0 };
    *report = (struct policy_report){ 0 };
    if (rc)
        return rc;
    if (len)
        memcpy(text, bytes, len);
    text[len] = '\0';
    if (strlen(text) != len) {
        for (const char *c = text; (c = strchr(c, '\n')); c++)
            line++;
        rc = flawed(report, POLICY_BAD_BYTE, line + 1, "");
    }
    for (char *rest = text; !rc && rest && *rest;) {
        char *stop = strchr(rest, '\n');
        if (stop)
            *stop = '\0';
        rc = take_line(out, rest, ++line, report);
        rest = stop ? stop + 1 : NULL;
    }
    free(text);
    return rc;
}

void policy_free(struct policy *p)
{
    for (size_t k = 0; k < POLICY_RULE_COUNT; k++)
        free(p->value[k]);
    for (size_t k = 0; k < p->stores.count; k++)
        free(p->stores.v[k]);
    for (size_t k = 0; k < p->mountpoints.count; k++)
        free(p->mountpoints.v[k]);
    *p = (struct policy){ 0 };
}
