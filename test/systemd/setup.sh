#!/bin/bash
# Installs what the tests under systemd need (Debian packages, by apt).
# Idempotent; when everything is there it does nothing but look. Run as root.
set -euo pipefail

packages=(systemd systemd-container)

fail() {
    echo "systemd setup: $*" >&2
    exit 1
}

wanted=()
for name in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || wanted+=("$name")
done
if [ ${#wanted[@]} -gt 0 ]; then
    echo "systemd setup: installing ${wanted[*]}"
    apt-get update -qq || fail "apt-get update failed: is there a network, and is this root?"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
        fail "apt-get could not install: ${wanted[*]}"
fi
for name in systemd-nspawn systemctl journalctl unshare; do
    command -v "$name" >/dev/null || fail "$name is missing, although the packages are installed: ${packages[*]}"
done
grep -qw overlay /proc/filesystems || modprobe overlay || fail "the kernel has no overlay file system"
echo "systemd setup: ready, $(systemctl --version | head -n 1)"
