/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a result means to the kernel, to a script and to a person.
 *
 * Two tables: the domain codes of error.h, and the errnos that a user can meet,
 * with sentences of our own because a small system has no translations of the C
 * library.  Any other errno gets the sentence of the C library.
 */
#include <ecluse/base.h>
#include <ecluse/error.h>
#include <errno.h>
#include <locale.h>

#define ERRNO_LIMIT 4095     /* the highest value that a system call returns */

struct row {
    int result;
    int err;
    enum exit_code exit;
    const char *name, *en, *fr;
};

static const struct row domain[] = {
#define X(code, value, err, exit, en, fr) { code, err, exit, #code, en, fr },
    ERROR_TABLE(X)
#undef X
};

/*  X(errno, exit, English, French) */
#define ERRNO_TABLE(X) \
    X(EPERM, EXIT_PERMISSION, "operation not permitted", "opération non permise") \
    X(ENOENT, EXIT_SYSTEM, "no such file or directory", "fichier ou répertoire introuvable") \
    X(EINTR, EXIT_SYSTEM, "interrupted", "opération interrompue") \
    X(EIO, EXIT_SYSTEM, "the disk reported an error", "le disque a signalé une erreur") \
    X(ENXIO, EXIT_SYSTEM, "no such device", "périphérique introuvable") \
    X(E2BIG, EXIT_SYSTEM, "too much at once", "trop de données à la fois") \
    X(EBADF, EXIT_SYSTEM, "the file is not open", "le fichier n’est pas ouvert") \
    X(EAGAIN, EXIT_SYSTEM, "temporarily unavailable; try again", \
      "momentanément indisponible; réessayez") \
    X(ENOMEM, EXIT_SYSTEM, "not enough memory", "mémoire insuffisante") \
    X(EACCES, EXIT_PERMISSION, "permission denied", "permission refusée") \
    X(EBUSY, EXIT_SYSTEM, "in use", "ressource occupée") \
    X(EEXIST, EXIT_SYSTEM, "already exists", "existe déjà") \
    X(EXDEV, EXIT_SYSTEM, "on another filesystem", "sur un autre système de fichiers") \
    X(ENODEV, EXIT_SYSTEM, "not supported by this device", "non pris en charge par ce périphérique") \
    X(ENOTDIR, EXIT_SYSTEM, "not a directory", "n’est pas un répertoire") \
    X(EISDIR, EXIT_SYSTEM, "is a directory", "est un répertoire") \
    X(EINVAL, EXIT_SYSTEM, "not valid", "valeur non valide") \
    X(ENFILE, EXIT_SYSTEM, "too many open files in the system", \
      "trop de fichiers ouverts dans le système") \
    X(EMFILE, EXIT_SYSTEM, "too many open files", "trop de fichiers ouverts") \
    X(ENOTTY, EXIT_SYSTEM, "not a terminal", "n’est pas un terminal") \
    X(EFBIG, EXIT_SYSTEM, "the file is too large", "le fichier est trop volumineux") \
    X(ENOSPC, EXIT_FULL, "no space left on the disk", "il ne reste plus d’espace sur le disque") \
    X(EROFS, EXIT_STORE, "the filesystem is read-only", "le système de fichiers est en lecture seule") \
    X(EMLINK, EXIT_SYSTEM, "too many links", "trop de liens") \
    X(EPIPE, EXIT_SYSTEM, "the other end closed the connection", \
      "l’autre extrémité a fermé la connexion") \
    X(ENAMETOOLONG, EXIT_SYSTEM, "the name is too long", "le nom est trop long") \
    X(ENOSYS, EXIT_SYSTEM, "not available on this system", "non disponible sur ce système") \
    X(ENOTEMPTY, EXIT_SYSTEM, "the directory is not empty", "le répertoire n’est pas vide") \
    X(ELOOP, EXIT_SYSTEM, "a symbolic link is in the way", "un lien symbolique fait obstacle") \
    X(ENODATA, EXIT_SYSTEM, "the file ends too early", "le fichier se termine trop tôt") \
    X(EPROTO, EXIT_SYSTEM, "unexpected answer", "réponse inattendue") \
    X(EOVERFLOW, EXIT_SYSTEM, "a value is too large", "une valeur est trop grande") \
    X(ENOTSUP, EXIT_SYSTEM, "not supported", "non pris en charge") \
    X(ECONNREFUSED, EXIT_SYSTEM, "nobody answers", "personne ne répond") \
    X(ECONNRESET, EXIT_SYSTEM, "the connection was cut", "la connexion a été coupée") \
    X(ETIMEDOUT, EXIT_SYSTEM, "no answer in time", "pas de réponse à temps") \
    X(ENOTCONN, EXIT_SYSTEM, "not connected", "pas de connexion") \
    X(ESTALE, EXIT_SYSTEM, "the file has vanished from its server", \
      "le fichier a disparu de son serveur") \
    X(EDQUOT, EXIT_FULL, "the disk quota is used up", "le quota de disque est épuisé") \
    X(ECANCELED, EXIT_SYSTEM, "cancelled", "opération annulée")

static const struct row system_errors[] = {
#define X(err, exit, en, fr) { -err, err, exit, #err, en, fr },
    ERRNO_TABLE(X)
#undef X
};

static const struct row *find(int result)
{
    for (size_t i = 0; i < ARRAY_SIZE(domain); i++)
        if (domain[i].result == result)
            return &domain[i];
    for (size_t i = 0; i < ARRAY_SIZE(system_errors); i++)
        if (system_errors[i].result == result)
            return &system_errors[i];
    return NULL;
}

static bool is_errno(int result) { return result < 0 && result >= -ERRNO_LIMIT; }

static bool is_french(void)
{
    const char *locale = setlocale(LC_MESSAGES, NULL);
    return locale && strncmp(locale, "fr", 2) == 0;
}

int error_errno(int result)
{
    if (result >= 0 || is_errno(result))
        return result >= 0 ? 0 : -result;
    const struct row *r = find(result);
    return r ? r->err : EIO;
}

enum exit_code error_exit(int result)
{
    const struct row *r = find(result);

    if (r)
        return r->exit;
    return result >= 0 ? EXIT_DONE : EXIT_SYSTEM;
}

const char *error_text(int result)
{
    const struct row *r = find(result);

    if (r)
        return is_french() ? r->fr : r->en;
    if (is_errno(result))
        return strerror(-result);
    if (result >= 0)
        return is_french() ? "aucune erreur" : "no error";
    return is_french() ? "erreur inconnue" : "unknown error";
}

const char *error_name(int result)
{
    const struct row *r = find(result);
    const char *name = r ? r->name : is_errno(result) ? strerrorname_np(-result) : NULL;

    if (name)
        return name;
    return result >= 0 ? "OK" : "unknown";
}
