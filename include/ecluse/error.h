/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Error codes of every layer.
 *
 * Functions return 0, or -errno when the operating system is the cause, or a
 * negative domain code below -5000 from the table here.  One row gives a code
 * its errno (what the kernel is told), its exit code (what a script sees) and
 * its French and English sentences (what a person reads).  Detail is logged
 * once, where it is detected; only src/fuse turns codes into errnos and only
 * src/cli into sentences and exit codes.
 */
#ifndef ECLUSE_ERROR_H
#define ECLUSE_ERROR_H

/* Exit codes are an interface: documented in ecluse(1), never renumbered. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 1,
    EXIT_STORE = 2,       /* store missing, not a vault, newer format, read-only */
    EXIT_MOUNTPOINT = 3,  /* missing, not empty, inside the store, not ours */
    EXIT_PASSPHRASE = 4,  /* no slot opens with what was given */
    EXIT_KEYRING = 5,     /* keyring damaged */
    EXIT_MOUNTED = 6,     /* already mounted, or the state is in use */
    EXIT_OLDER = 7,       /* store older than what this device has seen */
    EXIT_INTEGRITY = 8,   /* authentication failed somewhere */
    EXIT_FULL = 9,        /* no space left */
    EXIT_PERMISSION = 10, /* not permitted */
    EXIT_STATE = 11,      /* state missing, damaged, or another vault's */
    EXIT_NOT_MOUNTED = 12,
    EXIT_SYSTEM = 13,     /* any other failure of the system */
    EXIT_PARTIAL = 14,    /* done, but for what the report names */
    EXIT_POLICY = 15,     /* the computer's policy forbids it, or is broken */
};

