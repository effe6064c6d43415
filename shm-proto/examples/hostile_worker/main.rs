//! A worker that breaks the protocol, for `tests/py_hostile_SUITE.erl`.
//!
//! It takes the place of the interpreter: it answers the probe of a pool, is started by the worker host like Python, and does the
//! handshake of a real worker. Calls of functions of module `hostile` misbehave as their names say ([`attack`]), those of module
//! `honest` are served; all other requests are answered with None. `HOSTILE_START` in its environment spoils the start ([`start`]).

mod attack;
mod raw;
mod serve;
mod start;

use std::os::fd::RawFd;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let program = arguments.get(2).map_or("", String::as_str);
    if program.contains("erlang_python probe") {
        let me = std::env::current_exe().expect("a program has a path");
        println!("erlang_python probe\n3 11 0\nCPython\n64\n0\n{}\n/usr\n3.11.0 (hostile)", me.display());
        return;
    }
    let (input, output) = control(program).expect("started by the worker host");
    start::run(input, output);
}

/// The descriptors that the host names in the last line of its program: `bootstrap('core', 1000, 1001, ...)`.
fn control(program: &str) -> Option<(RawFd, RawFd)> {
    let (_, numbers) = program.trim_end().strip_suffix(')')?.rsplit_once("', ")?;
    let mut numbers = numbers.split(", ").map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}
