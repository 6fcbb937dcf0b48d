/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * POSIX access control lists (POSIX.1e draft 17, withdrawn; acl(5)).
 *
 * The kernel checks permissions by them and has validated a list before it
 * sends one; what it leaves to the filesystem is done here: the mode follows
 * the list, the list follows chmod, and a new file inherits its directory's
 * default list, in which case the umask does not count.
 *
 * A list is kept as the kernel's attribute: version le32, then entries of tag
 * le16, permissions le16, id le32.  Everything here runs with meta held.
 */
#include "internal.h"

#define ACL_VERSION 2u
#define ACL_HEADER 4u
#define ACL_ENTRY 8u
#define ACL_LIMIT 64u          /* entries of a list that fit into one attribute of ext4 */

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

static unsigned get16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }
static unsigned tag_of(const uint8_t *entry) { return get16(entry); }
static unsigned perm_of(const uint8_t *entry) { return get16(entry + 2) & 7u; }
static void set_perm(uint8_t *entry, unsigned perm) { entry[2] = (uint8_t)(perm & 7u); }

/* A list taken apart: where the entries are that correspond to the mode. */
struct acl {
    uint8_t *user, *group, *mask, *other;
    bool extended;             /* says more than a mode can */
};

static int acl_parse(uint8_t *list, size_t len, struct acl *out)
{
    *out = (struct acl){ 0 };
    if (len < ACL_HEADER || get_le32(list) != ACL_VERSION || (len - ACL_HEADER) % ACL_ENTRY ||
        len > ACL_HEADER + ACL_LIMIT * ACL_ENTRY)
        return -EINVAL;
    for (uint8_t *e = list + ACL_HEADER; e < list + len; e += ACL_ENTRY) {
        unsigned tag = tag_of(e);
        uint8_t **place = tag == USER_OBJ ? &out->user : tag == GROUP_OBJ ? &out->group
                        : tag == MASK ? &out->mask : tag == OTHER ? &out->other : NULL;
        if ((place && *place) || (!place && tag != USER && tag != GROUP))
            return -EINVAL;
        if (place)
            *place = e;
        out->extended |= tag == USER || tag == GROUP || tag == MASK;
    }
    return out->user && out->group && out->other ? 0 : -EINVAL;
}

static uint8_t *class_group(const struct acl *a) { return a->mask ? a->mask : a->group; }

static uint32_t acl_mode(const struct acl *a)
{
    return perm_of(a->user) << 6 | perm_of(class_group(a)) << 3 | perm_of(a->other);
}

static void acl_restrict(struct acl *a, uint32_t mode)
{
    set_perm(a->user, mode >> 6);
    set_perm(class_group(a), mode >> 3);
    set_perm(a->other, mode);
}

bool acl_name(const char *name)
{
    return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
}

/* The mode takes over what the list says; a list that says no more than the
 * mode is not kept. */
int acl_set(struct fs *fs, struct inode *i, const char *name, const void *value, size_t size)
{
    uint8_t list[ACL_HEADER + ACL_LIMIT * ACL_ENTRY];
    struct acl a;

    if (!fs->opt.owners)
        return -EOPNOTSUPP;
    if (!strcmp(name, ACL_DEFAULT) && !S_ISDIR(i->mode))
        return -EACCES;
    if (size > sizeof list)
        return -ENOSPC;
    memcpy(list, value, size);
    int rc = acl_parse(list, size, &a);
    if (rc)
        return rc;
    if (strcmp(name, ACL_ACCESS) != 0)
        return xattrs_put(fs, i, name, value, size);
    if (a.extended)
        rc = xattrs_put(fs, i, name, value, size);
    else
        rc = xattrs_put(fs, i, name, NULL, 0);
    if (!rc)
        i->mode = (i->mode & ~0777u) | acl_mode(&a);
    return rc;
}

int acl_chmod(struct fs *fs, struct inode *i)
{
    uint8_t list[ACL_HEADER + ACL_LIMIT * ACL_ENTRY];
    struct acl a;
    size_t len;

    if (!(i->flags & INODE_XATTRS))
        return 0;
    int rc = xattrs_load(fs, i);
    const uint8_t *v = rc ? NULL : xattrs_find(i, ACL_ACCESS, &len);
    if (!v || len > sizeof list)
        return rc;
    memcpy(list, v, len);
    if (acl_parse(list, len, &a))
        return 0;              /* not ours to judge */
    acl_restrict(&a, i->mode);
    return xattrs_put(fs, i, ACL_ACCESS, list, len);
}

int acl_inherit(struct fs *fs, struct inode *dir, struct inode *i, uint32_t umask)
{
    uint8_t list[ACL_HEADER + ACL_LIMIT * ACL_ENTRY];
    struct acl a;
    size_t len = 0;
    int rc = 0;

    if (S_ISLNK(i->mode))
        return 0;
    if (dir->flags & INODE_XATTRS)
        rc = xattrs_load(fs, dir);
    const uint8_t *v = rc || !(dir->flags & INODE_XATTRS) ? NULL : xattrs_find(dir, ACL_DEFAULT, &len);
    if (v && len <= sizeof list)
        memcpy(list, v, len);
    if (rc || !v || len > sizeof list || acl_parse(list, len, &a)) {
        i->mode &= ~umask;
        return rc;
    }
    if (S_ISDIR(i->mode))
        rc = xattrs_put(fs, i, ACL_DEFAULT, list, len);
    acl_restrict(&a, i->mode & acl_mode(&a));
    i->mode = (i->mode & ~0777u) | acl_mode(&a);
    if (!rc && a.extended)
        rc = xattrs_put(fs, i, ACL_ACCESS, list, len);
    return rc;
}
