defmodule Py.Error do
  @moduledoc """
  Why something was not done: an exception of Python, or what kept the work from being done.

    * `type` - the name of Python's exception class as a string, else an atom: `:timeout`, `:worker_down`, `:overloaded`, `:badarg`,
      `:bad_option` and so on
    * `message` - its text
    * `traceback` - Python's traceback, `nil` where there is none
    * `reason` - what the Erlang function said

  """
  defexception [:type, :message, :traceback, :reason]

  @ours ~w(bad_config bad_option badarg exhausted invalid_venv lifespan_failed max_workers unsupported_object unsupported_term
           venv_failed worker_down)a

  @type t :: %__MODULE__{type: String.t() | atom(), message: String.t(), traceback: String.t() | nil, reason: term()}

  @doc "The error of a reason in `{:error, reason}` or in a message `{:py_error, ref, reason}`."
  @spec new(term()) :: t()
  def new(%__MODULE__{} = error), do: error

  def new(%{type: type, message: message} = reason) do
    %__MODULE__{type: to_string(type), message: message, traceback: reason[:traceback], reason: reason}
  end

  def new({type, what} = reason) when is_atom(type) do
    if python?(type, what) do
      %__MODULE__{type: to_string(type), message: text(what), reason: reason}
    else
      %__MODULE__{type: type, message: text(reason), reason: reason}
    end
  end

  def new(reason) when is_atom(reason), do: %__MODULE__{type: reason, message: text(reason), reason: reason}

  def new(reason) when is_tuple(reason) and tuple_size(reason) > 0 and is_atom(elem(reason, 0)),
    do: %__MODULE__{type: elem(reason, 0), message: text(reason), reason: reason}

  # One reason for each worker or place that failed.
  def new([{_, _} | _] = reason) do
    lines = for {where, why} <- reason, do: "#{place(where)}: #{message(new(why))}"
    %__MODULE__{type: :failed, message: Enum.join(lines, "\n"), reason: reason}
  end

  def new(reason), do: %__MODULE__{type: :failed, message: text(reason), reason: reason}

  @impl true
  def message(%__MODULE__{type: type} = error) when is_binary(type) do
    case error do
      %{message: "", traceback: nil} -> type
      %{traceback: nil} -> "#{type}: #{error.message}"
      %{traceback: traceback} -> "#{type}: #{error.message}\n\n#{String.trim_trailing(traceback)}"
    end
  end

  def message(%__MODULE__{message: message}), do: message

  # Texts of exceptions are lists of code points; what is with a reason of ours may be any term.
  defp python?(type, what), do: type not in @ours and is_list(what)

  defp place(worker) when is_integer(worker), do: "worker #{worker}"
  defp place(other), do: inspect(other)

  defp text(:timeout), do: "the time was over; option timeout: gives more"
  defp text(:not_started), do: "the application erlang_python, or the pool, does not run"
  defp text(:interrupted), do: "Py.interrupt/1 ended the call"
  defp text(:cancelled), do: "the binding under which the work ran has ended"
  defp text(:no_workers_available), do: "no worker can be spared, or none of the pool stays up; see Py.Pool.stats/1"
  defp text({:overloaded, current, max}), do: "#{inspect(current)} requests are in flight, of #{inspect(max)} at most"
  defp text({:worker_down, why}), do: "the worker died: #{inspect(why)}"
  defp text({:badarg, {:keyword, _name, text}}), do: text
  defp text({:badarg, what}), do: "an argument of the wrong kind: #{inspect(what)}"
  defp text({:bad_option, key}), do: "no such option, or a wrong value: #{inspect(key)}"
  defp text({:unsupported_term, term}), do: "no counterpart in Python: #{inspect(term)}"
  defp text({:unsupported_object, type}), do: "no counterpart in Elixir: an object of type #{text(type)}"
  defp text({:max_workers, max}), do: "the pool has at most #{inspect(max)} workers; see option max_workers"

  defp text({type, text}) when type in [:exhausted, :bad_config, :lifespan_failed, :venv_failed],
    do: "#{type}: #{text(text)}"

  defp text(text) when is_binary(text), do: text
  defp text(other), do: if(:io_lib.printable_unicode_list(other), do: to_string(other), else: inspect(other))
end
