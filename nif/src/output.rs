//! What a worker writes to its standard output and error: a pipe whose reading end is the node's, so that nothing that was
//! written is lost with the worker. Its reader thread makes a log event of each line.

use crate::incarnation::Incarnation;
use crate::observe;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

/// Longest line; what is longer becomes several.
const LINE: usize = 8 << 10;
/// Bytes taken from the pipe before the thread looks at other things.
const TURN: usize = 64 << 10;
/// Bytes taken at the end of a worker: more than a pipe holds, but not all that a child of it that lives on may write.
const LAST: usize = 256 << 10;

/// The pipe of one worker.
pub struct Output {
    near: OwnedFd,
    /// Open until the worker has it.
    far: Mutex<Option<OwnedFd>>,
    /// What was read of a line that has not ended.
    line: Mutex<Vec<u8>>,
}

impl Output {
    /// Makes the pipe.
    ///
    /// # Errors
    /// Descriptors are exhausted.
    pub fn create() -> nix::Result<Output> {
        let (near, far) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Output { near, far: Mutex::new(Some(far)), line: Mutex::default() })
    }

    /// Where the worker opens its end; `None` when it has.
    pub fn path(&self) -> Option<String> {
        let far = self.far.lock().unwrap_or_else(|e| e.into_inner());
        far.as_ref().map(|far| format!("/proc/{}/fd/{}", std::process::id(), far.as_raw_fd()))
    }

    /// The worker has its end.
    pub fn close_far_end(&self) {
        drop(self.far.lock().unwrap_or_else(|e| e.into_inner()).take());
    }

    /// To poll.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }

    /// Logs the lines that are in the pipe, as many as fit a turn. Returns false at its end.
    pub fn drain(&self, incarnation: &Incarnation) -> bool {
        self.take(incarnation, TURN)
    }

    /// Logs what a worker that has ended left.
    pub fn finish(&self, incarnation: &Incarnation) {
        self.take(incarnation, LAST);
        let line = std::mem::take(&mut *self.line.lock().unwrap_or_else(|e| e.into_inner()));
        if !line.is_empty() {
            observe::line(incarnation, &line);
        }
    }

    fn take(&self, incarnation: &Incarnation, limit: usize) -> bool {
        let mut line = self.line.lock().unwrap_or_else(|e| e.into_inner());
        let mut buffer = [0; LINE];
        let mut taken = 0;
        while taken < limit {
            let found = match nix::unistd::read(&self.near, &mut buffer) {
                Ok(0) => return false,
                Ok(found) => found,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return true,
                Err(_) => return false,
            };
            taken += found;
            for part in buffer[..found].split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.ends_with(b"\n") {
                    line.pop();
                } else if line.len() < LINE {
                    continue;
                }
                observe::line(incarnation, &line);
                line.clear();
            }
        }
        true
    }
}
