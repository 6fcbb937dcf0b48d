/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/* Shared inside src/store only. */
#ifndef ECLUSE_STORE_INTERNAL_H
#define ECLUSE_STORE_INTERNAL_H

#include <ecluse/io.h>
#include <ecluse/store.h>
#include <sys/stat.h>

#define SEGMENTS "segments"
#define HEADER_LIMIT 4096u         /* bytes of vault-<id>.ecl that are ever read */
#define STORE_FILE_MODE 0444
#define STORE_DIR_MODE 0755        /* less the umask */
#define FAN_OUT 256u
#define FAN_NAME 3                 /* two digits and a NUL */
#define OBJECT_NAME 31             /* thirty digits and a NUL */
#define HEADER_NAME (6 + ID_TEXT + 4)
#define HIDDEN_NAME (9 + ID_TEXT + 4)

/* Both immutable after store_open. */
struct store {
    int root;
    char header[HEADER_NAME];      /* the one header that was there when it was opened */
};

/* --- names.c -------------------------------------------------------------------- */

void fan_name(uint8_t first, char out[FAN_NAME]);
void object_name(const struct id128 *id, char out[OBJECT_NAME]);
void header_name(const struct id128 *vault, char out[HEADER_NAME]);
void hidden_name(const struct id128 *id, char out[HIDDEN_NAME]);
bool is_fan_name(const char *name);
bool is_header_name(const char *name);
bool is_hidden_name(const char *name);
bool object_id(const char *fan, const char *name, struct id128 *out);

/* Appends name to a path of *at bytes so that a terminal shows it as it is. */
#define SHOWN_PATH 1280
void show_name(char path[SHOWN_PATH], size_t *at, const char *name);

/* --- reach.c: only what is there without symbolic links --------------------------- */

/* A directory in dir, as descriptor; -ENOENT, or E_FORMAT for anything else. */
int reach_dir(int dir, const char *name);
/* A regular file in dir, opened for reading without side effects; as above. */
int reach_file(int dir, const char *name, struct stat *st);
/* The same without opening. */
int reach_stat(int dir, const char *name, struct stat *st);
/* The fan-out directory of an id; -ENOENT, E_FORMAT. */
int reach_fan(const struct store *s, const struct id128 *id);
/* The same, made when it is missing; store_sync makes its name durable. */
int make_fan(const struct store *s, const struct id128 *id);

/* --- arrive.c: how a file gets its final name -------------------------------------- */

/* Sets the constant mode and times, as far as the filesystem has them. */
int make_constant(int fd);
/* Gives from_dir/from the name to_dir/to, never replacing: -EEXIST, -EXDEV… */
int move_new(int from_dir, const char *from, int to_dir, const char *to);

/* A file on its way: without a name where the filesystem can do that, else
 * under a hidden one. Starts with arrival_begin; arrival_end always follows. */
struct arrival {
    int dir;                       /* borrowed */
    int fd;
    bool named;
    char hidden[HIDDEN_NAME];
};
int arrival_begin(struct arrival *a, int dir, const struct id128 *id);
/* Constant mode and times, fsync, then the final name: -EEXIST… */
int arrival_place(struct arrival *a, const char *name);
void arrival_end(struct arrival *a);

#endif
