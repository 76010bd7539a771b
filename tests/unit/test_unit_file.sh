#!/usr/bin/env bash
# The systemd unit: it is well formed, it stays hardened, and what its syscall filter lets through
# is enough for Node, git and a shell. Reports as TAP.
set -eu

unit=systemd/threadkeeper.service
number=0

result() { # result STATUS NAME
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

echo "1..6"
if ! command -v systemd-analyze >/dev/null; then
    for name in verify score filter restart credentials jit; do
        result 0 "$name # SKIP systemd-analyze is not here"
    done
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# As installed, with a program that exists on every machine.
sed 's|/usr/local/bin/threadkeeper|/bin/true|' "$unit" >"$work/threadkeeper.service"
status=0
said=$(systemd-analyze verify "$work/threadkeeper.service" 2>&1) || status=1
said=$(grep 'threadkeeper.service' <<<"$said" || true)
[ -z "$said" ] || status=1
echo "$said"
result "$status" "systemd finds nothing wrong with the unit"

score=$(systemd-analyze security --offline=true "$unit" 2>/dev/null |
    sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
# 0.5 of it is for the fence around agents: a delegated control group, and pidfd_getfd().
echo "exposure level: $score, at most 1.7 wanted"
status=0
awk -v score="${score:-10}" 'BEGIN { exit !(score <= 1.7) }' || status=1
result "$status" "its exposure level is at most 1.7"

expand() { # all system calls of a group, its groups included
    local name
    systemd-analyze syscall-filter "$1" 2>/dev/null | sed 's/#.*//' | tr -d ' ' |
        while IFS= read -r name; do
            case $name in
            '' | "$1") ;;
            @*) expand "$name" ;;
            *) echo "$name" ;;
            esac
        done
}
true >"$work/allowed"
while IFS= read -r line; do
    case $line in
    '~'*) # shellcheck disable=SC2086 # a list of names
        for name in ${line#\~}; do expand "$name"; done | sort -u >"$work/taken"
        comm -23 "$work/allowed" "$work/taken" >"$work/left"
        ;;
    *)
        for name in $line; do
            case $name in @*) expand "$name" ;; *) echo "$name" ;; esac
        done | sort -u - "$work/allowed" >"$work/left"
        ;;
    esac
    mv "$work/left" "$work/allowed"
done < <(sed -n 's/^SystemCallFilter=//p' "$unit")
# The less common ones that strace sees under node (workers, wasm, a server, children), npm, git,
# bash, our launcher (rlimits, Landlock, session, descriptors) and SQLite.
status=0
for name in clone clone3 execve vfork wait4 waitid pidfd_open pidfd_send_signal prctl prlimit64 \
    setsid setpgid close_range landlock_create_ruleset landlock_add_rule landlock_restrict_self \
    seccomp memfd_create mprotect madvise pkey_alloc membarrier rseq epoll_pwait eventfd2 \
    inotify_init1 inotify_add_watch signalfd4 timerfd_create statx getdents64 fdatasync \
    sched_getaffinity rt_sigtimedwait capget openat2 process_vm_readv pidfd_getfd copy_file_range fchmodat linkat renameat2 umask \
    socketpair sendmmsg flock fcntl ftruncate fallocate io_uring_setup; do
    grep -qxF "$name" "$work/allowed" || {
        echo "not allowed: $name"
        status=1
    }
done
for name in mount reboot ptrace kexec_load init_module swapon chroot setpriority; do
    if grep -qxF "$name" "$work/allowed"; then
        echo "should not be allowed: $name"
        status=1
    fi
done
result "$status" "its filter lets Node, git and the launcher work, and no more"

status=0
grep -q '^RestartPreventExitStatus=77 78$' "$unit" || status=1
grep -q '^KillMode=process$' "$unit" || status=1
result "$status" "bad tokens and a bad configuration are not tried again, runs outlive a stop"

status=0
grep -q '^LoadCredential=threadkeeper.app_token$' "$unit" && grep -q '^LoadCredential=threadkeeper.bot_token$' "$unit" ||
    status=1
result "$status" "tokens come as credentials"

status=0
if grep -q '^MemoryDenyWriteExecute=' "$unit"; then status=1; fi
result "$status" "a program with a just-in-time compiler can run"
