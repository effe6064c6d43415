//! Plays the node against a real worker: the control channel over two pipes, the data plane through `NodeLink`.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub mod reply;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use shm_proto::arbiter::Side;
use shm_proto::control::{FromWorker, ToWorker};
use shm_proto::etf::{ObjectKind, Writer};
use shm_proto::layout::Geometry;
use shm_proto::link::NodeLink;
use shm_proto::request::{Extent, Header, Kind, Options, Place};
use shm_proto::response;
use shm_proto::ring::Consumer;

pub use reply::Reply;

/// Only a hang reaches this.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A worker and the node's end of everything.
pub struct Worker {
    pub child: Child,
    pub link: NodeLink,
    control: Option<File>,
    frames: mpsc::Receiver<FromWorker>,
    responses: Consumer,
    replies: HashMap<u64, Reply>,
    positions: HashMap<u64, u64>,
    next_id: u64,
    next_ticket: u64,
    pub version: String,
}

/// How the worker is started.
#[derive(Clone, Default)]
pub struct Start {
    pub geometry: Option<Geometry>,
    pub executors: u16,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// File that takes the worker's standard output.
    pub stdout: Option<PathBuf>,
}

/// Every CPython from 3.9 on that this machine has, or those in `PY_TEST_PYTHONS` (separated by colons).
pub fn pythons() -> Vec<PathBuf> {
    if let Ok(list) = std::env::var("PY_TEST_PYTHONS") {
        return list.split(':').map(PathBuf::from).collect();
    }
    let mut found = vec![PathBuf::from("/usr/bin/python3")];
    let versions = Path::new(&std::env::var("HOME").unwrap()).join(".pyenv/versions");
    for entry in std::fs::read_dir(versions).into_iter().flatten().flatten() {
        found.push(entry.path().join("bin/python"));
    }
    found.retain(|python| {
        let probe = "import sys; sys.exit(sys.version_info < (3, 9))";
        Command::new(python).args(["-c", probe]).status().is_ok_and(|status| status.success())
    });
    assert!(!found.is_empty(), "no Python from 3.9 on to test with");
    found
}

/// Runs `test` in a fresh worker of every Python.
pub fn each_python(test: impl Fn(&mut Worker)) {
    for python in pythons() {
        println!("with {}", python.display());
        test(&mut Worker::start(&python));
    }
}

/// The core of the same profile as this test, built if need be.
pub fn core() -> PathBuf {
    static CORE: OnceLock<PathBuf> = OnceLock::new();
    CORE.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "py_core"]).env("PYO3_BUILD_EXTENSION_MODULE", "1");
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
        Path::new(env!("CARGO_BIN_EXE_py_host")).with_file_name("libpy_core.so")
    })
    .clone()
}

/// A pipe that no child inherits by accident: read end, write end.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
}

/// Runs `command` with the two ends of a control channel as descriptors 3 and 4.
pub fn spawn(mut command: Command, input: OwnedFd, output: OwnedFd) -> Child {
    use nix::fcntl::{FcntlArg, fcntl};
    // High numbers first, so that the moves to 3 and 4 cannot overwrite each other.
    // SAFETY: fresh descriptors that nobody else owns.
    let high = |fd: OwnedFd| unsafe { OwnedFd::from_raw_fd(fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(100)).unwrap()) };
    let (input, output) = (high(input), high(output));
    let moves = [(input.as_raw_fd(), 3), (output.as_raw_fd(), 4)];
    // SAFETY: dup2 is async-signal-safe; the descriptors stay open until the child exists.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in moves {
                if nix::libc::dup2(from, to) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn().unwrap()
}

impl Worker {
    pub fn start(python: &Path) -> Self {
        Self::start_with(python, &Start::default())
    }

