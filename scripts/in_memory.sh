#!/usr/bin/env bash
# Runs a command with its temporary files in memory.
#
# usage: scripts/in_memory.sh COMMAND [ARG...]
#
# They are in a directory of /dev/shm, which is removed at the end. If that is no
# file system for s4, without user extended attributes or without room, they stay
# where they are otherwise, in $TMPDIR or /tmp. The exit code is the command's.
set -euo pipefail

case ${1:-} in
-h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
'' | -*) echo "in_memory.sh: no command (see --help)" >&2; exit 2 ;;
esac

need=$((4 << 20)) # KiB, several times what the tests have at a time
dir=

# The file has an attribute, and can be run: mounts may forbid either.
suits() {
	local file=$1/probe
	printf '#!/bin/sh\n' >"$file" && chmod +x "$file" && "$file" &&
		python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.s4", b"x")' "$file" &&
		rm "$file"
}

available() { awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo; }
room() { df --output=avail /dev/shm | tail -n 1; }

remove() { [ -z "$dir" ] || rm -rf -- "$dir"; }
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ "$(available)" -ge $need ] && [ "$(room)" -ge $need ] &&
	dir=$(mktemp -d /dev/shm/s4-test.XXXXXX 2>/dev/null) && suits "$dir" 2>/dev/null; then
	chmod 755 "$dir" # some tests give up the rights of root
	export TMPDIR=$dir GOTMPDIR=$dir # t.TempDir prefers the latter
fi
"$@"
