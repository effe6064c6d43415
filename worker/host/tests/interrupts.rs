//! Interrupting exactly one request.

mod node;

use std::time::{Duration, Instant};

use node::{Arg, Reply, Worker, each_python};
use shm_proto::control::{FromWorker, ToWorker};

/// Waits until the program in the worker has come to the place where it creates `path`.
fn wait_for(path: &std::path::Path) {
    let end = Instant::now() + node::LIMIT;
    while !path.exists() {
        assert!(Instant::now() < end, "the request did not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(path).unwrap();
}

fn marker(w: &Worker) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("py_host_test_{}", w.child.id()))
}

#[test]
fn ends_what_waits_and_what_computes() {
    each_python(|w| {
        let marker = marker(w);
        w.exec(&format!(
            "
            import socket, subprocess, threading, time
            def reached():
                open({:?}, 'w').close()
            def sleep():
                reached(); time.sleep(3600)
            def read():
                a, b = socket.socketpair(); reached(); a.recv(1)
            def lock():
                l = threading.Lock(); l.acquire(); reached(); l.acquire()
            def event():
                reached(); threading.Event().wait()
            def child():
                p = subprocess.Popen(['sleep', '3600']); reached()
                try: p.wait()
                finally: p.kill()
            def busy():
                reached()
                while True: pass
            def stubborn():
                hits = 0
                while hits < 3:
                    try:
                        if not hits: reached()
                        time.sleep(3600)
                    except erlang.Interrupted: hits += 1
                return hits
            ",
            marker
        ))
        .value();
        for function in ["sleep", "read", "lock", "event", "child", "busy"] {
            let id = w.submit_call("__main__", function, &[]);
            wait_for(&marker);
            let asked = Instant::now();
            w.send(&ToWorker::Interrupt(id));
            assert_eq!(w.reply(id), Reply::Interrupted, "{function}");
            assert!(asked.elapsed() < Duration::from_secs(5), "{function} took {:?}", asked.elapsed());
        }
        let id = w.submit_call("__main__", "stubborn", &[]);
        wait_for(&marker);
        w.send(&ToWorker::Interrupt(id));
        assert_eq!(w.reply(id).value(), "3");
        assert_eq!(w.eval("1").value(), "1");
    });
}

#[test]
fn never_hits_a_neighbour() {
    each_python(|w| {
        w.exec("def spin(n):\n    for i in range(n): pass\n    return n").value();
        let mut hits = 0;
        for round in 0..1000 {
            // Most end before or while the interrupt is on its way; every hundredth runs until it comes.
            let n = if round % 100 == 0 { i64::MAX } else { 200 + round % 100 * 50 };
            let id = w.submit_call("__main__", "spin", &[Arg::Int(n)]);
            let next = w.submit_call("__main__", "spin", &[Arg::Int(50)]);
            if round % 100 == 0 {
                w.wait_started(id);
            }
            w.send(&ToWorker::Interrupt(id));
            match w.reply(id) {
                Reply::Interrupted => hits += 1,
                reply => assert_eq!(reply.value(), n.to_string()),
            }
            assert_eq!(w.reply(next).value(), "50");
        }
        assert!(hits >= 10);
        println!("{hits} of 1000 interrupts came in time");
    });
}

#[test]
fn an_interrupt_of_no_request_does_nothing() {
    each_python(|w| {
        for id in [0, 17, u64::MAX - 1] {
            w.send(&ToWorker::Interrupt(id));
        }
        w.send(&ToWorker::Ping(5));
        assert_eq!(w.frame(), shm_proto::control::FromWorker::Pong(5));
        assert_eq!(w.eval("1").value(), "1");
        assert_eq!(w.exec("raise erlang.Interrupted('by hand')").error(), "Interrupted: by hand");
    });
}

#[test]
fn signal_handlers_run_in_an_idle_and_in_a_busy_worker() {
    each_python(|w| {
        let marker = marker(w);
        w.exec(&format!(
            "import signal\ndef handler(*_): open({marker:?}, 'w').close()\nsignal.signal(signal.SIGALRM, handler)"
        ))
        .value();
        w.exec("signal.setitimer(signal.ITIMER_REAL, 0.01)").value();
        wait_for(&marker);
        w.exec("signal.setitimer(signal.ITIMER_REAL, 0.01)").value();
        let end = Instant::now() + node::LIMIT;
        while !marker.exists() {
            assert!(Instant::now() < end, "the handler did not run");
            // No bytecode runs in these.
            assert_eq!(w.call("math", "sqrt", &[Arg::Float(4.0)]).value(), "2.0");
        }
        std::fs::remove_file(&marker).unwrap();
    });
}

#[test]
fn the_worker_knows_what_runs() {
    each_python(|w| {
        let running = w.submit_eval("__import__('time').sleep(3600)");
        w.wait_started(running);
        let waiting = w.submit_eval("1");
        w.send(&ToWorker::Abandon(waiting));
        assert_eq!(w.frame(), FromWorker::Rests(waiting));
        w.send(&ToWorker::Abandon(running));
        assert_eq!(w.frame(), FromWorker::Keeps(running));
        w.send(&ToWorker::Interrupt(running));
        w.reply(running);
        w.reply(waiting);
        w.send(&ToWorker::Abandon(running));
        assert_eq!(w.frame(), FromWorker::Rests(running));
    });
}