    pub fn start_with(python: &Path, start: &Start) -> Self {
        let mut worker = Self::launch(python, start);
        loop {
            match worker.frame() {
                FromWorker::Ready(version) => {
                    worker.version = version;
                    return worker;
                }
                FromWorker::Hello { os_pid, .. } => {
                    assert_eq!(os_pid, worker.child.id());
                    worker.link.close_far_ends();
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Starts a worker without waiting for it to be ready.
    pub fn launch(python: &Path, start: &Start) -> Self {
        let (link, mut handshake) = NodeLink::create(start.geometry.unwrap_or_default()).unwrap();
        handshake.executors = start.executors.max(1);
        handshake.max_threads = 256;
        let frame = ToWorker::Handshake(Box::new(handshake)).encode().unwrap();
        Self::spawn(python, start, link, &frame)
    }

    /// Starts a worker whose first frame is this one.
    pub fn launch_saying(python: &Path, start: &Start, frame: &[u8]) -> Self {
        let (link, _) = NodeLink::create(start.geometry.unwrap_or_default()).unwrap();
        Self::spawn(python, start, link, frame)
    }

    fn spawn(python: &Path, start: &Start, link: NodeLink, first: &[u8]) -> Self {
        let (their_input, our_output) = pipe();
        let (our_input, their_output) = pipe();
        let mut command = Command::new(env!("CARGO_BIN_EXE_py_host"));
        command
            .arg("--python")
            .arg(python)
            .arg("--core")
            .arg(core())
            .args(["--pool", "test", "--id", "7"])
            .args(&start.args)
            .envs(start.env.iter().cloned());
        if let Some(path) = &start.stdout {
            command.stdout(File::create(path).unwrap());
        }
        let child = spawn(command, their_input, their_output);
        let (sender, frames) = mpsc::channel();
        std::thread::spawn(move || read_frames(our_input.into(), &sender));
        let responses = link.take_responses().unwrap();
        let mut worker = Self {
            child,
            link,
            control: Some(our_output.into()),
            frames,
            responses,
            replies: HashMap::new(),
            positions: HashMap::new(),
            next_id: 1,
            next_ticket: 0,
            version: String::new(),
        };
        worker.send_raw(first);
        worker
    }

    pub fn send(&mut self, frame: &ToWorker) {
        self.send_raw(&frame.encode().unwrap());
    }

    pub fn send_raw(&mut self, frame: &[u8]) {
        let mut packet = (frame.len() as u16).to_be_bytes().to_vec();
        packet.extend_from_slice(frame);
        // A worker that is gone is what some tests are about.
        let _ = self.control.as_mut().unwrap().write_all(&packet);
    }

    pub fn frame(&self) -> FromWorker {
        self.frames.recv_timeout(LIMIT).expect("a frame from the worker")
    }

    /// Closes the node's end of the control channel.
    pub fn hang_up(&mut self) {
        self.control = None;
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id() as i32)
    }

    pub fn wait_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the worker did not exit");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Publishes a request whose terms `write` appends, without a reply cell.
    pub fn submit(&mut self, kind: Kind, options: u16, write: impl FnOnce(&mut Writer<'_>)) -> u64 {
        self.submit_to_cell(kind, options, 0, write)
    }

    pub fn submit_to_cell(&mut self, kind: Kind, options: u16, cell: u64, write: impl FnOnce(&mut Writer<'_>)) -> u64 {
        let mut terms = Vec::new();
        write(&mut Writer::new(&mut terms));
        let id = self.next_id;
        self.next_id += 1;
        let mut header =
            Header { id, cell, kind, place: Place::Inline, options: Options(options), len: terms.len() as u32 };
        let mut body = terms;
        if body.len() + Header::SIZE > self.link.requests.max_record() {
            let (total, terms_len) = (body.len() as u64, body.len() as u64);
            let extent = if let Some(lease) = self.link.request_arena.lease(body.len()) {
                self.link.request_arena.write(&lease, 0, &body);
                header.place = Place::Arena;
                Extent { offset: lease.offset as u64, total, terms_len, ticket: lease.ticket, fd: -1 }
            } else {
                let blob = self.link.request_blobs.allocate(body.len()).unwrap();
                blob.write(0, &body);
                header.place = Place::Segment;
                blob.extent(body.len())
            };
            body = extent.encode().to_vec();
            header.len = body.len() as u32;
        }
        let position = self.link.requests.publish(&[&header.encode(), &body]).unwrap();
        self.positions.insert(id, position);
        if self.link.request_sleeping().take() {
            let _ = self.link.request_bell.ring();
        }
        id
    }

    pub fn submit_call(&mut self, module: &str, function: &str, args: &[Arg<'_>]) -> u64 {
        self.submit(Kind::Call, 0, |w| write_call(w, module, function, args, &[]))
    }

    pub fn call(&mut self, module: &str, function: &str, args: &[Arg<'_>]) -> Reply {
        let id = self.submit_call(module, function, args);
        self.reply(id)
    }

    pub fn submit_eval(&mut self, expression: &str) -> u64 {
        self.submit(Kind::Eval, 0, |w| write_eval(w, expression, &[]))
    }

    pub fn eval(&mut self, expression: &str) -> Reply {
        let id = self.submit_eval(expression);
        self.reply(id)
    }

    pub fn eval_with(&mut self, expression: &str, locals: &[(&str, Arg<'_>)]) -> Reply {
        let id = self.submit(Kind::Eval, 0, |w| write_eval(w, expression, locals));
        self.reply(id)
    }

    pub fn exec(&mut self, program: &str) -> Reply {
        let id = self.submit(Kind::Exec, 0, |w| w.text(program).unwrap());
        self.reply(id)
    }

    /// Waits until the worker has started the request.
    pub fn wait_started(&self, id: u64) {
        let (position, end) = (self.positions[&id], Instant::now() + LIMIT);
        while self.link.starts(position).peek(position) != Some(Side::Worker) {
            assert!(Instant::now() < end, "request {id} was not started");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// A ticket that no cell has seen.
    pub fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// A call whose answer comes through the reply cell.
    pub fn call_by_cell(&mut self, module: &str, function: &str, args: &[Arg<'_>]) -> Reply {
        let ticket = self.ticket();
        let cell = Header::cell(ticket, 0);
        self.submit_to_cell(Kind::Call, 0, cell, |w| write_call(w, module, function, args, &[]));
        let end = Instant::now() + LIMIT;
        while !self.link.cells.poll(0, ticket) {
            assert!(Instant::now() < end, "no answer in the cell");
            std::hint::spin_loop();
        }
        let mut payload = [0; shm_proto::cell::CELL_PAYLOAD];
        let len = self.link.cells.read(0, &mut payload).unwrap();
        Reply::decode(&payload[..len], &[])
    }

    /// The reply to a request, waited for.
    pub fn reply(&mut self, id: u64) -> Reply {
        self.reply_within(id, LIMIT).expect("a reply")
    }

    pub fn reply_within(&mut self, id: u64, limit: Duration) -> Option<Reply> {
        let end = Instant::now() + limit;
        loop {
            self.drain();
            if let Some(reply) = self.replies.remove(&id) {
                return Some(reply);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.child.try_wait().unwrap().is_some() {
                self.drain();
                return self.replies.remove(&id);
            }
            self.link.response_sleeping().raise();
            if self.responses.is_empty() {
                let _ = self.link.response_bell.wait(Some(left.min(Duration::from_millis(200))));
                let _ = self.link.response_bell.drain();
            }
            self.link.response_sleeping().lower();
        }
    }

    /// Takes what is in the response ring.
    pub fn drain(&mut self) {
        while let Some(record) = self.responses.next().unwrap() {
            let mut bytes = Vec::new();
            self.responses.copy(&record, &mut bytes);
            self.responses.release(record);
            let header = response::Header::decode(&bytes).unwrap();
            let body = &bytes[response::Header::SIZE..][..header.len as usize];
            let reply = match header.place {
                Place::Inline => Reply::decode(body, &[]),
                Place::Arena => {
                    let extent = Extent::decode(body).unwrap();
                    let mut all = Vec::new();
                    let arena = &self.link.result_arena;
                    arena.append_to(&extent, 0, extent.total as usize, &mut all).unwrap();
                    arena.release(&extent);
                    let blobs = all.get(extent.blobs_at() as usize..).unwrap_or_default();
                    Reply::decode(&all[..extent.terms_len as usize], blobs)
                }
                Place::Segment => {
                    let extent = Extent::decode(body).unwrap();
                    let view = self.link.result_blobs.open(self.child.id(), &extent).unwrap();
                    let mut all = Vec::new();
                    view.append_to(0, view.len(), &mut all).unwrap();
                    let blobs = all.get(extent.blobs_at() as usize..).unwrap_or_default();
                    Reply::decode(&all[..extent.terms_len as usize], blobs)
                }
            };
            assert!(self.replies.insert(header.id, reply).is_none(), "two replies to {}", header.id);
        }
        self.link.response_waiting().take_and_wake();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = nix::sys::signal::killpg(self.pid(), nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An argument.
#[derive(Clone, Copy)]
pub enum Arg<'a> {
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Id of a handle.
    Object(u64),
}

impl Arg<'_> {
    pub fn write(&self, w: &mut Writer<'_>) {
        match *self {
            Arg::Int(value) => w.int(value),
            Arg::Float(value) => w.float(value),
            Arg::Text(text) => w.binary(text.as_bytes()).unwrap(),
            Arg::Bytes(data) => w.bytes(data).unwrap(),
            Arg::Object(id) => w.object(ObjectKind::Object, id),
        }
    }
}

pub fn write_call(w: &mut Writer<'_>, module: &str, function: &str, args: &[Arg<'_>], kwargs: &[(&str, Arg<'_>)]) {
    w.name(module).unwrap();
    w.name(function).unwrap();
    w.u32(args.len() as u32);
    args.iter().for_each(|arg| arg.write(w));
    write_pairs(w, kwargs);
}

fn write_eval(w: &mut Writer<'_>, expression: &str, locals: &[(&str, Arg<'_>)]) {
    w.text(expression).unwrap();
    write_pairs(w, locals);
}

fn write_pairs(w: &mut Writer<'_>, pairs: &[(&str, Arg<'_>)]) {
    w.u32(pairs.len() as u32);
    for (name, value) in pairs {
        w.name(name).unwrap();
        value.write(w);
    }
}

fn read_frames(mut input: File, frames: &mpsc::Sender<FromWorker>) {
    let mut len = [0; 2];
    while input.read_exact(&mut len).is_ok() {
        let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
        if input.read_exact(&mut frame).is_err() {
            return;
        }
        let frame = FromWorker::decode(&frame).unwrap();
        // The handshake has been sent already.
        if frame != FromWorker::Asks && frames.send(frame).is_err() {
            return;
        }
    }
}
