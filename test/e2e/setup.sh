#!/bin/bash
# Installs what the end-to-end tests need (Debian packages, by apt) and prepares
# the guests they boot in a cache folder: vmlinux, initramfs.gz and grub.img.
# Idempotent; when everything is there it does nothing but look. Run as root.
#
#   SERIALHUB_E2E_DIR   the cache folder, absolute (default: .cache beside this file)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SERIALHUB_E2E_DIR:-$here/.cache}

packages=(qemu-system-x86 busybox-static gdb grub-pc-bin grub-common cpio lz4 xz-utils zstd gzip)
grub_modules=/usr/lib/grub/i386-pc

fail() {
    echo "e2e setup: $*" >&2
    exit 1
}

# apt's lists may be absent or too old to download from: they are fetched once
# per run, and only if something has to be installed or downloaded.
refreshed=no
refresh_lists() {
    [ "$refreshed" = no ] || return 0
    echo "e2e setup: apt-get update"
    apt-get update -qq || fail "apt-get update failed: is there a network, and is this root?"
    refreshed=yes
}

install_packages() {
    local wanted=() name
    for name in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || wanted+=("$name")
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    refresh_lists
    echo "e2e setup: installing ${wanted[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
        fail "apt-get could not install: ${wanted[*]}"
}

check_tools() {
    local name
    for name in qemu-system-x86_64 busybox gdb grub-mkimage cpio lz4 xz zstd gzip dpkg-deb; do
        command -v "$name" >/dev/null || fail "$name is missing, although the packages are installed: ${packages[*]}"
    done
    [ -f "$grub_modules/gdb.mod" ] || fail "GRUB's gdb stub is missing: $grub_modules/gdb.mod (package grub-pc-bin)"
    ! ldd "$(command -v busybox)" >/dev/null 2>&1 || fail "$(command -v busybox) is not static (package busybox-static)"
}

# The 4 bytes at an offset of a file, as a little-endian number.
word() { od -An -v -tu4 -j"$2" -N4 "$1" | tr -d ' '; }

# The cloud kernel has both serial ports and no need of modules to get at them.
# The package is unpacked, not installed: nothing of it must reach this machine's /boot.
# QEMU boots the uncompressed kernel directly (PVH), which spares the guest the
# slowest part of a boot without KVM, its own decompression.
make_vmlinux() {
    [ ! -s "$cache/vmlinux" ] || return 0
    local package bzimage sectors offset length magic unpack
    refresh_lists
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}')
    [ -n "$package" ] || fail "apt knows no kernel package behind linux-image-cloud-amd64"
    echo "e2e setup: downloading $package"
    (cd "$work" && apt-get download -qq "$package" 2>"$work/download.log") ||
        fail "could not download $package: $(cat "$work/download.log")"
    dpkg-deb --fsys-tarfile "$work/$package"_*.deb |
        tar -x -C "$work" --wildcards './boot/vmlinuz-*' ||
        fail "no ./boot/vmlinuz-* in $package"
    bzimage=$(echo "$work"/boot/vmlinuz-*)

    # Documentation/x86/boot.rst: setup_sects is the byte at 0x1f1, payload_offset and
    # payload_length the words at 0x248 and 0x24c, counted from the end of the setup code.
    # The payload's last 4 bytes are the unpacked size, except in gzip's own trailer,
    # which ends with the same 4 bytes but needs them.
    sectors=$(od -An -v -tu1 -j$((0x1f1)) -N1 "$bzimage" | tr -d ' ')
    offset=$(((sectors + 1) * 512 + $(word "$bzimage" $((0x248)))))
    length=$(word "$bzimage" $((0x24c)))
    tail -c +$((offset + 1)) "$bzimage" | head -c "$length" >"$work/payload" || true
    magic=$(od -An -v -tx1 -N4 "$work/payload" | tr -d ' ')
    case $magic in
    02214c18) unpack=lz4 ;;
    fd377a58) unpack=xz ;;
    28b52ffd) unpack=zstd ;;
    1f8b*) unpack=gzip ;;
    *) fail "the kernel of $package is packed in a way this script does not know (magic $magic)" ;;
    esac
    [ "$unpack" = gzip ] || truncate -s -4 "$work/payload"
    "$unpack" -dc <"$work/payload" >"$work/vmlinux" || fail "$unpack could not unpack the kernel of $package"
    [ "$(stat -c %s "$work/vmlinux")" = "$(word "$bzimage" $((offset + length - 4)))" ] ||
        fail "the unpacked kernel of $package has not the size its header promises"
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
echo "e2e setup: ready in $cache"
