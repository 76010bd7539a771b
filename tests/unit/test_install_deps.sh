#!/usr/bin/env bash
# scripts/install-deps against package managers that only write down how they are called.
# Reports as TAP.
# shellcheck disable=SC2016 # what a stub does is expanded there, not here
set -eu

script=$PWD/scripts/install-deps
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

result() { # result STATUS NAME
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        sed 's/^/# /' "$work/said" "$work/calls"
    fi
}

stub() { # stub NAME BODY: a program that notes its call and does BODY
    printf '#!%s\necho "%s $*" >>"%s/calls"\n%s\n' "$(command -v bash)" "$1" "$work" "$2" >"$work/bin/$1"
    chmod 0755 "$work/bin/$1"
}

# machine MANAGER UID: a path with nothing on it but a shell's tools and a package manager.
machine() {
    local tool
    rm -rf "${work:?}/bin" "$work/calls" "$work/said"
    mkdir "$work/bin"
    touch "$work/calls" "$work/said"
    for tool in bash env grep sed mktemp rm tail true; do
        ln -s "$(type -P "$tool")" "$work/bin/$tool"
    done
    stub id "echo $2"
    stub sleep ""
    case $1 in
    apt)
        stub dpkg-query "echo 'ii gcc'; echo 'hi make'; exit 1"
        stub apt-get ""
        ;;
    dnf)
        stub rpm 'for last; do true; done; [ "$last" = gcc ]'
        stub dnf ""
        ;;
    esac
    printf 'ID=%s\n' "${3:-none}" >"$work/os-release"
}

run() { # run ARGUMENT...: what it says goes to $work/said; returns its status
    CC=no-compiler OS_RELEASE=$work/os-release PATH=$work/bin bash "$script" "$@" \
        >"$work/said" 2>&1 </dev/null
}

said() { grep -q -- "$1" "$work/said"; }
called() { grep -q -- "$1" "$work/calls"; }

echo "1..11"

machine apt 0
stub dpkg-query 'shift 3; for name; do echo "ii $name"; done'
status=0
{ run && [ ! -s "$work/said" ] && ! called apt-get; } || status=1
result "$status" "it says and does nothing when nothing is missing"

machine apt 0
status=0
{ run && called 'apt-get .*update$' && called 'apt-get .*-y .*install .*libwebsockets-dev' &&
    ! called 'install gcc' && ! called 'install make'; } || status=1
result "$status" "root gets the lists and what is missing, and only that"

machine apt 1000
stub sudo 'shift; exec "$@"'
status=0
{ run && called '^sudo -n env .*apt-get .*install'; } || status=1
result "$status" "another user goes by sudo, which may not ask"

machine apt 1000
stub sudo 'exit 1'
status=0
{ ! run && ! called apt-get && said 'sudo apt-get install -y libc6-dev .*libcmocka-dev'; } || status=1
result "$status" "without rights it prints the command that somebody else may run"

machine apt 1000
status=0
{ ! run && said 'sudo apt-get install -y'; } || status=1
result "$status" "so it does where sudo is not even installed"

machine apt 0
stub apt-get 'case "$*" in *install*) echo "E: Unable to locate package libyaml-dev"; exit 100 ;; esac
echo "W: Failed to fetch, Temporary failure resolving"; exit 0'
status=0
{ ! run && said 'Temporary failure' && said 'Unable to locate' && said 'within reach' && said 'sudo apt-get update'; } ||
    status=1
result "$status" "without a network it passes on why, and the command"

machine apt 0
stub apt-get 'case "$*" in *update*) [ -e "'"$work"'/bin/second" ] && exit 0
: >"'"$work"'/bin/second"; echo "E: Could not get lock /var/lib/apt/lists/lock"; exit 100 ;; esac'
status=0
{ run && said 'waiting for another' && [ "$(grep -c 'apt-get.*update' "$work/calls")" -eq 2 ] &&
    called 'apt-get.*install'; } || status=1
result "$status" "it waits for a package manager that is at work"

machine dnf 0 fedora
status=0
{ run && called 'dnf .*-y .*--allowerasing.* install make glibc-devel libwebsockets-devel libcurl-devel' &&
    ! called spal; } || status=1
result "$status" "Fedora's names go to dnf"

machine dnf 0 '"amzn"'
stub dnf 'case "$*" in *spal-release*) exit 1 ;; esac' # not there in its first years
status=0
{ run && [ "$(grep '^dnf' "$work/calls" | head -n 1)" = "dnf -q -y install spal-release" ] &&
    called 'dnf .*install .*libwebsockets-devel'; } || status=1
result "$status" "Amazon Linux gets its supplementary packages first, where they exist"

machine none 1000
status=0
{ ! run && said 'neither apt nor dnf' && said libwebsockets-dev; } || status=1
stub cc-that-finds-all ""
CC=cc-that-finds-all OS_RELEASE=$work/os-release PATH=$work/bin bash "$script" >"$work/said" 2>&1 || status=1
[ ! -s "$work/said" ] || status=1
result "$status" "elsewhere it lists what is needed, unless the compiler finds it all"

machine apt 0
status=0
{ run --dev --dry-run && said '^sudo apt-get update && sudo apt-get install -y .*clang-tidy' && ! called apt-get &&
    ! run --wrong && said usage; } || status=1
result "$status" "a dry run only prints the command"
