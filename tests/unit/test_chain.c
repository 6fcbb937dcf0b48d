/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publications as bytes, and their order: what is whole is applied in order, and
 * gaps, forks, foreign branches and unfinished series are told apart.
 */
#include <check.h>
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <ecluse/publication.h>
#include <ecluse/segment.h>
#include <errno.h>
#include <fs/chain.h>
#include <stdlib.h>

/* --- the payload --------------------------------------------------------------------- */

struct sample {
    uint8_t version, flags;
    uint64_t actor, seq;
    uint8_t previous;              /* every byte of it */
    uint64_t heads[4][2];          /* actor, seq; ends at actor 0 */
    uint64_t actors[4];            /* ends at 0 */
    struct { uint64_t number; uint8_t flags; uint64_t length; } segments[4];
    size_t segment_count;
    uint64_t shard, next_ino, next_cookie;   /* with bit 1 of the flags */
    uint64_t around[2];            /* with bit 3 */
};

static struct sample plain(void)
{
    return (struct sample){ .version = 1, .actor = 7, .seq = 5, .previous = 0x11, .actors = { 6, 7 },
                            .heads = { { 6, 2 } }, .segment_count = 3,
                            .segments = { { 1, 0, 0 }, { 4, 1, 65536 }, { 9, 3, 0 } } };
}

static void put_actor(struct buf *b, uint64_t actor)
{
    uint8_t bytes[8];
    put_le64(bytes, actor);
    buf_append(b, bytes, sizeof bytes);
}

static void put_hash(struct buf *b, uint8_t byte)
{
    uint8_t hash[SHA256_SIZE];
    memset(hash, byte, sizeof hash);
    buf_append(b, hash, sizeof hash);
}

static void encode(const struct sample *s, struct buf *b)
{
    size_t heads = 0, actors = 0;

    while (heads < 4 && s->heads[heads][0])
        heads++;
    while (actors < 4 && s->actors[actors])
        actors++;
    buf_byte(b, s->version);
    buf_byte(b, s->flags);
    put_actor(b, s->actor);
    buf_varint(b, s->seq);
    put_hash(b, s->previous);
    buf_varint(b, 1700000000);
    if (s->flags & 2) {
        buf_varint(b, s->shard);
        buf_varint(b, s->next_ino);
        buf_varint(b, s->next_cookie);
    }
    if (s->flags & 8) {
        put_actor(b, s->around[0]);
        buf_varint(b, s->around[1]);
        put_hash(b, 0x44);
    }
    buf_varint(b, heads);
    for (size_t k = 0; k < heads; k++) {
        put_actor(b, s->heads[k][0]);
        buf_varint(b, s->heads[k][1]);
        put_hash(b, (uint8_t)(0x20 + k));
    }
    buf_varint(b, actors);
    for (size_t k = 0; k < actors; k++)
        put_actor(b, s->actors[k]);
    buf_varint(b, s->segment_count);
    for (size_t k = 0; k < s->segment_count; k++) {
        struct id128 id = { { (uint8_t)k } };
        buf_varint(b, s->segments[k].number);
        buf_append(b, id.b, sizeof id.b);
        buf_byte(b, s->segments[k].flags);
        if (s->segments[k].flags == 1 || s->segments[k].flags & 4) {
            buf_varint(b, s->segments[k].length);
            put_hash(b, 0x33);
        }
    }
    buf_bytes(b, "rows", 4);
}

static int parse(const struct sample *s)
{
    struct buf b = { 0 };
    struct publication_view v;

    encode(s, &b);
    int rc = publication_parse(b.data, b.len, &v);
    buf_free(&b);
    return rc;
}

