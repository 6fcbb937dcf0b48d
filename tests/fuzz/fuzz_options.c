/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the mount options, as mount(8), fstab and users write them: any text is
 * options within their bounds or a complaint, with and without forgiveness for words
 * that are not known.  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc … fuzz_options.c
 */
#include <cli/options.c>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Instead of those of message.c: nobody reads a million complaints. */
int usage_error(const char *command, const char *format, ...)
{
    (void)command;
    (void)format;
    return EXIT_USAGE;
}

int complain(int error, const char *subject)
{
    (void)error;
    (void)subject;
    return EXIT_SYSTEM;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *value, size_t size)
{
    require(!value || (*value && strlen(value) <= size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (int sloppy = 0; sloppy < 2; sloppy++) {
        struct mount_options o = { 0 };
        if (mount_options_parse(&o, text, sloppy) == EXIT_DONE) {
            require(o.config.idle_seconds <= 365u * 86400);
            require(o.config.publish_every <= POLICY_CADENCE_MAX);
            require(o.rebuild == REBUILD_NEVER || o.rebuild == REBUILD_WHOLE || o.rebuild == REBUILD_PARTIAL);
            check_text(o.sources.passfile, size);
            check_text(o.sources.extpass, size);
            check_text(o.sources.keyfile, size);
            check_text(o.state, size);
            check_text(o.fsname, size);
            check_text(o.notify, size);
        }
        mount_options_free(&o);
    }
    free(text);
    return 0;
}
