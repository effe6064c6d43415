//! Calls, expressions, programs and what goes wrong in them, on every Python of the machine.

mod node;

use node::{Arg, Reply, each_python, write_call};
use shm_proto::request::{Kind, Options};

#[test]
fn calls_by_name() {
    each_python(|w| {
        assert_eq!(w.call("math", "sqrt", &[Arg::Float(16.0)]).value(), "4.0");
        assert_eq!(w.call_by_cell("math", "sqrt", &[Arg::Float(16.0)]).value(), "4.0");
        assert_eq!(w.call("os.path", "join", &[Arg::Text("a"), Arg::Text("b")]).value(), "\"a/b\"");
        assert_eq!(w.call("collections", "OrderedDict.fromkeys", &[Arg::Text("x")]).value(), "#{\"x\",none}");
        assert_eq!(w.call("json.decoder", "JSONDecoder.__name__.upper", &[]).value(), "\"JSONDECODER\"");
        let id = w.submit(Kind::Call, 0, |out| {
            write_call(out, "builtins", "int", &[Arg::Text("ff")], &[("base", Arg::Int(16))]);
        });
        assert_eq!(w.reply(id).value(), "255");
    });
}

#[test]
fn names_are_looked_up_at_every_call() {
    each_python(|w| {
        w.exec("import math\ndef f(): return 1").value();
        assert_eq!(w.call("__main__", "f", &[]).value(), "1");
        w.exec("def f(): return 2").value();
        assert_eq!(w.call("__main__", "f", &[]).value(), "2");
        w.exec("del f").value();
        assert!(w.call("__main__", "f", &[]).error().starts_with("AttributeError"));
        assert_eq!(w.call("math", "sqrt", &[Arg::Float(4.0)]).value(), "2.0");
        w.exec("import sys, types; m = types.ModuleType('math'); m.sqrt = lambda x: 'mine'; sys.modules['math'] = m")
            .value();
        assert_eq!(w.call("math", "sqrt", &[Arg::Float(4.0)]).value(), "\"mine\"");
        assert_eq!(w.call("no_such_module", "f", &[]).error(), "ModuleNotFoundError: No module named 'no_such_module'");
    });
}

#[test]
fn expressions_see_their_names_everywhere() {
    each_python(|w| {
        assert_eq!(w.eval("  \n 1 + 1").value(), "2");
        let locals = [("n", Arg::Int(3)), ("m", Arg::Int(4))];
        assert_eq!(w.eval_with("[n * i for i in range(m)]", &locals).value(), "[0,3,6,9]");
        assert_eq!(w.eval_with("(lambda: n + m)()", &locals).value(), "7");
        assert_eq!(w.eval_with("sum(n for _ in range(m))", &locals).value(), "12");
        assert_eq!(w.eval_with("n", &[("n", Arg::Int(5))]).value(), "5");
        assert!(w.eval("n").error().starts_with("NameError"));
        w.exec("k = 10").value();
        assert_eq!(w.eval_with("n * k", &locals).value(), "30");
        assert_eq!(w.eval("erlang.WorkerInfo.pool, erlang.WorkerInfo.id").value(), "{\"test\",7}");
    });
}

#[test]
fn programs_run_in_main() {
    each_python(|w| {
        assert_eq!(w.exec("\n    x = 1\n    if x:\n        y = 2\n").value(), "none");
        assert_eq!(w.eval("x + y").value(), "3");
        let Reply::Exception { kind, message, .. } = w.exec("x = 1\ny = = 2") else { panic!() };
        assert_eq!(kind, "SyntaxError");
        assert!(message.contains("<erlang>") && message.contains("line 2"), "{message}");
        assert_eq!(w.eval("sorted(n for n in dir() if not n.startswith('__'))").value(), "[\"erlang\",\"x\",\"y\"]");
        assert_eq!(w.eval("__import__('sys').argv").value(), "[\"\"]");
        assert_eq!(w.eval("'' in __import__('sys').path").value(), "false");
    });
}