START_TEST(a_payload_is_read_as_it_was_written)
{
    struct sample s = plain();
    struct buf b = { 0 };
    struct publication_view v;
    struct publication_head h;
    struct publication_segment g;

    s.flags = 1;
    encode(&s, &b);
    ck_assert_int_eq(publication_parse(b.data, b.len, &v), 0);
    ck_assert(v.more && v.actor == 7 && v.seq == 5 && v.time == 1700000000);
    ck_assert(v.before.actor == 7 && v.before.seq == 4 && v.before.hash[31] == 0x11);
    ck_assert(v.actor_count == 2 && publication_actor(&v, 0) == 6 && publication_actor(&v, 1) == 7);
    ck_assert(v.rows_len == 4 && memcmp(v.rows, "rows", 4) == 0);
    ck_assert_int_eq(publication_next_head(&v, &h), 1);
    ck_assert(h.actor == 6 && h.seq == 2 && h.hash[0] == 0x20);
    ck_assert_int_eq(publication_next_head(&v, &h), 0);
    ck_assert_int_eq(publication_next_segment(&v, &g), 1);
    ck_assert(g.number == 1 && !g.fresh && !g.carrier);
    ck_assert_int_eq(publication_next_segment(&v, &g), 1);
    ck_assert(g.number == 4 && g.fresh && !g.carrier && g.length == 65536 && g.sha256[5] == 0x33);
    ck_assert_int_eq(publication_next_segment(&v, &g), 1);
    ck_assert(g.number == 9 && g.fresh && g.carrier && g.id.b[0] == 2);
    ck_assert_int_eq(publication_next_segment(&v, &g), 0);
    buf_free(&b);
}
END_TEST

START_TEST(an_actors_first_publication_follows_the_last_head)
{
    struct sample s = plain();
    struct buf b = { 0 };
    struct publication_view v;

    s.previous = 0;
    s.heads[0][1] = 4;
    encode(&s, &b);
    ck_assert_int_eq(publication_parse(b.data, b.len, &v), 0);
    ck_assert(v.before.actor == 6 && v.before.seq == 4 && v.before.hash[0] == 0x20);
    buf_free(&b);
    s = (struct sample){ .version = 1, .actor = 7, .seq = 1, .actors = { 7 }, .segment_count = 1,
                         .segments = { { 1, 3, 0 } } };
    encode(&s, &b);
    ck_assert_int_eq(publication_parse(b.data, b.len, &v), 0);
    ck_assert(v.before.seq == 0);
    buf_free(&b);
}
END_TEST

START_TEST(a_part_of_a_checkpoint_is_read_as_it_was_written)
{
    struct sample s = plain();
    struct buf b = { 0 };
    struct publication_view v;
    struct publication_segment g;

    s.flags = 2 | 4 | 8;
    s.shard = 1;
    s.next_ino = 99;
    s.next_cookie = 77;
    s.around[0] = 6;
    s.around[1] = 3;
    s.segments[0].flags = 4;
    s.segments[0].length = 131072;
    encode(&s, &b);
    ck_assert_int_eq(publication_parse(b.data, b.len, &v), 0);
    ck_assert(v.shard == 2 && v.last && !v.more && v.next_ino == 99 && v.next_cookie == 77);
    ck_assert(v.around.actor == 6 && v.around.seq == 3 && v.around.hash[9] == 0x44);
    ck_assert_int_eq(publication_next_segment(&v, &g), 1);
    ck_assert(g.again && !g.gone && !g.fresh && !g.carrier && g.length == 131072 && g.sha256[0] == 0x33);
    for (size_t len = 0; len < b.len; len++)
        ck_assert_int_eq(publication_parse(b.data, len, &v), E_FORMAT);
    buf_free(&b);
}
END_TEST

START_TEST(a_segment_that_is_gone_is_told_with_its_length)
{
    struct sample s = plain();
    struct buf b = { 0 };
    struct publication_view v;
    struct publication_segment g;

    s.segments[0].flags = 12;      /* in any publication */
    s.segments[0].length = 131072;
    encode(&s, &b);
    ck_assert_int_eq(publication_parse(b.data, b.len, &v), 0);
    ck_assert_int_eq(publication_next_segment(&v, &g), 1);
    ck_assert(g.again && g.gone && !g.fresh && !g.carrier && g.length == 131072 && g.sha256[0] == 0x33);
    ck_assert_int_eq(publication_next_segment(&v, &g), 1);
    ck_assert(!g.again && !g.gone && g.fresh);
    buf_free(&b);
}
END_TEST

static void refuse(struct sample s)
{
    ck_assert_int_eq(parse(&s), E_FORMAT);
}
#define REFUSE(change) do { struct sample s = plain(); change; refuse(s); } while (0)

