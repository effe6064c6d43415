//! The last step: exec of the interpreter with the bootstrap program.

use std::ffi::{CString, OsStr, OsString};
use std::fmt::Write;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::args::Args;
use crate::process::Control;

/// Loads the core by path with what every interpreter has loaded anyway and leaves no name in `__main__`.
/// (`importlib.util` would double the start time of CPython 3.9.)
const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// Why the interpreter did not take over.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// An argument cannot be passed to a program.
    #[error("could not start Python: an argument holds a NUL byte")]
    Nul(#[from] std::ffi::NulError),
    /// exec failed.
    #[error("could not start Python {0:?}: {1}")]
    Exec(OsString, Errno),
}

/// Replaces the process; returns only if that failed.
pub fn exec(args: &Args, control: Control, keeper: Option<RawFd>) -> ExecError {
    let argv = match arguments(args, control, keeper) {
        Ok(argv) => argv,
        Err(error) => return error,
    };
    match nix::unistd::execv(&argv[0], &argv) {
        Ok(never) => match never {},
        Err(errno) => ExecError::Exec(args.python.clone().into_os_string(), errno),
    }
}

fn arguments(args: &Args, control: Control, keeper: Option<RawFd>) -> Result<Vec<CString>, ExecError> {
    let core = python_literal(args.core.as_os_str());
    let (bootstrap, keeper) = (BOOTSTRAP.trim_end(), keeper.unwrap_or(-1));
    let program = format!("{bootstrap}\nbootstrap({core}, {}, {}, {keeper})\n", control.input, control.output);
    Ok(vec![
        CString::new(args.python.as_os_str().as_bytes())?,
        c"-c".to_owned(),
        CString::new(program)?,
        c"py_worker".to_owned(),
        CString::new(args.pool.as_bytes())?,
        CString::new(args.id.as_bytes())?,
    ])
}

/// A path as a Python string literal of ASCII; bytes that are no UTF-8 become the surrogates that
/// `os.fsdecode` makes of them.
fn python_literal(path: &OsStr) -> String {
    let mut literal = String::from("'");
    for chunk in path.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => literal.extend(['\\', c]),
                ' '..='~' => literal.push(c),
                // Writing to a String cannot fail.
                _ => _ = write!(literal, "\\U{:08x}", u32::from(c)),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(literal, "\\udc{byte:02x}");
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_survive_odd_paths() {
        let of = |bytes: &[u8]| python_literal(OsStr::from_bytes(bytes));
        assert_eq!(of(b"/a b/c.so"), "'/a b/c.so'");
        assert_eq!(of(b"/it's\\n"), r"'/it\'s\\n'");
        assert_eq!(of("/\u{e9}".as_bytes()), r"'/\U000000e9'");
        assert_eq!(of(b"/\xff\n"), r"'/\udcff\U0000000a'");
    }
}