#[test]
fn exceptions_are_described() {
    each_python(|w| {
        let error = w.call("math", "sqrt", &[Arg::Float(-1.0)]).error();
        assert!(error.starts_with("ValueError: "), "{error}");
        w.exec("class Odd(Exception):\n    def __str__(self): raise RuntimeError('no')\ndef odd(): raise Odd()")
            .value();
        let Reply::Exception { kind, module, message, traceback, .. } = w.call("__main__", "odd", &[]) else {
            panic!()
        };
        assert_eq!((kind.as_str(), module.as_str()), ("Odd", "__main__"));
        assert_eq!((message.as_str(), traceback.as_str()), ("<exception str() failed>", ""));
        w.exec("def chain():\n    try:\n        {}['k']\n    except KeyError as e:\n        raise ValueError('outer') from e").value();
        let id = w.submit(Kind::Call, Options::ERROR_MAP, |out| write_call(out, "__main__", "chain", &[], &[]));
        let Reply::Exception { traceback, causes, .. } = w.reply(id) else { panic!() };
        assert_eq!(causes, ["KeyError: 'k'"]);
        assert!(traceback.starts_with("Traceback (most recent call last):"), "{traceback}");
        assert!(traceback.contains("direct cause") && traceback.contains("File \"<erlang>\", line 5, in chain"));
        assert_eq!(w.exec("raise Exception('\\ud800')").error(), "Exception: \\ud800");
    });
}

#[test]
fn notes_are_reported() {
    each_python(|w| {
        w.exec("def noted():\n    e = ValueError('v')\n    e.__notes__ = ['one', 'two']\n    raise e").value();
        let id = w.submit(Kind::Call, Options::ERROR_MAP, |out| write_call(out, "__main__", "noted", &[], &[]));
        let Reply::Exception { notes, .. } = w.reply(id) else { panic!() };
        assert_eq!(notes, ["one", "two"]);
    });
}

#[test]
fn the_worker_survives_what_ends_a_program() {
    each_python(|w| {
        assert_eq!(w.exec("raise SystemExit(3)").error(), "SystemExit: 3");
        assert_eq!(w.call("sys", "exit", &[Arg::Text("bye")]).error(), "SystemExit: bye");
        assert_eq!(w.exec("raise KeyboardInterrupt").error(), "KeyboardInterrupt: ");
        assert_eq!(w.exec("raise BaseException('base')").error(), "BaseException: base");
        let error = w.exec("def f(): f()\nf()").error();
        assert!(error.starts_with("RecursionError"), "{error}");
        assert!(w.eval("[0] * (1 << 60)").error().starts_with("MemoryError"));
        let loop_error = w.exec("l = []\nl.append(l)").value().to_owned();
        assert_eq!(loop_error, "none");
        assert!(matches!(w.eval("l"), Reply::Refused(_)));
        assert_eq!(w.eval("1").value(), "1");
    });
}

#[test]
fn large_values_travel_both_ways() {
    each_python(|w| {
        let data = vec![0xff; 300_000];
        assert_eq!(w.call("builtins", "len", &[Arg::Bytes(&data)]).value(), "300000");
        assert_eq!(w.eval("b'\\xff' * 500000").value(), "<<500000 bytes>>");
        let list = w.eval("list(range(20000))");
        assert!(list.value().starts_with("[0,1,2,") && list.value().ends_with(",19999]"));
        for _ in 0..20 {
            assert_eq!(w.eval("b'\\xff' * 900000").value(), "<<900000 bytes>>");
        }
        let large = vec![0xff; 20_000_000];
        for _ in 0..3 {
            assert_eq!(w.call("builtins", "len", &[Arg::Bytes(&large)]).value(), "20000000");
            assert_eq!(w.eval("b'\\xff' * 20_000_000").value(), "<<20000000 bytes>>");
        }
        assert_eq!(w.link.request_arena.in_use(), 0);
        assert_eq!(w.link.request_blobs.in_use(), 0);
    });
}

#[test]
fn a_full_response_ring_loses_nothing() {
    each_python(|w| {
        let mut ids = Vec::new();
        for _ in 0..40 {
            // More than the ring holds altogether, and nobody reads yet.
            for _ in 0..4 {
                ids.push(w.submit_eval("'x' * 8000"));
            }
        }
        for id in ids {
            assert_eq!(w.reply(id).value(), "<<8000 bytes of text>>");
        }
    });
}
