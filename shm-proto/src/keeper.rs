//! How a worker in a sandbox comes by descriptors of the node.
//!
//! Linux lets a process with a Landlock domain open nothing under `/proc/<pid>` of a process outside of it. So the host
//! opens segments and bells before it closes the sandbox, and leaves a keeper outside: a process that opens what the worker
//! asks for and passes it on over a pair of sockets, but nothing except large requests of this very incarnation, which
//! it knows by the tag in their names ([`Handshake::request_name`]).
//!
//! Messages to the keeper are descriptor numbers of the node (`i32`, little-endian); each is answered with an errno
//! (`i32`, 0: the descriptor comes with the message). The first message to the worker is the handshake, whose endpoints are
//! descriptors that the worker has inherited.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::{Mutex, PoisonError},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
    },
};

use crate::{
    control::Handshake,
    segment::{Access, Seals, context, invalid, open_far_end, verify},
};

/// Longer than every message.
const MAX_MESSAGE: usize = 512;

/// The worker's end. Any number of threads may use it.
#[derive(Debug)]
pub struct Client {
    socket: Mutex<OwnedFd>,
}

/// The keeper's end.
#[derive(Debug)]
pub struct Desk {
    socket: OwnedFd,
}

/// A pair of ends, closed on exec.
///
/// # Errors
/// Descriptors are exhausted.
pub fn pair() -> io::Result<(Client, Desk)> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|e| context("make a pair of sockets", e))?;
    Ok((Client::from(ours), Desk { socket: theirs }))
}

impl From<OwnedFd> for Client {
    fn from(socket: OwnedFd) -> Client {
        Client { socket: Mutex::new(socket) }
    }
}

impl Client {
    /// The handshake frame. To be called once, before [`Client::open`]. Waits for it.
    ///
    /// # Errors
    /// `UnexpectedEof` if the keeper is gone.
    pub fn handshake(&self) -> io::Result<Vec<u8>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(receive(socket.as_fd())?.0)
    }

    /// Has the keeper open descriptor `fd` of the node, to read. Waits for the answer.
    ///
    /// # Errors
    /// `PermissionDenied` if it is no large request of this incarnation, `UnexpectedEof` if the keeper is gone.
    pub fn open(&self, fd: i32) -> io::Result<OwnedFd> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        send(socket.as_fd(), &fd.to_le_bytes(), None, MsgFlags::empty())?;
        match receive(socket.as_fd())? {
            (_, Some(opened)) => Ok(opened),
            (message, None) => Err(match number(&message)? {
                0 => invalid("keeper sent no descriptor"),
                errno => io::Error::from_raw_os_error(errno),
            }),
        }
    }

    /// Number of the descriptor.
    pub fn number(&self) -> RawFd {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).as_raw_fd()
    }
}

impl Desk {
    /// Sends the handshake, as the first thing.
    ///
    /// # Errors
    /// What `sendmsg` reports.
    pub fn hand_over(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_fd(), frame, None, MsgFlags::MSG_DONTWAIT)
    }

    /// Answers one request of the worker, who got `handshake`; waits for it, but never for a worker that does not read.
    /// False: the worker has closed its end.
    ///
    /// # Errors
    /// The worker does not keep to the protocol, or the sockets fail: the keeper should close its end.
    pub fn answer(&self, handshake: &Handshake) -> io::Result<bool> {
        let (message, stray) = match receive(self.socket.as_fd()) {
            Ok(received) => received,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        };
        drop(stray);
        match open_request(handshake, number(&message)?) {
            Ok(opened) => {
                send(self.socket.as_fd(), &0i32.to_le_bytes(), Some(opened.as_raw_fd()), MsgFlags::MSG_DONTWAIT)?
            }
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc::EACCES);
                send(self.socket.as_fd(), &errno.to_le_bytes(), None, MsgFlags::MSG_DONTWAIT)?;
            }
        }
        Ok(true)
    }
}

impl AsFd for Desk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Opens a large request of this incarnation and nothing else.
fn open_request(handshake: &Handshake, fd: i32) -> io::Result<OwnedFd> {
    let opened = open_far_end(handshake.node_pid, fd, Access::Read)?;
    // Of what was opened: the number could mean another file by the time of a second look at the node.
    let name = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
    let expected = format!("/memfd:{} (deleted)", handshake.request_name().to_string_lossy());
    if name.as_os_str() != expected.as_str() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    verify(opened.as_fd(), 0, Seals::SizeAndWrites)?;
    Ok(opened)
}

fn number(message: &[u8]) -> io::Result<i32> {
    message.try_into().map(i32::from_le_bytes).map_err(|_| invalid("message of another length"))
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<RawFd>, flags: MsgFlags) -> io::Result<()> {
    let fds: Vec<RawFd> = fd.into_iter().collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags | MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(context("send to the other end", e)),
        }
    }
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let (len, passed) = loop {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(message) => {
                let mut passed = None;
                for control in message.cmsgs().map_err(|e| context("read what came with a message", e))? {
                    if let ControlMessageOwned::ScmRights(fds) = control {
                        // SAFETY: the kernel has just made these descriptors for us.
                        let fds = fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
                        passed = fds.reduce(|_, fd| fd);
                    }
                }
                break (message.bytes, passed);
            }
            Err(Errno::EINTR) => {}
            Err(e) => return Err(context("receive from the other end", e)),
        }
    };
    if len == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(len);
    Ok((bytes, passed))
}
