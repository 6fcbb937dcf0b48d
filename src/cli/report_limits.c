/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What every report says of every vault: what third parties can learn, and what a report
 * does not prove.
 *
 * It repeats docs/threat-model.md in a privacy officer's words, and promises nothing beyond.
 */
#include "report.h"

static void list(struct report_form *form, const char *title, const char *const *items, size_t count)
{
    const char *words[16];

    for (size_t k = 0; k < count; k++)
        words[k] = _(items[k]);
    form->list(form, title, words, count);
}

void report_third_parties(struct report_form *form)
{
    static const char *const could[] = {
        N_("that this is a vault of Écluse, its random identifier, its format and its encryption algorithm"),
        N_("the number of objects, and the size of each: a power of two from 64 KiB to 16 MiB"),
        N_("when objects appear and disappear, so the rhythm of work, in steps of seconds to minutes; where vaults are mounted "
           "with a fixed cadence (publish_every), in steps of that cadence"),
        N_("that objects of one moment probably belong to the same work"),
        N_("which objects are fetched, and when, where a sync client downloads them only on demand"),
        N_("what the sync client itself tells: account, address, computer"),
    };
    static const char *const not[] = {
        N_("contents of files"),
        N_("names of files and folders, their number, and the shape of the tree"),
        N_("exact sizes, types, dates, owners, permissions and other attributes of files"),
        N_("which file was changed, renamed or moved, and by whom"),
        N_("whether two files, two versions or two vaults hold the same"),
        N_("passphrase, recovery key, or anything that tells whether a guess of them is right"),
    };

    form->heading(form, "third-parties", _("What third parties could and could not learn"));
    form->say(form, _("Third parties are whoever has the store, or had it at any time: the hosting or sync provider, whoever "
                      "breaks in there or compels it, and whoever sits in between."), false);
    list(form, _("They could learn:"), could, ARRAY_SIZE(could));
    list(form, _("They could not learn from the store, without a key:"), not, ARRAY_SIZE(not));
    form->say(form, _("They can withhold or delete objects. Objects that they alter, swap or replay give an error and an "
                      "alarm when they are read, not wrong bytes."), false);
    form->say(form, _("This does not hold for copies made in the clear before the vault, nor for who has the recovery key, or "
                      "this device and a secret that opens it."), false);
}

void report_limits(struct report_form *form)
{
    static const char *const limits[] = {
        N_("Écluse has had no independent audit. This report is written by the software that it speaks of."),
        N_("The audit log belongs to the user of this device: whoever has the keys can write another one. The head written "
           "down earlier, or the system log kept by an administrator, can contradict it."),
        N_("Failures to unlock after the last success can be cut off the log unseen."),
        N_("Other devices of the same vault have logs and keyrings of their own, of which this one knows nothing."),
        N_("The computer itself is not examined: while the vault is mounted, its programs and its administrator can read it, "
           "and may leave traces elsewhere."),
        N_("Dates are those of this computer’s clock, in its time zone."),
        N_("Whether a law or a policy is satisfied is not said here: that is for those who are responsible to judge."),
    };

    form->heading(form, "limits", _("What this report does not prove"));
    list(form, _("Read it with these limits:"), limits, ARRAY_SIZE(limits));
}
