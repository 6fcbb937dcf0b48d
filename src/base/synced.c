/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * How a sync client's folder is recognised: a mark that the client leaves in it, the
 * client's configuration in the user's home, or the type of its filesystem.
 *
 * Marks are looked for in the folder of the path and in all above it, and only such
 * as the client itself makes: a false alarm would refuse a mount.  Configurations are
 * not parsed, only searched for the key that folders have there; what is found counts
 * when it is an absolute path (or begins with ~/) under which the path lies.  A home
 * directory as a whole is no such folder: whoever syncs that has exceptions, which
 * are not known here.
 */
#include <ecluse/base.h>
#include <ecluse/io.h>
#include <ecluse/synced.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (4u << 20)

/* --- marks -------------------------------------------------------------------------- */

static const struct mark { const char *name; mode_t type; const char *client; } marks[] = {
    { ".stfolder", 0, "Syncthing" },           { ".dropbox", S_IFREG, "Dropbox" },
    { ".dropbox.cache", S_IFDIR, "Dropbox" },  { ".sync/ID", S_IFREG, "Resilio Sync" },
    { ".seafile-data", S_IFDIR, "Seafile" },   { ".megaignore", S_IFREG, "MEGA" },
    { ".nextcloudsync.log", S_IFREG, "Nextcloud" }, { ".owncloudsync.log", S_IFREG, "ownCloud" },
};

/* Their journals have the account's hash in the name. */
static const struct mark journals[] = {
    { ".sync_*.db", S_IFREG, "Nextcloud" }, { "._sync_*.db", S_IFREG, "Nextcloud" },
};

static const char *find_journal(const char *dir)
{
    char pattern[PATH_MAX];
    const char *client = NULL;
    glob_t found;

    for (size_t k = 0; !client && k < ARRAY_SIZE(journals); k++) {
        if (snprintf(pattern, sizeof pattern, "%s/%s", dir, journals[k].name) >= (int)sizeof pattern ||
            strpbrk(dir, "*?[\\"))
            return NULL;
        if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
            client = journals[k].client;
        globfree(&found);
    }
    return client;
}

static const char *find_mark(const char *dir)
{
    struct stat st;
    const char *client = NULL;

    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    for (size_t k = 0; !client && k < ARRAY_SIZE(marks); k++)
        if (fstatat(fd, marks[k].name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (!marks[k].type || (st.st_mode & S_IFMT) == marks[k].type))
            client = marks[k].client;
    close(fd);
    return client ? client : find_journal(dir);
}

static const char *search_marks(const char *path, char root[PATH_MAX])
{
    const char *client;

    snprintf(root, PATH_MAX, "%s", path);
    while (!(client = find_mark(root))) {
        char *slash = strrchr(root, '/');
        if (!slash || slash == root)
            return NULL;
        *slash = '\0';
    }
    return client;
}

/* --- configurations ------------------------------------------------------------------ */

/* Where, from the home directory or (+) from that of configurations; the key. */
static const struct config { const char *file, *key, *client; } configs[] = {
    { "+onedrive*/config", "sync_dir", "OneDrive" },
    { "+Nextcloud/nextcloud.cfg", "localPath", "Nextcloud" },
    { "+ownCloud/owncloud.cfg", "localPath", "ownCloud" },
    { ".dropbox*/info.json", "\"path\"", "Dropbox" },
    { ".unison/*.prf", "root", "Unison" },
    { "+syncthing/config.xml", "path", "Syncthing" },
    { ".local/state/syncthing/config.xml", "path", "Syncthing" },
};

/* Folders that clients have unless told otherwise: when the first is there, the second. */
static const struct config usual[] = {
    { "+onedrive/items.sqlite3", "OneDrive", "OneDrive" },
    { "+Insync", "Insync", "Insync" },
};

struct home { char home[PATH_MAX], config[PATH_MAX + 16]; };

static bool find_home(struct home *h)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");

    if (!home || *home != '/' || !realpath(home, h->home))
        return false;
    if (config && *config == '/')
        snprintf(h->config, sizeof h->config, "%s", config);
    else
        snprintf(h->config, sizeof h->config, "%s/.config", h->home);
    return true;
}

static bool locate(const struct home *h, const char *file, char out[PATH_MAX])
{
    bool in_config = *file == '+';

    return snprintf(out, PATH_MAX, "%s/%s", in_config ? h->config : h->home, file + in_config) < PATH_MAX;
}