START_TEST(what_is_out_of_range_is_refused)
{
    struct sample good = plain();
    ck_assert_int_eq(parse(&good), 0);
    REFUSE(s.version = 0);
    REFUSE(s.version = 2);
    REFUSE(s.flags = 2);
    REFUSE(s.actor = 0);
    REFUSE(s.seq = 0);
    REFUSE(s.seq = 1ull << 63);
    REFUSE(s.seq = 1);                         /* with a predecessor */
    REFUSE(s.previous = 0);                    /* the first, but no head before it */
    REFUSE(s.heads[0][0] = 7);                 /* itself */
    REFUSE(s.heads[0][1] = 0);
    REFUSE(s.heads[0][1] = 4);                 /* its own predecessor's place */
    REFUSE(s.heads[0][1] = 5);
    REFUSE((s.heads[1][0] = 5, s.heads[1][1] = 2));
    REFUSE(s.actors[1] = 8);
    REFUSE(s.actors[0] = 0);
    REFUSE(s.segment_count = 0);
    REFUSE(s.segments[2].flags = 1);           /* no carrier */
    REFUSE(s.segments[0].flags = 3);           /* two */
    REFUSE(s.segments[2].flags = 2);
    REFUSE(s.segments[0].flags = 4);           /* told again, without a length */
    REFUSE((s.segments[0].flags = 5, s.segments[0].length = 65536));
    REFUSE((s.segments[0].flags = 12, s.segments[0].length = 65537));
    for (uint8_t flags = 6; flags; flags++)
        if (flags != 12)
            REFUSE((s.segments[0].flags = flags, s.segments[0].length = 65536));
    REFUSE(s.flags = 16);
    REFUSE(s.flags = 4);                       /* the last part of no checkpoint */
    REFUSE((s.flags = 2, s.shard = 3));        /* neither last nor more */
    REFUSE((s.flags = 3, s.shard = 5));        /* more parts than numbers */
    REFUSE((s.flags = 3, s.next_ino = (1ull << 48) + 1));
    REFUSE((s.flags = 3, s.next_cookie = 1ull << 63));
    REFUSE((s.flags = 8, s.around[0] = 7, s.around[1] = 4));   /* that is what it follows */
    REFUSE((s.flags = 8, s.around[0] = 7, s.around[1] = 0));
    REFUSE((s.flags = 8, s.around[0] = 0, s.around[1] = 2));
    REFUSE(s.segments[1].number = 1);
    REFUSE(s.segments[1].number = 10);
    REFUSE(s.segments[2].number = 1ull << 32);
    REFUSE(s.segments[1].length = 0);
    REFUSE(s.segments[1].length = 65537);
    REFUSE(s.segments[1].length = 1u << 25);
}
END_TEST

START_TEST(every_shorter_or_longer_payload_is_refused)
{
    struct sample s = plain();
    struct buf b = { 0 };
    struct publication_view v;

    encode(&s, &b);
    for (size_t len = 0; len < b.len; len++)
        ck_assert_int_eq(publication_parse(b.data, len, &v), E_FORMAT);
    buf_byte(&b, 0);
    ck_assert_int_eq(publication_parse(b.data, b.len, &v), E_FORMAT);
    buf_free(&b);
}
END_TEST

/* A count of 2^60 must neither be allocated for nor walked for ever. */
START_TEST(huge_counts_are_refused_at_once)
{
    struct buf b = { 0 };
    struct publication_view v;

    for (int which = 0; which < 3; which++) {
        buf_reset(&b);
        buf_byte(&b, 1);
        buf_byte(&b, 0);
        put_actor(&b, 7);
        buf_varint(&b, 1);
        put_hash(&b, 0);
        buf_varint(&b, 0);
        buf_varint(&b, which == 0 ? 1ull << 60 : 0);
        buf_varint(&b, which == 1 ? 1ull << 60 : 1);
        put_actor(&b, 7);
        buf_varint(&b, 1ull << 60);
        ck_assert_int_eq(publication_parse(b.data, b.len, &v), E_FORMAT);
    }
    buf_free(&b);
}
END_TEST

/* --- the order ------------------------------------------------------------------------- */

#define MAX 16
static struct link links[MAX];
static size_t link_count;
static struct chain chain;
static struct chain_wish wish;

static void begin(void)
{
    memset(links, 0, sizeof links);
    link_count = 0;
    wish = (struct chain_wish){ 0 };
}

static struct publication_head head(uint64_t actor, uint64_t seq, uint8_t hash)
{
    struct publication_head h = { .actor = actor, .seq = seq };
    if (seq)
        memset(h.hash, hash, sizeof h.hash);
    return h;
}

/* Publication (actor, seq) with a hash, after (actor, seq - 1) with another. */
static struct link *add(uint64_t actor, uint64_t seq, uint8_t hash, uint64_t before_actor, uint8_t before_hash)
{
    struct link *l = &links[link_count];
    *l = (struct link){ .self = head(actor, seq, hash), .before = head(before_actor, seq - 1, before_hash),
                        .object = link_count++, .time = (int64_t)(100 + seq) };
    return l;
}

