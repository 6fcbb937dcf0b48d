# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A screen of our own, with a window manager and an installed Écluse, and a user who
# has a keyboard only.  Screenshots land in build/shots (or SHOTS).
#
# Sourced after tests/mount/lib.sh.  Nothing here touches a session of the machine:
# home, runtime directory, configuration and D-Bus are the test's.

need Xvfb openbox xdotool zenity pinentry-gtk-2 import convert
SHOTS=${SHOTS:-$ROOT/build/shots}
PREFIX=$TMP/usr
mkdir -p "$SHOTS"

export HOME=$TMP/home XDG_RUNTIME_DIR=$TMP/run
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS SESSION_MANAGER
export GTK_THEME=Adwaita NO_AT_BRIDGE=1 GTK_USE_PORTAL=0 GIO_USE_VFS=local GSETTINGS_BACKEND=memory
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
umask 022

make -s -C "$ROOT" install PREFIX="$PREFIX" SBINDIR="$TMP/sbin" >/dev/null
[ "$ECLUSE" = "$ROOT/build/ecluse" ] || install -m 755 "$ECLUSE" "$PREFIX/bin/ecluse"
export PATH=$TMP/bin:$PREFIX/bin:$PATH
mkdir "$TMP/bin"
# An ordinary user, also where the tests are root's: the state is in the home.
if as_root; then
    open_the_way
    chown 65534:65534 "$HOME" "$XDG_RUNTIME_DIR"
    user() { setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"; }
else
    user() { "$@"; }
fi
# What would show a folder or a page.
printf '#!/bin/bash\nprintf "%%s\\n" "$1" >>%q\n' "$TMP/shown" >"$TMP/bin/xdg-open"
chmod +x "$TMP/bin/xdg-open"
: >"$TMP/shown"
chmod a+w "$TMP/shown"

start_screen() {
    # Its folder in the command lines lets the test's end find both.
    mkdir "$TMP/screen"
    cat >"$TMP/screen/rc.xml" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<openbox_config xmlns="http://openbox.org/3.4/rc"><focus><focusNew>yes</focusNew></focus>
<placement><policy>Smart</policy><center>yes</center></placement></openbox_config>
XML
    Xvfb -displayfd 3 -screen 0 900x640x24 -nolisten tcp -noreset -ac -fbdir "$TMP/screen" 3>"$TMP/display" 2>"$TMP/xvfb" &
    until_true grep -qs . "$TMP/display"
    DISPLAY=:$(cat "$TMP/display")
    export DISPLAY
    until_true screen_is_there
    openbox --config-file "$TMP/screen/rc.xml" 2>"$TMP/openbox" &
    until_true managed
    cd "$HOME" || exit
}

screen_is_there() { xdotool getdisplaygeometry >/dev/null 2>&1; }
managed() { xdotool get_num_desktops >/dev/null 2>&1; }

# active PATTERN : is the active window's title like that?
active() { [[ $(xdotool getactivewindow getwindowname 2>/dev/null) =~ $1 ]]; }
window() { # window PATTERN : waits until it is there, has the keyboard, and is drawn
    until_true active "$1"
    seen=''
    until_true settled
}
keys() { xdotool key --delay 60 "$@"; }
# answer KEY... : and waits until the window is gone, or another one is in front
answer() {
    local before
    seen=''
    until_true settled   # what was typed is there, and what it called up
    before=$(in_front)
    keys "$@"
    until_true left "$before"
}
# Numbers of windows are used again.
in_front() { xdotool getactivewindow getwindowname getactivewindow getwindowpid 2>/dev/null; }
left() { [ "$(in_front)" != "$1" ]; }
types() { xdotool type --delay 30 "$1"; }

# path FOLDER NAME : typed step by step, for the file chooser completes it by itself meanwhile
path() {
    local step
    for step in "$1/" "$2"; do
        types "$step"
        seen=''
        until_true settled
    done
}

settled() { # the screen is the same twice in a row
    local sum
    sum=$(import -window root rgb:- | cksum)
    [ "$sum" = "${seen:-}" ] && return
    seen=$sum
    return 1
}
shot() { # shot NAME
    seen=''
    until_true settled
    import -window root png:- | convert - -trim +repage -colors 128 -strip "PNG8:$SHOTS/$LANGUAGE_CODE-$1.png"
}

# nowhere SECRET : in no command line and no environment
nowhere() {
    local found
    found=$(grep -lsaF -f <(printf '%s\n' "$1") /proc/[0-9]*/cmdline /proc/[0-9]*/environ |
        grep -v "^/proc/\($$\|$BASHPID\)/" || true)
    same "processes that show a secret" "" "$found"
}
