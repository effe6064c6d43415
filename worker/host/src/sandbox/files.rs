//! What of the file system a worker reaches, by Landlock: a list of what is allowed, whatever permissions say.
//!
//! Landlock also keeps the process from looking into processes outside (`/proc/<pid>/mem`, `environ`, `fd`), from moving
//! mounts, and, with ABI 6, from signals to them and from their abstract sockets.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::libc;

use super::{SandboxError, Settings, step};

/// What to say when [`abi`] is 0.
pub const UNAVAILABLE: &str = "this kernel has no Landlock, without which neither files nor other processes of the user \
     are protected (it came with Linux 5.13 and must be named in the boot parameter lsm=)";

/// With this ABI Landlock keeps signals inside.
pub const SCOPED_SIGNALS: i32 = 6;
/// With this ABI Landlock knows of truncation by name.
pub const TRUNCATION: i32 = 3;

/// Directories and files that interpreters, their libraries and programs of the system need. What is not there is passed over.
const SYSTEM: [&str; 38] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];
/// Start-up files of Debian's interpreters lie in directories of this name.
const SITE: &str = "python3";

/// Which Landlock the kernel has; 0: none.
pub fn abi(settings: &Settings) -> i32 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no memory and makes nothing.
    let found = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    i32::try_from(found).unwrap_or(0).min(settings.landlock).max(0)
}

/// Puts this process and all that come from it into a domain of its own.
pub fn restrict(settings: &Settings, temporary: &Path, abi: i32) -> Result<(), SandboxError> {
    let known = ABI::from(abi);
    let fail = |error: RulesetError| step("could not restrict the file system")(io::Error::other(error));
    let mut wanted = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(known))
        .map_err(fail)?;
    let sockets = AccessNet::from_all(known);
    if !settings.network && !sockets.is_empty() {
        wanted = wanted.handle_access(sockets).map_err(fail)?;
    }
    let scopes = Scope::from_all(known);
    if !scopes.is_empty() {
        wanted = wanted.scope(scopes).map_err(fail)?;
    }
    let mut domain = Domain { rules: wanted.create().map_err(fail)?, known };

    let read = AccessFs::from_read(known);
    let write = AccessFs::from_all(known);
    for path in SYSTEM.iter().map(PathBuf::from).chain(site_directories()) {
        domain = domain.allow_existing(&path, read)?;
    }
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    domain = domain.allow_existing(Path::new("/dev/null"), device)?.allow_existing(Path::new("/dev/full"), device)?;
    if settings.shared_memory {
        domain = domain.allow_existing(Path::new("/dev/shm"), write)?;
    }
    for path in &settings.read {
        domain = domain.allow(path, read)?;
    }
    for path in settings.write.iter().map(PathBuf::as_path).chain([temporary]) {
        domain = domain.allow(path, write)?;
    }
    domain.rules.restrict_self().map(drop).map_err(fail)
}

fn site_directories() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir("/etc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(SITE)).map(|entry| entry.path())
}

struct Domain {
    rules: RulesetCreated,
    known: ABI,
}

impl Domain {
    /// Allows access to a file, or to a directory and all below it.
    fn allow(self, path: &Path, access: BitFlags<AccessFs>) -> Result<Self, SandboxError> {
        let refused = |error: &dyn std::error::Error| SandboxError::Path(path.to_owned(), error.to_string());
        let directory = std::fs::metadata(path).map_err(|error| refused(&error))?.is_dir();
        let access = if directory { access } else { access & AccessFs::from_file(self.known) };
        let opened = PathFd::new(path).map_err(|error| refused(&error))?;
        let rules = self.rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| refused(&error))?;
        Ok(Self { rules, known: self.known })
    }

    fn allow_existing(self, path: &Path, access: BitFlags<AccessFs>) -> Result<Self, SandboxError> {
        if path.exists() { self.allow(path, access) } else { Ok(self) }
    }
}
