//! Module `_value_selftest`: the conversions as Python functions, for `tests/test_value.py`. Not part of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};
use shm_proto::etf::{Limits, Reader};
use shm_proto::request::Options;

use super::{BlobSink, CallArgs, DecodeError, EncodeError, ExtentRef, Lease};

create_exception!(_value_selftest, Refused, PyValueError, "Carries the encoded reason.");

static LEASES: AtomicUsize = AtomicUsize::new(0);

/// Memory of an extent that counts how many of it are alive.
struct Area(Vec<u8>);

impl Area {
    fn new(bytes: Vec<u8>) -> Self {
        LEASES.fetch_add(1, Ordering::Relaxed);
        Self(bytes)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        self.0.fill(0xee);
        LEASES.fetch_sub(1, Ordering::Relaxed);
    }
}

fn refused(py: Python<'_>, encode: impl FnOnce(&mut Vec<u8>) -> bool) -> PyErr {
    let mut reason = Vec::new();
    if encode(&mut reason) { Refused::new_err(PyBytes::new(py, &reason).unbind()) } else { PyErr::fetch(py) }
}

fn decode_failed(py: Python<'_>, error: DecodeError) -> PyErr {
    refused(py, |out| error.refusal(out))
}

fn encode_failed(py: Python<'_>, error: EncodeError) -> PyErr {
    refused(py, |out| error.refusal(out))
}

/// The terms and the blob area of an object.
#[pyfunction]
#[pyo3(signature = (object, options = 0))]
fn encode(object: &Bound<'_, PyAny>, options: u16) -> PyResult<(Py<PyBytes>, Py<PyBytes>)> {
    let py = object.py();
    let (mut out, mut blobs) = (Vec::new(), BlobSink::new());
    // SAFETY: the token proves that the GIL is held.
    let result = unsafe { super::encode_value(object.as_ptr(), Options(options), &mut out, &mut blobs) };
    result.map_err(|error| encode_failed(py, error))?;
    let mut area = vec![0; blobs.total() as usize];
    for (offset, data) in blobs.iter() {
        area[offset as usize..][..data.len()].copy_from_slice(data);
    }
    Ok((PyBytes::new(py, &out).unbind(), PyBytes::new(py, &area).unbind()))
}

/// The object of one term.
#[pyfunction]
#[pyo3(signature = (terms, options = 0, blobs = None))]
fn decode<'py>(py: Python<'py>, terms: &[u8], options: u16, blobs: Option<Vec<u8>>) -> PyResult<Bound<'py, PyAny>> {
    let area = blobs.map(|blobs| Arc::new(Area::new(blobs)));
    let lease = area.clone().map(|area| area as Lease);
    let extent = area.as_ref().zip(lease.as_ref()).map(|(area, lease)| ExtentRef { blobs: &area.0, lease });
    let mut reader = Reader::new(terms, Limits::default());
    let mut objects = Vec::new();
    // SAFETY: the token proves that the GIL is held; on success there is one new reference.
    unsafe {
        super::decode_terms(&mut reader, 1, Options(options), extent.as_ref(), &mut objects)
            .map_err(|error| decode_failed(py, error))?;
        Ok(Bound::from_owned_ptr(py, objects[0]))
    }
}

/// Calls `function` with encoded arguments.
#[pyfunction]
fn call<'py>(function: &Bound<'py, PyAny>, terms: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    let mut args = CallArgs::new();
    let mut reader = Reader::new(terms, Limits::default());
    // SAFETY: the token proves that the GIL is held; the arguments live through the call.
    unsafe {
        args.decode(&mut reader, Options(0), None).map_err(|error| decode_failed(py, error))?;
        let count = args.positional().len() | crate::symbols::ARGUMENTS_OFFSET;
        let vectorcall = crate::symbols::symbols().vectorcall_dict;
        let kwargs = args.kwargs();
        Bound::from_owned_ptr_or_err(py, vectorcall(function.as_ptr(), args.as_mut_ptr(), count, kwargs))
    }
}

/// Nanoseconds of one encoding, on average over `rounds`.
#[pyfunction]
fn time_encode(object: &Bound<'_, PyAny>, rounds: u32) -> PyResult<f64> {
    let (mut out, mut blobs) = (Vec::new(), BlobSink::new());
    let start = Instant::now();
    for _ in 0..rounds {
        out.clear();
        blobs.clear();
        // SAFETY: the token proves that the GIL is held.
        unsafe { super::encode_value(object.as_ptr(), Options(0), &mut out, &mut blobs) }
            .map_err(|error| encode_failed(object.py(), error))?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(rounds))
}

/// Nanoseconds of one decoding of arguments, the release of the objects included, on average over `rounds`.
#[pyfunction]
fn time_decode(py: Python<'_>, terms: &[u8], rounds: u32) -> PyResult<f64> {
    let mut args = CallArgs::new();
    let start = Instant::now();
    for _ in 0..rounds {
        let mut reader = Reader::new(terms, Limits::default());
        // SAFETY: the token proves that the GIL is held.
        unsafe { args.decode(&mut reader, Options(0), None) }.map_err(|error| decode_failed(py, error))?;
    }
    args.clear();
    Ok(start.elapsed().as_nanos() as f64 / f64::from(rounds))
}

/// Lets go of objects by the ids of their handles.
#[pyfunction]
fn release(ids: Vec<u64>) {
    // SAFETY: CPython calls this with the GIL held.
    unsafe { crate::handle::release(ids) };
}

/// How many objects are kept for handles.
#[pyfunction]
fn kept() -> usize {
    // SAFETY: CPython calls this with the GIL held.
    unsafe { crate::handle::kept() }
}

/// How many extents are alive.
#[pyfunction]
fn leases() -> usize {
    LEASES.load(Ordering::Relaxed)
}

#[pymodule]
fn _value_selftest(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    crate::symbols::load().map_err(|error| PyValueError::new_err(error.to_string()))?;
    super::init(py)?;
    super::register(module)?;
    module.add("Refused", py.get_type::<Refused>())?;
    module.add_function(wrap_pyfunction!(encode, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)?;
    module.add_function(wrap_pyfunction!(call, module)?)?;
    module.add_function(wrap_pyfunction!(time_encode, module)?)?;
    module.add_function(wrap_pyfunction!(time_decode, module)?)?;
    module.add_function(wrap_pyfunction!(release, module)?)?;
    module.add_function(wrap_pyfunction!(kept, module)?)?;
    module.add_function(wrap_pyfunction!(leases, module)?)?;
    Ok(())
}
