//! The conversions for the fuzz target `value`.

use std::sync::{Arc, OnceLock};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use shm_proto::etf::{Limits, Reader};
use shm_proto::request::Options;

use super::{BlobSink, DecodeError, EncodeError, ExtentRef, Lease};
use crate::object::Object;

/// Terms to an object, the object to terms, and those to an object again. Starts the interpreter of this process at the first use.
pub fn round_trip(options: u16, terms: &[u8], area: &[u8]) {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(start);
    Python::attach(|_| {
        let options = Options(options);
        let Some(object) = decode(options, terms, area) else { return };
        let (mut out, mut blobs) = (Vec::new(), BlobSink::new());
        // SAFETY: `attach` holds the GIL, and the object is alive.
        match unsafe { super::encode_value(object.as_ptr(), options, &mut out, &mut blobs) } {
            Ok(()) => {
                let mut area = vec![0; blobs.total() as usize];
                for (offset, data) in blobs.iter() {
                    area[offset as usize..][..data.len()].copy_from_slice(data);
                }
                drop(decode(options, &out, &area));
            }
            Err(EncodeError::Python) => clear(),
            Err(error) => drop(error.refusal(&mut out)),
        }
        blobs.clear();
        clear();
    });
}

fn start() {
    Python::initialize();
    crate::symbols::load().expect("a supported interpreter");
    Python::attach(|py| {
        super::init(py).expect("a fresh interpreter");
        let module = PyModule::new(py, "erlang").expect("a fresh interpreter");
        super::register(&module).expect("a fresh interpreter");
    });
}

/// The GIL is held by the caller.
fn decode(options: Options, terms: &[u8], area: &[u8]) -> Option<Object> {
    let area: Arc<Vec<u8>> = Arc::new(area.to_vec());
    let lease: Lease = area.clone();
    let extent = ExtentRef { blobs: &area, lease: &lease };
    let mut objects = Vec::new();
    let mut reader = Reader::new(terms, Limits::default());
    // SAFETY: the GIL is held; on success there is one new reference.
    match unsafe { super::decode_terms(&mut reader, 1, options, Some(&extent), &mut objects) } {
        // SAFETY: as above.
        Ok(()) => unsafe { Object::owned(objects[0]) },
        Err(error) => {
            assert!(objects.is_empty(), "nobody lets go of these");
            let _: bool = DecodeError::refusal(&error, &mut Vec::new());
            clear();
            None
        }
    }
}

fn clear() {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_Clear() };
}
