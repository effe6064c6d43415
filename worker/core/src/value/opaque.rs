//! Erlang terms that Python holds without looking into them.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyModule;
use shm_proto::etf::OpaqueKind;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident = $kind:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            #[pyclass(frozen, eq, hash, module = "erlang")]
            #[derive(Debug, PartialEq, Eq, Hash)]
            pub(super) struct $name(Box<[u8]>);

            #[pymethods]
            impl $name {
                fn __repr__(&self) -> String {
                    repr(stringify!($name), &self.0)
                }
            }
        )*

        /// A new object of the class for `kind` that holds `data`.
        pub(super) fn object(py: Python<'_>, kind: OpaqueKind, data: &[u8]) -> PyResult<Py<PyAny>> {
            Ok(match kind {
                $(OpaqueKind::$kind => Py::new(py, $name(data.into()))?.into_any(),)*
            })
        }

        /// What an object of one of the classes holds.
        pub(super) fn contents<'a>(object: &'a Bound<'_, PyAny>) -> Option<(OpaqueKind, &'a [u8])> {
            $(if let Ok(object) = object.cast::<$name>() {
                return Some((OpaqueKind::$kind, &object.get().0));
            })*
            None
        }

        /// Adds the classes to module `erlang`.
        pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_class::<$name>()?;)*
            Ok(())
        }
    };
}

opaque! {
    /// An Erlang process identifier.
    Pid = Pid,
    /// An Erlang reference.
    Ref = Reference,
    /// An Erlang port identifier.
    Port = Port,
    /// An Erlang function.
    Fun = Fun,
}

/// External tag of a pid, whose last twelve bytes are number, serial and creation.
const NEW_PID: u8 = 88;

fn repr(class: &str, data: &[u8]) -> String {
    if let (Some(&NEW_PID), Some([id @ .., _, _, _, _])) = (data.first(), data.last_chunk::<12>()) {
        let number = |at: usize| u32::from_be_bytes([id[at], id[at + 1], id[at + 2], id[at + 3]]);
        return format!("<erlang.{class} {}.{}>", number(0), number(4));
    }
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    format!("<erlang.{class} {:016x}>", hasher.finish())
}
