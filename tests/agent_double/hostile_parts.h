/*
 * hostile_parts.h - what the files of the hostile double share.
 *
 * Each attempt returns 0 when it succeeded, else the errno that stopped it.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_HOSTILE_PARTS_H
#define DOUBLE_HOSTILE_PARTS_H

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

/* What to aim at, from the scenario's parameters. */
struct hostile_target {
    pid_t daemon, supervisor;
    int signal_number; /* 0: only asks whether it might */
    char config[1024], token[1024], database[1024], prompt[1024];
    char victim[1024];  /* a file beyond the fence */
    char outside[1024]; /* a directory there */
    char run_dir[1024], workspace[1024];
    int64_t forks;
};
extern struct hostile_target hostile_target;

static inline int hostile_result(long rc)
{
    return rc < 0 ? errno : 0;
}

const char *hostile_tmp(void); /* TMPDIR */

/* hostile_files.c */
int hostile_config(void);
int hostile_config_by_root(void);
int hostile_token(void);
int hostile_database(void);
int hostile_other_prompt(void);
int hostile_tmp_link(void);
int hostile_outbox_link(void);
int hostile_workspace_link(void);
int hostile_meta_read(void);
int hostile_meta_write(void);
int hostile_run_dir_write(void);
int hostile_loose_permissions(void);
int hostile_workspace_write(void);
int hostile_outside_write(void);
int hostile_etc_write(void);
int hostile_home_write(void);
int hostile_shadow(void);
int hostile_victim_truncate(void);
int hostile_victim_cut_by_open(void);
int hostile_victim_link(void);
int hostile_victim_move(void);
int hostile_victim_remove(void);
int hostile_device(void);
int hostile_large_file(void);
int hostile_own_tmp(void);
int hostile_own_outbox(void);
int hostile_own_workspace(void);
int hostile_own_stderr(void);
int hostile_own_exec(void);

/* hostile_processes.c */
int hostile_daemon_environ(void);
int hostile_daemon_mem(void);
int hostile_daemon_maps(void);
int hostile_supervisor_environ(void);
int hostile_daemon_descriptors(void);
int hostile_ptrace_daemon(void);
int hostile_ptrace_supervisor(void);
int hostile_readv(void);
int hostile_getfd(void);
int hostile_kill_daemon(void);
int hostile_kill_daemon_high(void);
int hostile_kill_daemon_group(void);
int hostile_kill_supervisor(void);
int hostile_kill_all(void);
int hostile_tgkill(void);
int hostile_sigqueue(void);
int hostile_pidfd_signal(void);
int hostile_daemon_limits(void);
int hostile_own_kill(void);
int hostile_descriptors(void);
int hostile_daemonize(void);
int hostile_forkbomb(void);

/* hostile_system.c */
int hostile_mount(void);
int hostile_unshare_user(void);
int hostile_unshare_net(void);
int hostile_clone_user(void);
int hostile_clone3(void);
int hostile_setns(void);
int hostile_chroot(void);
int hostile_module(void);
int hostile_bpf(void);
int hostile_perf(void);
int hostile_kexec(void);
int hostile_reboot(void);
int hostile_clock(void);
int hostile_keys(void);
int hostile_userfaultfd(void);
int hostile_io_uring(void);
int hostile_handle(void);
int hostile_typing(void);
int hostile_typing_high(void);
int hostile_foreign(void);
int hostile_setuid(void);
int hostile_metadata(void);
int hostile_metadata_ecs(void);
int hostile_metadata_mapped(void);
int hostile_metadata_v6(void);
int hostile_metadata_fastopen(void);
int hostile_abstract(void);
int hostile_vsock(void);
int hostile_own_connect(void);
int hostile_own_unix(void);
int hostile_own_dns(void);

#endif
