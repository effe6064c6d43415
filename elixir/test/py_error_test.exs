defmodule Py.ErrorTest do
  use ExUnit.Case, async: true

  test "every reason has a type and a text" do
    for {reason, type, text} <- [
          {:timeout, :timeout, "the time was over"},
          {:something, :something, "something"},
          {{:overloaded, 5, 5}, :overloaded, "5 requests"},
          {{:worker_down, :killed}, :worker_down, "killed"},
          {{:badarg, :name}, :badarg, ":name"},
          {{:unsupported_term, [1 | 2]}, :unsupported_term, "[1 | 2]"},
          {{:unsupported_object, "set"}, :unsupported_object, "type set"},
          {{:exhausted, "no memory"}, :exhausted, "no memory"},
          {{:bad_config, 'num_workers: 0'}, :bad_config, "num_workers: 0"},
          {{:invalid_venv, '/x'}, :invalid_venv, "/x"},
          {{:ValueError, 'bad'}, "ValueError", "ValueError: bad"},
          {{:ValueError, ''}, "ValueError", "ValueError"},
          {{:ValueError, [0xD800]}, "ValueError", "ValueError: [55296]"},
          {[{1, :timeout}, {2, {:ValueError, 'bad'}}], :failed, "worker 2: ValueError: bad"},
          {[{{:pool, :default}, 'no python3'}], :failed, "{:pool, :default}: no python3"},
          {"odd", :failed, "odd"},
          {[1 | 2], :failed, "[1 | 2]"}
        ] do
      error = Py.Error.new(reason)
      assert {error.type, error.reason} == {type, reason}
      assert Exception.message(error) =~ text
      assert Py.Error.new(error) == error
    end
  end

  test "Python's description has a traceback" do
    reason = %{
      type: :KeyError,
      module: "builtins",
      message: "'x'",
      traceback: "Traceback\nKeyError: 'x'\n",
      cause: nil,
      notes: []
    }

    error = Py.Error.new(reason)
    assert {error.type, error.message, error.traceback} == {"KeyError", "'x'", reason.traceback}
    assert Exception.message(error) == "KeyError: 'x'\n\nTraceback\nKeyError: 'x'"
  end
end
