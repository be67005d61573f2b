#!/bin/bash
# Boots systemd in a container and ends with the exit status of its inside.service.
#
#   unshare --mount --propagation private container.sh FOLDER TESTS HUB [ROOT]
#
# The container sees this machine's files, or those of another ROOT, and what it writes is forgotten; only FOLDER is
# shared, at the same path. Its unit files are those in FOLDER/units, beside Debian's own and, in another ROOT, those
# that are put into /etc/systemd/system; the programs TESTS and HUB, which may be "", are bound in. When the
# container is over, or this script's input is closed, which kills it, everything is taken away, FOLDER too.
set -euo pipefail
folder=$1 tests=$2 hub=$3 root=${4:-/}

# What is mounted here is gone with the script: the mount namespace is its own. On a machine with version 1 control
# groups systemd-nspawn would find these, too, and leave some of its own.
mount -t tmpfs -o mode=755 tmpfs /run
umount --recursive --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/upper /run/work /run/root
mount -t overlay -o "lowerdir=$root,upperdir=/run/upper,workdir=/run/work" overlay /run/root

own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
group=$(mktemp -d "$own/serialhub-test.XXXXXX")

clean() {
    local patience=200
    echo 1 >"$group/cgroup.kill"
    until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
        ((patience-- > 0)) || { echo "container.sh: $group is still in use" >&2; exit 1; }
        sleep 0.05 # until the killed are gone
    done
    rm -rf "$folder"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

binds=(--bind="$folder" --bind-ro="$tests:/usr/local/lib/serialhub.test")
[ -z "$hub" ] || binds+=(--bind-ro="$hub:/usr/local/bin/serialhub")
if [ "$root" = / ]; then
    binds+=(--bind="$folder/units:/etc/systemd/system") # and none of this machine's own
else
    binds+=(--bind="$folder/units:/run/systemd/system")
fi

echo $$ >"$group/cgroup.procs" # so that the container is born there
# Without bpf(2) systemd could not enforce DeviceAllow= and IPAddressDeny=, and would not say so.
systemd-nspawn --quiet --settings=no --boot --console=pipe --machine=serialhub-test --directory=/run/root \
    --system-call-filter=bpf --register=no --keep-unit --private-network --link-journal=no --resolv-conf=off --timezone=off \
    "${binds[@]}" \
    systemd.unit=inside.service </dev/null &
container=$!
echo $$ >"$own/cgroup.procs"

{ read -r _ || echo 1 >"$group/cgroup.kill"; } <&0 2>/dev/null & # its end is all that comes
watcher=$!
status=0
{ wait "$container" || status=$?; } 2>/dev/null # bash would name whom it has killed
kill "$watcher" 2>/dev/null || true
exit "$status"
