/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse key list: the ways into a vault on this device.
 *
 * The file tells it without a secret, and then it is only what the file says: the MAC over
 * the slots is under a key that one of them has to give.
 */
#include "key.h"

static void print_slot(const struct slot_info *s)
{
    char text[COST_WORDS], date[WORDS_MAX];

    /* TRANSLATORS: a way into the vault: its number, what opens it */
    printf(_("Slot %u: %s"), s->number, words_for_kind(s->kind));
    if (s->cost.passes)
        printf(_(", Argon2id with %s"), words_for_cost(s->cost, text));
    if (s->made)
        /* TRANSLATORS: the date on which a slot was written */
        printf(_(", since %s"), words_for_time(s->made, date));
    if (*s->label) {
        fputs(_(": "), stdout);
        spell_plain(stdout, s->label);
    }
    putchar('\n');
}

static void print_json(const struct keyring *k, bool verified)
{
    char id[ID_TEXT];
    struct slot_info s;

    id_format(keyring_vault(k), id);
    printf("{\"vault\": \"%s\", \"authenticated\": %s, \"slots\": [", id, verified ? "true" : "false");
    for (size_t i = 0; keyring_slot(k, i, &s) == 0; i++) {
        printf("%s\n  {\"slot\": %u, \"kind\": \"%s\", \"memory_kib\": %u, \"passes\": %u, \"made\": %lld, \"label\": ",
               i ? "," : "", s.number, audit_slot(s.kind), s.cost.memory_kib, s.cost.passes, (long long)s.made);
        spell_json(stdout, s.label);
        putchar('}');
    }
    printf("\n]}\n");
}

int key_list(struct key_work *w)
{
    const struct keyring *k = unlocked_keyring(&w->vault);
    bool verify = key_options_any(&w->open);
    struct slot_info s;

    int rc = verify ? key_unlock(w) : EXIT_DONE;
    if (rc)
        return rc;
    if (w->json) {
        print_json(k, verify);
        return EXIT_DONE;
    }
    for (size_t i = 0; keyring_slot(k, i, &s) == 0; i++)
        print_slot(&s);
    if (!verify)
        printf(_("Not authenticated: this is what the file says. With --passfile, --keyfile or another way to\n"
                 "open the vault, it is checked.\n"));
    return EXIT_DONE;
}
