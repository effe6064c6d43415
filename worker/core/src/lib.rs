//! Worker core: serves the requests of an Erlang node inside a CPython process.
//!
//! The host executes the interpreter that the pool chose with a bootstrap program, which loads this library as
//! the module `_erlang_python` and calls its `serve`. From then on there are three kinds of threads of ours:
//! [`control`] talks with the node and never touches Python, [`interrupt`] may wait for the GIL, and executors
//! run requests, the first of them on Python's main thread.

#![cfg_attr(feature = "free-threaded", allow(deprecated, reason = "from 3.12 on there are others, which 3.9 has not"))]

mod control;
mod crash;
mod dump;
mod fork;
mod interrupt;
mod stacks;

mod board;
mod clock;
mod gil;
mod idle;
mod serve;
mod threads;
mod turn;

mod answer;
mod async_call;
mod async_stream;
mod asyncio;
mod callable;
mod callback;
mod coroutine;
mod event_loop;
mod exception;
mod executor;
mod handle;
mod invoke;
mod observe;
mod payload;
mod reply;
mod reset;
mod script;
mod stream;
mod value;
#[cfg(fuzzing)]
pub use value::fuzzing;

mod module;
mod object;
mod symbols;
