#!/bin/bash
# Installs what `make bench` compares the hub with: socat (Debian package, by apt, as root).
# When it is there already, nothing happens.
set -euo pipefail

fail() {
    echo "bench setup: $*" >&2
    exit 1
}

! command -v socat >/dev/null || exit 0
echo "bench setup: installing socat" >&2
apt-get update -qq || fail "apt-get update failed: is there a network, and is this root?"
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends socat >/dev/null ||
    fail "apt-get could not install socat"
