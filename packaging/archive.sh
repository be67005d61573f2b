#!/bin/bash
# Makes the archive of one architecture, which unpacks below /usr/local (docs/install.md), and the list of what is in its program.
#
#   packaging/archive.sh PROGRAM NATIVE ARCH FOLDER
#
# As with packaging/deb.sh, the same commit gives the same bytes.
set -euo pipefail
program=$1 native=$2 arch=$3 folder=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

VERSION=${VERSION:-$("$here/version.sh" debian)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$("$here/version.sh" epoch)}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

umask 022
name=serialhub-$VERSION-linux-$arch
DESTDIR=$stage PREFIX=/usr/local SYSCONFDIR=/etc PROGRAM=$program NATIVE=$native "$here/install.sh" install
mv "$stage/usr/local" "$stage/$name" # the file of links is among its examples

mkdir -p "$folder"
tar --create --directory="$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime "$name" | gzip -9n >"$folder/$name.tar.gz"
go tool -modfile="$here/../tools/go.mod" cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$VERSION" \
    -output "$folder/$name.cdx.json" "$program" 2>/dev/null
echo "$folder/$name.tar.gz"
