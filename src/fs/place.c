/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Which vault stands where: the file `store` of a state, the path of the store that
 * it was last used with.
 *
 * Two vaults of one owner are both authentic, perhaps under one passphrase.  Whoever
 * hosts the stores may exchange them: the user would read, and write, in another
 * vault than he thinks.  So a vault that shows up where another one of this device
 * was last seen, and not itself, is refused until the user says that it is right.
 * Init, recovery and that word write the path; so does each mount, for a store
 * that was moved to where nobody was is no alarm.
 *
 * Only states beside each other know of one another.  Paths are real ones; they are
 * no secret before whoever may read the state.
 */
#include "internal.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "store"

/* Does the state in that directory say that its store is at `path`? */
static bool claims(int dir, const char *path)
{
    uint8_t *text = NULL;
    size_t len = 0;

    if (io_read_file(dir, NAME, PATH_MAX, &text, &len))
        return false;
    bool same = len == strlen(path) && memcmp(text, path, len) == 0;
    free(text);
    return same;
}

static bool claims_at(int base, const char *name, const char *path)
{
    int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return false;
    bool same = claims(dir, path);
    close(dir);
    return same;
}

/* Another state below the same base; its vault in *other. */
static bool find_rival(int base, const char *own, const char *path, struct id128 *other)
{
    DIR *d = fdopendir(base);
    bool found = false;

    if (!d) {
        close(base);
        return false;
    }
    for (struct dirent *e; !found && (e = readdir(d));)
        found = id_parse(e->d_name, other) == 0 && strcmp(e->d_name, own) && claims_at(dirfd(d), e->d_name, path);
    closedir(d);
    return found;
}

int place_check(const char *state_path, const char *store_path)
{
    char base[PATH_MAX], text[ID_TEXT];
    const char *slash = strrchr(state_path, '/');
    struct id128 other;

    if (!slash || slash == state_path || strlen(state_path) >= sizeof base)
        return 0;
    memcpy(base, state_path, (size_t)(slash - state_path));
    base[slash - state_path] = '\0';
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || claims_at(fd, slash + 1, store_path)) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    if (!find_rival(fd, slash + 1, store_path, &other))
        return 0;
    id_format(&other, text);
    log_error("ECL-0327 this store was last seen with another vault, %s: E_OTHER_VAULT", text);
    return E_OTHER_VAULT;
}

int place_claim(int state_dir, const char *store_path)
{
    return claims(state_dir, store_path) ? 0
         : io_replace_file(state_dir, NAME, store_path, strlen(store_path), FAULT_other);
}
