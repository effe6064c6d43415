//! Several executors in one worker.

mod node;

use std::collections::HashSet;
use std::time::Duration;

use node::{Arg, Reply, Start, Worker, pythons};
use shm_proto::control::ToWorker;

fn each_python(executors: u16, test: impl Fn(&mut Worker)) {
    for python in pythons() {
        println!("with {}", python.display());
        test(&mut Worker::start_with(&python, &Start { executors, ..Start::default() }));
    }
}

#[test]
fn run_side_by_side() {
    each_python(3, |w| {
        // Each waits for the others: with fewer than three threads this would never end.
        w.exec("import threading\nbarrier = threading.Barrier(3)").value();
        for _ in 0..200 {
            let ids: Vec<_> = (0..3).map(|_| w.submit_eval("barrier.wait() and 0 or 0")).collect();
            for id in ids {
                assert_eq!(w.reply(id).value(), "0");
            }
        }
        assert_eq!(w.eval("erlang.WorkerInfo.executors").value(), "3");
    });
}

#[test]
fn requests_that_come_while_all_are_busy_are_served() {
    each_python(2, |w| {
        w.exec("import threading, time\ngate = threading.Event()").value();
        let first: Vec<_> = (0..2).map(|_| w.submit_eval("gate.wait()")).collect();
        let later: Vec<_> = (0..500).map(|n| w.submit_call("builtins", "abs", &[Arg::Int(-n)])).collect();
        assert!(w.reply_within(later[0], Duration::from_millis(50)).is_none());
        w.send(&ToWorker::Interrupt(first[0]));
        w.send(&ToWorker::Interrupt(first[1]));
        for (n, id) in later.into_iter().enumerate() {
            assert_eq!(w.reply(id).value(), n.to_string());
        }
    });
}

#[test]
fn the_main_thread_is_preferred() {
    each_python(3, |w| {
        w.exec("import threading").value();
        for _ in 0..2000 {
            assert_eq!(w.eval("threading.current_thread() is threading.main_thread()").value(), "true");
        }
    });
}

#[test]
fn a_mixture_of_long_and_short_requests_is_answered_once_each() {
    each_python(3, |w| {
        w.exec("import time").value();
        let mut ids = HashSet::new();
        for n in 0..3000 {
            let id = match n % 50 {
                0 => w.submit_eval("time.sleep(0.002)"),
                1 => w.submit_eval("sum(range(20000))"),
                _ => w.submit_call("math", "sqrt", &[Arg::Float(9.0)]),
            };
            assert!(ids.insert(id));
            w.drain();
        }
        for id in ids {
            w.reply(id).value();
        }
    });
}

#[test]
fn interrupts_in_threads_never_hit_a_neighbour() {
    each_python(2, |w| {
        w.exec("import threading\ndef spin(n):\n    for i in range(n): pass\n    return n").value();
        w.exec("gate = threading.Event()\ndef hold():\n    gate.wait()\n    return 'held'").value();
        // Occupies the main thread, so that all that follows runs in the other.
        let held = w.submit_call("__main__", "hold", &[]);
        let mut hits = 0;
        for round in 0..300 {
            // Every hundredth runs until its interrupt comes.
            let n = if round % 100 == 0 { i64::MAX } else { 10_000 + round % 100 * 2000 };
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
        println!("{hits} of 300 interrupts came in time");
        assert!(hits >= 3);
        let endless = w.submit_eval("[0 for _ in iter(int, 1)]");
        w.wait_started(endless);
        w.send(&ToWorker::Interrupt(endless));
        assert_eq!(w.reply(endless), Reply::Interrupted);
        assert_eq!(w.eval("gate.set()").value(), "none");
        assert_eq!(w.reply(held).value(), "\"held\"");
    });
}

#[test]
fn idle_executors_use_no_processor_time() {
    each_python(3, |w| {
        w.eval("1").value();
        let used = "sum(__import__('os').times()[:2])";
        let before: f64 = w.eval(used).value().parse().unwrap();
        assert!(w.reply_within(u64::MAX, Duration::from_secs(1)).is_none());
        let after: f64 = w.eval(used).value().parse().unwrap();
        assert!(after - before <= 0.02, "{before} {after}");
    });
}

#[test]
fn stop_ends_a_worker_with_threads() {
    each_python(3, |w| {
        w.send(&ToWorker::Stop);
        assert_eq!(w.wait_exit().code(), Some(0));
    });
}
