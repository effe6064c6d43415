defmodule Py.Result do
  @moduledoc """
  What functions return: `{:ok, value}` or `{:error, %Py.Error{}}`.
  """

  @type t :: t(term())
  @type t(value) :: {:ok, value} | {:error, Py.Error.t()}

  @doc false
  @spec wrap(result) :: result | {:error, Py.Error.t()} when result: term()
  def wrap({:error, reason}), do: {:error, Py.Error.new(reason)}
  def wrap(result), do: result

  @doc false
  @spec nested({:ok, [t()]} | {:error, term()}) :: {:ok, [t()]} | {:error, Py.Error.t()}
  def nested({:ok, results}), do: {:ok, Enum.map(results, &wrap/1)}
  def nested(error), do: wrap(error)

  # Values, unless the exceptions were to be returned.
  @doc false
  @spec gathered({:ok, [term()]} | {:error, term()}, keyword() | map()) :: {:ok, [term()]} | {:error, Py.Error.t()}
  def gathered(result, opts) do
    if Map.new(opts)[:return_exceptions], do: nested(result), else: wrap(result)
  end

  @doc false
  @spec value!(term()) :: term()
  def value!({:ok, value}), do: value
  def value!({:error, error}), do: raise(error)
  def value!(other), do: other
end
