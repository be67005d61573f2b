#!/bin/bash
# Puts the files of serialhub where they belong, or takes them away: the one list of them, for make install, packages and archives.
#
#   packaging/install.sh install|uninstall
#
#   DESTDIR     before every path; for who makes a package
#   PREFIX      /usr/local, or /usr for a package
#   SYSCONFDIR  /etc; where the file of links goes, if there is none yet. Uninstall leaves it.
#   PROGRAM     the program to install
#   NATIVE      one that runs here, which is asked for the completions; PROGRAM, if that does
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

what=${1-}
prefix=${PREFIX:-/usr/local} sysconfdir=${SYSCONFDIR:-/etc} destdir=${DESTDIR-}
program=${PROGRAM:-$here/bin/serialhub}
native=${NATIVE:-$program}
case $what in
install) [ -x "$program" ] || { echo "install.sh: there is no $program; run make build" >&2; exit 1; } ;;
uninstall) ;;
*) echo "install.sh: install or uninstall?" >&2; exit 2 ;;
esac

# put MODE TARGET puts what is on its standard input there; the modes of folders are those of everybody's.
put() {
    local target=$destdir$2
    if [ "$what" = uninstall ]; then
        cat >/dev/null
        rm -f "$target"
        return
    fi
    mkdir -p "$(dirname "$target")"
    cat >"$target.new"
    chmod "$1" "$target.new"
    mv "$target.new" "$target" # a program that runs cannot be written to
}

# adapted FILE is a file that names /usr.
adapted() { sed "s|/usr/share/|$prefix/share/|g" "$1"; }

completion() { [ "$what" = uninstall ] || "$native" completion "$1"; }

# Debian's zsh looks for those of packages in a folder of its own.
zsh=site-functions
[ "$prefix" != /usr ] || zsh=vendor-completions

umask 022
cd "$here"
if [ "$what" = install ]; then put 755 "$prefix/bin/serialhub" <"$program"; else put 755 "$prefix/bin/serialhub" </dev/null; fi

for unit in packaging/systemd/*.service packaging/systemd/*.socket; do
    put 644 "$prefix/lib/systemd/system/${unit##*/}" <"$unit"
done
put 644 "$prefix/lib/systemd/user/serialhub.service" <packaging/systemd/user/serialhub.service
put 644 "$prefix/lib/sysusers.d/serialhub.conf" <packaging/sysusers.d/serialhub.conf
put 644 "$prefix/lib/tmpfiles.d/serialhub.conf" <packaging/tmpfiles.d/serialhub.conf

for page in packaging/man/*; do
    gzip -9n <"$page" | put 644 "$prefix/share/man/man${page##*.}/${page##*/}.gz"
done
completion bash | put 644 "$prefix/share/bash-completion/completions/serialhub"
completion zsh | put 644 "$prefix/share/zsh/$zsh/_serialhub"
completion fish | put 644 "$prefix/share/fish/vendor_completions.d/serialhub.fish"
put 644 "$prefix/share/serialhub/links.schema.json" <configs/links.schema.json

doc=$prefix/share/doc/serialhub
for page in README.md CHANGELOG.md LICENSE docs/*.md; do
    put 644 "$doc/$page" <"$page"
done
adapted packaging/links.yaml | put 644 "$doc/examples/links.yaml"
sed "s|=links.schema.json|=$prefix/share/serialhub/links.schema.json|" configs/reference.yaml | put 644 "$doc/examples/reference.yaml"
put 644 "$doc/examples/notify-reload.conf" <packaging/systemd/serialhub.service.d/notify-reload.conf
for file in configs/prometheus/*; do
    put 644 "$doc/examples/prometheus/${file##*/}" <"$file"
done

links=$sysconfdir/serialhub/links.yaml
if [ "$what" = install ]; then
    [ -e "$destdir$links" ] || adapted packaging/links.yaml | put 644 "$links"
else
    for dir in "$doc/examples/prometheus" "$doc/examples" "$doc/docs" "$doc" "$prefix/share/serialhub"; do
        rmdir "$destdir$dir" 2>/dev/null || true # somebody has put something there
    done
fi
