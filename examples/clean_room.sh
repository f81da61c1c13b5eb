#!/usr/bin/env bash
# Run a command in a VM that is made for it and removed afterwards:
#   clean_room.sh DIRECTORY COMMAND [ARGUMENT...]
# DIRECTORY holds .lima/config.yaml; it is copied, so the command changes nothing in it. What the
# command leaves in `out/` comes back to DIRECTORY/out. Exits with the command's status.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: clean_room.sh DIRECTORY COMMAND [ARGUMENT...]" >&2
  exit 2
fi
directory=$(cd "$1" && pwd)
shift

room=$(mktemp -d "${TMPDIR:-/tmp}/clean-room.XXXXXX")
leave() {
  status=$?
  (cd "$room" && gaovm destroy -y) >/dev/null 2>&1 || true
  rm -rf "$room"
  exit "$status"
}
trap leave EXIT

cp -a "$directory/." "$room"
cd "$room"
gaovm up >&2
status=0
gaovm exec -- "$@" || status=$?
if [ -d out ]; then
  mkdir -p "$directory/out"
  cp -a out/. "$directory/out"
fi
exit "$status"
