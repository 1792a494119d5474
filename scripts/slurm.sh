#!/usr/bin/env bash
# slurm.sh: an s4 cluster on the nodes of a Slurm job, for as long as CMD runs.
#
# Usage: sbatch --nodes N scripts/slurm.sh CMD [ARG...]
#
# CMD runs on the first node, with s4 on PATH and all it needs in the environment.
# s4 and s4-server are in bin/ of the directory that sbatch is called in, which all
# nodes share. Each node keeps its keys in $TMPDIR, else /tmp, and removes them.
# S4_PORT is the servers' port (default: 4000).
#SBATCH --ntasks-per-node=1 --exclusive
set -euo pipefail
case ${1-} in -h | --help) sed -n '2,/^#SBATCH/{/^#SBATCH/d;s/^# \{0,1\}//p}' "$0"; exit ;; esac
if [[ -z ${SLURM_JOB_ID-} || $# -eq 0 ]]; then
	echo "slurm.sh: no Slurm job, or no CMD (sbatch --nodes N scripts/slurm.sh CMD)" >&2
	exit 2
fi
export PATH=$PWD/bin:$PATH S4_CONF_PATH=$PWD/s4.$SLURM_JOB_ID.conf S4_SECRET_FILE=$PWD/s4.$SLURM_JOB_ID.secret
scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/:${S4_PORT:-4000}/" >"$S4_CONF_PATH"
s4 secret "$S4_SECRET_FILE"
srun --overlap bash -c 'dir=${TMPDIR:-/tmp}/s4.$SLURM_JOB_ID; trap : TERM
	s4-server --dir "$dir" --index $(($(grep -n "^$SLURMD_NODENAME:" "$S4_CONF_PATH" | cut -d: -f1) - 1)) || true
	rm -rf "$dir"' &
servers=$!
trap 'kill $servers 2>/dev/null || true; wait $servers || true; rm -f "$S4_CONF_PATH" "$S4_SECRET_FILE"' EXIT
until s4 health >/dev/null 2>&1; do kill -0 $servers; sleep 1; done
"$@"
