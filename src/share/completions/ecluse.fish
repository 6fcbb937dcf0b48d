# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Completion for fish. Commands, options and mount options are those that `ecluse help` tells.

function __ecluse_commands
    LC_ALL=C ecluse help 2>/dev/null | sed -n 's/^  ecluse \([a-z]*\) .*/\1/p'
end

function __ecluse_options
    set -l words (commandline -opc)
    LC_ALL=C ecluse help $words[2] 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u
end

function __ecluse_mount_options
    set -l begin (commandline -ct | sed -n 's/\(.*,\).*/\1/p')
    LC_ALL=C ecluse help mount 2>/dev/null | sed -n 's/^  \([a-z_]*[=,]\{0,1\}.*\)/\1/p' | sed 's/  .*//' |
        tr -d ' ' | tr ',' '\n' | sed -n 's/^\([a-z_]*=\{0,1\}\).*/\1/p' | sort -u | sed "s|^|$begin|"
end

function __ecluse_after
    set -l words (commandline -opc)
    contains -- $words[-1] $argv
end

complete -c ecluse -n __fish_is_first_token -a '(__ecluse_commands)'
complete -c ecluse -f -n '__fish_seen_subcommand_from help' -a '(__ecluse_commands)'
complete -c ecluse -f -n '__ecluse_after -o --options' -a '(__ecluse_mount_options)'
complete -c ecluse -f -n '__ecluse_after --suite' -a 'aes-256-gcm chacha20-poly1305'
complete -c ecluse -n 'string match -q -- "-*" (commandline -ct)' -a '(__ecluse_options)'
