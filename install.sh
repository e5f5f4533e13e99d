#!/usr/bin/env bash
# Puts harshark where the shell, compilers and every installed Wireshark look for it, or takes it away again.
#
#   install.sh install|uninstall [PREFIX [DESTDIR]]
#
# Without PREFIX: /usr/local as root, ~/.local for everybody else. Wireshark ignores personal folders when root runs it, so root
# gets the global ones. HARSHARK_WIRESHARK lists the versions to serve ("4.0 4.4") when they cannot be asked.
set -euo pipefail
cd "$(dirname "$0")"
what=${1:-}
is_root=$([ "$(id -u)" = 0 ] && echo yes || echo no)
prefix=${2:-}
[ -n "$prefix" ] || prefix=$([ $is_root = yes ] && echo /usr/local || echo "$HOME/.local")
destdir=${3:-}
built=${HARSHARK_BUILT:-target/release}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
soname=libharshark.so.1

say() { echo "$what: $*"; }

# Folder, mode, source, name.
put() {
    install -d "$destdir$1"
    # By way of a new file: a library that a running Wireshark has mapped must not change under it.
    install -m "$2" "$3" "$destdir$1/.$4.new"
    mv -f "$destdir$1/.$4.new" "$destdir$1/$4"
    say "$destdir$1/$4"
}

take() {
    if [ -e "$destdir$1" ] || [ -L "$destdir$1" ]; then
        rm -f "$destdir$1"
        say "removed $destdir$1"
    fi
}

# major.minor of every Wireshark that is installed: what the programs say, and the plugin folders that are there.
versions() {
    if [ -n "${HARSHARK_WIRESHARK:-}" ]; then
        tr ' ' '\n' <<<"$HARSHARK_WIRESHARK"
        return
    fi
    {
        for program in tshark wireshark; do
            command -v $program >/dev/null || continue
            $program --version 2>/dev/null | sed -n '1s/.* \([0-9]\+\.[0-9]\+\)\..*/\1/p'
        done
        for folder in $(global_plugins); do
            find "$folder" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*.[0-9]*' -printf '%f\n'
        done
    } | sort -uV
}

# Folders of distributions, that hold one folder for each version.
global_plugins() {
    local folder
    for folder in /usr/lib/*-linux-*/wireshark/plugins /usr/lib/wireshark/plugins /usr/lib64/wireshark/plugins \
        /usr/local/lib/wireshark/plugins /usr/local/lib/*-linux-*/wireshark/plugins; do
        [ -d "$folder" ] && echo "$folder"
    done
    return 0
}

# Where version $1 looks for plugins.
plugin_folders() {
    local folder found=no
    if [ $is_root = no ]; then
        echo "$HOME/.local/lib/wireshark/plugins/$1/epan"
        return
    fi
    for folder in $(global_plugins); do
        if [ -d "$folder/$1" ]; then
            echo "$folder/$1/epan"
            found=yes
        fi
    done
    # A Wireshark without plugins of its own has no folder yet.
    [ $found = yes ] || echo "/usr/lib/$(uname -m)-linux-gnu/wireshark/plugins/$1/epan"
}

# Where version $1 looks for extcap programs: up to 4.0 in the configuration folder, later beside the plugins.
extcap_folders() {
    local folder found=no
    if [ $is_root = no ]; then
        case $1 in
        [0-3].* | 4.0) echo "${XDG_CONFIG_HOME:-$HOME/.config}/wireshark/extcap" ;;
        *) echo "$HOME/.local/lib/wireshark/extcap" ;;
        esac
        return
    fi
    for folder in /usr/lib/*-linux-*/wireshark/extcap /usr/lib/wireshark/extcap /usr/lib64/wireshark/extcap /usr/libexec/wireshark/extcap; do
        if [ -d "$folder" ]; then
            echo "$folder"
            found=yes
        fi
    done
    [ $found = yes ] || echo "/usr/lib/$(uname -m)-linux-gnu/wireshark/extcap"
}

all_versions=$(versions)
case $what in
install)
    for file in harshark hardump libharshark.so; do
        [ -e "$built/$file" ] || { echo "install: $built/$file is not there: run 'make build' first" >&2; exit 1; }
    done
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    put "$prefix/bin" 755 "$built/harshark" harshark
    put "$prefix/lib" 644 "$built/libharshark.so" "libharshark.so.$version"
    ln -sf "libharshark.so.$version" "$destdir$prefix/lib/$soname"
    ln -sf "$soname" "$destdir$prefix/lib/libharshark.so"
    say "$destdir$prefix/lib/libharshark.so -> $soname -> libharshark.so.$version"
    put "$prefix/include" 644 include/harshark.h harshark.h
    sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" harshark.pc.in >"$work/harshark.pc"
    put "$prefix/lib/pkgconfig" 644 "$work/harshark.pc" harshark.pc
    "$built/harshark" --man >"$work/harshark.1"
    put "$prefix/share/man/man1" 644 "$work/harshark.1" harshark.1
    for found in $all_versions; do
        for folder in $(plugin_folders "$found"); do put "$folder" 644 "$built/libharshark.so" harshark.so; done
        for folder in $(extcap_folders "$found"); do put "$folder" 755 "$built/hardump" hardump; done
    done
    if [ -z "$all_versions" ]; then
        say "no Wireshark was found: its plugin and the recorder were not installed (HARSHARK_WIRESHARK=\"4.4\" names a version)"
    else
        say "for Wireshark $(echo $all_versions): restart it, then File > HAR, and the capture interface 'HAR recorder'"
    fi
    if [ -z "$destdir" ] && [ $is_root = yes ]; then ldconfig 2>/dev/null || true; fi
    case ":$PATH:" in *":$prefix/bin:"*) ;; *) say "$prefix/bin is not in PATH" ;; esac
    ;;
uninstall)
    take "$prefix/bin/harshark"
    take "$prefix/lib/libharshark.so"
    take "$prefix/lib/$soname"
    for file in "$destdir$prefix"/lib/libharshark.so.[0-9]*.*; do take "${file#"$destdir"}"; done
    take "$prefix/include/harshark.h"
    take "$prefix/lib/pkgconfig/harshark.pc"
    take "$prefix/share/man/man1/harshark.1"
    for found in $all_versions; do
        for folder in $(plugin_folders "$found"); do take "$folder/harshark.so"; done
        for folder in $(extcap_folders "$found"); do take "$folder/hardump"; done
    done
    ;;
*)
    echo "usage: install.sh install|uninstall [PREFIX [DESTDIR]]" >&2
    exit 2
    ;;
esac
