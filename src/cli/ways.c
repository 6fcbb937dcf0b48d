/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Ways into a vault: the only place where a command opens a keyring, or puts a slot
 * into one.
 *
 * So no command can forget what the policy says of the slot that opened: tests/check-layers
 * refuses keyring_unlock, keyring_create and keyring_set_slot in any other file of the
 * command line or of the daemon.
 *
 * Whoever opens a vault (a mount, a salvage, a rebuild) or looks into it (a check) needs a slot
 * that the policy allows.  Whoever only tends the slots does not: a passphrase that is no longer
 * allowed, or too cheap, must still serve to make what is, or each change of the policy would
 * send everybody for the recovery sheet.  What is made then is judged by itself.
 */
#include "policy.h"
#include <ecluse/audit.h>

void way_note(const struct way *w, int result)
{
    if (w->dir >= 0)
        audit_append(w->dir, result == 0 || result == E_POLICY ? w->keys : NULL, AUDIT_UNLOCKED, result,
                     AUDIT_FIELDS(AUDIT_WORD("with", audit_slot(w->secret->kind))));
}

int way_open(const struct way *w)
{
    const struct secret *s = w->secret;

    int rc = w->slot ? keyring_unlock_slot(w->keys, w->slot, s->kind, s->bytes, s->len)
                     : keyring_unlock(w->keys, s->kind, s->bytes, s->len);
    if (rc || !w->noted_later)
        way_note(w, rc);
    return rc ? rc : policy_allows_way(w);
}

int way_recover(struct keyring **out, const struct id128 *vault, enum suite suite, const struct secret *recovery,
                char blamed[PATH_MAX])
{
    int rc = policy_allows_slot(SLOT_RECOVERY, NULL, -1, blamed);

    *out = NULL;
    return rc ? rc : keyring_create(out, vault, suite, recovery->bytes);
}

int way_add(struct keyring *k, unsigned number, const struct secret *s, struct kdf_cost cost, int dir,
            char blamed[PATH_MAX])
{
    int rc = policy_allows_slot(s->kind, NULL, dir, blamed);
    if (rc)
        return rc;
    return keyring_set_slot(k, number, s->kind, s->bytes, s->len, s->kind == SLOT_PASSPHRASE ? policy_cost(cost) : cost);
}
