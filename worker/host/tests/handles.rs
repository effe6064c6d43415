//! Objects that the worker keeps for handles, on every Python of the machine.

mod node;

use node::{Arg, Worker, each_python};
use shm_proto::request::{Kind, Options};

/// Keeps the value of an expression; the id of its handle.
fn keep(w: &mut Worker, expression: &str) -> u64 {
    let id = w.submit(Kind::Eval, Options::RETURN_REF, |out| {
        out.text(expression).unwrap();
        out.u32(0);
    });
    let shown = w.reply(id);
    let id = shown.value().strip_prefix("Object { kind: Object, id: ").and_then(|rest| rest.strip_suffix(" }"));
    id.expect("a handle").parse().expect("its id")
}

fn method(w: &mut Worker, name: &str, args: &[Arg<'_>]) -> u64 {
    w.submit(Kind::Method, 0, |out| {
        out.name(name).unwrap();
        out.u32(args.len() as u32);
        args.iter().for_each(|arg| arg.write(out));
        out.u32(0);
    })
}

fn release(w: &mut Worker, ids: &[u64]) {
    let id = w.submit(Kind::Release, Options::CAST, |out| {
        ids.iter().flat_map(|id| id.to_le_bytes()).for_each(|byte| out.u8(byte));
    });
    assert_eq!(w.reply(id).value(), "none");
}

#[test]
fn objects_are_kept_until_they_are_released() {
    each_python(|w| {
        let list = keep(w, "[1]");
        let id = method(w, "append", &[Arg::Object(list), Arg::Int(2)]);
        assert_eq!(w.reply(id).value(), "none");
        assert_eq!(w.eval_with("x", &[("x", Arg::Object(list))]).value(), "[1,2]");
        let id = method(w, "__class__.__name__.upper", &[Arg::Object(list)]);
        assert_eq!(w.reply(id).value(), "\"LIST\"");
        let id = method(w, "missing", &[Arg::Object(list)]);
        assert_eq!(w.reply(id).error(), "AttributeError: 'list' object has no attribute 'missing'");
        release(w, &[list, list, 0, u64::MAX]);
        let gone = "{badarg,\"could not find the object of a handle: it was released\"}";
        assert_eq!(w.eval_with("x", &[("x", Arg::Object(list))]), node::Reply::Refused(gone.into()));
        let next = keep(w, "[3]");
        assert_eq!(next as u32, list as u32, "the slot is used again");
        assert_ne!(next, list);
        assert_eq!(w.eval_with("x", &[("x", Arg::Object(list))]), node::Reply::Refused(gone.into()));
        assert_eq!(w.eval_with("x", &[("x", Arg::Object(next))]).value(), "[3]");
    });
}

#[test]
fn finalisers_run_with_the_release() {
    each_python(|w| {
        w.exec("gone = []\nclass Thing:\n    def __del__(self):\n        gone.append(1)\n        raise ValueError")
            .value();
        let ids: Vec<_> = (0..3).map(|_| keep(w, "Thing()")).collect();
        assert_eq!(w.eval("len(gone)").value(), "0");
        release(w, &ids);
        assert_eq!(w.eval("len(gone)").value(), "3");
    });
}

#[test]
fn malformed_releases_and_methods_are_refused() {
    each_python(|w| {
        let id = w.submit(Kind::Release, 0, |out| out.u32(1));
        assert!(matches!(w.reply(id), node::Reply::Refused(_)));
        let id = method(w, "upper", &[]);
        assert!(matches!(w.reply(id), node::Reply::Refused(_)));
        assert_eq!(w.eval("1").value(), "1");
    });
}
