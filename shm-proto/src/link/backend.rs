//! The two ways to make and open the objects of an incarnation: sealed memfds through `/proc`, and named objects.

use std::{io, os::fd::AsFd};

use crate::{
    bell::{Listener, Ringer, pipe_pair},
    control::{Endpoints, Handshake},
    layout::Geometry,
    named::{Names, Namespace, Which},
    segment::{Access, Mapping, Memfd, Seals, invalid, open_far_end, verify},
};

/// What must stay open or named in the node until the worker has opened it.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
pub(super) enum FarEnds {
    Proc { segments: [Memfd; 2], bells: (Listener, Ringer) },
    Named { names: Names, bells: (Listener, Ringer) },
}

/// What a backend makes for the node.
pub(super) struct Parts {
    pub(super) down: Mapping,
    pub(super) up: Mapping,
    pub(super) request_bell: Ringer,
    pub(super) response_bell: Listener,
    pub(super) endpoints: Endpoints,
    pub(super) far_ends: FarEnds,
}

impl Parts {
    pub(super) fn sealed(geometry: &Geometry) -> io::Result<Parts> {
        let down_fd = Memfd::create(c"erlang_python-down", geometry.down().total)?;
        let down = down_fd.map(true)?;
        down_fd.seal(Seals::SizeAndWrites)?;
        let up_fd = Memfd::create(c"erlang_python-up", geometry.up().total)?;
        let up = up_fd.map(true)?;
        up_fd.seal(Seals::Size)?;
        let (request_bell, request_far) = pipe_pair()?;
        let (response_far, response_bell) = pipe_pair()?;
        let endpoints = Endpoints::Proc {
            down: down_fd.number(),
            up: up_fd.number(),
            request_bell: request_far.number(),
            response_bell: response_far.number(),
        };
        let far_ends = FarEnds::Proc { segments: [down_fd, up_fd], bells: (request_far, response_far) };
        Ok(Parts { down, up, request_bell, response_bell, endpoints, far_ends })
    }

    pub(super) fn named(geometry: &Geometry, namespace: &Namespace) -> io::Result<Parts> {
        let prefix = namespace.prefix();
        let names = Names::of(&prefix)?;
        let down = names.create_segment(Which::Down, geometry.down().total)?;
        let up = names.create_segment(Which::Up, geometry.up().total)?;
        let (request_bell, request_far) = names.create_bell(Which::Down)?;
        let (response_far, response_bell) = names.create_bell(Which::Up)?;
        let far_ends = FarEnds::Named { names, bells: (request_far, response_far) };
        let endpoints = Endpoints::Named(prefix);
        Ok(Parts { down, up, request_bell, response_bell, endpoints, far_ends })
    }
}

/// What the worker opens.
pub(super) struct Opened {
    pub(super) down: Mapping,
    pub(super) up: Mapping,
    pub(super) request_bell: Listener,
    pub(super) response_bell: Ringer,
}

impl Opened {
    pub(super) fn by(handshake: &Handshake) -> io::Result<Opened> {
        let (pid, geometry) = (handshake.node_pid, &handshake.geometry);
        match &handshake.endpoints {
            Endpoints::Proc { down, up, request_bell, response_bell } => Ok(Opened {
                down: map_sealed(pid, *down, geometry.down().total, Seals::SizeAndWrites)?,
                up: map_sealed(pid, *up, geometry.up().total, Seals::Size)?,
                request_bell: Listener::open(pid, *request_bell)?,
                response_bell: Ringer::open(pid, *response_bell)?,
            }),
            Endpoints::Named(prefix) => {
                // Unlinks all names at the end of this arm, whether everything could be opened or not.
                let names = Names::of(prefix)?;
                Ok(Opened {
                    down: names.open_segment(Which::Down, geometry.down().total)?,
                    up: names.open_segment(Which::Up, geometry.up().total)?,
                    request_bell: names.open_listener(Which::Down)?,
                    response_bell: names.open_ringer(Which::Up)?,
                })
            }
        }
    }
}

fn map_sealed(pid: u32, fd: i32, len: usize, seals: Seals) -> io::Result<Mapping> {
    let writable = seals == Seals::Size;
    let fd = open_far_end(pid, fd, if writable { Access::ReadWrite } else { Access::Read })?;
    if verify(fd.as_fd(), len, seals)? != len {
        return Err(invalid("segment has another size"));
    }
    Mapping::of(fd.as_fd(), len, writable)
}
