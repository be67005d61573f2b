#!/bin/bash
# Installs what the tests of the package need (Debian packages, by apt), and makes a clean Debian of its own, which the tests boot, in a cache
# folder. Idempotent; when everything is there it does nothing but look. Run as root.
#
#   SERIALHUB_PACKAGE_DIR   the cache folder, absolute (default: .cache beside this file)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SERIALHUB_PACKAGE_DIR:-$here/.cache}

packages=(systemd systemd-container mmdebstrap binutils file groff lintian man-db mandoc qemu-user-static shellcheck)

# What the clean Debian has beside its essential packages: a service manager, also for users; and what reads man pages and completes.
contents=(apt systemd systemd-sysv dbus libpam-systemd man-db bash-completion fish zsh curl procps)

suite=package
# shellcheck source=test/apt.sh
. "$here/../apt.sh"

# Made anew whenever this script is another: it may want other packages.
make_root() {
    ! cmp -s "$here/setup.sh" "$cache/setup.sh" || return 0
    echo "package setup: making a clean Debian"
    root=$(mktemp -d "$cache/making.XXXXXX") # beside the result, so that it is whole or absent
    trap 'rm -rf "$root"' EXIT
    # As who installs it finds it, but without the documents of other packages and what only translations need.
    # shellcheck disable=SC2016 # $1 is for the hook
    mmdebstrap --quiet --mode=root --variant=minbase --include="$(IFS=,; echo "${contents[*]}")" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/serialhub*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
        --customize-hook='rm "$1/etc/hostname" "$1/etc/resolv.conf"' \
        bookworm "$root/root" /etc/apt/sources.list.d/debian.sources ||
        fail "mmdebstrap has failed"
    rm -rf "$cache/root"
    mv "$root/root" "$cache/root"
    cp "$here/setup.sh" "$cache/setup.sh"
    rm -rf "$root"
}

case $cache in
/*) ;;
*) fail "SERIALHUB_PACKAGE_DIR must be absolute, and is: $cache" ;;
esac
mkdir -p "$cache"
install_packages
for name in systemd-nspawn unshare mmdebstrap lintian mandoc; do
    command -v "$name" >/dev/null || fail "$name is missing, although the packages are installed: ${packages[*]}"
done
grep -qw overlay /proc/filesystems || modprobe overlay || fail "the kernel has no overlay file system"
make_root
echo "package setup: ready in $cache"
