//! From the handshake to the first request, and the control channel.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shm_proto::control::{FromWorker, ToWorker};
use shm_proto::link::WorkerLink;

use crate::raw::Raw;
use crate::serve::{Worker, serve};

/// The sending half of the control channel.
pub struct Control(Mutex<File>);

impl Control {
    pub fn send(&self, frame: &[u8]) {
        let mut packet = (frame.len() as u16).to_be_bytes().to_vec();
        packet.extend_from_slice(frame);
        // A node that closed the channel ends this process, see `listen`.
        let _ = self.0.lock().expect("nobody panics with it").write_all(&packet);
    }
}

/// Serves until the node ends the process.
pub fn run(input: RawFd, output: RawFd) {
    // SAFETY: the host leaves both to this process.
    let (mut input, output) = unsafe { (File::from_raw_fd(input), File::from_raw_fd(output)) };
    let control = Arc::new(Control(Mutex::new(output)));
    control.send(&FromWorker::Asks.encode());
    let Some(Ok(ToWorker::Handshake(handshake))) = read(&mut input).map(|frame| ToWorker::decode(&frame)) else {
        return;
    };
    let hello = FromWorker::Hello { nonce: handshake.nonce, os_pid: std::process::id() }.encode();
    match std::env::var("HOSTILE_START").as_deref() {
        Err(_) => {}
        Ok("silent") => return wait(&mut input),
        Ok("garbage") => {
            control.send(&[0xff; 1000]);
            return wait(&mut input);
        }
        Ok("empty_frame") => {
            control.send(&[]);
            return wait(&mut input);
        }
        Ok("wrong_nonce") => {
            control.send(&[b"h", &[7; 20][..]].concat());
            return wait(&mut input);
        }
        Ok("short_hello") => {
            control.send(b"h");
            return wait(&mut input);
        }
        Ok("ready_first") => {
            control.send(b"rnever said hello");
            return wait(&mut input);
        }
        Ok("hello_twice") => {
            control.send(&hello);
            control.send(&hello);
            return wait(&mut input);
        }
        Ok("bad_text") => {
            control.send(&[&b"f\xff\xfe"[..], &[0xe2; 60_000]].concat());
            return wait(&mut input);
        }
        Ok("flood") => loop {
            control.send(&[b'p'; 9]);
        },
        // The hello of a worker that has opened nothing: its bells hang up at once.
        Ok("opens_nothing") => {
            control.send(&hello);
            control.send(b"r3.11");
            return wait(&mut input);
        }
        Ok("half_a_frame") => {
            let _ = control.0.lock().expect("nobody panics with it").write_all(&[0xff, 0xff, b'h']);
            return wait(&mut input);
        }
        Ok(other) => panic!("no start is called {other}"),
    }
    let raw = Raw::open(&handshake);
    let link = WorkerLink::open(&handshake).expect("the handshake is good");
    control.send(&hello);
    let worker = Arc::new(Worker::new(link, raw, control.clone()));
    std::thread::spawn(move || listen(&mut input, &control));
    worker.control.send(&FromWorker::Ready("3.11.0 (hostile)".to_owned()).encode());
    serve(&worker);
}

/// Answers pings as the control thread of a worker does; ends the process with the channel.
fn listen(input: &mut File, control: &Control) {
    while let Some(frame) = read(input) {
        match ToWorker::decode(&frame) {
            Ok(ToWorker::Ping(number)) => control.send(&FromWorker::Pong(number).encode()),
            Ok(ToWorker::Gil(number)) => control.send(&FromWorker::Gil(number).encode()),
            Ok(ToWorker::Abandon(id)) => control.send(&FromWorker::Keeps(id).encode()),
            Ok(ToWorker::Stacks) => stacks(control),
            Ok(ToWorker::Stop) | Err(_) => break,
            Ok(ToWorker::Handshake(_) | ToWorker::Interrupt(_) | ToWorker::Raise(_)) => {}
        }
    }
    std::process::exit(0);
}

/// Answers the question for stacks as `HOSTILE_STACKS` says.
fn stacks(control: &Control) {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let part =
        |more| FromWorker::Stacks { more, text: b"kept\nthread 0x1 1\nThread 0x1 [x]\n  File \"".to_vec() }.encode();
    match std::env::var("HOSTILE_STACKS").as_deref() {
        Ok("silent") => {}
        Ok("empty_parts") => (0..1000).for_each(|_| control.send(&[b't', 1])),
        Ok("endless") => (0..1000).for_each(|_| control.send(&[&[b't', 1][..], &[b'x'; 60_000]].concat())),
        Ok("twice") => (0..2).for_each(|_| control.send(&part(false))),
        Ok("bytes") => control.send(&[&[b't', 0][..], &all].concat()),
        _ => {
            control.send(&part(true));
            control.send(&[&[b't', 0][..], b"\\ud800\\U7fffffff\\xzz\", line 99999999999 in \xff\n", &all].concat());
        }
    }
}

fn read(input: &mut File) -> Option<Vec<u8>> {
    let mut len = [0; 2];
    input.read_exact(&mut len).ok()?;
    let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
    input.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// Until the channel is closed.
fn wait(input: &mut File) {
    while read(input).is_some() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
