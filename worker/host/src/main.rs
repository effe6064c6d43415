//! Worker host: prepares a process and becomes the interpreter that the pool chose.
//!
//! OTP starts this program through a port with `nouse_stdio`: descriptor 3 carries control frames in, 4 carries
//! them out. The process is put into the state that a Python program expects (signals, stdin, environment,
//! limits) and then replaced by `PYTHON -c BOOTSTRAP py_worker POOL N`, so that the interpreter finds its own
//! standard library, virtual environment and `sys.executable` as from a shell. What fails before that is
//! reported as a control frame `f`.

mod args;
mod become_python;
mod environment;
mod process;

use std::io::Write;
use std::os::fd::{BorrowedFd, RawFd};
use std::process::ExitCode;

/// Where OTP leaves the answering side of the control channel.
const CONTROL_OUT: RawFd = 4;

fn main() -> ExitCode {
    let mut control_out = CONTROL_OUT;
    let Err(error) = run(&mut control_out);
    report(control_out, &error.to_string());
    ExitCode::FAILURE
}

/// Keeps `control_out` at the number by which a failure can be reported.
fn run(control_out: &mut RawFd) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    let args = args::parse(std::env::args_os().skip(1))?;
    let control = process::move_control()?;
    *control_out = control.output;
    process::prepare(&args)?;
    environment::clean();
    Err(become_python::exec(&args, control).into())
}

/// Sends the reason of a failed start as a `{packet, 2}` frame; on stderr when nobody listens.
fn report(control_out: RawFd, text: &str) {
    let text = &text.as_bytes()[..text.len().min(4096)];
    let mut frame = Vec::with_capacity(text.len() + 3);
    frame.extend_from_slice(&(text.len() as u16 + 1).to_be_bytes());
    frame.push(b'f');
    frame.extend_from_slice(text);
    // SAFETY: only borrowed for one write; a closed descriptor makes that write fail with EBADF.
    let out = unsafe { BorrowedFd::borrow_raw(control_out) };
    if nix::unistd::write(out, &frame).is_err() {
        let mut line = b"py_host: ".to_vec();
        line.extend_from_slice(text);
        line.push(b'\n');
        // A process that cannot even write to stderr has nobody left to tell.
        let _ = std::io::stderr().write_all(&line);
    }
}
