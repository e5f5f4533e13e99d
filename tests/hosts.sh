#!/usr/bin/env bash
# Makes a folder with the Wireshark of another Debian suite, once, and prints where it is: hosts.sh SUITE
# It needs root, debootstrap and the mirror that apt is configured with; without one of them it says so and fails.
set -euo pipefail
suite=$1
root=${HARSHARK_HOSTS:-${XDG_CACHE_HOME:-$HOME/.cache}/harshark-hosts}/$suite
if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi
fail() { echo "no Wireshark of $suite: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "only root can make its folder"
command -v debootstrap >/dev/null || fail "debootstrap is not installed"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -E '/debian/?$' | head -n 1 || true)
[ -n "$mirror" ] || fail "apt knows no mirror of Debian"
mkdir -p "$root"
# One at a time: tests run beside each other.
exec 9>"$root.lock"
flock 9
if [ ! -e "$root/.ready" ]; then
    # A snapshot of the mirror may be older than its own expiry.
    options=(-o Acquire::Check-Valid-Until=false -qq)
    {
        [ -x "$root/usr/bin/apt-get" ] || debootstrap --variant=minbase "$suite" "$root" "$mirror"
        chroot "$root" apt-get "${options[@]}" update
        DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get "${options[@]}" install -y --no-install-recommends \
            tshark wireshark libwireshark-dev libglib2.0-dev
    } >"$root.log" 2>&1 || fail "see $root.log"
    touch "$root/.ready"
fi
echo "$root"
