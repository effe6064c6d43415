//! Source text: expressions with parameters, and programs.

use std::collections::HashMap;
use std::ffi::CStr;

use pyo3::ffi;

use crate::invoke::{call, import};
use crate::object::Object;
use crate::turn::aside;

/// File name in tracebacks and syntax errors.
const FILE: &str = "<erlang>";
/// Compiled expressions that are kept; a program that makes up more starts over.
const MAX_ENTRIES: usize = 512;
/// `ast.PyCF_ONLY_AST`, part of the documented interface of `compile`.
const ONLY_AST: i64 = 0x400;

/// What evaluates an expression.
#[derive(Clone, Debug)]
pub enum Compiled {
    /// To be evaluated in `__main__`.
    Code(Object),
    /// To be called with the values of the names.
    Function(Object),
}

/// Compiles and remembers expressions; runs programs.
#[derive(Debug)]
pub struct Scripts {
    compile: Object,
    namespace: Object,
    expressions: HashMap<Box<[u8]>, Compiled>,
    key: Vec<u8>,
}

impl Scripts {
    /// `namespace` is the dict of `__main__`. `None` with a Python exception set.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn new(namespace: Object) -> Option<Self> {
        // SAFETY: the GIL is held and the arguments are a C string and live objects.
        unsafe {
            let builtins = import(c"builtins")?;
            Some(Self {
                compile: builtins.attribute(c"compile")?,
                namespace,
                expressions: HashMap::new(),
                key: Vec::new(),
            })
        }
    }

    /// The compiled form of `expression`, in which `names` can be used everywhere: also in lambdas,
    /// comprehensions and generators, which see parameters of a function but not the locals of `eval`.
    /// `None` with a Python exception set.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn expression(&mut self, expression: &str, names: &[&str]) -> Option<Compiled> {
        let expression = expression.trim_start_matches([' ', '\t', '\r', '\n', '\x0c']);
        self.key.clear();
        self.key.extend_from_slice(&(expression.len() as u64).to_le_bytes());
        self.key.extend_from_slice(expression.as_bytes());
        for name in names {
            self.key.extend_from_slice(&(name.len() as u32).to_le_bytes());
            self.key.extend_from_slice(name.as_bytes());
        }
        if let Some(compiled) = self.expressions.get(&self.key[..]) {
            return Some(compiled.clone());
        }
        // SAFETY: the GIL is held.
        let compiled = unsafe {
            if names.is_empty() {
                Compiled::Code(self.compile(&Object::text(expression)?, "eval", 0)?)
            } else {
                Compiled::Function(self.function(expression, names)?)
            }
        };
        if self.expressions.len() >= MAX_ENTRIES {
            self.expressions.clear();
        }
        self.expressions.insert(self.key.as_slice().into(), compiled.clone());
        Some(compiled)
    }

    /// Evaluates code in `__main__`. `None` with a Python exception set.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn evaluate(&self, code: &Object) -> Option<Object> {
        let namespace = self.namespace.as_ptr();
        // SAFETY: a code object and the dict of `__main__`.
        unsafe { Object::owned(aside(|| ffi::PyEval_EvalCode(code.as_ptr(), namespace, namespace))) }
    }

    /// Runs a program in `__main__`; names that it sets go to `names` if that is given, a mapping that stands for `__main__`.
    /// `None` with a Python exception set.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn run(&self, program: &str, names: Option<&Object>) -> Option<()> {
        let (globals, locals) = (self.namespace.as_ptr(), names.unwrap_or(&self.namespace).as_ptr());
        // SAFETY: the GIL is held; a code object, the dict of `__main__` and a mapping.
        unsafe {
            let code = self.compile(&Object::text(&dedent(program))?, "exec", 0)?;
            Object::owned(aside(|| ffi::PyEval_EvalCode(code.as_ptr(), globals, locals))).map(drop)
        }
    }

    /// # Safety
    /// The GIL is held.
    unsafe fn compile(&self, source: &Object, mode: &str, flags: i64) -> Option<Object> {
        // SAFETY: the GIL is held; five live objects.
        unsafe {
            let flags = Object::owned(ffi::PyLong_FromLongLong(flags))?;
            let (file, mode) = (Object::text(FILE)?, Object::text(mode)?);
            let arguments = [source.as_ptr(), file.as_ptr(), mode.as_ptr(), flags.as_ptr(), ffi::Py_True()];
            call(&self.compile, &arguments)
        }
    }

    /// Wraps a lambda with `names` as parameters round the syntax tree of the expression.
    ///
    /// # Safety
    /// The GIL is held.
    unsafe fn function(&self, expression: &str, names: &[&str]) -> Option<Object> {
        // SAFETY: the GIL is held and every pointer comes from a live object.
        unsafe {
            let tree = self.compile(&Object::text(expression)?, "eval", ONLY_AST)?;
            let ast = import(c"_ast")?;
            let body = tree.attribute(c"body")?;
            let parameters = Object::owned(ffi::PyList_New(0))?;
            for name in names {
                let parameter = node(&ast, c"arg", &[(c"arg", &Object::text(name)?)], Some(&body))?;
                if ffi::PyList_Append(parameters.as_ptr(), parameter.as_ptr()) < 0 {
                    return None;
                }
            }
            let none = Object::owned(ffi::PyList_New(0))?;
            let arguments = [
                (c"posonlyargs", &none),
                (c"args", &parameters),
                (c"kwonlyargs", &none),
                (c"kw_defaults", &none),
                (c"defaults", &none),
            ];
            let arguments = node(&ast, c"arguments", &arguments, None)?;
            let fields = [(c"args", &arguments), (c"body", &body)];
            let lambda = node(&ast, c"Lambda", &fields, Some(&body))?;
            set(&tree, c"body", &lambda)?;
            self.evaluate(&self.compile(&tree, "eval", 0)?)
        }
    }
}

