//! NIF of `erlang_python`.
