//! The two Python modules of the core: `_erlang_python`, which the bootstrap loads, and `erlang`, which user
//! code imports.

use std::ffi::{CStr, CString, c_int};
use std::sync::OnceLock;

use pyo3::ffi;

use crate::async_call;
use crate::callable;
use crate::callback;
use crate::event_loop;
use crate::object::Object;
use crate::observe;
use crate::serve;
use crate::symbols;
use crate::turn::{Turn, aside};

/// The part of module `erlang` that is written in Python.
const ERLANG: &str = include_str!("erlang.py");
/// Modules `erlang._NAME`, which run when they are first used.
const MODULES: [(&CStr, &str); 5] = [
    (c"_asgi", include_str!("web/asgi.py")),
    (c"_exchange", include_str!("web/exchange.py")),
    (c"_lifespan", include_str!("web/lifespan.py")),
    (c"_stream", include_str!("web/stream.py")),
    (c"_wsgi", include_str!("web/wsgi.py")),
];

/// An object that lives as long as the process; only ever used with the GIL held.
#[derive(Debug)]
struct Forever(*mut ffi::PyObject);
// SAFETY: the pointer is only dereferenced with the GIL held.
unsafe impl Send for Forever {}
// SAFETY: as above.
unsafe impl Sync for Forever {}

static INTERRUPTED: OnceLock<Forever> = OnceLock::new();

/// Arguments that the bootstrap hands over.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Control frames from the node.
    pub control_in: c_int,
    /// Control frames to the node.
    pub control_out: c_int,
    /// Socket of the keeper of a worker in a sandbox, else -1.
    pub keeper: c_int,
    /// Name of the pool.
    pub pool: String,
    /// Number of the worker in its pool.
    pub id: String,
}

/// Initialises `_erlang_python`: one function, `serve`.
///
/// # Safety
/// Called by CPython's import machinery, with the GIL held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__erlang_python() -> *mut ffi::PyObject {
    // SAFETY: the GIL is held; the definition and the method table live for ever, as CPython demands.
    unsafe {
        if let Err(error) = symbols::load() {
            raise(ffi::PyExc_ImportError, &error.to_string());
            return std::ptr::null_mut();
        }
        let definition = Box::leak(Box::new(ffi::PyModuleDef {
            m_base: ffi::PyModuleDef_HEAD_INIT,
            m_name: c"_erlang_python".as_ptr(),
            m_doc: c"Serves requests of an Erlang node.".as_ptr(),
            m_size: -1,
            m_methods: std::ptr::null_mut(),
            m_slots: std::ptr::null_mut(),
            m_traverse: None,
            m_clear: None,
            m_free: None,
        }));
        let Some(module) = Object::owned(ffi::PyModule_Create(definition)) else {
            return std::ptr::null_mut();
        };
        if cfg!(feature = "free-threaded") {
            symbols::needs_no_gil(module.as_ptr());
        }
        let doc = c"Serve requests until told to stop; never to be called by user code.";
        match function(c"serve", doc, py_serve).and_then(|serve| add(&module, c"serve", &serve)) {
            Some(()) => module.into_ptr(),
            None => std::ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn py_serve(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and a tuple.
    unsafe {
        match parse(arguments).and_then(|arguments| serve::serve(&arguments)) {
            Some(()) => {
                ffi::Py_INCREF(ffi::Py_None());
                ffi::Py_None()
            }
            None => std::ptr::null_mut(),
        }
    }
}

/// # Safety
/// The GIL is held and `arguments` is a tuple. `None` with a Python exception set.
unsafe fn parse(arguments: *mut ffi::PyObject) -> Option<Arguments> {
    // SAFETY: the GIL is held; tuple items are borrowed while the tuple lives.
    unsafe {
        let item = |index| Object::borrowed(ffi::PyTuple_GetItem(arguments, index));
        let number = |index| {
            let number = ffi::PyLong_AsLong(item(index)?.as_ptr());
            (number != -1 || ffi::PyErr_Occurred().is_null()).then_some(number)
        };
        Some(Arguments {
            control_in: number(0)? as c_int,
            control_out: number(1)? as c_int,
            keeper: number(2)? as c_int,
            pool: crate::exception::lossy(&item(3)?),
            id: crate::exception::lossy(&item(4)?),
        })
    }
}

/// Creates module `erlang`, puts it into `sys.modules` and binds its name in the namespace of `__main__`.
/// `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn create(arguments: &Arguments, executors: u16, main: &Object) -> Option<()> {
    // SAFETY: the GIL is held; the dictionaries are borrowed from the interpreter and outlive the calls.
    unsafe {
        let module = Object::owned(ffi::PyModule_New(c"erlang".as_ptr()))?;
        let doc = Object::text("The Erlang node that this process works for.")?;
        add(&module, c"__doc__", &doc)?;
        let interrupted = Object::owned(ffi::PyErr_NewExceptionWithDoc(
            c"erlang.Interrupted".as_ptr(),
            c"Raised in a request that its caller interrupted or that ran out of time.".as_ptr(),
            ffi::PyExc_BaseException,
            std::ptr::null_mut(),
        ))?;
        add(&module, c"Interrupted", &interrupted)?;
        INTERRUPTED.get_or_init(|| Forever(interrupted.into_ptr()));
        add(&module, c"WorkerInfo", &worker_info(arguments, executors)?)?;
        let py = pyo3::Python::assume_attached();
        let bound = pyo3::Bound::from_borrowed_ptr(py, module.as_ptr());
        let types =
            crate::value::init(py).and_then(|()| crate::value::register(bound.cast::<pyo3::types::PyModule>()?));
        if let Err(error) = types {
            error.restore(py);
            return None;
        }
        callable::register(&module)?;
        callback::register(&module)?;
        observe::register(&module)?;
        async_call::register(&module)?;
        event_loop::register(&module)?;
        for namespace in [ffi::PyImport_GetModuleDict(), main.as_ptr()] {
            if ffi::PyDict_SetItemString(namespace, c"erlang".as_ptr(), module.as_ptr()) < 0 {
                return None;
            }
        }
        let modules = Object::owned(ffi::PyDict_New())?;
        for (name, program) in MODULES {
            if ffi::PyDict_SetItemString(modules.as_ptr(), name.as_ptr(), Object::text(program)?.as_ptr()) < 0 {
                return None;
            }
        }
        add(&module, c"_modules", &modules)?;
        let namespace = Object::borrowed(ffi::PyModule_GetDict(module.as_ptr()))?;
        run(ERLANG, c"<erlang module>", &namespace)
    }
}

/// Runs a program of ours in a namespace. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn run(program: &str, file: &CStr, namespace: &Object) -> Option<()> {
    let source = CString::new(program).expect("our programs hold no NUL byte");
    // SAFETY: the GIL is held, the strings are C strings and the namespace is a dict.
    unsafe {
        let code = Object::owned(ffi::Py_CompileString(source.as_ptr(), file.as_ptr(), ffi::Py_file_input))?;
        let dict = namespace.as_ptr();
        if ffi::PyDict_SetItemString(dict, c"__builtins__".as_ptr(), ffi::PyEval_GetBuiltins()) < 0 {
            return None;
        }
        Object::owned(aside(|| ffi::PyEval_EvalCode(code.as_ptr(), dict, dict))).map(drop)
    }
}

