#!/bin/bash
# Makes the Debian package of one architecture.
#
#   packaging/deb.sh PROGRAM NATIVE ARCH FOLDER
#
# PROGRAM is the program for ARCH (as dpkg calls it), NATIVE one that runs here. The package goes into FOLDER, and its name is printed. The same
# commit gives the same bytes, wherever and whenever it is made. VERSION and SOURCE_DATE_EPOCH are those of the commit, if nothing else is said.
set -euo pipefail
program=$1 native=$2 arch=$3 folder=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

VERSION=${VERSION:-$("$here/version.sh" debian)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$("$here/version.sh" epoch)}
export VERSION ARCH=$arch LC_ALL=C TZ=UTC
STAGE=$(mktemp -d)
export STAGE
trap 'rm -rf "$STAGE"' EXIT

umask 022
DESTDIR=$STAGE PREFIX=/usr SYSCONFDIR=/etc PROGRAM=$program NATIVE=$native "$here/install.sh" install

# What Debian has in places of its own: the licence, and what has become of the package.
doc=$STAGE/usr/share/doc/serialhub
{ cat "$here/debian/copyright.head"; sed -e '1,/^Copyright/d' -e 's/^$/./' -e 's/^/ /' "$doc/LICENSE" | sed '1{/^ \.$/d}'; } >"$doc/copyright"
rm "$doc/LICENSE"
maintainer=$(sed -n 's/^maintainer: *//p' "$here/debian/nfpm.yaml")
gzip -9n >"$doc/changelog.gz" <<END
serialhub ($VERSION) unstable; urgency=medium

  * See CHANGELOG.md beside this file.

 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$doc/CHANGELOG.md"
install -D -m 644 "$here/debian/lintian-overrides" "$STAGE/usr/share/lintian/overrides/serialhub"

find "$STAGE" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$folder"
target=$folder/serialhub_${VERSION}_$arch.deb
cd "$here/debian"
go tool -modfile=../../tools/go.mod nfpm package --config nfpm.yaml --packager deb --target "$target" >/dev/null
echo "$target"
