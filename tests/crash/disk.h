/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What stands between the product and the system in these tests.
 *
 * The linker sends every call of the product that touches a file, takes memory
 * or starts a thread here first (--wrap, see the Makefile), so nothing is left
 * out by forgetting a hook; SQLite's and libcrypto's memory comes from here as
 * well.  Two uses, neither of which the product can notice:
 *
 *   failing     the Nth call of a class, or every call from the Nth on, fails
 *   recording   every change of a file or directory, and every sync, is noted
 *               in the order in which it happened
 *
 * Both work between disk_begin and disk_end of any thread.  What is found lives
 * in memory shared with child processes, so that a parent reads it after a
 * child's death.  A real file below is changed all the same.
 */
#ifndef ECLUSE_TESTS_DISK_H
#define ECLUSE_TESTS_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALL_TABLE(X) \
    X(open) X(read) X(write) X(sync) X(rename) X(link) X(unlink) X(mkdir) X(truncate) X(allocate) \
    X(attribute) X(stat) X(list) X(memory) X(thread)

enum call {
#define X(name) CALL_##name,
    CALL_TABLE(X)
#undef X
    CALL_COUNT
};

extern const char *const call_names[CALL_COUNT];

/* Besides an errno: half of a transfer; half of it, then ENOSPC. */
enum { FAIL_SHORT = 10001, FAIL_TORN = 10002 };

enum event_kind { EVENT_MAKE, EVENT_WRITE, EVENT_SIZE, EVENT_MOVE, EVENT_LINK, EVENT_REMOVE, EVENT_SYNC, EVENT_NOTE };

struct event {
    enum event_kind kind;
    bool is_dir;                /* MAKE */
    uint64_t ino;               /* the file, or the directory that was synced */
    uint64_t dir, to_dir;       /* 0: none, a file without a name */
    char name[64], to[64];
    uint64_t offset, len;       /* WRITE; SIZE: offset is the new size; NOTE: offset */
    size_t data;                /* where its bytes are in disk->arena */
    uint32_t began;             /* SYNC: events noted before it was asked for */
};

#define EVENTS_MAX 60000u
#define ARENA_SIZE (256u << 20)

struct disk {
    atomic_int active;          /* nesting of disk_begin, over all threads */
    enum call fail_class;
    long fail_from, fail_to;    /* 1-based passages; 0 never */
    int fail_how;               /* errno, FAIL_SHORT, FAIL_TORN */
    atomic_long passages[CALL_COUNT];
    atomic_long failed;         /* calls that were made to fail */
    atomic_long aside;          /* of these, syncs of the audit log, for which nobody waits */
    bool cross;                 /* a rename into another directory: EXDEV */
    bool recording, overflow;
    atomic_flag lock;
    uint32_t count;
    size_t used;
    struct event events[EVENTS_MAX];
    uint8_t arena[ARENA_SIZE];
};

extern struct disk *disk;

/* Maps the shared memory and lends the libraries their memory. First of all. */
void disk_start(void);
/* Forgets what was recorded and counted, and fails nothing. */
void disk_reset(void);
void disk_fail(enum call class, long from, long to, int how);
/* Around calls of the product; nest. */
void disk_begin(void);
void disk_end(void);
/* A mark among the events. */
void disk_note(uint64_t value);

#endif
