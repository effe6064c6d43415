//! What a worker is kept from, set up before the process becomes Python.
//!
//! The order matters. Once the Landlock domain stands, nothing under `/proc/<node pid>` can be opened, so segments and bells
//! are opened first and a [`crate::keeper`] stays outside for what comes later. Capabilities go after that, since opening
//! descriptors of a node that has some needs the same ones. System calls are filtered last: the steps before need them.

mod calls;
mod children;
mod files;
mod limits;
mod settings;

use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::path::PathBuf;

use shm_proto::control::{Endpoints, Handshake, OTHER_BUILD, OTHER_BUILD_HINT};
use shm_proto::keeper;
use shm_proto::segment::{Access, open_far_end};

pub use children::Gate;
pub use settings::Settings;

/// Why the sandbox does not stand.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The node said nothing that could be understood.
    #[error("could not set up the sandbox: could not read the handshake: {0}")]
    Handshake(String),
    /// The node is of another build.
    #[error("{OTHER_BUILD_HINT}")]
    OtherBuild,
    /// Named segments would be out of reach.
    #[error(
        "could not set up the sandbox: it needs sealed memfds, which this system does not have or option segments excludes"
    )]
    Named,
    /// A step failed.
    #[error("could not set up the sandbox: {0}: {1}")]
    Step(&'static str, io::Error),
    /// A listed path is not there.
    #[error("could not set up the sandbox: could not open {0:?}, to which it shall give access: {1}")]
    Path(PathBuf, String),
    /// The kernel lacks something.
    #[error("could not set up the sandbox: {0}. Set sandbox => #{{required => false}} to do without")]
    Unavailable(String),
}

/// Names the step that failed.
fn step(what: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |error| SandboxError::Step(what, error)
}

/// What the interpreter gets.
#[derive(Debug)]
pub struct Entered {
    /// Socket of the keeper.
    pub keeper: RawFd,
    /// What the kernel does not offer, for people.
    pub missing: Vec<String>,
}

/// Closes the sandbox round this process, for which it reads the handshake after it `asks` for it. Must be called while the
/// process has one thread.
///
/// # Errors
/// [`SandboxError`]; the process must not become Python then.
pub fn enter(settings: &Settings, control_in: RawFd, asks: impl FnOnce()) -> Result<Entered, SandboxError> {
    let mut missing = Vec::new();
    let domain = files::abi(settings);
    if domain == 0 {
        missing.push(files::UNAVAILABLE.to_owned());
    }
    if settings.required && !missing.is_empty() {
        return Err(SandboxError::Unavailable(missing.join("; ")));
    }
    asks();
    let handshake = read_handshake(control_in)?;
    let (client, desk) = keeper::pair().map_err(step("could not make the keeper's sockets"))?;
    let inherited = open_endpoints(&handshake)?;
    desk.hand_over(&inherited).map_err(step("could not pass the handshake on"))?;
    let directory = temporary_directory()?;
    // SAFETY: the process has one thread, so nobody reads the environment at the same time.
    unsafe { std::env::set_var("TMPDIR", &directory) };
    let socket = outlive_exec(client.number())?;
    limits::refuse_privileges()?;
    let gate = children::restrict(settings)?;
    crate::keeper::start(desk, gate, handshake, directory.clone()).map_err(step("could not start the keeper"))?;
    limits::apply(settings)?;
    limits::drop_capabilities()?;
    if domain > 0 {
        files::restrict(settings, &directory, domain)?;
    }
    calls::restrict(settings, domain)?;
    Ok(Entered { keeper: socket, missing })
}

/// Which Landlock the kernel has; 0: none.
pub fn landlock() -> i32 {
    files::abi(&Settings::default())
}

/// Reads the first frame of the node and not a byte more.
fn read_handshake(control_in: RawFd) -> Result<Handshake, SandboxError> {
    let fail = |error: io::Error| SandboxError::Handshake(error.to_string());
    // SAFETY: the descriptor stays open, and stays the control channel's, behind the back of this `File`.
    let mut input = ManuallyDrop::new(unsafe { File::from_raw_fd(control_in) });
    let mut len = [0; 2];
    input.read_exact(&mut len).map_err(fail)?;
    let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
    input.read_exact(&mut frame).map_err(fail)?;
    Handshake::decode(&frame).map_err(|error| match error {
        OTHER_BUILD => SandboxError::OtherBuild,
        error => SandboxError::Handshake(error.to_string()),
    })
}

/// Opens what the handshake names; a handshake that names the opened descriptors, which outlive exec.
fn open_endpoints(handshake: &Handshake) -> Result<Vec<u8>, SandboxError> {
    let Endpoints::Proc { down, up, request_bell, response_bell } = handshake.endpoints else {
        return Err(SandboxError::Named);
    };
    let open = |fd, access| {
        let opened = open_far_end(handshake.node_pid, fd, access).map_err(step("could not open a segment or bell"))?;
        let number = outlive_exec(opened.as_raw_fd())?;
        drop(opened);
        Ok::<i32, SandboxError>(number)
    };
    let endpoints = Endpoints::Proc {
        down: open(down, Access::Read)?,
        up: open(up, Access::ReadWrite)?,
        request_bell: open(request_bell, Access::Read)?,
        response_bell: open(response_bell, Access::Write)?,
    };
    let inherited = Handshake { node_pid: std::process::id(), endpoints, ..handshake.clone() };
    inherited.encode().map_err(|error| SandboxError::Handshake(error.to_string()))
}

/// A duplicate with a high number that the interpreter inherits.
fn outlive_exec(fd: RawFd) -> Result<RawFd, SandboxError> {
    crate::process::duplicate_up(fd).map_err(|errno| step("could not keep a descriptor")(errno.into()))
}

/// A directory of the worker's own, which goes with it.
fn temporary_directory() -> Result<PathBuf, SandboxError> {
    let template = std::env::temp_dir().join("erlang_python-XXXXXX");
    nix::unistd::mkdtemp(&template)
        .map_err(|errno| SandboxError::Path(template, format!("could not make a temporary directory: {errno}")))
}
