//! Worker host: prepares a process and becomes the interpreter that the pool chose.
//!
//! OTP starts this program through a port with `nouse_stdio`: descriptor 3 carries control frames in, 4 carries
//! them out. The process is put into the state that a Python program expects (signals, stdin, environment,
//! limits) and then replaced by `PYTHON -c BOOTSTRAP py_worker POOL N`, so that the interpreter finds its own
//! standard library, virtual environment and `sys.executable` as from a shell. What fails before that is
//! reported as a control frame `f`.
//!
//! `py_host --facts` prints what it knows about the machine instead.

mod args;
mod become_python;
mod environment;
mod facts;
mod keeper;
mod process;
mod sandbox;

use std::io::Write;
use std::os::fd::{BorrowedFd, RawFd};
use std::process::ExitCode;

use shm_proto::control::FromWorker;

/// Where OTP leaves the answering side of the control channel.
const CONTROL_OUT: RawFd = 4;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|option| option == "--facts") {
        let written = std::io::stdout().write_all(facts::lines().as_bytes());
        return written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let mut control_out = CONTROL_OUT;
    let Err(error) = run(&mut control_out);
    report(control_out, &FromWorker::Failure(error.to_string()));
    ExitCode::FAILURE
}

/// Keeps `control_out` at the number by which a failure can be reported.
fn run(control_out: &mut RawFd) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    let args = args::parse(std::env::args_os().skip(1))?;
    let control = process::move_control()?;
    *control_out = control.output;
    process::prepare(&args)?;
    environment::clean(&args.keep_env);
    let keeper = match &args.sandbox {
        Some(settings) => {
            let asks = || report(control.output, &FromWorker::Asks);
            let entered = sandbox::enter(settings, control.input, asks)?;
            if !entered.missing.is_empty() {
                report(control.output, &FromWorker::Warning(entered.missing.join("; ")));
            }
            Some(entered.keeper)
        }
        None => None,
    };
    Err(become_python::exec(&args, control, keeper).into())
}

/// Sends a frame; on stderr when nobody listens.
fn report(control_out: RawFd, frame: &FromWorker) {
    let frame = frame.encode();
    let mut packet = Vec::with_capacity(frame.len() + 2);
    packet.extend_from_slice(&(frame.len() as u16).to_be_bytes());
    packet.extend_from_slice(&frame);
    // SAFETY: only borrowed for one write; a closed descriptor makes that write fail with EBADF.
    let out = unsafe { BorrowedFd::borrow_raw(control_out) };
    if nix::unistd::write(out, &packet).is_err() {
        let mut line = b"py_host: ".to_vec();
        line.extend_from_slice(&frame[1..]);
        line.push(b'\n');
        // A process that cannot even write to stderr has nobody left to tell.
        let _ = std::io::stderr().write_all(&line);
    }
}
