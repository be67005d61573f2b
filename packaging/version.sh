#!/bin/bash
# Says which version this checkout is.
#
#   packaging/version.sh            for the program:  v1.2.3, v1.2.3-4-gabcdef123456, abcdef123456; with -dirty if files were changed
#   packaging/version.sh debian     for packages:     1.2.3,  1.2.3+4.gabcdef123456,  0~git20261201.812.abcdef123456
#   packaging/version.sh epoch      the time of the commit, in seconds (SOURCE_DATE_EPOCH)
#
# dpkg orders those for packages as the commits are: what comes after a tag is newer than it, what comes before the first tag, and every
# v1.2.3-rc1, is older.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "version.sh: $*" >&2
    exit 1
}

tag='v[0-9]*'

debian() {
    local described dirty='' base commits commit
    described=$(git describe --tags --match "$tag" --long --abbrev=12 --dirty 2>/dev/null) || {
        # No tag yet.
        [ "$(git describe --always --dirty)" = "$(git describe --always)" ] || dirty=+dirty
        echo "0~git$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d).$(git rev-list --count HEAD).$(git rev-parse --short=12 HEAD)$dirty"
        return
    }
    case $described in *-dirty) dirty=+dirty described=${described%-dirty} ;; esac
    commit=${described##*-} described=${described%-*}
    commits=${described##*-} base=${described%-*}
    base=${base#v}
    base=${base/-/\~} # 1.2.3-rc1 is older than 1.2.3
    [[ $base =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || fail "the tag v$base is no version; tags are v1.2.3 or v1.2.3-rc1"
    [ "$commits" = 0 ] || base+=+$commits.$commit
    echo "$base$dirty"
}

git rev-parse --git-dir >/dev/null 2>&1 || fail "this is not a checkout of the repository, so there is no version; say VERSION=… to make"
case ${1-} in
'') git describe --tags --match "$tag" --always --abbrev=12 --dirty ;;
debian) debian ;;
epoch) git log -1 --format=%ct ;;
*) fail "it says the version of the program, debian, or epoch; not $1" ;;
esac
