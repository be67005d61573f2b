#!/bin/bash
# Installs what the tests under systemd need (Debian packages, by apt).
# Idempotent; when everything is there it does nothing but look. Run as root.
set -euo pipefail

packages=(systemd systemd-container)

suite=systemd
# shellcheck source=test/apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/../apt.sh"

install_packages
for name in systemd-nspawn systemctl journalctl unshare; do
    command -v "$name" >/dev/null || fail "$name is missing, although the packages are installed: ${packages[*]}"
done
grep -qw overlay /proc/filesystems || modprobe overlay || fail "the kernel has no overlay file system"
echo "systemd setup: ready, $(systemctl --version | head -n 1)"
