/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A hash as words that two people can read to each other over the telephone.
 *
 * The words are spelled alike in French and in English, so that each reads them in
 * the language that is at hand and both see the same phrase.  Four words are the
 * first four bytes of the hash: enough to tell one publication of a vault from
 * another, which is all that is asked; whoever could search for a second one
 * with the same phrase would need the vault's keys to seal it.
 */
#include <ecluse/base.h>
#include <stdio.h>

static const char *const words[256] = {
    "abandon", "absent", "accent", "action", "agenda", "agile", "album", "alibi",
    "amateur", "ample", "angle", "animal", "arc", "arcade", "arsenal", "article",
    "artisan", "aspect", "avalanche", "avenue", "badge", "balance", "ballet", "banal",
    "bandage", "banjo", "baron", "barrage", "base", "bastion", "biceps", "bison",
    "blond", "bonus", "bouquet", "boutique", "bracelet", "bravo", "brigade", "brioche",
    "bronze", "budget", "buffet", "bulletin", "bureau", "cactus", "cadet", "cage",
    "camp", "canal", "canyon", "capable", "capital", "capsule", "cargo", "carnage",
    "cascade", "casino", "cassette", "cause", "cavalier", "central", "certain", "champion",
    "chance", "chant", "charade", "charge", "chef", "citron", "civil", "client",
    "climax", "cobra", "code", "collage", "collection", "colonel", "combat", "compact",
    "concert", "condor", "confetti", "continent", "contour", "corridor", "costume", "couple",
    "courage", "cousin", "crime", "crocodile", "croissant", "cube", "cuisine", "culture",
    "cycle", "cyclone", "date", "delta", "dense", "dessert", "destination", "dialogue",
    "direct", "disciple", "distance", "divan", "document", "domino", "dragon", "drone",
    "dune", "effort", "empire", "enclave", "ensemble", "escalator", "essence", "exact",
    "excellent", "expert", "explosion", "express", "fable", "facile", "fatigue", "festival",
    "fiction", "figure", "film", "final", "finance", "flexible", "fondue", "force",
    "forge", "formation", "fort", "fraction", "fragile", "fragment", "fruit", "fugue",
    "fusion", "gala", "garage", "gazelle", "genre", "glacial", "globe", "golf",
    "gorge", "grain", "grave", "grenade", "guide", "habitat", "hamster", "hibiscus",
    "horizon", "humble", "humus", "iceberg", "igloo", "image", "immense", "impact",
    "index", "infusion", "instant", "instinct", "invention", "iris", "jade", "jaguar",
    "jargon", "jazz", "jovial", "jungle", "jury", "justice", "kayak", "kimono",
    "kiwi", "koala", "latex", "limousine", "lion", "local", "locomotive", "logo",
    "lotus", "lynx", "machine", "magma", "mandarin", "marathon", "marina", "massage",
    "massif", "maximum", "melon", "menace", "mention", "menu", "message", "microscope",
    "migration", "million", "mimosa", "minute", "mirage", "mission", "mobile", "moment",
    "montage", "moral", "motif", "multiple", "muscle", "mutation", "narration", "nation",
    "nature", "navigation", "nectar", "niche", "noble", "nuance", "oasis", "olive",
    "omelette", "opinion", "orange", "original", "palace", "panda", "panorama", "parade",
    "parasol", "passage", "pastel", "patio", "phrase", "piano", "pigeon", "pirate",
    "plateau", "prairie", "province", "quartz", "refuge", "safari", "silence", "village",
};

void phrase_for(const uint8_t *hash, char out[PHRASE_TEXT])
{
    snprintf(out, PHRASE_TEXT, "%s %s %s %s", words[hash[0]], words[hash[1]], words[hash[2]], words[hash[3]]);
}