/*  X(code, value, errno, exit, English, French) */
#define ERROR_TABLE(X) \
    X(E_AUTH, -5001, EIO, EXIT_INTEGRITY, \
      "an object failed authentication: it was altered or does not belong here", \
      "un objet n’a pas pu être authentifié : il a été altéré ou n’est pas à sa place") \
    X(E_FORMAT, -5002, EIO, EXIT_INTEGRITY, \
      "an object is malformed", "un objet est mal formé") \
    X(E_NEWER_FORMAT, -5003, EIO, EXIT_STORE, \
      "this was written by a newer version of Écluse", \
      "ces données ont été écrites par une version plus récente d’Écluse") \
    X(E_NOT_ARRIVED, -5004, EIO, EXIT_INTEGRITY, \
      "an object has not arrived in the store yet", \
      "un objet n’est pas encore arrivé dans le dépôt") \
    X(E_OLDER_STATE, -5005, EIO, EXIT_OLDER, \
      "the store is older than what this device has already seen", \
      "le dépôt est plus ancien que ce que cet appareil a déjà vu") \
    X(E_FORKED, -5006, EIO, EXIT_INTEGRITY, \
      "two different publications have one number: a forgery, or a machine that was turned back", \
      "deux publications différentes portent le même numéro : une falsification, ou un poste ramené en arrière") \
    X(E_OTHER_VAULT, -5007, EIO, EXIT_OLDER, \
      "another vault of yours was last seen here: the stores were exchanged, or moved", \
      "un autre de vos coffres se trouvait ici la dernière fois : les dépôts ont été intervertis ou déplacés") \
    X(E_NOT_VAULT, -5010, EINVAL, EXIT_STORE, \
      "this directory is not an Écluse store", \
      "ce répertoire n’est pas un dépôt Écluse") \
    X(E_STORE_MISSING, -5011, ENOENT, EXIT_STORE, \
      "the store does not exist", "le dépôt n’existe pas") \
    X(E_STORE_NOT_EMPTY, -5012, ENOTEMPTY, EXIT_STORE, \
      "the store directory is not empty", "le répertoire du dépôt n’est pas vide") \
    X(E_STORE_READ_ONLY, -5013, EROFS, EXIT_STORE, \
      "the store cannot be written", "le dépôt n’est pas accessible en écriture") \
    X(E_STORE_SYNC, -5015, EIO, EXIT_SYSTEM, \
      "the store's disk may not have kept what was written to it", \
      "le disque du dépôt n’a peut-être pas conservé ce qui y a été écrit") \
    X(E_STORE_STUCK, -5016, EIO, EXIT_STORE, \
      "the store does not answer", "le dépôt ne répond pas") \
    X(E_STORE_HEADER, -5014, EIO, EXIT_INTEGRITY, \
      "the vault header is truncated or altered", \
      "l’en-tête du coffre est tronqué ou altéré") \
    X(E_PASSPHRASE, -5020, EACCES, EXIT_PASSPHRASE, \
      "wrong passphrase or key", "phrase de passe ou clé erronée") \
    X(E_KEYRING, -5021, EIO, EXIT_KEYRING, \
      "the keyring is damaged", "le trousseau de clés est endommagé") \
    X(E_RECOVERY_KEY, -5022, EINVAL, EXIT_PASSPHRASE, \
      "the recovery key is mistyped", "la clé de récupération est mal saisie") \
    X(E_UNCONFIRMED, -5029, EINVAL, EXIT_PASSPHRASE, \
      "the recovery key was not confirmed; nothing was made", \
      "la clé de récupération n’a pas été confirmée; rien n’a été créé") \
    X(E_RANDOM, -5023, EIO, EXIT_SYSTEM, \
      "the system's random generator failed", \
      "le générateur aléatoire du système a fait défaut") \
    X(E_NO_LAST_SLOT, -5024, EPERM, EXIT_PERMISSION, \
      "this would leave no way into the vault", \
      "il ne resterait plus aucun moyen d’ouvrir le coffre") \
    X(E_SLOTS_FULL, -5025, EPERM, EXIT_PERMISSION, \
      "all key slots are in use; remove one first", \
      "tous les emplacements de clé sont occupés; supprimez-en un d’abord") \
    X(E_NO_SLOT, -5026, ENOENT, EXIT_USAGE, \
      "there is no key slot of that number", "aucun emplacement de clé ne porte ce numéro") \
    X(E_STATE_MISSING, -5030, ENOENT, EXIT_STATE, \
      "this device holds no state for this vault; it must be recovered first", \
      "cet appareil n’a pas d’état local pour ce coffre; il faut d’abord le récupérer") \
    X(E_STATE_DAMAGED, -5031, EIO, EXIT_STATE, \
      "the local state is damaged", "l’état local est endommagé") \
    X(E_STATE_FOREIGN, -5032, EINVAL, EXIT_STATE, \
      "the local state belongs to another vault", \
      "l’état local appartient à un autre coffre") \
    X(E_STATE_IN_USE, -5033, EBUSY, EXIT_MOUNTED, \
      "this vault is already mounted", "ce coffre est déjà monté") \
    X(E_STATE_EXISTS, -5034, EEXIST, EXIT_STATE, \
      "a local state already exists for this vault", \
      "un état local existe déjà pour ce coffre") \
    X(E_STATE_CLONED, -5035, EIO, EXIT_STATE, \
      "the local state was copied or restored from elsewhere", \
      "l’état local a été copié ou restauré d’ailleurs") \
    X(E_LATCHED, -5036, EROFS, EXIT_SYSTEM, \
      "the vault is read-only since a disk error; mount it again", \
      "le coffre est en lecture seule depuis une erreur de disque; montez-le de nouveau") \
    X(E_OTHER_DEVICE, -5037, EBUSY, EXIT_PERMISSION, \
      "another device publishes into this store, and may need what would be removed", \
      "un autre appareil publie dans ce dépôt et pourrait avoir besoin de ce qui serait supprimé") \
    X(E_STATE_SYNCED, -5038, EINVAL, EXIT_STATE, \
      "the local state lies in a folder that a sync client copies; choose another place (--state)", \
      "l’état local se trouve dans un dossier qu’un client de synchronisation copie; choisissez un autre emplacement (--state)") \
    X(E_UNSAVED, -5039, EIO, EXIT_SYSTEM, \
      "not all that was written last could be saved", \
      "ce qui a été écrit en dernier n’a pas pu être enregistré en entier") \
    X(E_MOUNTPOINT, -5040, EINVAL, EXIT_MOUNTPOINT, \
      "the mountpoint does not exist or is not a directory", \
      "le point de montage n’existe pas ou n’est pas un répertoire") \
    X(E_MOUNTPOINT_NOT_EMPTY, -5041, ENOTEMPTY, EXIT_MOUNTPOINT, \
      "the mountpoint is not empty", "le point de montage n’est pas vide") \
    X(E_MOUNTPOINT_BUSY, -5042, EBUSY, EXIT_MOUNTED, \
      "something is already mounted there", "quelque chose y est déjà monté") \
    X(E_NESTED, -5043, EINVAL, EXIT_MOUNTPOINT, \
      "store, state and mountpoint must not lie inside one another", \
      "le dépôt, l’état local et le point de montage ne doivent pas être imbriqués") \
    X(E_NOT_MOUNTED, -5044, EINVAL, EXIT_NOT_MOUNTED, \
      "no Écluse vault is mounted there", "aucun coffre Écluse n’y est monté") \
    X(E_MOUNT_BUSY, -5045, EBUSY, EXIT_MOUNTED, \
      "files are still open in the mounted folder", \
      "des fichiers sont encore ouverts dans le dossier monté") \
    X(E_FUSE, -5046, EIO, EXIT_SYSTEM, \
      "FUSE is not available", "FUSE n’est pas disponible") \
    X(E_FUSE_DENIED, -5047, EACCES, EXIT_PERMISSION, \
      "/dev/fuse is closed to this user", \
      "/dev/fuse est fermé à cet utilisateur") \
    X(E_UNMOUNT, -5048, EIO, EXIT_SYSTEM, \
      "fusermount3 could not unmount it; the log says why", \
      "fusermount3 n’a pas pu le démonter; le journal dit pourquoi") \
    X(E_SECRET_EXPOSED, -5050, EACCES, EXIT_PERMISSION, \
      "the passphrase or key file can be read by other users", \
      "le fichier de phrase de passe ou de clé est lisible par d’autres utilisateurs") \
    X(E_NO_TERMINAL, -5051, ENOTTY, EXIT_USAGE, \
      "no terminal to ask or to show the key on; use the file options", \
      "aucun terminal pour poser la question ou afficher la clé; utilisez les options de fichier") \
    X(E_NO_SECRET, -5052, ENOENT, EXIT_PASSPHRASE, \
      "no passphrase was given", "aucune phrase de passe n’a été fournie") \
    X(E_KEYFILE_SHORT, -5053, EINVAL, EXIT_PASSPHRASE, \
      "a key file has at least 32 bytes, and random ones", \
      "un fichier de clé compte au moins 32 octets, choisis au hasard") \
    X(E_NOT_KEPT, -5054, EIO, EXIT_SYSTEM, \
      "the program failed, or did not give back the secret that it was to keep; the vault is unchanged", \
      "le programme a échoué ou n’a pas rendu le secret qu’il devait conserver; le coffre est inchangé") \
    X(E_POLICY, -5080, EPERM, EXIT_POLICY, \
      "the policy of this computer does not allow it", \
      "la politique de ce poste ne le permet pas") \
    X(E_POLICY_BROKEN, -5081, EPERM, EXIT_POLICY, \
      "the policy of this computer is not valid", \
      "la politique de ce poste n’est pas valide") \
    X(E_USAGE, -5060, EINVAL, EXIT_USAGE, \
      "wrong usage", "utilisation incorrecte") \
    X(E_CONTROL, -5061, EPROTO, EXIT_SYSTEM, \
      "the daemon did not answer as expected", \
      "le démon n’a pas répondu comme prévu")

enum error_code {
#define X(code, value, err, exit, en, fr) code = value,
    ERROR_TABLE(X)
#undef X
};

/* The positive errno for a negative result of any layer (0 stays 0). */
int error_errno(int result);

/* The exit code for a negative result (0 gives EXIT_DONE). */
enum exit_code error_exit(int result);

/* The sentence for a result in the language of the current locale (French
 * when LC_MESSAGES starts with "fr", else English). Static storage. */
const char *error_text(int result);

/* The name of a domain code ("E_AUTH") or of an errno ("ENOSPC"), for logs. */
const char *error_name(int result);

#endif
