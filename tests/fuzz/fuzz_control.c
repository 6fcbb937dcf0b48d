/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the control socket: any bytes, in pieces, from a client that then hangs
 * up, are one request of four words or an error, answered once, in one JSON object.
 * Also the reader of such objects.  The filesystem is closing, so that no request
 * reaches it; no files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc … fuzz_control.c
 */
#include <daemon/control.c>
#include <ecluse/daemon.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_reader(const uint8_t *data, size_t size)
{
    static const char *const keys[] = { "vault", "pid", "code", "heads", "" };
    char *text = malloc(size + 1), out[40];
    int64_t number;

    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
        memset(out, 'x', sizeof out);
        if (daemon_json_text(text, keys[k], out, sizeof out))
            require(memchr(out, '\0', sizeof out) != NULL);
        daemon_json_number(text, keys[k], &number);
    }
    free(text);
}

/* Whatever was written as a string comes back as it was. */
static void try_round(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *back = malloc(size + 1);
    struct buf b = { 0 };

    require(text && back);
    memcpy(text, data, size);
    text[size] = '\0';
    json_raw(&b, "{");
    json_string(&b, "vault", text);
    json_raw(&b, "}");
    buf_byte(&b, 0);
    require(!b.failed && daemon_json_text((char *)b.data, "vault", back, size + 1) && strcmp(text, back) == 0);
    buf_free(&b);
    free(text);
    free(back);
}

static void converse_with(struct control *c, const uint8_t *data, size_t size)
{
    char answer[ANSWER_MAX];
    int ends[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    require(send(ends[0], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    shutdown(ends[0], SHUT_WR);
    struct connection *n = malloc(sizeof *n);
    require(n != NULL);
    *n = (struct connection){ c, ends[1] };
    c->connections = 1;
    converse(n);
    require(c->connections == 0 && c->parked_count <= 1 && c->fs_users == 0);
    while (c->parked_count)
        answer_last(c->parked[--c->parked_count], report_result, 0);
    ssize_t got = recv(ends[0], answer, sizeof answer - 1, 0);
    require(got > 2 && answer[0] == '{' && answer[got - 1] == '\n');
    close(ends[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mount_config config = { .mountpoint = "/nowhere", .store_path = "/nowhere" };
    static struct served served = { .config = &config, .state_path = "/nowhere", .suite = SUITE_AES_256_GCM };
    static struct control c = { .served = &served, .closing = true, .lock = PTHREAD_MUTEX_INITIALIZER,
                                .changed = PTHREAD_COND_INITIALIZER };

    if (size > 3 * REQUEST_MAX)
        return 0;
    converse_with(&c, data, size);
    try_reader(data, size);
    try_round(data, size);
    return 0;
}
