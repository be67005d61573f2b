# shellcheck shell=bash
# Sourced by the setup.sh of the tests that boot a kernel, which have fail and refresh_lists.

# The 4 bytes at an offset of a file, as a little-endian number.
word() { od -An -v -tu4 -j"$2" -N4 "$1" | tr -d ' '; }

# Downloads the kernel package that a meta package depends on, and unpacks into a folder what the patterns name, and
# the kernel itself as vmlinux. The package is not installed: nothing of it must reach this machine's /boot.
# QEMU boots the uncompressed kernel directly (PVH), which spares the guest the
# slowest part of a boot without KVM, its own decompression.
fetch_kernel() {
    local meta=$1 into=$2 package bzimage sectors offset length magic unpack
    shift 2
    refresh_lists
    package=$(apt-cache depends "$meta" | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}')
    [ -n "$package" ] || fail "apt knows no kernel package behind $meta"
    (cd "$into" && apt-get download -qq "$package" 2>"$into/download.log") ||
        fail "could not download $package: $(cat "$into/download.log")"
    dpkg-deb --fsys-tarfile "$into/$package"_*.deb |
        tar -x -C "$into" --wildcards './boot/vmlinuz-*' "$@" ||
        fail "$package has not all of: ./boot/vmlinuz-* $*"
    rm "$into/$package"_*.deb
    bzimage=$(echo "$into"/boot/vmlinuz-*)

    # Documentation/x86/boot.rst: setup_sects is the byte at 0x1f1, payload_offset and
    # payload_length the words at 0x248 and 0x24c, counted from the end of the setup code.
    # The payload's last 4 bytes are the unpacked size, except in gzip's own trailer,
    # which ends with the same 4 bytes but needs them.
    sectors=$(od -An -v -tu1 -j$((0x1f1)) -N1 "$bzimage" | tr -d ' ')
    offset=$(((sectors + 1) * 512 + $(word "$bzimage" $((0x248)))))
    length=$(word "$bzimage" $((0x24c)))
    tail -c +$((offset + 1)) "$bzimage" | head -c "$length" >"$into/payload" || true
    magic=$(od -An -v -tx1 -N4 "$into/payload" | tr -d ' ')
    case $magic in
    02214c18) unpack=lz4 ;;
    fd377a58) unpack=xz ;;
    28b52ffd) unpack=zstd ;;
    1f8b*) unpack=gzip ;;
    *) fail "the kernel of $package is packed in a way this script does not know (magic $magic)" ;;
    esac
    [ "$unpack" = gzip ] || truncate -s -4 "$into/payload"
    "$unpack" -dc <"$into/payload" >"$into/vmlinux" || fail "$unpack could not unpack the kernel of $package"
    [ "$(stat -c %s "$into/vmlinux")" = "$(word "$bzimage" $((offset + length - 4)))" ] ||
        fail "the unpacked kernel of $package has not the size its header promises"
}
