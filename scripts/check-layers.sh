#!/usr/bin/env bash
# Keeps the floors apart: base <- config <- { memory, slack, agent } <- bot, and third-party
# headers in the one place that each belongs to. Prints each line that breaks it; exit 1 then.
#
#   check-layers.sh [ROOT]
set -eu
cd "${1:-$(dirname "$0")/..}"

broken=0

complain() { # complain REASON < lines
    local line
    while IFS= read -r line; do
        echo "$line"
        echo "    $1"
        broken=1
    done
}

# includes PATTERN FOLDER...: where files in the folders include something that matches.
includes() {
    local pattern=$1 folder
    shift
    for folder in "$@"; do
        [ -d "$folder" ] || continue
        grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]+$pattern" "$folder" || true
    done
}

forbid() { # forbid FOLDER "OTHERS"
    local other
    for other in $2; do
        complain "$1/ may not know $other/" < <(includes "\"$other/" "$1")
    done
}

forbid base "config memory slack agent bot tests"
forbid config "memory slack agent bot tests"
forbid memory "slack agent bot tests"
forbid slack "memory agent bot tests"
forbid agent "memory slack bot tests"
forbid bot "tests"

# home HEADER "FILES OR FOLDERS": the only places that may include it.
home() {
    local header=$1 allowed=$2 place
    includes "[<\"]${header}[>\"]" base config memory slack agent bot | while IFS= read -r line; do
        for place in $allowed; do
            case $line in "$place"*) continue 2 ;; esac
        done
        echo "$line"
    done
}

complain "curl.h lives in base/http.c" < <(home 'curl/curl\.h' "base/http.c")
complain "sqlite3.h lives in memory/" < <(home 'sqlite3\.h' "memory/")
complain "hiredis.h lives in memory/" < <(home 'hiredis/.*\.h' "memory/")
complain "libstemmer.h lives in memory/" < <(home 'libstemmer\.h' "memory/")
complain "sodium.h lives in memory/" < <(home 'sodium\.h' "memory/")
complain "yaml.h lives in config/" < <(home 'yaml\.h' "config/")
complain "seccomp.h lives in agent/fence_seccomp.c" < <(home 'seccomp\.h' "agent/fence_seccomp.c")
complain "libwebsockets.h lives in slack/ and bot/loop.c" < <(home 'libwebsockets\.h' "slack/ bot/loop.c")

# A header that other folders include must not make them know a library's types.
complain "no json_t or sqlite3 in a header that another folder includes" < <(
    for header in base/*.h config/*.h memory/*.h slack/*.h agent/*.h bot/*.h; do
        [ -e "$header" ] || continue
        folder=${header%%/*}
        grep -rlE --include='*.[ch]' "#include \"$header\"" . 2>/dev/null |
            grep -qvE "^\./($folder|tests)/" || continue
        grep -HnE '\b(json_t|sqlite3|sqlite3_stmt)\b[[:space:]]*\*' "$header" || true
    done
)

exit "$broken"
