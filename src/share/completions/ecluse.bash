# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# Completion for bash. Commands, options and mount options are those that `ecluse help` tells.

_ecluse_commands() { LC_ALL=C ecluse help 2>/dev/null | sed -n 's/^  ecluse \([a-z]*\) .*/\1/p'; }
_ecluse_options() { LC_ALL=C ecluse help "$1" 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u; }
_ecluse_mount_options() {
    LC_ALL=C ecluse help mount 2>/dev/null | sed -n 's/^  \([a-z_]*[=,]\{0,1\}.*\)/\1/p' | sed 's/  .*//' |
        tr -d ' ' | tr ',' '\n' | sed -n 's/^\([a-z_]*=\{0,1\}\).*/\1/p' | sort -u
}

_ecluse() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} begin
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_ecluse_commands)" -- "$current")
        compopt -o default
        return
    fi
    case $previous in
    -o | --options)
        begin=
        [[ $current != *,* ]] || begin=${current%,*},
        mapfile -t COMPREPLY < <(compgen -P "$begin" -W "$(_ecluse_mount_options)" -- "${current##*,}")
        compopt -o nospace
        return
        ;;
    --suite) mapfile -t COMPREPLY < <(compgen -W 'aes-256-gcm chacha20-poly1305' -- "$current") && return ;;
    --extpass) mapfile -t COMPREPLY < <(compgen -c -- "$current") && return ;;
    esac
    case $command/$current in
    help/*) mapfile -t COMPREPLY < <(compgen -W "$(_ecluse_commands)" -- "$current") ;;
    */-*) mapfile -t COMPREPLY < <(compgen -W "$(_ecluse_options "$command")" -- "$current") ;;
    *) compopt -o default ;;
    esac
}
complete -F _ecluse ecluse