/* A chain of one actor, hash = number. */
static void add_chain(uint64_t actor, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n <= to; n++)
        add(actor, n, (uint8_t)n, actor, (uint8_t)(n - 1));
}

static void order(size_t count, size_t loose)
{
    /* However they were listed. */
    for (size_t k = 0; k < link_count / 2; k++) {
        struct link swap = links[k];
        links[k] = links[link_count - 1 - k];
        links[link_count - 1 - k] = swap;
    }
    ck_assert_int_eq(chain_order(links, link_count, &wish, &chain), 0);
    ck_assert_uint_eq(chain.count, count);
    ck_assert_uint_eq(chain.loose, loose);
    for (size_t k = 0; k < count + loose; k++) {
        ck_assert_uint_eq(links[chain.order[k]].self.seq, k + 1);
        ck_assert_int_eq(links[chain.order[k]].verdict == LINK_CHAIN, k < count);
    }
    chain_free(&chain);
}

static void told(size_t pending, size_t branches, size_t forked, size_t broken)
{
    struct chain c;
    ck_assert_int_eq(chain_order(links, link_count, &wish, &c), 0);
    ck_assert_uint_eq(c.pending, pending);
    ck_assert_uint_eq(c.branches, branches);
    ck_assert_uint_eq(c.forked, forked);
    ck_assert_uint_eq(c.broken, broken);
    chain_free(&c);
}

START_TEST(a_whole_chain_is_in_order)
{
    begin();
    order(0, 0);
    add_chain(7, 1, 6);
    order(6, 0);
    told(0, 0, 0, 0);
}
END_TEST

START_TEST(a_gap_makes_what_follows_pending)
{
    begin();
    add_chain(7, 1, 3);
    add_chain(7, 5, 7);
    order(3, 0);
    told(3, 0, 0, 0);
}
END_TEST

START_TEST(without_the_first_nothing_is_applied)
{
    begin();
    add_chain(7, 2, 4);
    order(0, 0);
    told(3, 0, 0, 0);
}
END_TEST

START_TEST(a_missing_segment_makes_it_and_what_follows_pending)
{
    begin();
    add_chain(7, 1, 5);
    links[2].incomplete = true;
    order(2, 0);
    told(3, 0, 0, 0);
}
END_TEST

START_TEST(two_hashes_under_one_number_are_a_fork)
{
    begin();
    add_chain(7, 1, 4);
    add(7, 3, 0x99, 7, 2);
    order(2, 0);
    told(0, 0, 2, 1);            /* what follows a forked one is broken */
}
END_TEST

START_TEST(the_device_knows_which_branch_of_a_fork_is_its_own)
{
    begin();
    add_chain(7, 1, 4);
    add(7, 3, 0x99, 7, 2);
    wish.seen = head(7, 3, 3);
    order(4, 0);
    told(0, 0, 1, 0);
    begin();
    add_chain(7, 1, 4);
    add(7, 3, 0x99, 7, 2);
    wish.seen = head(7, 3, 0x99);
    order(3, 0);
    told(0, 0, 1, 1);
}
END_TEST

START_TEST(another_predecessor_than_is_there_is_a_broken_link)
{
    begin();
    add_chain(7, 1, 2);
    add(7, 3, 3, 7, 0x99);
    add(7, 4, 4, 7, 3);
    order(2, 0);
    told(0, 0, 0, 2);
}
END_TEST

START_TEST(the_same_publication_twice_counts_once)
{
    begin();
    add_chain(7, 1, 3);
    add(7, 2, 2, 7, 1);
    order(3, 0);
    told(0, 0, 0, 0);
}
END_TEST

START_TEST(a_series_counts_as_a_whole_or_not_at_all)
{
    begin();
    add_chain(7, 1, 5);
    links[2].more = links[3].more = true;
    order(5, 0);
    begin();
    add_chain(7, 1, 4);
    links[2].more = links[3].more = true;
    order(2, 2);
    begin();
    add_chain(7, 1, 5);
    links[2].more = links[3].more = links[4].incomplete = true;
    order(2, 2);
    told(1, 0, 0, 0);
}
END_TEST

/* --- checkpoints ------------------------------------------------------------------------ */

