/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the parts of `ecluse doctor` share.
 */
#ifndef ECLUSE_CLI_DOCTOR_H
#define ECLUSE_CLI_DOCTOR_H

#include "internal.h"

enum finding { FINDING_OK, FINDING_NOTE, FINDING_PROBLEM };

struct doctor {
    bool json;
    unsigned count, problems;
    const char *state;         /* as given, or NULL */
};

/* One line for a person, one object for programs. `check` is a word that does not change from
 * version to version; the sentence is what to know or to do. */
void doctor_say(struct doctor *d, const char *check, enum finding f, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void doctor_system(struct doctor *d);                      /* doctor_system.c */
void doctor_swap(struct doctor *d);                        /* doctor_swap.c */
void doctor_policy(struct doctor *d, const char *store);   /* doctor_policy.c; NULL: no store */
void doctor_store(struct doctor *d, const char *store);    /* doctor_store.c */

#endif
