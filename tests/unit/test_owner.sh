#!/usr/bin/env bash
# What root does by hand with the daemon's state directory belongs to the daemon's user. Reports
# as TAP.
set -eu

program=${TK_BIN:-build/release/threadkeeper}
number=0

result() { # result STATUS NAME
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

echo "1..2"
if [ "$(id -u)" -ne 0 ]; then
    result 0 "chat # SKIP only root can be somebody else"
    result 0 "check # SKIP only root can be somebody else"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod a+x "$work" "${TMPDIR:-/tmp}" # the other user goes through them
nobody=65534

cat >"$work/threadkeeper.yaml" <<YAML
slack:
  app_token: xapp-1-none
  bot_token: xoxb-none
  api_url: http://127.0.0.1:1/
agent: { command: [/bin/true], workspace: / }
state_dir: $work/state
admin: { listen: "" }
YAML

# everything_is_his COMMAND: whether all in the state directory is his after that command.
everything_is_his() {
    rm -rf "$work/state"
    install -d -m 0700 -o "$nobody" "$work/state"
    # shellcheck disable=SC2086 # the wrapper is a command with its arguments
    ${TK_WRAP:-} "$program" -c "$work/threadkeeper.yaml" "$1" </dev/null >"$work/said" 2>&1 || true
    ls -lan "$work/state" >>"$work/said"
    sed 's/^/# /' "$work/said"
    [ -e "$work/state/threadkeeper.db" ] && [ -z "$(find "$work/state" ! -uid "$nobody")" ]
}

status=0
everything_is_his chat || status=1
result "$status" "a chat of root's leaves nothing that the daemon may not open"

status=0
everything_is_his check || status=1
result "$status" "nor does a check"