/* Parts of a checkpoint with numbers from…to; the last has `more` when something has to close it. */
static void add_checkpoint(uint64_t from, uint64_t to, bool closed_later)
{
    for (uint64_t n = from; n <= to; n++) {
        struct link *l = add(7, n, (uint8_t)n, 7, (uint8_t)(n - 1));
        l->shard = (uint32_t)(n - from) + 1;
        l->last = n == to;
        l->more = !l->last || closed_later;
        if (from > 1)
            l->around = head(7, from - 1, (uint8_t)(from - 1));
    }
}

static struct link *link_of(uint64_t seq)
{
    for (size_t k = 0; k < link_count; k++)
        if (links[k].self.seq == seq)
            return &links[k];
    return NULL;
}

static void lose(uint64_t seq)
{
    *link_of(seq) = links[--link_count];
}

/* The history has `count` publications, the first of which is `first`; it begins at number `base`. */
static void begins(size_t count, uint64_t first, uint64_t base, bool suffices)
{
    ck_assert_int_eq(chain_order(links, link_count, &wish, &chain), 0);
    ck_assert_uint_eq(chain.count, count);
    if (count) {
        ck_assert_uint_eq(links[chain.order[0]].self.seq, first);
        ck_assert_uint_eq(links[chain.order[chain.base]].self.seq, base);
    }
    ck_assert_int_eq(chain_suffices(links, &chain), suffices);
    chain_free(&chain);
}

START_TEST(a_history_begins_with_the_newest_whole_checkpoint)
{
    begin();
    add_chain(7, 1, 3);
    add_checkpoint(4, 6, false);
    add_chain(7, 7, 8);
    begins(8, 1, 4, true);
    add_checkpoint(9, 10, false);
    begins(10, 1, 9, true);
    begin();                       /* what is older is not needed */
    add_checkpoint(4, 6, false);
    add_chain(7, 7, 8);
    begins(5, 4, 4, true);
    told(0, 0, 0, 0);
    links[1].incomplete = true;    /* but all of its parts are */
    begins(0, 0, 0, false);
}
END_TEST

START_TEST(what_waits_before_the_checkpoint_is_not_missed)
{
    begin();
    add_chain(7, 2, 3);
    add_checkpoint(4, 5, false);
    add_chain(7, 6, 6);
    begins(3, 4, 4, true);
    told(0, 0, 0, 0);
}
END_TEST

START_TEST(what_a_gap_cut_off_before_the_checkpoint_is_no_other_branch)
{
    begin();
    add_chain(7, 1, 2);
    add_checkpoint(9, 10, false);
    add_chain(7, 11, 11);
    begins(3, 9, 9, true);
    told(0, 0, 0, 0);
    add(8, 3, 3, 7, 2);            /* somebody else's is */
    begins(3, 9, 9, false);
}
END_TEST

START_TEST(a_part_of_a_tree_never_passes_for_all_of_it)
{
    begin();                       /* the last part is missing */
    add_checkpoint(4, 6, false);
    add_chain(7, 7, 8);
    lose(6);
    begins(0, 0, 0, false);
    begin();                       /* the first */
    add_checkpoint(4, 6, false);
    add_chain(7, 7, 8);
    lose(4);
    begins(0, 0, 0, false);
    begin();                       /* given up by a crash, closed by something else */
    add_checkpoint(4, 5, false);
    link_of(5)->last = false;
    link_of(5)->more = true;
    add_chain(7, 6, 8);
    begins(0, 0, 0, false);
    ck_assert_int_eq(chain_order(links, link_count, &wish, &chain), 0);
    ck_assert_uint_eq(chain.pending, 5);
    chain_free(&chain);
    begin();                       /* whole, but what closes it is withheld */
    add_checkpoint(4, 6, true);
    begins(0, 0, 0, false);
    add_chain(7, 7, 7);
    begins(4, 4, 4, true);
    begin();                       /* a branch leaves it before its end */
    add_checkpoint(4, 6, false);
    add(9, 5, 0x55, 7, 4);
    add(9, 6, 0x66, 9, 0x55);
    add(9, 7, 0x77, 9, 0x66);
    begins(0, 0, 0, false);
}
END_TEST

START_TEST(lost_parts_of_a_checkpoint_are_gone_around)
{
    begin();
    add_chain(7, 1, 3);
    add_checkpoint(4, 6, false);
    add_chain(7, 7, 8);
    link_of(7)->around = head(7, 3, 3);
    link_of(5)->incomplete = true;
    begins(6, 1, 1, false);        /* 1, 2, 3, 6, 7, 8 */
    begin();
    add_checkpoint(1, 2, false);
    add_chain(7, 3, 4);
    add_checkpoint(5, 6, false);
    add_chain(7, 7, 8);
    link_of(7)->around = head(7, 4, 4);
    lose(6);
    begins(6, 1, 1, false);        /* the older checkpoint, and all that came since */
}
END_TEST

