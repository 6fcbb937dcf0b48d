/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the parser of policies: any bytes give rules within their bounds, or a flaw with
 * a line of the text.  No files.
 */
#include <ecluse/error.h>
#include <ecluse/policy.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_paths(const struct policy_paths *p)
{
    require(p->count <= POLICY_PATHS_MAX);
    for (size_t k = 0; k < p->count; k++)
        require(p->v[k][0] == '/' || p->v[k][0] == '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy_report r;
    struct policy p;

    int rc = policy_parse(data, size, &p, &r);
    require(rc ? rc == E_POLICY_BROKEN && r.flaw && r.line >= 1 && r.line <= size + 1 : !r.flaw);
    for (unsigned k = 0; !rc && k < POLICY_RULE_COUNT; k++)
        require(!p.line[k] == !p.value[k] && p.line[k] <= size);
    check_paths(&p.stores);
    check_paths(&p.mountpoints);
    if (!rc) {
        require(!p.line[POLICY_STORES] || p.stores.count);
        require(!p.line[POLICY_SLOTS] || p.slots);
        require(!p.line[POLICY_FORBID] || p.forbidden);
        require(!p.line[POLICY_KDF_MEMORY] || (p.floor.memory_kib >= 65536 && p.floor.memory_kib <= 1u << 20));
        require(!p.line[POLICY_KDF_PASSES] || (p.floor.passes >= 3 && p.floor.passes <= 16));
        require(!p.line[POLICY_IDLE_MAX] || (p.idle_max >= 1 && p.idle_max <= 365 * 86400));
        require(!p.line[POLICY_PUBLISH_AFTER] || (p.publish_after >= 1 && p.publish_after <= 300));
        require(!p.line[POLICY_PUBLISH_EVERY] || (p.publish_every >= 1 && p.publish_every <= POLICY_CADENCE_MAX));
        require(!p.line[POLICY_LANGUAGES] || *p.language);
        require(policy_slot_allowed(&p, SLOT_RECOVERY));
    }
    policy_free(&p);
    return 0;
}