/// The text of a `str`; `None` with a Python exception set if it has no UTF-8 form.
///
/// # Safety
/// The GIL is held and `text` is a `str`.
pub unsafe fn utf8(text: &Object) -> Option<&str> {
    let mut len = 0;
    // SAFETY: a live str keeps its UTF-8 form as long as it lives.
    unsafe {
        let data = (symbols::symbols().utf8_and_size)(text.as_ptr(), &mut len);
        if data.is_null() {
            return None;
        }
        Some(std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), len as usize)))
    }
}

/// What a program can learn about the worker it runs in: `erlang.WorkerInfo.pool`, `.id`, `.executors`.
///
/// # Safety
/// The GIL is held.
unsafe fn worker_info(arguments: &Arguments, executors: u16) -> Option<Object> {
    // SAFETY: the GIL is held. The field table is read by the call and its names live for ever.
    unsafe {
        let mut fields = [
            field(c"pool", c"name of the pool"),
            field(c"id", c"number of the worker in its pool"),
            field(c"executors", c"requests that can run at once"),
            ffi::PyStructSequence_Field { name: std::ptr::null(), doc: std::ptr::null() },
        ];
        let mut description = ffi::PyStructSequence_Desc {
            name: c"erlang.WorkerInfo".as_ptr(),
            doc: c"The worker that runs this program.".as_ptr(),
            fields: fields.as_mut_ptr(),
            n_in_sequence: 3,
        };
        let kind = Object::owned(ffi::PyStructSequence_NewType(&mut description).cast())?;
        let info = Object::owned(ffi::PyStructSequence_New(kind.as_ptr().cast()))?;
        let values = [
            Object::text(&arguments.pool)?,
            match arguments.id.parse::<i64>() {
                Ok(id) => Object::owned(ffi::PyLong_FromLongLong(id))?,
                Err(_) => Object::text(&arguments.id)?,
            },
            Object::owned(ffi::PyLong_FromLongLong(executors.into()))?,
        ];
        for (index, value) in values.into_iter().enumerate() {
            ffi::PyStructSequence_SetItem(info.as_ptr(), index as isize, value.into_ptr());
        }
        Some(info)
    }
}

const fn field(name: &'static CStr, doc: &'static CStr) -> ffi::PyStructSequence_Field {
    ffi::PyStructSequence_Field { name: name.as_ptr(), doc: doc.as_ptr() }
}

/// The class `erlang.Interrupted`, borrowed.
pub fn interrupted() -> *mut ffi::PyObject {
    INTERRUPTED.get().expect("module erlang is created before the first request").0
}

/// A built-in function that takes its arguments as a tuple. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn function(name: &'static CStr, doc: &'static CStr, body: ffi::PyCFunction) -> Option<Object> {
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: body },
        ml_flags: ffi::METH_VARARGS,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: the GIL is held and the definition lives for ever.
    unsafe { Object::owned(ffi::PyCFunction_New(definition, std::ptr::null_mut())) }
}

/// Adds an attribute to a module. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn add(module: &Object, name: &CStr, value: &Object) -> Option<()> {
    // SAFETY: live objects and a C string.
    (unsafe { ffi::PyObject_SetAttrString(module.as_ptr(), name.as_ptr(), value.as_ptr()) } == 0).then_some(())
}

/// Sets a Python exception.
///
/// # Safety
/// The GIL is held and `kind` is an exception class.
pub unsafe fn raise(kind: *mut ffi::PyObject, text: &str) {
    // SAFETY: the GIL is held. If the text cannot be made, a MemoryError is set instead.
    unsafe {
        if let Some(text) = Object::text(text) {
            ffi::PyErr_SetObject(kind, text.as_ptr());
        }
    }
}
