/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Prints the names of all failpoints, one a line, from the table itself: a test that
 * must meet each of them cannot forget one.
 */
#include <ecluse/io.h>

#include <stdio.h>

int main(void)
{
#define X(name) puts(#name);
    FAULT_TABLE(X)
#undef X
    return 0;
}
