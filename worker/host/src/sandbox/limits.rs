//! Limits of the process, and its rights as such.

use std::io;

use caps::CapSet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{SandboxError, Settings, step};

/// Sets the limits; they hold for children as well, each for itself.
pub fn apply(settings: &Settings) -> Result<(), SandboxError> {
    // A core file is written with the rights of the system, to wherever the system says.
    limit(Resource::RLIMIT_CORE, 0).map_err(step("could not switch off core files"))?;
    if let Some(files) = settings.files {
        limit(Resource::RLIMIT_NOFILE, files).map_err(step("could not limit open files"))?;
    }
    if let Some(seconds) = settings.cpu {
        limit(Resource::RLIMIT_CPU, seconds).map_err(step("could not limit processor time"))?;
    }
    Ok(())
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let hard = getrlimit(resource)?.1.min(value);
    Ok(setrlimit(resource, hard, hard)?)
}

/// From here on no program gives more rights than the process has: neither the set-user-ID bit nor file capabilities count.
pub fn refuse_privileges() -> Result<(), SandboxError> {
    nix::sys::prctl::set_no_new_privs().map_err(|errno| step("could not refuse new privileges")(errno.into()))
}

/// Gives up all capabilities, after [`refuse_privileges`] for good.
pub fn drop_capabilities() -> Result<(), SandboxError> {
    let fail =
        |error: caps::errors::CapsError| step("could not give up capabilities")(io::Error::other(error.to_string()));
    // Without CAP_SETPCAP the bounding set stays, and nothing can be gained from it any more.
    let _ = caps::clear(None, CapSet::Bounding);
    // Refused by kernels before 4.3, which have no ambient set.
    let _ = caps::clear(None, CapSet::Ambient);
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(fail)?;
    }
    Ok(())
}
