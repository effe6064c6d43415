//! System calls that a worker has no use for, or that go round the rest of the sandbox, refused by seccomp.
//!
//! A filter sees numbers: which call, and arguments that are no pointers. It cannot read a path or an address, and it does not
//! know which processes are the worker's own. What depends on those is Landlock's, or refused whole.

use std::collections::BTreeMap;
use std::io;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::files::{SCOPED_SIGNALS, TRUNCATION};
use super::{SandboxError, Settings, step};

/// Numbers that are the same everywhere and that not every libc names.
const SYS_FCHMODAT2: c_long = 452;
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;
const SYS_OPEN_TREE_ATTR: c_long = 467;
const SYS_FILE_SETATTR: c_long = 469;

/// Of other processes, of the machine, or of kernel interfaces with a history of holes.
const NEVER: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_personality,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_nfsservctl,
    // Objects of the whole machine, which know users and no sandboxes.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // A process that leaves the worker's group would outlive it.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// Programs do without these when they seem to be missing. `io_uring` makes other calls past the filter, and the flags of
/// `clone3` are out of a filter's sight.
const MISSING: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_clone3,
    libc::SYS_memfd_secret,
];

/// What Landlock does not know about files.
const METADATA: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SYS_SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Calls whose first argument is a process that may only be the caller (0 or its number).
const OWN: &[c_long] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
];

/// As [`OWN`], where Landlock does not look after signals.
const SIGNALS: &[c_long] =
    &[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];

/// New namespaces are a door to much of the kernel; `CLONE_PARENT` makes a process that is not the worker's child.
const CLONE_FLAGS: [libc::c_int; 9] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_PARENT,
    CLONE_NEWTIME,
];
const CLONE_NEWTIME: libc::c_int = 0x80;

/// Installs the filters for this process and all that come from it; `domain` is the Landlock ABI in force, 0 for none.
pub fn restrict(settings: &Settings, domain: i32) -> Result<(), SandboxError> {
    let fail = |error: String| step("could not filter system calls")(io::Error::other(error));
    let mut programs = vec![
        compile(refused(settings, domain), libc::EPERM)?,
        compile(MISSING.iter().map(|call| (*call, Vec::new())).collect(), libc::ENOSYS)?,
    ];
    programs.extend(other_calling_convention());
    for program in &programs {
        seccompiler::apply_filter(program).map_err(|error| fail(error.to_string()))?;
    }
    Ok(())
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The calls that fail with EPERM, each with the conditions under which it does; no condition: always.
fn refused(settings: &Settings, domain: i32) -> Rules {
    let own = u64::from(std::process::id());
    let mut rules: Rules = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    if !settings.metadata {
        rules.extend(METADATA.iter().map(|call| (*call, Vec::new())));
    }
    if domain < TRUNCATION {
        rules.insert(libc::SYS_truncate, Vec::new());
    }
    for call in OWN {
        rules.insert(*call, vec![rule([not(0, 0), not(0, own)])]);
    }
    rules.insert(libc::SYS_setpriority, scheduled(libc::PRIO_USER as u64, own));
    const IOPRIO_WHO_USER: u64 = 3;
    rules.insert(libc::SYS_ioprio_set, scheduled(IOPRIO_WHO_USER, own));
    if domain < SCOPED_SIGNALS {
        let group = u64::from(std::process::id().wrapping_neg());
        for call in SIGNALS {
            rules.insert(*call, vec![rule([not(0, 0), not(0, own), not(0, group)])]);
        }
        rules.insert(libc::SYS_pidfd_send_signal, Vec::new());
        // A file can be made to send any signal to any process of the user.
        let (owner, owner_ex) = (libc::F_SETOWN as u64, libc::F_SETOWN + 7);
        rules.insert(libc::SYS_fcntl, vec![rule([is(1, owner)]), rule([is(1, owner_ex as u64)])]);
    }
    rules.insert(libc::SYS_clone, CLONE_FLAGS.map(|flag| rule([has(0, flag as u64)])).into());
    // Typing into somebody's terminal.
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    rules.insert(libc::SYS_ioctl, vec![rule([is(1, TIOCSTI)]), rule([is(1, TIOCLINUX)])]);
    rules.insert(libc::SYS_socket, sockets(settings));
    if !settings.unix_sockets {
        // One end of a datagram pair can send to any address.
        let kind = SeccompCondition::new(1, Len::Dword, Op::MaskedEq(0xf), libc::SOCK_DGRAM as u64);
        rules.insert(libc::SYS_socketpair, vec![rule([kind.expect("argument 1 exists")])]);
    }
    rules
}

/// Rules for a call that takes what kind of number follows, and the number.
fn scheduled(user: u64, own: u64) -> Vec<SeccompRule> {
    vec![rule([is(0, user)]), rule([not(1, 0), not(1, own)])]
}

/// Rules for the families of sockets that are refused.
fn sockets(settings: &Settings) -> Vec<SeccompRule> {
    let mut allowed = Vec::new();
    if settings.unix_sockets {
        allowed.push(libc::AF_UNIX);
    }
    if settings.network {
        // A netlink socket tells getaddrinfo which addresses the machine has.
        allowed.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    if allowed.is_empty() {
        return Vec::new();
    }
    vec![SeccompRule::new(allowed.into_iter().map(|family| not(0, family as u64)).collect()).expect("not empty")]
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> SeccompRule {
    SeccompRule::new(conditions.into()).expect("a rule with conditions is valid")
}

/// These compare the lower half of an argument, which is all that the kernel looks at in an `int`.
fn is(argument: u8, value: u64) -> SeccompCondition {
    SeccompCondition::new(argument, Len::Dword, Op::Eq, value).expect("calls have up to six arguments")
}

fn not(argument: u8, value: u64) -> SeccompCondition {
    SeccompCondition::new(argument, Len::Dword, Op::Ne, value).expect("calls have up to six arguments")
}

fn has(argument: u8, flag: u64) -> SeccompCondition {
    SeccompCondition::new(argument, Len::Dword, Op::MaskedEq(flag), flag).expect("calls have up to six arguments")
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, SandboxError> {
    let fail =
        |error: seccompiler::BackendError| step("could not filter system calls")(io::Error::other(error.to_string()));
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(fail)?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)
        .and_then(BpfProgram::try_from)
        .map_err(fail)
}

/// On x86_64 every call has a second number, by which the 32-bit pointers of x32 are told from ours.
#[cfg(target_arch = "x86_64")]
fn other_calling_convention() -> Option<BpfProgram> {
    use seccompiler::sock_filter;
    const X32_BIT: u32 = 0x4000_0000;
    let op = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    Some(vec![
        // The number of the call is the first field of what a filter sees.
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32_BIT),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn other_calling_convention() -> Option<BpfProgram> {
    None
}
