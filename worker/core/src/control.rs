//! The control thread: frames from the node, and the lifeline.
//!
//! It never touches Python, so it answers while Python computes, and it outlives the serve loop: should the node
//! end while an `atexit` handler hangs, the worker still ends with it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};
use shm_proto::control::{Endpoints, FromWorker, Handshake, OTHER_BUILD, OTHER_BUILD_HINT, ToWorker};
use shm_proto::keeper::Client;
use shm_proto::link::WorkerLink;

use crate::coroutine;
use crate::interrupt::{self, Interrupter, Until};
use crate::module::Arguments;
use crate::stacks;

/// The data plane as the node's handshake described it.
#[derive(Debug)]
pub struct Opened {
    /// The worker's ends.
    pub link: WorkerLink,
    /// Process that made the handshake.
    pub node_pid: u32,
    /// Requests that may run at once.
    pub executors: u16,
    /// Threads that may run requests, those included that wait for Erlang.
    pub max_threads: u16,
}

/// What the control thread and the executors share.
#[derive(Debug)]
pub struct Control {
    input: RawFd,
    output: Mutex<std::fs::File>,
    keeper: Option<Arc<Client>>,
    link: Mutex<Option<Opened>>,
    opened: Condvar,
    stop: AtomicBool,
    wake: OwnedFd,
}

impl Control {
    /// Takes over the descriptors and starts the thread.
    ///
    /// The caller blocks all signals first, so that the thread receives none.
    ///
    /// # Errors
    /// Threads or descriptors are exhausted.
    pub fn start(arguments: &Arguments, interrupter: Interrupter) -> io::Result<Arc<Self>> {
        let (input, output) = (inherited(arguments.control_in)?, inherited(arguments.control_out)?);
        let keeper = match arguments.keeper {
            ..0 => None,
            fd => Some(Arc::new(Client::from(inherited(fd)?))),
        };
        let control = Arc::new(Self {
            input: input.as_raw_fd(),
            output: Mutex::new(output.into()),
            keeper,
            link: Mutex::new(None),
            opened: Condvar::new(),
            stop: AtomicBool::new(false),
            wake: wake_counter()?,
        });
        let shared = control.clone();
        std::thread::Builder::new().name("control".to_owned()).spawn(move || shared.run(input.into(), &interrupter))?;
        Ok(control)
    }

