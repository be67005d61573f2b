#!/bin/bash
# Installs what the end-to-end tests need (Debian packages, by apt) and prepares
# the guests they boot in a cache folder: vmlinux, initramfs.gz and grub.img.
# Beside them it puts prometheus and promtool, and what the reader of
# docs/tutorial-kgdb.md has made before its test begins: a kernel with kgdb.
# Idempotent; when everything is there it does nothing but look. Run as root.
#
#   SERIALHUB_E2E_DIR   the cache folder, absolute (default: .cache beside this file)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SERIALHUB_E2E_DIR:-$here/.cache}

packages=(qemu-system-x86 busybox-static gdb grub-pc-bin grub-common cpio lz4 xz-utils zstd gzip
    socat acl libvirt-daemon-system libvirt-clients)
grub_modules=/usr/lib/grub/i386-pc

suite=e2e
# shellcheck source=test/apt.sh
. "$here/../apt.sh"
# shellcheck source=test/kernel.sh
. "$here/../kernel.sh"

check_tools() {
    local name
    for name in qemu-system-x86_64 busybox gdb socat setfacl libvirtd virsh grub-mkimage cpio lz4 xz zstd gzip dpkg-deb; do
        command -v "$name" >/dev/null || fail "$name is missing, although the packages are installed: ${packages[*]}"
    done
    [ -f "$grub_modules/gdb.mod" ] || fail "GRUB's gdb stub is missing: $grub_modules/gdb.mod (package grub-pc-bin)"
    ! ldd "$(command -v busybox)" >/dev/null 2>&1 || fail "$(command -v busybox) is not static (package busybox-static)"
}

# The cloud kernel has both serial ports and no need of modules to get at them.
make_vmlinux() {
    [ ! -s "$cache/vmlinux" ] || return 0
    echo "e2e setup: downloading a kernel"
    fetch_kernel linux-image-cloud-amd64 "$work"
    mv "$work/vmlinux" "$cache/vmlinux"
}

# Made anew whenever guest/init is newer: it is part of the harness.
make_initramfs() {
    [ ! "$cache/initramfs.gz" -nt "$here/guest/init" ] || return 0
    echo "e2e setup: packing initramfs.gz"
    mkdir -p "$work/root"/{bin,dev,proc,sys,tmp}
    cp "$(command -v busybox)" "$work/root/bin/busybox"
    install -m 755 "$here/guest/init" "$work/root/init"
    (cd "$work/root" && find . | cpio -o -H newc --quiet) | gzip >"$work/initramfs.gz"
    mv "$work/initramfs.gz" "$cache/initramfs.gz"
}

# A disk of nothing but GRUB: its boot sector looks for the core image in the
# next sector, where it is put. guest/grub.cfg is embedded in the core image.
make_grub() {
    [ ! "$cache/grub.img" -nt "$here/guest/grub.cfg" ] || return 0
    echo "e2e setup: packing grub.img"
    grub-mkimage -O i386-pc -p / -c "$here/guest/grub.cfg" -o "$work/core.img" \
        biosdisk serial terminal echo gdb || fail "grub-mkimage failed"
    cat "$grub_modules/boot.img" "$work/core.img" >"$work/grub.img"
    truncate -s 1M "$work/grub.img"
    mv "$work/grub.img" "$cache/grub.img"
}

# Unpacked, not installed: installed, it would be a service of this machine.
get_prometheus() {
    [ ! -x "$cache/prometheus" ] || [ ! -x "$cache/promtool" ] || return 0
    echo "e2e setup: downloading Prometheus"
    refresh_lists
    (cd "$work" && apt-get download -qq prometheus 2>"$work/download.log") ||
        fail "could not download prometheus: $(cat "$work/download.log")"
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/prometheus ./usr/bin/promtool ||
        fail "the package prometheus has no /usr/bin/prometheus and promtool"
    mv "$work/usr/bin/prometheus" "$work/usr/bin/promtool" "$cache/"
}

# What the page says under that heading is what is run, so that it is tried as it stands; anew when it says something else. It compiles a kernel, which takes minutes.
follow_tutorial() {
    local commands home=$work/home
    commands=$(awk '/^## /{on = ($0 == "## What you need")} on && /^```sh$/{take = 1; next} /^```/{take = 0} on && take' "$here/../../docs/tutorial-kgdb.md")
    [ "$commands" != "$(cat "$cache/kgdb/commands.sh" 2>/dev/null)" ] || return 0
    echo "e2e setup: following docs/tutorial-kgdb.md, which compiles a kernel"
    refresh_lists
    mkdir -p "$home"
    echo "$commands" >"$home/commands.sh"
    (cd "$home" && HOME=$home DEBIAN_FRONTEND=noninteractive bash -euo pipefail commands.sh >log 2>&1 </dev/null) ||
        fail "what docs/tutorial-kgdb.md says does not work: $(tail -n 20 "$home/log")"
    mkdir "$work/kgdb"
    mv "$home/commands.sh" "$home/kgdb/vmlinux" "$home/kgdb/guest.gz" "$work/kgdb/"
    rm -rf "$cache/kgdb"
    mv "$work/kgdb" "$cache/kgdb"
}

case $cache in
/*) ;;
*) fail "SERIALHUB_E2E_DIR must be absolute, and is: $cache" ;;
esac
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || fail "this script knows Debian on amd64 only"
mkdir -p "$cache"
# Beside the results, so that each mv above is a rename: a result is whole or absent.
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT

install_packages
check_tools
make_vmlinux
make_initramfs
make_grub
get_prometheus
follow_tutorial
echo "e2e setup: ready in $cache"
