/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the parser of manifests: any text gives lines in order, each object once,
 * or E_FORMAT with a line number within the text.  No files.
 */
#include <ecluse/check.h>
#include <ecluse/error.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest m;
    size_t line;

    int rc = manifest_parse(data, size, &m, &line);
    if (rc) {
        require(rc == E_FORMAT && line >= 1 && line <= size + 1 && !m.lines);
        return 0;
    }
    for (size_t k = 1; k < m.count; k++)
        require(memcmp(m.lines[k - 1].id.b, m.lines[k].id.b, sizeof m.lines[k].id.b) < 0);
    require(m.count <= size / 64);
    require(!m.has_header || memchr(m.header_name, '\0', sizeof m.header_name));
    manifest_free(&m);
    return 0;
}
