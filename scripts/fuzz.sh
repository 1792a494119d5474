#!/usr/bin/env bash
# Runs every fuzz target in turn.
#
# usage: scripts/fuzz.sh [TIME]
#
# TIME is how long each runs, as Go writes it: 10s (the default), 2m.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
-h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
time=${1:-10s}

go list ./... | while read -r pkg; do
	{ go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true; } | while read -r target; do
		echo "== $pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg"
	done
done
