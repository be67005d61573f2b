#!/bin/bash
# Installs what readers of the pages have at hand, and the container in which their commands run (Debian packages, by apt).
# Idempotent; when everything is there it does nothing but look. Run as root.
set -euo pipefail

packages=(systemd systemd-container curl gdb gdbserver git iproute2 jq make openssl qemu-system-x86 socat tmux tshark zstd)

suite=docs
# shellcheck source=test/apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/../apt.sh"

install_packages
for name in systemd-nspawn systemctl unshare curl gdb gdbserver ip jq openssl qemu-system-x86_64 socat tmux tshark zstdcat; do
    command -v "$name" >/dev/null || fail "$name is missing, although the packages are installed: ${packages[*]}"
done
grep -qw overlay /proc/filesystems || modprobe overlay || fail "the kernel has no overlay file system"
echo "docs setup: ready"
