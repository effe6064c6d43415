%% Spans of Python: nesting in threads and tasks, order, bounds, and values of any kind.
-module(py_tracer_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        off, a_span, nesting, events, status, before_the_answer, decorator, decorated_coroutines, tasks, threads, generators, odd_values,
        toggled, workers_to_come, callers, bound, flood, hostile_spans, server_dies, unbalanced
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(off, Config) ->
    Config;
init_per_testcase(_Case, Config) ->
    ok = py:enable_tracing(),
    ok = py:clear_traces(),
    Config.

end_per_testcase(_Case, _Config) ->
    py_test:settled().

run(Code) ->
    ok = py:exec(["import erlang\nfrom erlang import Span, trace\n", Code], #{pool => default, timeout => 60000}).

spans() ->
    {ok, Spans} = py:get_traces(),
    Spans.

named(Name) ->
    [Span] = [Span || #{name := N} = Span <- spans(), N =:= Name],
    Span.

%% covers: py:disable_tracing/0
off(_) ->
    run("with Span('a') as s: s.event('e')"),
    ?assertEqual([], spans()),
    ok = py:enable_tracing(),
    ok = py:disable_tracing(),
    run("with Span('a') as s: s.event('e')"),
    ?assertEqual([], spans()),
    {ok, false} = py:eval(<<"'inspect' in __import__('sys').modules and erlang._tracing">>).

%% covers: py:enable_tracing/0, py:get_traces/0, py:clear_traces/0, erlang.Span
a_span(_) ->
    Before = erlang:system_time(nanosecond),
    run("with Span('query', table='users', rows=3, name='n'): __import__('time').sleep(0.01)"),
    After = erlang:system_time(nanosecond),
    [Span] = spans(),
    #{
        name := <<"query">>, status := ok, parent_id := undefined, span_id := Id, attributes := Attributes, events := [], start_time := Start,
        end_time := End, start_monotonic := StartM, end_monotonic := EndM, duration_us := Micros, pid := Pid, os_pid := OsPid, worker := Worker
    } = Span,
    ?assertNot(is_map_key(exception, Span)),
    ?assert(is_integer(Id) andalso Id > 0),
    ?assertEqual(#{<<"table">> => <<"users">>, <<"rows">> => 3, <<"name">> => <<"n">>}, Attributes),
    ?assert(Before =< Start andalso Start < End andalso End =< After),
    ?assertEqual(End - Start, EndM - StartM),
    ?assertEqual((End - Start) div 1000, Micros),
    ?assert(Micros >= 10000),
    ?assertEqual(self(), Pid),
    ?assert(lists:any(fun(#{id := I, os_pid := P}) -> {I, P} =:= {Worker, OsPid} end, py:workers())),
    ok = py:clear_traces(),
    ?assertEqual([], spans()).

nesting(_) ->
    run("with Span('a'):\n  with Span('b'):\n    with Span('c'): pass\n  with Span('d'): pass\nwith Span('e'): pass"),
    ?assertEqual([<<"c">>, <<"b">>, <<"d">>, <<"a">>, <<"e">>], [Name || #{name := Name} <- spans()]),
    #{span_id := A} = named(<<"a">>),
    #{span_id := B} = named(<<"b">>),
    ?assertMatch(#{parent_id := B}, named(<<"c">>)),
    ?assertMatch(#{parent_id := A}, named(<<"b">>)),
    ?assertMatch(#{parent_id := A}, named(<<"d">>)),
    ?assertMatch(#{parent_id := undefined}, named(<<"e">>)).

events(_) ->
    run("with Span('a') as span:\n  span.event('one', n=1)\n  span.event('two', name='x')\nspan.event('late')"),
    #{start_time := Start, end_time := End, events := [One, Two]} = named(<<"a">>),
    #{name := <<"one">>, attributes := #{<<"n">> := 1}, time := At} = One,
    #{name := <<"two">>, attributes := #{<<"name">> := <<"x">>}, time := Later} = Two,
    ?assert(Start =< At andalso At =< Later andalso Later =< End).

status(_) ->
    run("try:\n  with Span('outer'):\n    with Span('inner'): raise ValueError('no')\nexcept ValueError: pass"),
    [
        ?assertMatch(#{status := error, exception := {<<"ValueError">>, <<"no">>}}, named(Name))
     || Name <- [<<"inner">>, <<"outer">>]
    ],
    %% What ends the call ends its spans.
    {error, timeout} = py:exec("import time\nwith erlang.Span('cut'): time.sleep(3600)", #{pool => default, timeout => 100}),
    py_test:until(fun() -> lists:member(<<"cut">>, [Name || #{name := Name} <- spans()]) end),
    ?assertMatch(#{status := error, exception := {<<"Interrupted">>, _}}, named(<<"cut">>)).

%% covers: guarantee:send_before_reply
before_the_answer(_) ->
    run("def one():\n  with Span('x'): pass"),
    ok = py:exec_all("import erlang\ndef one():\n  with erlang.Span('x'): pass"),
    lists:foreach(
        fun(N) ->
            {ok, none} = py:call('__main__', one, []),
            ?assertEqual(N, length(spans()))
        end,
        lists:seq(1, 500)
    ).

%% covers: erlang.trace
decorator(_) ->
    run(
        "@trace()\n"
        "def plain(a, b=2):\n"
        "    'Its text.'\n"
        "    return a + b\n"
        "@trace('other')\n"
        "def named(): return plain(1)\n"
        "@trace\n"
        "def bare(): return named()\n"
        "class C:\n"
        "    @trace()\n"
        "    def method(self): return bare()\n"
        "    @staticmethod\n"
        "    @trace()\n"
        "    def static(): raise KeyError('k')\n"
        "assert C().method() == 3 and plain(2, b=5) == 7\n"
        "assert (plain.__name__, plain.__doc__) == ('plain', 'Its text.')\n"
        "try: C.static()\n"
        "except KeyError: pass\n"
        "import inspect\n"
        "assert str(inspect.signature(plain)) == '(a, b=2)'\n"
    ),
    ?assertEqual(
        [<<"__main__.plain">>, <<"other">>, <<"__main__.bare">>, <<"__main__.C.method">>, <<"__main__.plain">>, <<"__main__.C.static">>],
        [Name || #{name := Name} <- spans()]
    ),
    [#{parent_id := P1}, #{span_id := P1, parent_id := P2}, #{span_id := P2, parent_id := P3}, #{span_id := P3}, _, #{status := error}] = spans().

decorated_coroutines(_) ->
    run(
        "import asyncio, inspect\n"
        "@trace()\n"
        "async def inner(n):\n"
        "    await asyncio.sleep(0.01)\n"
        "    return n\n"
        "@trace('outer')\n"
        "async def outer(): return await inner(1) + await inner(2)\n"
        "assert inspect.iscoroutinefunction(outer)\n"
        "assert asyncio.run(outer()) == 3\n"
    ),
    #{span_id := Outer, duration_us := Micros} = named(<<"outer">>),
    ?assert(Micros >= 20000),
    ?assertEqual([Outer, Outer], [Parent || #{name := <<"__main__.inner">>, parent_id := Parent} <- spans()]),
    %% The same on the worker's own loop.
    ok = py:clear_traces(),
    ok = py:exec_all("import asyncio, erlang\n@erlang.trace('awaited')\nasync def awaited():\n    await asyncio.sleep(0.001)\n    return 5"),
    {ok, 5} = py:call('__main__', awaited, []),
    ?assertMatch(#{status := ok}, named(<<"awaited">>)).

%% Each task has its own nesting, inherited from where it was made.
tasks(_) ->
    run(
        "import asyncio\n"
        "async def work(n):\n"
        "    with Span('task', n=n):\n"
        "        for i in range(3):\n"
        "            await asyncio.sleep(0)\n"
        "            with Span('step', n=n): await asyncio.sleep(0)\n"
        "async def main():\n"
        "    with Span('main'): await asyncio.gather(*(work(n) for n in range(20)))\n"
        "asyncio.run(main())\n"
    ),
    #{span_id := Main} = named(<<"main">>),
    Tasks = maps:from_list([{N, Id} || #{name := <<"task">>, attributes := #{<<"n">> := N}, span_id := Id, parent_id := P} <- spans(), P =:= Main]),
    ?assertEqual(20, map_size(Tasks)),
    Steps = [{N, P} || #{name := <<"step">>, attributes := #{<<"n">> := N}, parent_id := P} <- spans()],
    ?assertEqual(60, length(Steps)),
    [?assertEqual(maps:get(N, Tasks), P) || {N, P} <- Steps].

threads(_) ->
    run(
        "import threading\n"
        "def work(n):\n"
        "    for _ in range(20):\n"
        "        with Span('t', n=n):\n"
        "            with Span('u', n=n): pass\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]\n"
        "with Span('main'):\n"
        "    for t in threads: t.start()\n"
        "    for t in threads: t.join()\n"
    ),
    Outer = maps:from_list([{Id, N} || #{name := <<"t">>, attributes := #{<<"n">> := N}, span_id := Id} <- spans()]),
    Inner = [{P, N} || #{name := <<"u">>, attributes := #{<<"n">> := N}, parent_id := P} <- spans()],
    ?assertEqual({160, 160}, {map_size(Outer), length(Inner)}),
    [?assertEqual(N, maps:get(P, Outer)) || {P, N} <- Inner].

%% A span in a generator that another context closes.
generators(_) ->
    run(
        "import contextvars\n"
        "def items():\n"
        "    with Span('gen'):\n"
        "        yield 1\n"
        "g = items()\n"
        "next(g)\n"
        "contextvars.copy_context().run(g.close)\n"
    ),
    ?assertMatch(#{status := error, exception := {<<"GeneratorExit">>, _}}, named(<<"gen">>)).

odd_values(_) ->
    run(
        "class Bad:\n"
        "    def __str__(self): raise ValueError\n"
        "class Fail(Exception):\n"
        "    def __str__(self): raise ValueError\n"
        "loop = []; loop.append(loop)\n"
        "with Span('bad', v=Bad(), n=1) as s: s.event('e', v=loop)\n"
        "with Span('loop', v=loop): pass\n"
        "with Span('obj', v=object(), none=None, f=1.5, nested={'a': [1, (2,)]}): pass\n"
        "with Span(5): pass\n"
        "with Span('\\ud800', v='\\ud800'): pass\n"
        "try:\n"
        "    with Span('fail'): raise Fail\n"
        "except Fail: pass\n"
    ),
    #{attributes := #{<<"n">> := _, <<"v">> := <<"<Bad>">>}, events := [#{name := <<"e">>}]} = named(<<"bad">>),
    #{attributes := #{<<"v">> := <<"[[...]]">>}} = named(<<"loop">>),
    #{attributes := #{<<"v">> := <<"<object", _/binary>>, <<"none">> := none, <<"f">> := 1.5, <<"nested">> := #{<<"a">> := [1, {2}]}}} = named(<<"obj">>),
    _ = named(<<"5">>),
    _ = named(<<"\\ud800">>),
    #{exception := {<<"Fail">>, <<"<Fail>">>}} = named(<<"fail">>).

toggled(_) ->
    Set = fun(Value) -> ["erlang._tracing = ", Value, "\n"] end,
    run(["with Span('cut'):\n  ", Set("False"), Set("True"), "with Span('after'): pass"]),
    run([Set("False"), "with Span('never'):\n  ", Set("True"), "with Span('on'): pass"]),
    %% One that ends while tracing is off, or began then, is none.
    ?assertEqual([<<"after">>, <<"on">>], [Name || #{name := Name} <- spans()]).

workers_to_come(_) ->
    [py_test:kill("KILL", Pid) || Pid <- py_test:os_pids(default)],
    py_test:whole(default),
    run("with Span('replaced'): pass"),
    {ok, [{ok, none}]} = py:parallel([{builtins, exec, [<<"import erlang\nwith erlang.Span('parallel'): pass">>]}]),
    ?assertEqual([<<"replaced">>, <<"parallel">>], [Name || #{name := Name} <- spans()]).

callers(_) ->
    Parent = self(),
    Pids = [spawn_link(fun() -> run("with Span('c'): pass"), Parent ! {done, self()} end) || _ <- lists:seq(1, 20)],
    [receive {done, Pid} -> ok end || Pid <- Pids],
    ?assertEqual(lists:sort(Pids), lists:sort([Pid || #{pid := Pid} <- spans()])).

%% The last 10000 are kept.
bound(_) ->
    run("for n in range(10500):\n  with Span('b', n=n): pass"),
    ?assertEqual(lists:seq(500, 10499), [N || #{attributes := #{<<"n">> := N}} <- spans()]).

%% Python does not wait for a receiver that is slow, and what waits for it is bounded.
flood(_) ->
    ok = sys:suspend(py_tracer),
    run("for n in range(100000):\n  with Span('f', n=n): pass"),
    {message_queue_len, Waiting} = process_info(whereis(py_tracer), message_queue_len),
    ?assert(Waiting > 1000 andalso Waiting < 100000),
    ok = sys:resume(py_tracer),
    ?assertEqual(10000, length(spans())),
    #{attributes := #{<<"n">> := Last}} = lists:last(spans()),
    ?assertEqual(Waiting - 1, Last),
    ok = py:clear_traces(),
    run("with Span('last'): pass"),
    _ = named(<<"last">>).

hostile_spans(_) ->
    Nonsense = [
        "()", "(1, 2)", "(-1, None, b'n', 0, 0, 0, None, {}, [])", "(1, 'x', b'n', 0, 0, 0, None, {}, [])", "(1, None, b'n', 0, 0, 0, 5, {}, [])",
        "(1, None, b'n', 0.5, 0, 0, None, {}, [])", "(1, None, b'n', 0, 0, 0, None, [], [])", "(1 << 90, None, b'kept', 0, 0, -1, None, {}, [1, (), (b'e', 'x', {})])"
    ],
    [run(["erlang._span(*", Args, ")"]) || Args <- Nonsense],
    [#{name := <<"kept">>, span_id := Id, events := []}] = spans(),
    ?assertEqual(1 bsl 90, Id).

server_dies(_) ->
    run("with Span('kept'): pass"),
    _ = named(<<"kept">>),
    Old = whereis(py_tracer),
    ok = sys:suspend(py_tracer),
    run("for n in range(100000):\n  with Span('lost', n=n): pass"),
    exit(Old, kill),
    py_test:until(fun() -> is_pid(whereis(py_tracer)) andalso whereis(py_tracer) =/= Old end),
    run("for n in range(100):\n  with Span('next', n=n): pass"),
    ?assertEqual([<<"kept">> | lists:duplicate(100, <<"next">>)], [Name || #{name := Name} <- spans()]).

%% A span that is never left does not reach into another request as its own.
unbalanced(_) ->
    run("s = Span('left'); s.__enter__(); s.__exit__(None, None, None); s.__exit__(None, None, None)\nwith s: pass"),
    ?assertEqual([<<"left">>, <<"left">>], [Name || #{name := Name} <- spans()]),
    ?assertEqual(2, length(lists:usort([Id || #{span_id := Id} <- spans()]))).
