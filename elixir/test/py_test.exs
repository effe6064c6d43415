defmodule PyTest do
  use ExUnit.Case

  describe "call" do
    test "names are atoms or strings, charlists are not needed" do
      assert Py.call(:math, :sqrt, [16]) == {:ok, 4.0}
      assert Py.call("math", "sqrt", [16]) == {:ok, 4.0}
      assert Py.call("os.path", "join", ["a", "b"]) == {:ok, "a/b"}
      assert Py.call!("builtins", "str.upper", ["hello"]) == "HELLO"
    end

    test "keyword arguments and options are keyword lists or maps" do
      assert Py.call!(:builtins, :sorted, [[2, 3, 1]], reverse: true) == [3, 2, 1]
      assert Py.call!(:builtins, :sorted, [[2, 3, 1]], %{"reverse" => true}) == [3, 2, 1]
      assert {:error, %Py.Error{type: :timeout, reason: :timeout}} = Py.call(:time, :sleep, [3600], [], timeout: 200)
      assert {:error, %Py.Error{type: :bad_option}} = Py.call(:math, :sqrt, [16], [], timeuot: 200)
    end

    test "None is nil in both directions, unless asked for otherwise" do
      assert Py.eval!("x is None", x: nil)
      assert Py.eval!("None") == nil
      assert Py.eval!("None", [], none: :none) == :none
    end

    test "an exception is a Py.Error with Python's traceback" do
      assert {:error, %Py.Error{} = error} = Py.call("json", "loads", ["{"])
      assert error.type == "JSONDecodeError"
      assert error.message =~ "line 1 column 2"
      assert error.traceback =~ ~r/json.decoder.py/
      assert Exception.message(error) =~ "JSONDecodeError: "
      assert %{module: "json.decoder"} = error.reason
    end

    test "the twin raises it" do
      error = assert_raise Py.Error, fn -> Py.call!(:math, :sqrt, [-1]) end
      assert error.type == "ValueError"
      assert_raise Py.Error, ~r/division/, fn -> Py.eval!("1 / 0") end
      assert_raise Py.Error, ~r/SyntaxError|invalid syntax/, fn -> Py.exec!("def") end
    end

    test "the death of a worker is a Py.Error" do
      assert {:error, %Py.Error{type: :worker_down, message: "the worker died" <> _}} = Py.call(:os, :_exit, [3])
      assert Py.call!(:math, :sqrt, [16]) == 4.0
    end
  end

  test "statements, and the worker that the process keeps to" do
    assert Py.exec("def double(x): return 2 * x") == :ok
    assert Py.call!("__main__", "double", [21]) == 42
    assert Py.unbind() == :ok
  end

  test "parallel calls: errors in their places" do
    assert [{:ok, 6}, {:error, %Py.Error{type: "ValueError"}}] =
             Py.parallel!([{:math, :factorial, [3]}, {:math, :factorial, [-1]}])
  end

  test "answers that come later" do
    ref = Py.async(:math, :gcd, [12, 18])
    assert Py.await!(ref) == 6
    ref = Py.async(:math, :sqrt, [-1])
    assert_receive {:py_error, ^ref, reason}
    assert %Py.Error{type: "ValueError"} = Py.Error.new(reason)
    slow = Py.async(:time, :sleep, [3600])
    assert Py.cancel(slow) == :ok
  end

  test "bindings" do
    assert Py.bind() == :ok
    assert Py.bound?()
    assert Py.unbind() == :ok

    assert Py.with_context(fn ->
             Py.exec!("total = 1")
             Py.eval!("total + 2")
           end) == 3
  end

  test "contexts" do
    context = Py.Context.new!()
    assert Py.Context.exec(context, "x = 20") == :ok
    assert Py.Context.eval!(context, "x + y", y: 1) == 21
    assert Task.async(fn -> Py.Context.call!(context, :builtins, :abs, [-1]) end) |> Task.await(:infinity) == 1
    assert {:error, %Py.Error{type: "NameError"}} = Py.Context.eval(context, "z")
    assert Py.Context.close(context) == :ok
  end

  test "objects" do
    queue = Py.call!(:collections, :deque, [[1, 2, 3]], [], return: :ref)
    assert Py.Object.object?(queue)
    assert Py.Object.call!(queue, :pop, []) == 3
    assert Py.Object.getattr!(queue, :maxlen) == nil
    assert Py.Object.to_term!(queue) == [1, 2]
    assert Py.Object.release(queue) == :ok
  end

  test "event loops" do
    assert Py.Async.gather!(for n <- 1..50, do: {:asyncio, :sleep, [0, n]}) == Enum.to_list(1..50)
    ref = Py.Async.call(:asyncio, :sleep, [0, "rested"])
    assert Py.Async.await!(ref) == "rested"
    calls = [{:asyncio, :sleep, [0, 1]}, {:math, :sqrt, [-1]}]
    assert {:error, %Py.Error{type: "ValueError"}} = Py.Async.gather(calls)
    assert [{:ok, 1}, {:error, %Py.Error{type: "ValueError"}}] = Py.Async.gather!(calls, return_exceptions: true)
  end

  test "Python calls Elixir" do
    prices = %{"tea" => 3}
    assert Py.Callback.register(:price, fn [item] -> Map.fetch!(prices, item) end) == :ok
    assert Py.eval!("2 * erlang.call('price', 'tea')") == 6
    assert {:ok, fun} = Py.Callback.lookup("price")
    assert is_function(fun, 1)
    assert Py.Callback.unregister(:price) == :ok
    assert {:error, %Py.Error{type: :not_found}} = Py.Callback.lookup(:price)
  end

  test "shared state" do
    assert Py.State.store("elixir", %{a: 1}) == :ok
    assert Py.State.fetch!("elixir") == %{a: 1}
    assert Py.eval!("erlang.state_get('elixir')") == %{"a" => 1}
    assert Py.State.incr("hits", 2) == 2
    assert Py.State.incr!("hits") == 3
    assert {:error, %Py.Error{type: :not_an_integer}} = Py.State.incr("elixir")
    assert Enum.sort(Py.State.keys()) == ["elixir", "hits"]
    assert Py.State.clear() == :ok
    assert {:error, %Py.Error{type: :not_found}} = Py.State.fetch("elixir")
  end

  test "web applications" do
    Py.exec_all!("""
    import sys, types
    web = types.ModuleType('elixir_web')
    async def asgi(scope, receive, send):
        await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'x-path', scope['path'].encode())]})
        await send({'type': 'http.response.body', 'body': b'hello'})
    def wsgi(environ, start_response):
        start_response('200 OK', [])
        return [environ['PATH_INFO'].encode()]
    web.asgi, web.wsgi = asgi, wsgi
    sys.modules['elixir_web'] = web
    """)

    assert {200, headers, "hello"} = Py.ASGI.run!("elixir_web", "asgi", %{path: "/x"}, "")
    assert {"x-path", "/x"} in headers
    assert {"200 OK", _, "/y"} = Py.WSGI.run!("elixir_web", "wsgi", %{"PATH_INFO" => "/y"})
    ref = Py.ASGI.run_stream!("elixir_web", "asgi", %{path: "/x"}, "")
    assert_receive {:py_asgi, ^ref, {:start, 200, _}}
    assert_receive {:py_asgi, ^ref, :done}
    assert {:error, %Py.Error{}} = Py.ASGI.run("elixir_web", "missing", %{path: "/"}, "")
  end

  test "the doctor" do
    told = fn check -> ExUnit.CaptureIO.capture_io(fn -> send(self(), {:told, check.()}) end) end
    assert told.(fn -> Py.Doctor.check_pool(python: "/nowhere") end) =~ "/nowhere"
    assert_received {:told, {:error, %Py.Error{type: :failed, message: message}}}
    assert message =~ "/nowhere"
    assert told.(&Py.Doctor.check/0) =~ "Python"
    assert_received {:told, _}
  end

  test "the node" do
    assert Py.version!() =~ ~r/^3\./
    assert Py.execution_mode() == :multi_process
    assert [%{pool: _, state: _} | _] = Py.workers()
    assert %{} = Py.stats()
    assert Py.Semaphore.acquire(1000) == :ok
    assert Py.Semaphore.current() >= 1
    assert Py.Semaphore.release() == :ok
    assert Py.Memory.gc!() >= 0
    assert %{rss: rss} = Py.Memory.stats!()
    assert rss > 0
    assert {:error, %Py.Error{type: :invalid_venv}} = Py.Venv.activate("/nowhere")
    assert %{active: _} = Py.Venv.info!()
    assert Py.Tracing.enable() == :ok
    Py.exec!("with erlang.Span('elixir'): pass")
    assert Enum.any?(Py.Tracing.spans!(), &(&1.name == "elixir"))
    assert Py.Tracing.disable() == :ok
    assert Py.Tracing.clear() == :ok
    Py.unbind()
  end
end