START_TEST(a_series_may_be_ended_by_the_next_actor)
{
    begin();
    add_chain(7, 1, 3);
    links[2].more = true;
    add(8, 4, 4, 7, 3);
    add(8, 5, 5, 8, 4);
    order(5, 0);
}
END_TEST

START_TEST(what_never_reached_the_store_is_behind_the_history)
{
    begin();
    add_chain(7, 1, 3);
    add(7, 4, 4, 7, 3)->staged = true;
    order(3, 1);
    told(0, 0, 0, 0);
    begin();
    add_chain(7, 1, 3);
    links[2].more = true;
    add(7, 4, 4, 7, 3)->staged = true;
    order(2, 2);
}
END_TEST

/* A copied state goes on from 3 as actor 8, the original to 5. */
static void two_branches(uint64_t length)
{
    begin();
    add_chain(7, 1, 5);
    add(8, 4, 0x84, 7, 3);
    for (uint64_t n = 5; n <= length; n++)
        add(8, n, (uint8_t)(0x80 + n), 8, (uint8_t)(0x80 + n - 1));
}

START_TEST(of_two_branches_that_of_the_device_is_taken)
{
    two_branches(7);
    order(7, 0);                 /* nothing known: the longest */
    told(0, 2, 0, 0);
    two_branches(7);
    wish.actor = 7;
    order(5, 0);
    told(0, 4, 0, 0);
    two_branches(4);
    wish.actor = 8;
    order(4, 0);
    two_branches(4);
    wish.seen = head(8, 4, 0x84);
    wish.actor = 7;              /* the keyring was older than the index */
    order(4, 0);
    two_branches(7);
    wish.seen = head(7, 2, 2);   /* on both */
    wish.actor = 9;
    order(7, 0);
}
END_TEST

START_TEST(an_earlier_actor_of_ours_does_not_end_the_history)
{
    begin();
    add_chain(7, 1, 3);
    add(8, 4, 4, 7, 3);
    add(8, 5, 5, 8, 4);
    wish.actor = 7;              /* a keyring from before the last change of actor */
    order(5, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chain");
    TCase *p = tcase_create("payload"), *t = tcase_create("order");

    tcase_add_test(p, a_payload_is_read_as_it_was_written);
    tcase_add_test(p, an_actors_first_publication_follows_the_last_head);
    tcase_add_test(p, a_segment_that_is_gone_is_told_with_its_length);
    tcase_add_test(p, what_is_out_of_range_is_refused);
    tcase_add_test(p, every_shorter_or_longer_payload_is_refused);
    tcase_add_test(p, huge_counts_are_refused_at_once);
    tcase_add_test(t, a_whole_chain_is_in_order);
    tcase_add_test(t, a_gap_makes_what_follows_pending);
    tcase_add_test(t, without_the_first_nothing_is_applied);
    tcase_add_test(t, a_missing_segment_makes_it_and_what_follows_pending);
    tcase_add_test(t, two_hashes_under_one_number_are_a_fork);
    tcase_add_test(t, the_device_knows_which_branch_of_a_fork_is_its_own);
    tcase_add_test(t, another_predecessor_than_is_there_is_a_broken_link);
    tcase_add_test(t, the_same_publication_twice_counts_once);
    tcase_add_test(t, a_series_counts_as_a_whole_or_not_at_all);
    tcase_add_test(t, a_series_may_be_ended_by_the_next_actor);
    tcase_add_test(t, a_part_of_a_checkpoint_is_read_as_it_was_written);
    tcase_add_test(t, a_history_begins_with_the_newest_whole_checkpoint);
    tcase_add_test(t, what_waits_before_the_checkpoint_is_not_missed);
    tcase_add_test(t, what_a_gap_cut_off_before_the_checkpoint_is_no_other_branch);
    tcase_add_test(t, a_part_of_a_tree_never_passes_for_all_of_it);
    tcase_add_test(t, lost_parts_of_a_checkpoint_are_gone_around);
    tcase_add_test(t, what_never_reached_the_store_is_behind_the_history);
    tcase_add_test(t, of_two_branches_that_of_the_device_is_taken);
    tcase_add_test(t, an_earlier_actor_of_ours_does_not_end_the_history);
    suite_add_tcase(s, p);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
