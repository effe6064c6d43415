%% What must not grow: nothing is left of callers that are killed at any moment, nor of an application that was stopped.
%% PY_LEAK_CALLERS sets how many callers are killed (default 10000), PY_LEAK_STARTS how often the application starts (default 50).
-module(py_leak_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 300}}].

all() -> [killed_callers, killed_owners, living_caller, restarts].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 2}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

number(Variable, Default) ->
    list_to_integer(os:getenv(Variable, Default)).

define() ->
    ok = py:register_function(echo, fun(Args) -> Args end),
    ok = py:register_function(nap, fun([Time]) -> receive after Time -> ok end end),
    py_test:define(<<"
        import asyncio, gc, os, time
        class Box:
            pass
        def boxes():
            gc.collect()
            return sum(type(o) is Box for o in gc.get_objects())
        async def co(seconds, box=None):
            await asyncio.sleep(seconds)
            return box
        def calling(n):
            import erlang
            box = Box()
            for _ in range(n):
                erlang.nap(1)
            return erlang.echo(1)
        def items(n):
            box = Box()
            for i in range(n):
                yield box if i < 0 else i
        def waiting():
            box = Box()
            while True:
                yield erlang.nap(1)
        async def app(scope, receive, send):
            box = Box()
            if scope['type'] == 'lifespan':
                raise RuntimeError('no lifespan')
            await receive()
            await asyncio.sleep(0.0005)
            await send({'type': 'http.response.start', 'status': 200, 'headers': []})
            for _ in range(3):
                await send({'type': 'http.response.body', 'body': b'piece', 'more_body': True})
            await send({'type': 'http.response.body', 'body': b''})
        def wsgi(environ, start):
            start('200 OK', [])
            return [b'piece'] * 3
        def objects():
            gc.collect()
            return len(gc.get_objects())
    ">>).

nothing_held() ->
    py_health:nothing_held(),
    py_test:until(fun() ->
        Left = {
            lists:sum(py_health:on_workers(<<"boxes()">>)),
            lists:sum(py_health:on_workers(<<"len([t for t in gc.get_objects() if isinstance(t, asyncio.Task) and not t.done()])">>))
        },
        Left =:= {0, 0} orelse {boxes_and_tasks, Left}
    end).

%% covers: guarantee:caller_death, guarantee:nothing_left
killed_callers(_) ->
    ok = define(),
    %% Pool async runs from here on.
    {ok, none} = py:async_await(py:async_call(asyncio, sleep, [0])),
    Before = py_test:os_pids(default),
    ok = storm(500),
    nothing_held(),
    Objects = py_health:on_workers(<<"[os.getpid(), objects()]">>),
    ok = storm(number("PY_LEAK_CALLERS", "10000")),
    nothing_held(),
    After = py_health:on_workers(<<"[os.getpid(), objects()]">>),
    ct:pal("Python objects of each worker before ~p and after ~p", [Objects, After]),
    %% Caches and free lists differ a little. A worker with a request that did not end in time is another one afterwards.
    [?assert(B < A + 1000) || [Pid, A] <- Objects, [Same, B] <- After, Same =:= Pid],
    ?assertEqual(length(Before), length(py_test:os_pids(default))),
    %% Segments of their own are a table of 64: each one that was lost would be missing here.
    Large = binary:copy(<<"x">>, 3000000),
    Refs = [py:call_async(builtins, str, [Large]) || _ <- lists:seq(1, 50)],
    [{ok, Large} = py:await(Ref) || Ref <- Refs],
    {ok, 2.0} = py:call(math, sqrt, [4]).

storm(0) ->
    ok;
storm(Count) ->
    Size = min(Count, 100),
    Callers = [spawn_monitor(fun() -> work(rand:uniform(20)) end) || _ <- lists:seq(1, Size)],
    lists:foreach(
        fun({Pid, _}) ->
            case rand:uniform(4) of
                1 -> receive after 1 -> ok end;
                2 -> erlang:yield();
                _ -> ok
            end,
            exit(Pid, kill)
        end,
        Callers
    ),
    [receive {'DOWN', Monitor, process, _, _} -> ok end || {_, Monitor} <- Callers],
    storm(Count - Size).

%% Callers do this until they are killed.
work(1) -> again(1, py:call(math, sqrt, [16]));
work(2) -> again(2, py:call(time, sleep, [0.001], #{}, infinity));
work(3) -> again(3, py:call('__main__', calling, [3], #{}, infinity));
work(4) -> again(4, py:call(builtins, len, [binary:copy(<<"x">>, 100000)]));
work(5) -> again(5, py:eval(<<"b'x' * 300000">>));
work(6) -> again(6, py:call(builtins, str, [binary:copy(<<"x">>, 2000000)]));
work(7) -> again(7, py:call('__main__', 'Box', [], #{}, #{return => ref}));
work(8) -> again(8, py:eval(<<"[Box(), Box()]">>, #{}, #{unknown => ref}));
work(9) -> again(9, py:call('__main__', co, [0.001], #{}, infinity));
work(10) -> again(10, [py:call_async('__main__', calling, [1]) || _ <- lists:seq(1, 3)]);
work(11) -> again(11, py:exec(<<"time.sleep(0.0005)">>, #{timeout => infinity, pool => default}));
work(12) -> again(12, py_semaphore:acquire(1000));
work(13) -> again(13, [py:async_call(asyncio, sleep, [0.001]) || _ <- lists:seq(1, 5)]);
work(14) -> again(14, py:async_gather([{'__main__', co, [0.001]}, {'__main__', co, [0.002]}, {'__main__', calling, [1]}]));
work(15) -> again(15, py:stream('__main__', items, [5000]));
work(16) -> again(16, [py:stream_start('__main__', items, [100], #{}, #{credit => rand:uniform(4)}) || _ <- lists:seq(1, 5)]);
work(17) -> again(17, taken(py:stream_start('__main__', waiting, [], #{}, #{credit => 2}), 5));
work(18) -> again(18, py_asgi:run('__main__', app, #{path => <<"/">>}, <<"body">>));
work(19) -> again(19, [py_asgi:run_stream('__main__', app, #{path => <<"/">>}, pick([stream, <<"body">>]), #{credit => 1}) || _ <- [1, 2]]);
work(20) -> again(20, py_wsgi:run('__main__', wsgi, #{})).

pick(List) -> lists:nth(rand:uniform(length(List)), List).

%% Takes some items and leaves the stream to itself.
taken({ok, Ref}, N) -> [py:stream_next(Ref) || _ <- lists:seq(1, N)];
taken(Error, _) -> Error.

again(Kind, _) ->
    work(Kind).

%% Owners of bindings and contexts, killed at any moment, give their workers back clean.
%% covers: py:bind/0, py:bind/1, guarantee:nothing_left
killed_owners(_) ->
    Pool = killed_owners,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, max_workers => 3}),
    lists:foreach(
        fun(N) ->
            Owners = [spawn_monitor(fun() -> own(Pool) end) || _ <- lists:seq(1, 4)],
            receive after N rem 8 -> ok end,
            [exit(Pid, kill) || {Pid, _} <- Owners],
            [receive {'DOWN', Monitor, process, _, _} -> ok end || {_, Monitor} <- Owners]
        end,
        lists:seq(1, number("PY_LEAK_CALLERS", "10000") div 100)
    ),
    py_test:until(fun() ->
        #{num_workers := All, available_workers := Available, checked_out := Bound} = Stats = py_pool:get_stats(Pool),
        {All, 0} =:= {Available, Bound} orelse Stats
    end),
    %% Whoever comes next finds nothing of them.
    {ok, false} = py:eval(<<"'secret' in globals()">>, #{}, #{pool => Pool}),
    {ok, Context} = py:bind(#{pool => Pool}),
    {ok, false} = py:ctx_eval(Context, <<"'secret' in globals()">>),
    ok = py:unbind(Context),
    ok = py_pool:stop_pool(Pool).

own(Pool) ->
    case py:bind(#{pool => Pool}) of
        {ok, Context} ->
            ok = py:ctx_exec(Context, <<"secret = 1\nimport time">>),
            {ok, none} = py:ctx_call(Context, time, sleep, [0.001]),
            {ok, {py_object, _}} = py:ctx_call(Context, builtins, list, [], #{}, #{return => ref}),
            _ = py:unbind(Context),
            own(Pool);
        {error, no_workers_available} ->
            own(Pool)
    end.

%% Cancelled and late answers of a process that lives long leave nothing in its mailbox.
living_caller(_) ->
    ok = define(),
    [
        begin
            {ok, none} = py:call(time, sleep, [0.0002]),
            Ref = py:call_async(time, sleep, [0.0002]),
            case N rem 3 of
                0 -> {ok, none} = py:await(Ref);
                1 -> ok = py:cancel(Ref);
                2 -> {error, timeout} = py:await(py:call_async(time, sleep, [10]), 0), {ok, none} = py:await(Ref)
            end
        end
     || N <- lists:seq(1, 600)
    ],
    nothing_held(),
    ?assertEqual([], py_test:mailbox()).

%% The application starts and stops many times in one node.
%% covers: guarantee:nothing_left
restarts(_) ->
    py_test:stop(),
    Files = shared_files(),
    _ = [run_once() || _ <- lists:seq(1, 5)],
    Before = py_health:node_holds(),
    Starts = number("PY_LEAK_STARTS", "50"),
    _ = [run_once() || _ <- lists:seq(1, Starts)],
    py_health:as_before(Before),
    #{rss := RssBefore} = Before,
    #{rss := RssAfter} = py_health:node_holds(),
    ct:pal("~b starts: ~p, then ~b KiB resident", [Starts, Before, RssAfter]),
    %% One incarnation's memory, lost each time, would be more than a hundred times that.
    ?assert(RssAfter - RssBefore < 20000),
    ?assertEqual(Files, shared_files()),
    ok = py_test:start([{num_workers, 2}]).

run_once() ->
    ok = py_test:start([{num_workers, 2}]),
    ok = define(),
    {ok, 4.0} = py:call(math, sqrt, [16]),
    {ok, [1]} = py:call('__main__', calling, [1]),
    {ok, {py_object, _}} = py:call('__main__', 'Box', [], #{}, #{return => ref}),
    {ok, 3000000} = py:call(builtins, len, [binary:copy(<<"x">>, 3000000)]),
    {ok, <<"xx", _/binary>>} = py:eval(<<"b'x' * 3000000">>),
    {ok, none} = py:call('__main__', co, [0]),
    {ok, [none, none]} = py:async_gather([{asyncio, sleep, [0]}, {'__main__', co, [0]}]),
    {ok, [{ok, 2.0}]} = py:parallel([{math, sqrt, [4]}]),
    {ok, [0, 1]} = py:stream('__main__', items, [2]),
    {ok, Parked} = py:stream_start('__main__', items, [10], #{}, #{credit => 1}),
    {ok, 0} = py:stream_next(Parked),
    {ok, {200, [], <<"piecepiecepiece">>}} = py_asgi:run('__main__', app, #{path => <<"/">>}, <<>>),
    ok = py:cancel(Parked),
    Ref = py:call_async(time, sleep, [60]),
    ok = py:state_store(key, value),
    ok = py:cancel(Ref),
    %% As a program would leave it behind.
    ok = py_pool:start_pool(left_behind, #{num_workers => 1}),
    py_test:stop().

shared_files() ->
    lists:sort(filelib:wildcard("/dev/shm/*") ++ filelib:wildcard("/tmp/*erlang_python*")).