    /// Waits until the node has sent its handshake. Must not be called with the GIL held.
    pub fn wait_for_link(&self) -> Opened {
        let mut link = lock(&self.link);
        loop {
            match link.take() {
                Some(link) => return link,
                None => link = self.opened.wait(link).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Whether the node asked the worker to stop.
    #[inline]
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Becomes readable when the worker shall stop, and stays so.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Descriptors that belong to the worker alone.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let keeper = self.keeper.as_ref().map(|keeper| keeper.number());
        [self.input, self.output(), self.wake.as_fd().as_raw_fd()].into_iter().chain(keeper)
    }

    /// Where frames to the node go.
    pub fn output(&self) -> RawFd {
        lock(&self.output).as_raw_fd()
    }

    /// Sends a frame. A node that is gone is noticed by the reading side.
    pub fn send(&self, frame: &FromWorker) {
        let bytes = frame.encode();
        let mut packet = Vec::with_capacity(bytes.len() + 2);
        packet.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        packet.extend_from_slice(&bytes);
        let _ = lock(&self.output).write_all(&packet);
    }

    /// Tells the node why the worker cannot serve, and ends it.
    pub fn fail(&self, text: &str) -> ! {
        self.send(&FromWorker::Failure(text.to_owned()));
        // SAFETY: nothing was served yet, so no handler of user code is owed a run.
        unsafe { libc::_exit(1) }
    }

    fn run(self: &Arc<Self>, mut input: std::fs::File, interrupter: &Interrupter) {
        match &self.keeper {
            Some(keeper) => self.open_inherited(keeper),
            None => self.send(&FromWorker::Asks),
        }
        let mut frame = Vec::new();
        while read_frame(&mut input, &mut frame).is_ok() {
            let command = match ToWorker::decode(&frame) {
                Ok(command) => command,
                Err(OTHER_BUILD) => self.fail(OTHER_BUILD_HINT),
                Err(_) => break,
            };
            match command {
                ToWorker::Handshake(handshake) => self.open(&handshake),
                ToWorker::Ping(token) => self.send(&FromWorker::Pong(token)),
                ToWorker::Interrupt(id) => interrupter.interrupt(id, Until::Ended),
                ToWorker::Raise(id) => interrupter.interrupt(id, Until::Raised),
                ToWorker::Gil(token) => {
                    let control = self.clone();
                    interrupter.with_gil_once(Box::new(move || control.send(&FromWorker::Gil(token))));
                }
                ToWorker::Abandon(id) => match coroutine::knows_of_cancellation(id) {
                    Some(true) => interrupter.abandon(id),
                    Some(false) => self.send(&FromWorker::Blocked(id)),
                    None if interrupt::runs(id) => self.send(&FromWorker::Keeps(id)),
                    None => self.send(&FromWorker::Rests(id)),
                },
                ToWorker::Stacks => stacks::answer(self),
                ToWorker::Stop => {
                    self.stop.store(true, Ordering::Release);
                    // Only a counter near its maximum could refuse this.
                    let _ = nix::unistd::write(&self.wake, &1u64.to_ne_bytes());
                }
            }
        }
        kill_group();
    }

    /// In a sandbox the host has opened what the handshake names.
    fn open_inherited(&self, keeper: &Client) {
        let handshake = match keeper.handshake().map(|frame| Handshake::decode(&frame)) {
            Ok(Ok(handshake)) => handshake,
            Ok(Err(OTHER_BUILD)) => self.fail(OTHER_BUILD_HINT),
            Ok(Err(error)) => self.fail(&format!("could not read the handshake: {error}")),
            Err(error) => self.fail(&format!("could not get the handshake: {error}")),
        };
        self.open(&handshake);
        if let Endpoints::Proc { down, up, request_bell, response_bell } = handshake.endpoints {
            for fd in [down, up, request_bell, response_bell] {
                // Opened anew by now. One that stayed open in a child would keep the node from seeing our end.
                let _ = nix::unistd::close(fd);
            }
        }
    }

    fn open(&self, handshake: &Handshake) {
        match WorkerLink::open(handshake) {
            Ok(mut link) => {
                if let Some(keeper) = &self.keeper {
                    link.request_blobs.open_through(keeper.clone());
                }
                let kept = link.dont_fork().and_then(|()| move_bells_up(&mut link));
                if let Err(error) = kept {
                    self.fail(&format!("could not keep the data plane from user code: {error}"));
                }
                self.send(&FromWorker::Hello { nonce: handshake.nonce, os_pid: std::process::id() });
                let Handshake { node_pid, executors, max_threads, .. } = *handshake;
                *lock(&self.link) = Some(Opened { link, node_pid, executors, max_threads });
                self.opened.notify_all();
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }
}

/// A descriptor that the bootstrap hands over and uses no more; not for programs that the worker starts.
fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    // SAFETY: nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// Moves the bells above the descriptors that programs close or redirect by number.
fn move_bells_up(link: &mut WorkerLink) -> io::Result<()> {
    link.request_bell = duplicate_high(link.request_bell.as_fd())?.into();
    link.response_bell = duplicate_high(link.response_bell.as_fd())?.into();
    Ok(())
}

/// A counter to poll, readable while it is not zero.
///
/// # Errors
/// Descriptors are exhausted.
pub fn wake_counter() -> io::Result<OwnedFd> {
    let counter = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    duplicate_high(counter.as_fd())
}

/// A duplicate with a high number, closed on exec.
///
/// # Errors
/// Descriptors are exhausted.
pub fn duplicate_high(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, fcntl};
    let mut refused = nix::errno::Errno::EINVAL;
    for floor in [1000, 200, 60, 10] {
        match fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(floor)) {
            // SAFETY: a fresh descriptor that nobody else owns.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            Err(errno) => refused = errno,
        }
    }
    Err(refused.into())
}

/// The node is gone, or what it sends makes no sense: ends the worker with everything that it started.
pub fn kill_group() -> ! {
    // SAFETY: the host made this process the leader of its group, so that the group is ours alone.
    unsafe {
        libc::kill(0, libc::SIGKILL);
        libc::_exit(1)
    }
}

fn read_frame(input: &mut std::fs::File, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut len = [0; 2];
    input.read_exact(&mut len)?;
    frame.resize(usize::from(u16::from_be_bytes(len)), 0);
    input.read_exact(frame)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
