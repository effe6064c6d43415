//! Results that are awaited.

mod node;

use std::time::{Duration, Instant};

use node::{Arg, Reply, each_python};
use shm_proto::control::ToWorker;

#[test]
fn coroutines_are_awaited() {
    each_python(|w| {
        w.exec("import sys\nassert 'asyncio' not in sys.modules").value();
        assert_eq!(w.call("asyncio", "sleep", &[Arg::Int(0), Arg::Text("slept")]).value(), "\"slept\"");
        assert_eq!(w.call_by_cell("asyncio", "sleep", &[Arg::Int(0), Arg::Int(5)]).value(), "5");
        assert_eq!(w.eval("asyncio.sleep(0, 'x')").error(), "NameError: name 'asyncio' is not defined");
        w.exec(
            "
            import asyncio
            async def fails(): raise ValueError('inside')
            async def leaves(): sys.exit(3)
            class Later:
                def __await__(self):
                    yield from asyncio.sleep(0.001).__await__()
                    return 'later'
            ",
        )
        .value();
        assert_eq!(w.call("__main__", "fails", &[]).error(), "ValueError: inside");
        assert_eq!(w.call("__main__", "leaves", &[]).error(), "SystemExit: 3");
        assert_eq!(w.call("__main__", "Later", &[]).value(), "\"later\"");
        assert_eq!(w.eval("asyncio.sleep(0, b'x' * 100000)").value(), "<<100000 bytes of text>>");
    });
}

#[test]
fn many_wait_at_once() {
    each_python(|w| {
        let began = Instant::now();
        let ids: Vec<_> =
            (0..500).map(|n| w.submit_call("asyncio", "sleep", &[Arg::Float(0.5), Arg::Int(n)])).collect();
        // Other requests are not held up by them.
        assert_eq!(w.eval("1").value(), "1");
        for (n, id) in ids.into_iter().enumerate() {
            assert_eq!(w.reply(id).value(), n.to_string());
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    });
}

#[test]
fn an_interrupt_cancels_one_task() {
    each_python(|w| {
        w.exec("import asyncio\nasync def nap(): await asyncio.sleep(3600)\nasync def cancelled(): raise asyncio.CancelledError")
            .value();
        let other = w.submit_call("asyncio", "sleep", &[Arg::Float(0.2), Arg::Int(1)]);
        let id = w.submit_call("__main__", "nap", &[]);
        while w.reply_within(id, Duration::from_millis(20)) != Some(Reply::Interrupted) {
            w.send(&ToWorker::Interrupt(id));
        }
        assert_eq!(w.reply(other).value(), "1");
        assert!(w.call("__main__", "cancelled", &[]).error().starts_with("CancelledError"));
    });
}