/// A node of the syntax tree with `fields`, at the place of `origin`.
///
/// # Safety
/// The GIL is held.
unsafe fn node(ast: &Object, kind: &CStr, fields: &[(&CStr, &Object)], origin: Option<&Object>) -> Option<Object> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let keywords = Object::owned(ffi::PyDict_New())?;
        for (name, value) in fields {
            if ffi::PyDict_SetItemString(keywords.as_ptr(), name.as_ptr(), value.as_ptr()) < 0 {
                return None;
            }
        }
        let (kind, nothing) = (ast.attribute(kind)?, Object::owned(ffi::PyTuple_New(0))?);
        let node = Object::owned(ffi::PyObject_Call(kind.as_ptr(), nothing.as_ptr(), keywords.as_ptr()))?;
        if let Some(origin) = origin {
            for field in [c"lineno", c"col_offset", c"end_lineno", c"end_col_offset"] {
                set(&node, field, &origin.attribute(field)?)?;
            }
        }
        Some(node)
    }
}

/// # Safety
/// The GIL is held.
unsafe fn set(object: &Object, name: &CStr, value: &Object) -> Option<()> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    (unsafe { ffi::PyObject_SetAttrString(object.as_ptr(), name.as_ptr(), value.as_ptr()) } == 0).then_some(())
}

/// Removes the white space that all lines with text have in common, as `textwrap.dedent` does.
fn dedent(program: &str) -> std::borrow::Cow<'_, str> {
    let blank = |line: &str| line.trim_matches([' ', '\t', '\r', '\n', '\x0c']).is_empty();
    let mut margin: Option<&str> = None;
    for line in program.split('\n').filter(|line| !blank(line)) {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        margin = Some(match margin {
            None => indent,
            Some(margin) => {
                let common = margin.bytes().zip(indent.bytes()).take_while(|(a, b)| a == b).count();
                &margin[..common]
            }
        });
    }
    let margin = margin.unwrap_or_default();
    if margin.is_empty() {
        return program.into();
    }
    let lines = program.split('\n').map(|line| line.strip_prefix(margin).unwrap_or_else(|| line.trim_start()));
    lines.collect::<Vec<_>>().join("\n").into()
}
