//! Sleep and wake: flags in shared memory, and pipes as doorbells.
//!
//! A party that is about to sleep raises its flag, looks once more at what it waits for, and sleeps in `poll` on its
//! [`Listener`]. A party that made something available calls [`Flag::take`] and rings only if that returns true. Of the two
//! fences at least one side sees the other's write, so no wake-up is lost, and nobody pays a system call while both are
//! awake.
//!
//! | who sleeps | flag | looks at | who takes the flag |
//! | --- | --- | --- | --- |
//! | consumer of a ring | `*_sleeping` | [`crate::ring::Consumer::is_empty`] | a producer, after each commit |
//! | producer that met `Full` | `*_waiting` | `publish` once more | the consumer, after releasing records |
//!
//! On waking: [`Listener::drain`], [`Flag::lower`], then work until nothing is left.
//!
//! Threads of a worker that wait for room in the response ring are many, and one bell wakes one of them, perhaps one that
//! waits for something else: they sleep on the flag itself, with [`Flag::sleep`] and [`Flag::take_and_wake`].

use crate::{
    layout::LINE,
    sync::{AtomicU64, Ordering, fence},
};

/// Bytes between two flags.
pub const FLAG_STRIDE: usize = LINE;

/// "I am about to sleep", in shared memory.
#[derive(Debug)]
#[repr(transparent)]
pub struct Flag(AtomicU64);

impl Flag {
    /// A lowered flag.
    pub fn new() -> Self {
        Flag(AtomicU64::new(0))
    }

    /// Sees a word of shared memory as a flag.
    pub fn from_word(word: &AtomicU64) -> &Flag {
        // SAFETY: `Flag` is `repr(transparent)` over `AtomicU64`.
        unsafe { &*(word as *const AtomicU64).cast::<Flag>() }
    }

    /// Announces sleep. Look at what you wait for after this and before sleeping.
    #[inline]
    pub fn raise(&self) {
        self.0.store(1, Ordering::Relaxed);
        // SYNC POINT: pairs with the fence in `take`. Either the look that follows sees what the other side published, or
        // the other side sees the flag.
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back, after waking or when the second look found something.
    #[inline]
    pub fn lower(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// After making something available: whether the other side sleeps and it falls to us to ring.
    #[inline]
    pub fn take(&self) -> bool {
        // SYNC POINT: pairs with the fence in `raise`.
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::Relaxed) != 0
    }

    /// Whether the owner says that it sleeps. A hint: no ordering.
    #[inline]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

#[cfg(not(loom))]
impl Flag {
    /// Sleeps until [`Flag::take_and_wake`] lowers the flag or a signal arrives. Raise it and look once more before this.
    pub fn sleep(&self) {
        // All ways in which this ends mean the same: look again.
        let _ = crate::futex::futex_wait(&self.0, 1, None);
    }

    /// As [`Flag::take`], for those who [`Flag::sleep`]: wakes them.
    #[inline]
    pub fn take_and_wake(&self) {
        if self.take() {
            crate::futex::futex_wake(&self.0);
        }
    }
}

impl Default for Flag {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(loom))]
pub use pipe::{Closed, Doorbell, Listener, Ringer, pipe_pair};

#[cfg(not(loom))]
mod pipe {
    use std::{
        io,
        os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        time::{Duration, Instant},
    };

    use nix::{
        errno::Errno,
        fcntl::OFlag,
        poll::{PollFd, PollFlags, PollTimeout, poll},
        unistd::{pipe2, read, write},
    };
    use raw_sync::{
        Timeout,
        events::{EventImpl, EventState},
    };

    use crate::segment::{Access, context, open_far_end};

    /// Reads of one drain: as much as a pipe holds.
    const MOST_READS: usize = 128;

    /// The other end of the bell is closed: its process is gone or has closed it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
    #[error("could not use doorbell: the other end is closed")]
    pub struct Closed;

    /// The end that rings. SIGPIPE must be ignored in the process (the BEAM, Python and Rust's `main` all do).
    #[derive(Debug)]
    pub struct Ringer(OwnedFd);

    /// The end that is polled.
    #[derive(Debug)]
    pub struct Listener(OwnedFd);

    /// A non-blocking pipe.
    ///
    /// # Errors
    /// What `pipe2` reports.
    pub fn pipe_pair() -> io::Result<(Ringer, Listener)> {
        let (reader, writer) =
            pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).map_err(|e| context("create doorbell", e))?;
        Ok((Ringer(writer), Listener(reader)))
    }