/* Is `path` in the folder that a value names? The value ends where a quote or a line does. */
static bool value_covers(const struct home *h, const char *value, const char *path, char root[PATH_MAX])
{
    char folder[PATH_MAX];
    size_t len = strcspn(value, "\"\n\r<");

    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    bool below_home = strncmp(value, "~/", 2) == 0;
    if (!below_home && (*value != '/' || len < 2))
        return false;
    int n = below_home ? snprintf(folder, sizeof folder, "%s/%.*s", h->home, (int)len - 2, value + 2)
                       : snprintf(folder, sizeof folder, "%.*s", (int)len, value);
    return n < (int)sizeof folder && realpath(folder, root) && strcmp(root, h->home) && path_inside(path, root);
}

static bool text_covers(const struct home *h, const char *text, const char *key, const char *path, char root[PATH_MAX])
{
    for (const char *at = text; (at = strstr(at, key));) {
        at += strlen(key);
        if (value_covers(h, at + strspn(at, " \t=:\""), path, root))
            return true;
    }
    return false;
}

static bool file_covers(const struct home *h, const char *file, const char *key, const char *path, char root[PATH_MAX])
{
    struct buf text = { 0 };
    uint8_t *bytes = NULL;
    size_t len;

    if (io_read_file(AT_FDCWD, file, CONFIG_MAX, &bytes, &len))
        return false;
    buf_append(&text, bytes, len);
    buf_byte(&text, 0);
    free(bytes);
    bool found = !text.failed && text_covers(h, (const char *)text.data, key, path, root);
    buf_free(&text);
    return found;
}

static const char *search_configs(const char *path, char root[PATH_MAX])
{
    struct home h;
    char pattern[PATH_MAX];
    const char *client = NULL;
    glob_t found;

    if (!find_home(&h))
        return NULL;
    for (size_t k = 0; !client && k < ARRAY_SIZE(configs); k++) {
        if (!locate(&h, configs[k].file, pattern))
            continue;
        if (glob(pattern, 0, NULL, &found) == 0)
            for (size_t n = 0; !client && n < found.gl_pathc; n++)
                if (file_covers(&h, found.gl_pathv[n], configs[k].key, path, root))
                    client = configs[k].client;
        globfree(&found);
    }
    for (size_t k = 0; !client && k < ARRAY_SIZE(usual); k++)
        if (locate(&h, usual[k].file, pattern) && access(pattern, F_OK) == 0 &&
            snprintf(pattern, sizeof pattern, "%s/%s", h.home, usual[k].key) < (int)sizeof pattern &&
            realpath(pattern, root) && path_inside(path, root))
            client = usual[k].client;
    return client;
}

/* --- filesystems ------------------------------------------------------------------------ */

static const struct mark types[] = {
    { "fuse.rclone", 0, "rclone" },           { "fuse.onedriver", 0, "onedriver" },
    { "fuse.google-drive-ocamlfuse", 0, "Google Drive" }, { "fuse.gvfsd-fuse", 0, "GVfs" },
    { "fuse.seadrive", 0, "SeaDrive" },       { "fuse.pcloud", 0, "pCloud" },
    { "fuse.s3fs", 0, "s3fs" },               { "fuse.davfs", 0, "davfs2" },
};

static const char *client_of(const char *type)
{
    for (size_t k = 0; k < ARRAY_SIZE(types); k++)
        if (strcmp(type, types[k].name) == 0)
            return types[k].client;
    return NULL;
}

/* The last of the longest mountpoints around the path counts. Names with blanks, which the table
 * has as \040, are not found: the client then counts as unknown. */
static const char *search_types(const char *path, char root[PATH_MAX])
{
    char *line = NULL, point[PATH_MAX], type[64];
    const char *client = NULL;
    size_t room = 0, best = 0;

    FILE *table = fopen("/proc/self/mountinfo", "re");
    while (table && getline(&line, &room, table) > 0) {
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 || sscanf(rest, " - %63s", type) != 1)
            continue;
        if (strlen(point) < best || !path_inside(path, point))
            continue;
        best = strlen(point);
        client = client_of(type);
        snprintf(root, PATH_MAX, "%s", point);
    }
    free(line);
    if (table)
        fclose(table);
    return client;
}

/* --- all of it ------------------------------------------------------------------------------ */

const char *synced_by(const char *path, char root[PATH_MAX])
{
    char there[PATH_MAX], real[PATH_MAX];

    /* What does not exist yet lies where its nearest folder does. */
    if (snprintf(there, sizeof there, "%s", path) >= (int)sizeof there)
        return NULL;
    for (char *slash; !realpath(there, real); *slash = '\0')
        if (!(slash = strrchr(there, '/')) || slash == there)
            return NULL;
    const char *client = search_marks(real, root);
    if (!client)
        client = search_types(real, root);
    return client ? client : search_configs(real, root);
}
