//! Start, stop and death of a worker.

mod node;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Start, Worker, each_python, pythons};
use shm_proto::control::{FromWorker, ToWorker};

/// Whether the process still does anything: zombies wait for their parent only.
fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + node::LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn says_which_python_it_is() {
    each_python(|w| {
        let version = w.eval("__import__('sys').version").value().to_owned();
        assert_eq!(version, format!("{:?}", w.version).replace("\\n", "\n"));
        w.send(&ToWorker::Ping(77));
        assert_eq!(w.frame(), FromWorker::Pong(77));
    });
}

#[test]
fn stop_runs_exit_handlers() {
    each_python(|w| {
        let path = std::env::temp_dir().join(format!("py_host_atexit_{}", w.child.id()));
        w.exec(&format!("import atexit\natexit.register(lambda: open({path:?}, 'w').close())")).value();
        w.send(&ToWorker::Stop);
        assert_eq!(w.wait_exit().code(), Some(0));
        assert!(path.exists());
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn ends_with_the_control_channel() {
    each_python(|w| {
        // The child process belongs to the group and must not stay either.
        w.exec("import subprocess, threading\np = subprocess.Popen(['sleep', '3600'])").value();
        let child: i32 = w.eval("p.pid").value().parse().unwrap();
        let id = w.submit_eval("__import__('time').sleep(3600)");
        w.hang_up();
        assert_eq!(w.wait_exit().signal(), Some(9));
        assert!(w.reply_within(id, Duration::ZERO).is_none());
        wait_until("the child process is gone", || !alive(child));
    });
}

#[test]
fn garbage_on_the_control_channel_ends_it() {
    let python = &pythons()[0];
    for garbage in [&b"X"[..], b"", b"P123", b"H"] {
        let mut w = Worker::start(python);
        w.send_raw(garbage);
        assert_eq!(w.wait_exit().signal(), Some(9), "{garbage:?}");
    }
}

/// What a node does whose library was replaced under it, or its workers' programs.
#[test]
fn a_handshake_of_another_build_is_explained() {
    let frame = {
        let (_link, handshake) = shm_proto::link::NodeLink::create(Default::default()).unwrap();
        let mut frame = ToWorker::Handshake(Box::new(handshake)).encode().unwrap();
        frame[1] ^= 1;
        frame
    };
    let sandbox = ["--sandbox", "required=false"].map(str::to_owned).to_vec();
    for args in [Vec::new(), sandbox] {
        let worker = Worker::launch_saying(&pythons()[0], &Start { args, ..Start::default() }, &frame);
        match worker.frame() {
            FromWorker::Failure(text) => {
                assert!(text.contains("different builds") && text.contains("restart the node"), "{text}");
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[test]
fn a_killed_worker_is_just_gone() {
    each_python(|w| {
        let id = w.submit_eval("__import__('os').kill(__import__('os').getpid(), 9)");
        assert_eq!(w.wait_exit().signal(), Some(9));
        assert!(w.reply_within(id, Duration::ZERO).is_none());
    });
}

#[test]
fn a_stopped_worker_ends_with_its_parent() {
    let python = &pythons()[0];
    let (their_input, _our_output) = node::pipe();
    let (our_input, their_output) = node::pipe();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$@\" & wait", "sh", env!("CARGO_BIN_EXE_py_host"), "--python"])
        .arg(python)
        .arg("--core")
        .arg(node::core())
        .args(["--pool", "test", "--id", "1"]);
    let mut shell = node::spawn(shell, their_input, their_output);
    let children = format!("/proc/{0}/task/{0}/children", shell.id());
    let mut pid = 0;
    wait_until("the worker runs", || {
        let list = std::fs::read_to_string(&children).unwrap_or_default();
        pid = list.split_whitespace().next().map_or(0, |first| first.parse().unwrap());
        let name = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        pid != 0 && name.windows(9).any(|part| part == b"py_worker")
    });
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_until("the stopped worker is gone", || !alive(pid));
    drop(our_input);
}

#[test]
fn forked_children_end_where_they_return() {
    each_python(|w| {
        w.exec(
            "
            import os, warnings
            warnings.simplefilter('ignore')
            def forks():
                pid = os.fork()
                return pid
            def closed():
                high = lambda: [fd for fd in os.listdir('/proc/self/fd') if int(fd) >= 1000]
                assert len(high()) == 7, high()
                r, wr = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.write(wr, repr(high()).encode())
                    os._exit(0)
                os.close(wr)
                os.waitpid(pid, 0)
                return os.read(r, 1000)
            ",
        )
        .value();
        for _ in 0..5 {
            let pid: i32 = w.call("__main__", "forks", &[]).value().parse().unwrap();
            assert_eq!(w.eval(&format!("os.waitpid({pid}, 0)[1]")).value(), "0");
        }
        assert_eq!(w.call("__main__", "closed", &[]).value(), "\"[]\"");
    });
}

#[test]
fn the_environment_is_python_s_own() {
    let start = Start {
        env: vec![
            ("RELEASE_COOKIE".into(), "secret".into()),
            ("ERL_FLAGS".into(), "-x".into()),
            ("ERL_LIBS".into(), "named".into()),
            ("KEPT".into(), "yes".into()),
        ],
        args: vec![
            "--cd".into(),
            "/".into(),
            "--rlimit-data".into(),
            "1000000000".into(),
            "--keep-env".into(),
            "ERL_LIBS".into(),
        ],
        ..Start::default()
    };
    for python in pythons() {
        let mut w = Worker::start_with(&python, &start);
        let environ = "[k in __import__('os').environ for k in ('RELEASE_COOKIE', 'ERL_FLAGS', 'ERL_LIBS', 'KEPT')]";
        assert_eq!(w.eval(environ).value(), "[false,false,true,true]");
        assert_eq!(w.eval("__import__('os').getcwd()").value(), "\"/\"");
        assert_eq!(w.eval("__import__('sys').stdin.read()").value(), "\"\"");
        assert!(w.eval("len(bytearray(2 * 10**9))").error().starts_with("MemoryError"));
        assert_eq!(w.eval("__import__('signal').getsignal(8).name").value(), "\"SIG_DFL\"");
        assert_eq!(w.eval("sorted(__import__('signal').pthread_sigmask(0, []))").value(), "[]");
    }
}

#[test]
fn a_start_that_fails_says_why() {
    for (python, core, expected) in [
        ("/no/such/python", node::core(), "could not start Python \"/no/such/python\": ENOENT"),
        (pythons()[0].to_str().unwrap(), "/no/such/core.so".into(), "could not load the worker core"),
    ] {
        let (their_input, _our_output) = node::pipe();
        let (our_input, their_output) = node::pipe();
        let mut host = Command::new(env!("CARGO_BIN_EXE_py_host"));
        host.args(["--python", python, "--core"]).arg(core).args(["--pool", "p", "--id", "1"]);
        let mut child = node::spawn(host, their_input, their_output);
        let mut frame = [0; 5000];
        let len = nix::unistd::read(&our_input, &mut frame).unwrap();
        let FromWorker::Failure(text) = FromWorker::decode(&frame[2..len]).unwrap() else { panic!() };
        assert!(text.contains(expected), "{text}");
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn idle_workers_use_no_processor_time() {
    let ticks = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).map(|f| f.parse().unwrap()).collect();
        fields.iter().sum()
    };
    each_python(|w| {
        w.eval("1").value();
        wait_until("the worker sleeps", || w.link.request_sleeping().is_raised());
        let before = ticks(w.child.id());
        // A frame that takes a second to come would mean a worker that spins in between.
        assert!(w.reply_within(u64::MAX, Duration::from_secs(1)).is_none());
        assert!(ticks(w.child.id()) - before <= 1);
    });
}

#[test]
fn closing_low_descriptors_does_not_hurt() {
    each_python(|w| {
        w.exec("import os\nos.closerange(3, 60)").value();
        assert_eq!(w.eval("1 + 1").value(), "2");
        w.send(&ToWorker::Ping(1));
        assert_eq!(w.frame(), FromWorker::Pong(1));
    });
}

#[test]
fn paths_with_odd_characters_work() {
    let directory = std::env::temp_dir().join(format!("py host 'é' {}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let link = directory.join("core.so");
    std::fs::copy(node::core(), &link).unwrap();
    let (their_input, our_output) = node::pipe();
    let (our_input, their_output) = node::pipe();
    let mut host = Command::new(env!("CARGO_BIN_EXE_py_host"));
    host.arg("--python").arg(&pythons()[0]).arg("--core").arg(&link).args(["--pool", "p", "--id", "1"]);
    let mut child = node::spawn(host, their_input, their_output);
    let (_link, handshake) = shm_proto::link::NodeLink::create(Default::default()).unwrap();
    let frame = ToWorker::Handshake(Box::new(handshake)).encode().unwrap();
    nix::unistd::write(&our_output, &[&(frame.len() as u16).to_be_bytes()[..], &frame].concat()).unwrap();
    for expected in [b'a', b'h'] {
        let mut answer = [0; 5000];
        let mut input = std::fs::File::from(our_input.try_clone().unwrap());
        input.read_exact(&mut answer[..2]).unwrap();
        let len = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
        input.read_exact(&mut answer[..len]).unwrap();
        assert_eq!(answer[0], expected, "{}", String::from_utf8_lossy(&answer[..len]));
    }
    drop(our_output);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_handler_that_exits_ends_an_idle_worker() {
    each_python(|w| {
        let path = std::env::temp_dir().join(format!("py_host_term_{}", w.child.id()));
        w.exec(&format!(
            "import atexit, signal, sys\natexit.register(lambda: open({path:?}, 'w').close())\n\
             signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))"
        ))
        .value();
        wait_until("the worker sleeps", || w.link.request_sleeping().is_raised());
        kill(w.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(w.wait_exit().code(), Some(4));
        assert!(path.exists());
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn output_survives_a_kill() {
    for python in pythons() {
        let path = std::env::temp_dir().join(format!("py_host_out_{}", std::process::id()));
        let start = Start { stdout: Some(path.clone()), ..Start::default() };
        let mut w = Worker::start_with(&python, &start);
        w.exec("print('printed before the end')").value();
        kill(w.pid(), Signal::SIGKILL).unwrap();
        w.wait_exit();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "printed before the end\n");
        std::fs::remove_file(path).unwrap();
    }
}
