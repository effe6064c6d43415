//! The sandbox as the host closes it, also as it is on kernels older than this one.

mod node;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use node::{Arg, Reply, Start, Worker, pythons};
use shm_proto::control::FromWorker;

/// Whether the kernel has Landlock; says so if not, since a test that needs it proves nothing then.
fn landlock() -> bool {
    // SAFETY: with this flag the call takes no memory and makes nothing.
    let abi = unsafe { nix::libc::syscall(nix::libc::SYS_landlock_create_ruleset, 0usize, 0usize, 1) };
    if abi < 1 {
        println!("skipped: this kernel has no Landlock");
    }
    abi >= 1
}

fn started(settings: &[&str]) -> (Worker, Vec<String>) {
    let python = &pythons()[0];
    // What the node lists for the interpreter and the core; the rest of the machine is not needed.
    let home = python.canonicalize().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let core = node::core().parent().unwrap().to_owned();
    let mut args: Vec<String> = Vec::new();
    for path in [home, core] {
        args.extend(["--sandbox".into(), format!("read={}", path.display())]);
    }
    args.extend(settings.iter().flat_map(|setting| ["--sandbox".to_owned(), (*setting).to_owned()]));
    let worker = Worker::launch(python, &Start { args, ..Start::default() });
    let mut warnings = Vec::new();
    loop {
        match worker.frame() {
            FromWorker::Warning(text) => warnings.push(text),
            FromWorker::Hello { .. } => worker.link.close_far_ends(),
            FromWorker::Ready(_) => return (worker, warnings),
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// Name of the exception that the expression raises, or `nothing`.
fn raised(worker: &mut Worker, expression: &str) -> String {
    let program = format!(
        "try:\n    {expression}\n    outcome = 'nothing'\nexcept BaseException as error:\n    outcome = type(error).__name__"
    );
    worker.exec(&program).value();
    text(worker, "outcome")
}

fn text(worker: &mut Worker, expression: &str) -> String {
    worker.eval(expression).value().trim_matches('"').to_owned()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + node::LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_kernel_without_landlock_is_refused() {
    let args = ["--sandbox", "landlock=0"].map(str::to_owned).to_vec();
    let worker = Worker::launch(&pythons()[0], &Start { args, ..Start::default() });
    match worker.frame() {
        FromWorker::Failure(text) => {
            assert!(text.contains("no Landlock") && text.contains("required => false"), "{text}");
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn what_is_left_without_landlock() {
    let (mut worker, warnings) = started(&["landlock=0", "required=false"]);
    assert!(warnings.len() == 1 && warnings[0].contains("no Landlock"), "{warnings:?}");
    worker.exec("import os, signal, socket, subprocess, sys").value();
    assert_eq!(raised(&mut worker, "socket.socket()"), "PermissionError");
    assert_eq!(raised(&mut worker, "os.kill(os.getppid(), 0)"), "PermissionError");
    // A filter cannot tell a child from any other process.
    worker.exec("child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)").value();
    assert_eq!(raised(&mut worker, "child.terminate()"), "PermissionError");
    assert_eq!(raised(&mut worker, "child.communicate(b'end')"), "nothing");
    // Its own signals are its own affair.
    worker.exec("caught = []\nsignal.signal(signal.SIGUSR1, lambda *args: caught.append(1))").value();
    worker.exec("os.kill(os.getpid(), signal.SIGUSR1)\nos.kill(0, 0)").value();
    assert_eq!(worker.eval("len(caught)").value(), "1");
    large(&mut worker);
}

#[test]
fn the_first_landlock() {
    if !landlock() {
        return;
    }
    let (mut worker, warnings) = started(&["landlock=1"]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let outside = std::env::temp_dir().join(format!("py_host_outside_{}", worker.child.id()));
    std::fs::write(&outside, "content").unwrap();
    worker.exec("import os").value();
    assert_eq!(raised(&mut worker, &format!("open({outside:?}, 'a')")), "PermissionError");
    // That ABI knows nothing of truncation by name.
    assert_eq!(raised(&mut worker, &format!("os.truncate({outside:?}, 0)")), "PermissionError");
    assert_eq!(raised(&mut worker, "os.kill(os.getppid(), 0)"), "PermissionError");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "content");
    std::fs::remove_file(outside).unwrap();
    large(&mut worker);
}

/// Requests and results that travel in memfds of their own.
fn large(worker: &mut Worker) {
    for size in [20 << 20, (20 << 20) + 1, 70 << 20] {
        let data = vec![7; size];
        assert_eq!(worker.call("builtins", "len", &[Arg::Bytes(&data)]).value(), size.to_string());
    }
    assert!(matches!(worker.eval("len(b'7' * 20971520)"), Reply::Value(_)));
    worker.eval("b'7' * 20971520");
}

/// The socket of the keeper gives away nothing but this worker's own requests.
#[test]
fn the_keeper_opens_nothing_else() {
    if !landlock() {
        return;
    }
    let (mut other, _) = started(&["landlock=9"]);
    let (mut worker, _) = started(&["landlock=9"]);
    large(&mut other);
    large(&mut worker);
    worker
        .exec(
            "
            import array, os, socket
            def ask():
                [fd] = [int(n) for n in os.listdir('/proc/self/fd') if is_socket(n)]
                keeper = socket.socket(fileno=os.dup(fd))
                names, refused = [], 0
                for number in [-1, 2 ** 31 - 1, *range(400)]:
                    keeper.send(number.to_bytes(4, 'little', signed=True))
                    answer, rights, _, _ = keeper.recvmsg(64, 1024)
                    if rights:
                        opened = int.from_bytes(rights[0][2][:4], 'little')
                        names.append(os.readlink(f'/proc/self/fd/{opened}'))
                        os.close(opened)
                    else:
                        refused += 1
                return names, refused
            def is_socket(n):
                try:
                    return os.readlink(f'/proc/self/fd/{n}').startswith('socket:')
                except OSError:
                    return False
            ",
        )
        .value();
    worker.exec("names, refused = ask()").value();
    assert_eq!(worker.eval("len(names) + refused").value(), "402");
    // Both workers have such memory with the node, each under a name of its own.
    assert_eq!(worker.eval("len(names) > 0 and len(set(names))").value(), "1");
    assert_eq!(worker.eval("names[0].startswith('/memfd:erlang_python-request-')").value(), "true");
    // And the socket still serves.
    large(&mut worker);
}

/// A program that asks and never reads ends itself only.
#[test]
fn a_worker_that_floods_its_keeper_ends() {
    if !landlock() {
        return;
    }
    let (mut worker, _) = started(&["landlock=9"]);
    worker
        .exec(
            "
            import os, socket
            def is_socket(n):
                try:
                    return os.readlink(f'/proc/self/fd/{n}').startswith('socket:')
                except OSError:
                    return False
            [fd] = [int(n) for n in os.listdir('/proc/self/fd') if is_socket(n)]
            keeper = socket.socket(fileno=os.dup(fd))
            directory = os.environ['TMPDIR']
            ",
        )
        .value();
    let directory = PathBuf::from(text(&mut worker, "directory"));
    worker.submit(shm_proto::request::Kind::Exec, 0, |w| {
        w.text("while True:\n    try:\n        keeper.send(bytes(4))\n    except OSError:\n        pass").unwrap();
    });
    worker.wait_exit();
    wait_until("the directory is gone", || !directory.exists());
}

#[test]
fn nothing_is_left_of_a_killed_worker() {
    if !landlock() {
        return;
    }
    let (mut worker, _) = started(&["landlock=9"]);
    worker.exec("import os, subprocess, tempfile\nkept = tempfile.NamedTemporaryFile(delete=False)").value();
    let directory = PathBuf::from(text(&mut worker, "os.path.dirname(kept.name)"));
    worker.exec("child = subprocess.Popen(['sleep', '3600'])").value();
    let child: i32 = worker.eval("child.pid").value().parse().unwrap();
    assert!(directory.exists());
    worker.submit_eval("os.kill(os.getpid(), 9)");
    worker.wait_exit();
    wait_until("the directory is gone", || !directory.exists());
    wait_until("the child is gone", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    });
}

#[test]
fn processes_are_counted() {
    if !landlock() {
        return;
    }
    let (mut worker, _) = started(&["processes=3"]);
    worker
        .exec(
            "
            import os, time
            def bomb(tries):
                made = []
                for _ in range(tries):
                    try:
                        pid = os.fork()
                    except BlockingIOError:
                        continue
                    if pid == 0:
                        time.sleep(3600)
                        os._exit(0)
                    made.append(pid)
                return made
            def defuse(made):
                for pid in made:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
            ",
        )
        .value();
    for _ in 0..2 {
        worker.exec("made = bomb(20)").value();
        assert_eq!(worker.eval("len(made)").value(), "3");
        worker.exec("defuse(made)").value();
    }
    let (mut worker, _) = started(&["processes=0"]);
    worker.exec("import os, threading").value();
    assert_eq!(raised(&mut worker, "os.fork()"), "BlockingIOError");
    assert_eq!(raised(&mut worker, "[t.start() or t.join() for t in [threading.Thread(target=print)]]"), "nothing");
}
