# shellcheck shell=bash
# Sourced by the setup.sh of the suites of tests, which say in suite what they are called, and in packages what they need of Debian.

fail() {
    echo "$suite setup: $*" >&2
    exit 1
}

# apt's lists may be absent or too old to download from: they are fetched once
# per run, and only if something has to be installed or downloaded.
refreshed=no
refresh_lists() {
    [ "$refreshed" = no ] || return 0
    echo "$suite setup: apt-get update"
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
    echo "$suite setup: installing ${wanted[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
        fail "apt-get could not install: ${wanted[*]}"
}
