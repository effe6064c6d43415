defmodule Py.Wrapper do
  @moduledoc """
  What the modules that `mix py.gen` writes call.

  Their functions take the required arguments, then Python's keyword arguments as a keyword list, then options of the call as
  another. A keyword argument that the function does not have is an error before anything crosses. What has no counterpart in Elixir
  comes as a handle (`unknown: :ref`), for the modules of its class.
  """

  alias Py.{Encoder.Terms, Options, Result}

  @typedoc "A `float` of Python."
  @type real :: float() | :nan | :infinity | :neg_infinity

  @typedoc "The keyword arguments of a function: see `py_wrapper`."
  @type takes :: :py_wrapper.takes()

  @doc "Value of a function of a module, or of a method of a class."
  @spec call(String.t(), String.t(), list(), :py.kwargs(), takes(), Options.call()) :: Result.t()
  def call(module, function, args, kwargs, takes, opts) do
    case :py_wrapper.arguments({module, function}, args, kwargs, takes) do
      {:error, reason} -> {:error, Py.Error.new(reason)}
      {args, kwargs} -> Result.wrap(:py.call(module, function, Terms.encode(args), Terms.encode(kwargs), options(opts)))
    end
  end

  @doc "A handle of a new instance of a class."
  @spec new(String.t(), String.t(), list(), :py.kwargs(), takes(), Options.call()) :: Result.t(:py.ref())
  def new(module, class, args, kwargs, takes, opts),
    do: call(module, class, args, kwargs, takes, [{:return, :ref} | opts])

  @doc "Value of a method of an object."
  @spec method(:py.ref(), String.t(), list(), :py.kwargs(), takes(), Options.call()) :: Result.t()
  def method(self, method, args, kwargs, takes, opts) do
    case :py_wrapper.arguments(method, args, kwargs, takes) do
      {:error, reason} ->
        {:error, Py.Error.new(reason)}

      {args, kwargs} ->
        Result.wrap(:py.call_method(self, method, Terms.encode(args), Terms.encode(kwargs), options(opts)))
    end
  end

  @doc "The items of a generator, as a lazy stream."
  @spec stream!(String.t(), String.t(), list(), :py.kwargs(), takes(), Options.stream()) :: Enumerable.t()
  def stream!(module, function, args, kwargs, takes, opts) do
    {args, kwargs} = checked!({module, function}, args, kwargs, takes)
    Py.Lazy.stream!(module, function, args, kwargs, Keyword.put_new(opts, :unknown, :ref))
  end

  @doc "The items of a method that is a generator, as a lazy stream."
  @spec method_stream!(:py.ref(), String.t(), list(), :py.kwargs(), takes(), Options.stream()) :: Enumerable.t()
  def method_stream!(self, method, args, kwargs, takes, opts) do
    {args, kwargs} = checked!(method, args, kwargs, takes)
    given = {Terms.encode(args), Terms.encode(kwargs)}

    Py.Lazy.lazy(fn ->
      Result.value!(Result.wrap(:py_wrapper.method_stream_start(self, method, given, options(opts))))
    end)
  end

  @doc "Value of a name of a module."
  @spec value(String.t(), String.t(), Options.call()) :: Result.t()
  def value(module, name, opts), do: Result.wrap(:py_wrapper.value_options({module, name}, options(opts)))

  @doc "A handle of a member of an enumeration."
  @spec member(String.t(), String.t(), Options.call()) :: Result.t(:py.ref())
  def member(module, name, opts), do: value(module, name, [{:return, :ref} | opts])

  @doc "Value of an attribute of an object."
  @spec get(:py.ref(), String.t(), Options.call()) :: Result.t()
  def get(self, name, opts), do: Result.wrap(:py.getattr(self, name, options(opts)))

  @doc "Sets an attribute of an object."
  @spec set(:py.ref(), String.t(), term(), Options.call()) :: :ok | {:error, Py.Error.t()}
  def set(self, name, value, opts), do: Result.wrap(:py_wrapper.set(self, name, Terms.encode(value), options(opts)))

  @doc "The fields of a dataclass."
  @spec as_map(:py.ref(), Options.call()) :: Result.t(map())
  def as_map(self, opts), do: Result.wrap(:py_wrapper.as_map(self, options(opts)))

  defp checked!(place, args, kwargs, takes) do
    case :py_wrapper.arguments(place, args, kwargs, takes) do
      {:error, reason} -> raise Py.Error.new(reason)
      given -> given
    end
  end

  defp options([]), do: %{error: :map, none: nil, unknown: :ref}
  defp options(opts), do: Options.merge(opts, %{error: :map, none: nil, unknown: :ref})
end
