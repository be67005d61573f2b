#!/bin/bash
# Sees whether this commit can be released, check by check, and stops at the first thing that is wrong. It changes nothing but what it builds.
#
#   packaging/release.sh [--only CHECK]… 1.2.3     every check, or those that are named
#   packaging/release.sh --dry-run 1.2.3           the checks that take no time, all of them, whatever comes of the others
#   packaging/release.sh --list
set -euo pipefail
cd "$(dirname "$0")/.."

main=main
quick=(version clean branch tag changelog)
suites=(lint test e2e systemd guest package docs) # each is a target of make
slow=(generated "${suites[@]}" same dist)

# fail ends the check, which is a process of its own.
fail() {
    echo "release: $1" >&2
    shift
    for line in "$@"; do echo "release:   $line" >&2; done
    exit 1
}

check_version() {
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+[0-9]+)?$ ]] || fail "\"$version\" is not a version" "say make release VERSION=1.2.3, or 1.2.3-rc1"
}

check_clean() {
    local dirt
    dirt=$(git status --porcelain)
    [ -z "$dirt" ] || fail "the tree has changes that are not committed: $(head -n 3 <<<"$dirt" | tr -s ' \n' ' ')" "commit them, or git stash --include-untracked"
}

check_branch() {
    local branch
    branch=$(git symbolic-ref --short -q HEAD) || branch="no branch"
    [ "$branch" = "$main" ] || fail "this is $branch, and releases are made from $main" "git switch $main"
}

check_tag() {
    [ -z "$(git tag --list "v$version")" ] || fail "there is a tag v$version already, at $(git rev-parse --short "v$version^{commit}")" "take the next version"
}

# section NAME is what CHANGELOG.md has below "## NAME".
section() { awk -v name="## $1" 'index($0, "## ") == 1 { on = index($0, name) == 1 } on && !/^## /' CHANGELOG.md; }

check_changelog() {
    local today
    today=$(date +%F)
    grep -qxF "## $version - $today" CHANGELOG.md ||
        fail "CHANGELOG.md has no section of this version and this day" "write \"## $version - $today\" below \"## Unreleased\", over what is there now"
    [ -n "$(section "$version" | tr -d '[:space:]')" ] || fail "the section of $version in CHANGELOG.md is empty" "say what has changed"
    [ -z "$(section Unreleased | tr -d '[:space:]')" ] || fail "CHANGELOG.md has something under Unreleased" "move it below \"## $version - $today\""
}

check_generated() {
    run_make generate
    git diff --quiet || fail "what is made from other files is not current: $(git diff --name-only | tr '\n' ' ')" "look at it (git diff), and commit it"
}

run_make() { SERIALHUB_TOOLS=1 make "$@" >&2 || fail "make $* has failed" "see above"; }

# The second time anew.
check_same() {
    local work
    work=$(mktemp -d) || fail "there is no place for a temporary folder"
    run_make deb VERSION="$version" DIST="$work/one"
    rm -rf bin
    run_make deb VERSION="$version" DIST="$work/two"
    diff -r "$work/one" "$work/two" >&2 || fail "the packages are others each time they are made" "find out in what: diffoscope $work/one $work/two"
    rm -rf "$work"
}

check_dist() {
    run_make dist VERSION="$version"
    (cd dist && sha256sum --check --strict --quiet SHA256SUMS) || fail "dist/SHA256SUMS does not fit what is there" "make dist VERSION=$version"
}

run_check() {
    case " ${suites[*]} " in
    *" $1 "*) run_make "$1" ;;
    *) "check_$1" ;;
    esac
}

usage() {
    sed -n 's/^#   //p' "$0" >&2
    exit 2
}

version='' only=() dry=no
while [ $# -gt 0 ]; do
    case $1 in
    --only)
        [ $# -gt 1 ] || usage
        case " ${quick[*]} ${slow[*]} " in *" $2 "*) ;; *) false ;; esac || { echo "release: there is no check $2; --list names them" >&2; exit 2; }
        only+=("$2")
        shift
        ;;
    --dry-run) dry=yes ;;
    --list)
        printf '%s\n' "${quick[@]}" "${slow[@]}"
        exit 0
        ;;
    -*) usage ;;
    *)
        [ -z "$version" ] || usage
        version=${1#v}
        ;;
    esac
    shift
done
[ -n "$version" ] || usage

checks=("${quick[@]}" "${slow[@]}")
[ $dry = no ] || checks=("${quick[@]}")
[ ${#only[@]} = 0 ] || checks=("${only[@]}")
status=0
for check in "${checks[@]}"; do
    if (run_check "$check"); then
        echo "release: $check: fine"
    else
        status=1
        [ $dry = yes ] || exit 1
    fi
done
if [ $status = 0 ] && [ ${#only[@]} = 0 ] && [ $dry = no ]; then
    cat <<END

serialhub $version can be released. What is left to do, by hand:

  git tag -s -m 'serialhub $version' v$version
  make dist              # again: now the tag gives the version
  git push origin $main v$version

Then publish what is in dist/, with the section of CHANGELOG.md as its text.
END
fi
exit $status
