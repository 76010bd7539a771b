#!/usr/bin/env bash
# Runs of the agent where /proc hides what one may not trace, as ProtectProc=invisible in the
# unit does. Reports as TAP.
set -eu

program=${TK_BIN:-build/release/threadkeeper}
name="each of twenty runs is seen to its end where /proc hides processes"
nobody=65534
messages=20

echo "1..1"
# A chat of root's becomes the owner of the state directory, and undumpable by that.
if [ "$(id -u)" -ne 0 ] ||
    ! unshare --mount --pid --fork --mount-proc mount -o remount,hidepid=invisible /proc 2>/dev/null; then
    echo "ok 1 - $name # SKIP only root can mount such a /proc"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod a+x "$work" "${TMPDIR:-/tmp}" # the other user goes through them
install -m 0755 "$program" "$work/threadkeeper"
install -d -m 0700 -o "$nobody" "$work/state"
cat >"$work/threadkeeper.yaml" <<YAML
agent: { command: [/bin/cat], dialect: text, workspace: / }
state_dir: $work/state
admin: { listen: "" }
YAML

# shellcheck disable=SC2016 # for the inner shell
for ((i = 1; i <= messages; i++)); do echo "message $i"; done |
    unshare --mount --pid --fork --mount-proc sh -c '
        mount -o remount,hidepid=invisible /proc
        exec $3 "$1/threadkeeper" -c "$1/threadkeeper.yaml" "$2"' \
        sh "$work" chat "${TK_WRAP:-}" >"$work/said" 2>&1 || true

answers=$(grep -c 'BEGIN MESSAGE' "$work/said" || true) # cat says what it was told
if [ "$answers" -ge "$messages" ] && ! grep -q 'without finishing' "$work/said"; then
    echo "ok 1 - $name"
else
    sed 's/^/# /' "$work/said" | tail -n 60
    echo "not ok 1 - $name"
fi
