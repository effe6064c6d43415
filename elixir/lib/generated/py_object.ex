# Made by `mix py.gen.api` (1) from erlang_python 0.1.0; not to be edited: gen/names.exs has the names, the Erlang
# sources have the rest.
# surface: 6b3e431811a6551d
# body: b29ff4f0424be8b4
defmodule Py.Object do
  @moduledoc ~S"""
  Python objects that stay in their worker; options `return: :ref` and `unknown: :ref` give them.
  """

  @doc ~S"""
  Calls a method of an object, in the object's worker.
  """
  @spec call(
          ref :: :py.ref(),
          method :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: {:ok, term()} | {:error, Py.Error.t()}
  def call(ref, method, args, kwargs \\ [], opts \\ []),
    do:
      :py.call_method(
        ref,
        method,
        Py.Encoder.Terms.encode(args),
        Py.Encoder.Terms.encode(kwargs),
        Py.Options.merge(opts, %{error: :map, none: nil})
      )
      |> Py.Result.wrap()

  @doc "As `call/5`, but gives the value itself, or raises `Py.Error`."
  @spec call!(
          ref :: :py.ref(),
          method :: :py.name(),
          args :: :py.args(),
          kwargs :: :py.kwargs(),
          opts :: Py.Options.call()
        ) :: term()
  def call!(ref, method, args, kwargs \\ [], opts \\ []), do: Py.Result.value!(call(ref, method, args, kwargs, opts))

  @doc ~S"""
  Value of an attribute of an object.
  """
  @spec getattr(ref :: :py.ref(), name :: :py.name(), opts :: Py.Options.call()) ::
          {:ok, term()} | {:error, Py.Error.t()}
  def getattr(ref, name, opts \\ []),
    do: :py.getattr(ref, name, Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `getattr/3`, but gives the value itself, or raises `Py.Error`."
  @spec getattr!(ref :: :py.ref(), name :: :py.name(), opts :: Py.Options.call()) :: term()
  def getattr!(ref, name, opts \\ []), do: Py.Result.value!(getattr(ref, name, opts))

  @doc ~S"""
  The object as an Erlang term.
  """
  @spec to_term(ref :: :py.ref(), opts :: Py.Options.call()) :: {:ok, term()} | {:error, Py.Error.t()}
  def to_term(ref, opts \\ []),
    do: :py.to_term(ref, Py.Options.merge(opts, %{error: :map, none: nil})) |> Py.Result.wrap()

  @doc "As `to_term/2`, but gives the value itself, or raises `Py.Error`."
  @spec to_term!(ref :: :py.ref(), opts :: Py.Options.call()) :: term()
  def to_term!(ref, opts \\ []), do: Py.Result.value!(to_term(ref, opts))

  @doc ~S"""
  Whether a term stands for a Python object, even one that is gone with its worker.
  """
  @spec object?(term :: term()) :: boolean()
  def object?(term), do: :py.is_ref(term)

  @doc ~S"""
  Lets the worker drop an object now; otherwise the garbage collector sees to it. Work that was submitted before still
  has the object.
  """
  @spec release(ref :: :py.ref()) :: :ok | {:error, Py.Error.t()}
  def release(ref), do: :py.release(ref) |> Py.Result.wrap()

  @doc "As `release/1`, but gives the value itself, or raises `Py.Error`."
  @spec release!(ref :: :py.ref()) :: :ok
  def release!(ref), do: Py.Result.value!(release(ref))
end
