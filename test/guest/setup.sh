#!/bin/bash
# Installs what the tests in a guest need (Debian packages, by apt), and puts the kernel they boot, with the modules
# it needs, into a cache folder. Idempotent; when everything is there it does nothing but look. Run as root.
#
#   SERIALHUB_GUEST_DIR   the cache folder, absolute (default: .cache beside this file)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SERIALHUB_GUEST_DIR:-$here/.cache}

packages=(qemu-system-x86 busybox-static xz-utils)

# The guest's control line; its USB and the serial device there; vsock.
modules=(
    virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console
    usb-common usbcore xhci-hcd xhci-pci usbserial ftdi_sio
    vsock vmw_vsock_virtio_transport_common vsock_loopback
)

suite=guest
# shellcheck source=test/apt.sh
. "$here/../apt.sh"
# shellcheck source=test/kernel.sh
. "$here/../kernel.sh"

# Made anew whenever this script is another: it may want other modules. Debian's cloud kernel would be a third of the
# size, but has no USB.
make_kernel() {
    ! cmp -s "$here/setup.sh" "$cache/kernel/setup.sh" || return 0
    local patterns=("${modules[@]/#/*/}")
    echo "guest setup: downloading a kernel"
    fetch_kernel linux-image-amd64 "$work" "${patterns[@]/%/.ko}"
    mkdir "$work/kernel"
    find "$work/lib" -name '*.ko' -exec mv -t "$work/kernel" {} +
    mv "$work/vmlinux" "$work/kernel"
    cp "$here/setup.sh" "$work/kernel"
    rm -rf "$cache/kernel"
    mv "$work/kernel" "$cache/kernel"
}

case $cache in
/*) ;;
*) fail "SERIALHUB_GUEST_DIR must be absolute, and is: $cache" ;;
esac
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || fail "this script knows Debian on amd64 only"
mkdir -p "$cache"
work=$(mktemp -d "$cache/making.XXXXXX") # beside the result, so that it is whole or absent
trap 'rm -rf "$work"' EXIT
install_packages
make_kernel
echo "guest setup: ready in $cache"