    impl Ringer {
        /// Opens the write end `fd` of process `pid`, as an open file description of our own.
        ///
        /// # Errors
        /// As [`open_far_end`].
        pub fn open(pid: u32, fd: i32) -> io::Result<Ringer> {
            open_far_end(pid, fd, Access::Write).map(Ringer)
        }

        /// Rings. Never blocks: a full pipe means that the bell has been rung already.
        ///
        /// # Errors
        /// [`Closed`] if nobody has the other end open.
        pub fn ring(&self) -> Result<(), Closed> {
            loop {
                match write(&self.0, &[1]) {
                    Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                    Err(Errno::EINTR) => {}
                    Err(_) => return Err(Closed),
                }
            }
        }
    }

    impl Ringer {
        /// The descriptor's number, by which a peer opens it through `/proc`.
        pub fn number(&self) -> i32 {
            self.0.as_raw_fd()
        }
    }

    impl From<OwnedFd> for Ringer {
        /// The descriptor must be a non-blocking pipe or FIFO, open for writing.
        fn from(fd: OwnedFd) -> Ringer {
            Ringer(fd)
        }
    }

    impl AsFd for Ringer {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Listener {
        /// Opens the read end `fd` of process `pid`, as an open file description of our own.
        ///
        /// # Errors
        /// As [`open_far_end`].
        pub fn open(pid: u32, fd: i32) -> io::Result<Listener> {
            open_far_end(pid, fd, Access::Read).map(Listener)
        }

        /// Takes the rings out and returns whether there was one. Never blocks, and does not wait for the end of a peer that
        /// rings without pause: what it leaves is found by the next [`Listener::wait`].
        ///
        /// # Errors
        /// [`Closed`] once every ring was taken and nobody has the other end open.
        pub fn drain(&self) -> Result<bool, Closed> {
            let mut rung = false;
            let mut buffer = [0; 512];
            for _ in 0..MOST_READS {
                match read(&self.0, &mut buffer) {
                    Ok(0) => return if rung { Ok(true) } else { Err(Closed) },
                    Ok(n) if n == buffer.len() => rung = true,
                    Ok(_) => return Ok(true),
                    Err(Errno::EAGAIN) => return Ok(rung),
                    Err(Errno::EINTR) => {}
                    Err(_) => return Err(Closed),
                }
            }
            Ok(rung)
        }

        /// Waits until the bell rings, the other end closes, a signal arrives or `timeout` passes (`None`: no limit), and
        /// returns whether there is something to [`Listener::drain`].
        ///
        /// # Errors
        /// What `poll` reports; `Interrupted` after a signal.
        pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
            let limit = match timeout {
                None => PollTimeout::NONE,
                Some(t) => PollTimeout::try_from(t.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX),
            };
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, limit) {
                Ok(n) => Ok(n > 0),
                Err(e) => Err(io::Error::from(e)),
            }
        }

        /// The descriptor's number, by which a peer opens it through `/proc`.
        pub fn number(&self) -> i32 {
            self.0.as_raw_fd()
        }
    }

    impl From<OwnedFd> for Listener {
        /// The descriptor must be a non-blocking pipe or FIFO, open for reading.
        fn from(fd: OwnedFd) -> Listener {
            Listener(fd)
        }
    }

    impl AsFd for Listener {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    /// Both ends in one process, with the interface of `raw_sync`'s events: setting rings, waiting takes the ring.
    #[derive(Debug)]
    pub struct Doorbell {
        ringer: Ringer,
        listener: Listener,
    }

    impl Doorbell {
        /// Puts both ends together.
        pub fn new(ringer: Ringer, listener: Listener) -> Doorbell {
            Doorbell { ringer, listener }
        }
    }

    impl EventImpl for Doorbell {
        fn wait(&self, timeout: Timeout) -> Result<(), Box<dyn std::error::Error>> {
            let deadline = match timeout {
                Timeout::Infinite => None,
                Timeout::Val(t) => Some(Instant::now() + t),
            };
            loop {
                if self.listener.drain()? {
                    return Ok(());
                }
                let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
                if left.is_some_and(|t| t.is_zero()) {
                    return Err("could not wait for doorbell: timed out".into());
                }
                match self.listener.wait(left) {
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }

        fn set(&self, state: EventState) -> Result<(), Box<dyn std::error::Error>> {
            match state {
                EventState::Signaled => self.ringer.ring()?,
                EventState::Clear => drop(self.listener.drain()?),
            }
            Ok(())
        }
    }
}
