//! System calls by seccomp: a list of those that the loop needs, found by tracing the tests.
//!
//! Anything else ends the process on the spot (SIGSYS), since it is a bug of ours or somebody else's
//! code: neither should go on, and the harness tells of the signal. A few calls are *denied* instead
//! (EACCES): the standard library makes them on its own when it prints the backtrace of a panic, and
//! a panic should end as a panic.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What is allowed whatever its arguments.
const ALLOWED: [c_long; 44] = [
    // Bytes of sockets, eventfds, stderr and outputs that are open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_accept4,
    libc::SYS_close,
    // The loop.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // What kind of file a descriptor of a peer is.
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    // Our sockets are looked at and removed on the way out.
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Locks, random seeds of hash tables, signals, the end.
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// Calls that map memory, with the number of the argument that holds the protection.
const PROTECTION_ARGUMENT: [(c_long, u8); 2] = [(libc::SYS_mmap, 2), (libc::SYS_mprotect, 2)];

/// What a backtrace asks for: files with debug information, and where we are.
const DENIED: [c_long; 6] = [
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
];

/// Restricts all threads.
///
/// # Errors
/// The kernel takes no filter.
pub fn restrict() -> Result<(), Error> {
    // Of two filters the stricter answer counts: the second allows what the first denies.
    apply_filter_all_threads(&denial()?)?;
    apply_filter_all_threads(&allowance()?)
}

fn denial() -> Result<BpfProgram, BackendError> {
    let rules = DENIED.into_iter().map(always).collect();
    let answer = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    compile(rules, SeccompAction::Allow, answer)
}

fn allowance() -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = ALLOWED.into_iter().chain(DENIED).map(always).collect();
    for (call, argument) in PROTECTION_ARGUMENT {
        let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
        rules.insert(
            call,
            vec![only(argument, SeccompCmpOp::MaskedEq(executable), 0)?],
        );
    }
    // `abort` sends a signal to ourselves, and to nobody else.
    let ourselves = u64::from(std::process::id());
    rules.insert(
        libc::SYS_tgkill,
        vec![only(0, SeccompCmpOp::Eq, ourselves)?],
    );
    compile(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

const fn always(call: c_long) -> (i64, Vec<SeccompRule>) {
    (call, Vec::new())
}

/// A rule on the low 32 bits of one argument.
fn only(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let length = SeccompCmpArgLen::Dword;
    let condition = SeccompCondition::new(argument, length, compare, value)?;
    SeccompRule::new(vec![condition])
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, on_match, architecture)?.try_into()
}
