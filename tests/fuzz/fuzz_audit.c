/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the parser of audit records: a line that is taken is, byte for byte, what its
 * parts would be written as.  So no two lines mean the same.
 */
#include <ecluse/audit.h>
#include <ecluse/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void write_again(const struct audit_record *r, FILE *out)
{
    time_t t = (time_t)r->time;
    char when[64];
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(out, "{\"seq\":%llu,\"time\":\"%s\",\"uid\":%u,\"by\":\"%s\",\"event\":\"%s\",\"outcome\":\"%s\"",
            (unsigned long long)r->seq, when, r->uid, r->by, r->event, r->outcome);
    for (size_t k = 0; k < r->field_count; k++) {
        if (r->fields[k].is_word)
            fprintf(out, ",\"%s\":\"%s\"", r->fields[k].name, r->fields[k].word);
        else
            fprintf(out, ",\"%s\":%llu", r->fields[k].name, (unsigned long long)r->fields[k].number);
    }
    fprintf(out, ",\"hash\":\"%s\"}", r->hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_record r;
    char *again = NULL;
    size_t len = 0;

    int rc = audit_parse((const char *)data, size, &r);
    if (rc) {
        require(rc == E_FORMAT);
        return 0;
    }
    FILE *out = open_memstream(&again, &len);
    write_again(&r, out);
    fclose(out);
    require(len == size && memcmp(again, data, size) == 0);
    free(again);
    return 0;
}
