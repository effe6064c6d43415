# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: dff75b0856b7ae8a
# body: 3b348b3440620617
defmodule Py.Options do
  @moduledoc ~S"""
  The options of the functions, as keyword lists.
  """

  @typedoc ~S"""
  `factory`: the callable is called without arguments and returns the application. `runner`: a Python module whose function
  `run(module, callable, scope, body)` serves the request instead and returns `(status, headers, body)`; not for streams. `credit`: how
  many `body` events a stream may be ahead of its consumer, default `infinity`; `credit/2` allows more.
  """
  @type asgi :: [
          {:credit, pos_integer() | :infinity}
          | {:error, :tuple | :map}
          | {:factory, boolean()}
          | {:pool, atom()}
          | {:runner, :py.name()}
          | {:timeout, timeout()}
        ]

  @typedoc ~S"""
  `timeout` is in milliseconds. `error` is the form of Python exceptions, `binary` how binaries
  become Python objects, `return` whether the result comes as a handle, `none` what `None` becomes, `ndarray` what numpy arrays become, `unknown`
  what happens to objects without a counterpart, `tags` whether tuples such as `{:bytes, bin}`
  are special.
  """
  @type call :: [
          {:binary, :auto | :bytes}
          | {:error, :tuple | :map}
          | {:ndarray, :list | :binary}
          | {:none, :none | nil | :undefined}
          | {:pool, atom()}
          | {:return, :term | :ref}
          | {:tags, boolean()}
          | {:timeout, timeout()}
          | {:unknown, :str | :ref | :error}
        ]

  @typedoc ~S"""
  `fresh`: the worker's process is a new one.
  """
  @type context :: [{:fresh, boolean()} | {:pool, atom()}]

  @typedoc ~S"""
  `level`: nothing below it leaves Python; an integer is a level of Python; default: the primary level of `logger`. `format`:
  for `logging.Formatter` of Python; default: the message alone.
  """
  @type logging :: [{:format, :unicode.chardata() | :undefined} | {:level, :logger.level() | :all | non_neg_integer()}]

  @typedoc ~S"""
  Those of a call, and `credit`.
  """
  @type stream :: [
          {:binary, :auto | :bytes}
          | {:credit, pos_integer() | :infinity}
          | {:error, :tuple | :map}
          | {:ndarray, :list | :binary}
          | {:none, :none | nil | :undefined}
          | {:pool, atom()}
          | {:return, :term | :ref}
          | {:tags, boolean()}
          | {:timeout, timeout()}
          | {:unknown, :str | :ref | :error}
        ]

  @typedoc ~S"""
  Milliseconds between two looks, at least 100; 1000 unless given.
  """
  @type top :: [{:interval, pos_integer()}]

  @typedoc ~S"""
  `args` go to the installer, `python` is the interpreter to make it with instead of that of pool `default`, for a pool of that; it is not
  activated then unless that is asked for. `force` installs even if the same was installed before. The timeout is 5
  minutes, unless given.
  """
  @type venv :: [
          {:activate, boolean()}
          | {:args, [charlist() | binary()]}
          | {:force, boolean()}
          | {:installer, :auto | :uv | :pip}
          | {:python, :file.filename_all()}
          | {:timeout, timeout()}
        ]

  @typedoc ~S"""
  `factory`: the callable is called without arguments and returns the application.
  """
  @type wsgi :: [{:error, :tuple | :map} | {:factory, boolean()} | {:pool, atom()} | {:timeout, timeout()}]

  @doc false
  @spec merge(keyword() | map(), map()) :: map()
  def merge([], defaults), do: defaults
  def merge(opts, defaults) when is_list(opts) or is_map(opts), do: Map.merge(defaults, Map.new(opts))
end
