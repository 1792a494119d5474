#!/usr/bin/env bash
# install.sh: build s4, s4-ui, s4-s3 and s4-server from this checkout and install them, with
# the completions of bash, zsh and fish, and man pages.
#
# Usage: scripts/install.sh [--prefix DIR]
#
#   --prefix DIR   install to DIR/bin and DIR/share (default: /usr/local if its
#                  bin is writable, else ~/.local, with $XDG_DATA_HOME, if set,
#                  in place of ~/.local/share)
#   -h, --help     this text
#
# With $DESTDIR, all goes below that directory, as packages want it.
# Needs Go and nothing else. May be run from any directory, and again to update:
# each program is replaced in one step, also while it runs.

set -euo pipefail

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

bad_usage() {
	echo "install.sh: $1 (see install.sh --help)" >&2
	exit 2
}

prefix=
while (($#)); do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--prefix)
		(($# > 1)) || bad_usage "--prefix needs a directory"
		prefix=$2
		shift 2
		;;
	--prefix=*)
		prefix=${1#*=}
		shift
		;;
	*) bad_usage "unknown argument: $1" ;;
	esac
	[[ -n $prefix ]] || bad_usage "--prefix needs a directory"
done

share=
if [[ -z $prefix ]]; then
	if [[ -w /usr/local/bin || -n ${DESTDIR-} ]]; then
		prefix=/usr/local
	else
		prefix=${HOME:?HOME is not set, use --prefix}/.local
		share=${XDG_DATA_HOME-}
	fi
fi
if [[ -n ${DESTDIR-} && $prefix != /* ]]; then
	bad_usage "with DESTDIR, --prefix is the absolute path that DIR will have"
fi
share=${DESTDIR-}${share:-$prefix/share}

command -v go >/dev/null || {
	echo "install.sh: go is not on PATH (see https://go.dev/dl)" >&2
	exit 1
}

mkdir -p -- "${DESTDIR-}$prefix/bin" "$share"
bin=$(cd -- "${DESTDIR-}$prefix/bin" && pwd)
share=$(cd -- "$share" && pwd)
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Beside the destination, so that mv is a rename.
tmp=$(mktemp -d -- "$bin/.s4-install.XXXXXX")
trap 'rm -rf -- "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

flags=(-trimpath)
# Git refuses a checkout that belongs to somebody else, as under sudo, and go
# build would refuse with it.
git -C "$root" rev-parse HEAD >/dev/null 2>&1 || flags+=(-buildvcs=false)

(cd -- "$root" && CGO_ENABLED=0 go build "${flags[@]}" -o "$tmp/" ./cli/s4 ./cli/s4-ui ./cli/s4-s3 ./cli/s4-server)

for program in s4 s4-ui s4-s3 s4-server; do
	mv -f -- "$tmp/$program" "$bin/$program"
	echo "installed $bin/$program"
done

(cd -- "$root" && go run "${flags[@]}" ./scripts/mkshare "$share")
echo "installed completions and man pages in $share"

[[ -z ${DESTDIR-} ]] || exit 0
case :$PATH: in
*:"$bin":*) ;;
*) echo "note: $bin is not on PATH; add it: export PATH=\"$bin:\$PATH\"" ;;
esac
case $share in
/usr/share | /usr/local/share) ;; # where zsh looks
*) echo "note: for zsh, before compinit: fpath=(\"$share/zsh/site-functions\" \$fpath)" ;;
esac
