%% Streams of asynchronous generators, on the event loop of ordinary workers and of those of kind async.
-module(py_async_stream_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-import(py_stream_SUITE, [rest/1, streams/1, seen/1, until_seen/2, drop_items/1]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        collect, coroutine_of_iterator, bound, in_pool_async, errors, credit_is_exact, messages,
        cancel_parked, cancel_running, consumer_dies, deadline, closing_fails, swallowed_cancellation,
        unsupported_item, close_of_iterators, two_on_one_loop, calls_go_on, endless_is_fair, calls_erlang,
        thousand_parked, random_cancels, worker_dies, many_items
    ].

init_per_suite(Config) ->
    ok = py_stream_code:start(),
    Config.

init_per_testcase(_Case, Config) ->
    ok = py:exec(<<"log.clear()">>, #{pool => watched}),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py:unbind(),
    py_test:settled(),
    streams(0).

%% covers: py:stream/3, py:stream/4, py:stream_eval/1
collect(_) ->
    {ok, [0, 1, 2]} = py:stream('__main__', anumbers, [3]),
    {ok, [0, 1]} = py:stream('__main__', anumbers, [], #{n => 2}),
    {ok, []} = py:stream('__main__', anumbers, [0]),
    {ok, Items} = py:stream('__main__', anumbers, [5000], [], 60000),
    ?assertEqual(lists:seq(0, 4999), Items),
    {ok, [0, 1, 2, 3]} = py:stream_eval(<<"anumbers(4)">>).

coroutine_of_iterator(_) ->
    [{ok, [0, 1, 2]} = py:stream('__main__', opens, [3, Kind]) || Kind <- [async, sync]],
    {ok, [3]} = py:stream('__main__', opens, [3, value]),
    {error, {'KeyError', _}} = py:stream('__main__', opens, [3, nothing]).

bound(_) ->
    ok = py:bind(),
    ok = py:exec(<<"async def mine():\n    yield 1\n    yield 2\n">>),
    {ok, [1, 2]} = py:stream_eval(<<"mine()">>),
    {ok, Ref} = py:stream_eval_start(<<"mine()">>, #{}, #{credit => 1}),
    [1, 2] = rest(Ref),
    ok = py:unbind().

%% The loop is that of the main thread there.
in_pool_async(_) ->
    Opts = #{pool => async, credit => 2},
    ok = py:exec(async_code(), #{pool => async}),
    {ok, Ref} = py:stream_eval_start(<<"on_main(20)">>, #{}, Opts),
    ?assertEqual([true || _ <- lists:seq(1, 20)], rest(Ref)),
    {ok, Parked} = py:stream_eval_start(<<"on_main(20)">>, #{}, Opts),
    {ok, true} = py:stream_next(Parked),
    {ok, 3} = py:eval(<<"1 + 2">>, #{}, #{pool => async}),
    ok = py:stream_cancel(Parked),
    py_test:until(fun() -> {ok, 2} =:= py:eval(<<"ends">>, #{}, #{pool => async}) end).

async_code() ->
    <<"
        import asyncio, threading
        ends = 0
        async def on_main(n):
            global ends
            try:
                for i in range(n):
                    await asyncio.sleep(0)
                    yield threading.current_thread() is threading.main_thread()
            finally:
                ends += 1
    ">>.

errors(_) ->
    {error, {'ValueError', "no more"}} = py:stream('__main__', afailing, [3]),
    {ok, Ref} = py:stream_start('__main__', afailing, [2], #{}, #{credit => 1}),
    [0, 1, {error, {'ValueError', "no more"}}] = rest_and_error(Ref),
    done = py:stream_next(Ref).

rest_and_error(Ref) ->
    case py:stream_next(Ref) of
        {ok, Item} -> [Item | rest_and_error(Ref)];
        Other -> [Other]
    end.

%% covers: py:stream_start/5, py:stream_next/1
credit_is_exact(_) ->
    {ok, Ref} = py:stream_start('__main__', anumbers, [50, exact], #{}, #{credit => 4, pool => watched}),
    py_stream_SUITE:ahead(Ref, 4, 0),
    ok = py:stream_cancel(Ref),
    until_seen(exact, <<"end">>).

%% covers: py:stream_credit/2
messages(_) ->
    {ok, Ref} = py:stream_start('__main__', anumbers, [3], #{}, #{credit => 2}),
    receive {py_chunk, Ref, 0} -> ok end,
    receive {py_chunk, Ref, 1} -> ok end,
    ok = py:stream_credit(Ref, 1),
    receive {py_chunk, Ref, 2} -> ok end,
    ok = py:stream_credit(Ref, infinity),
    receive {py_end, Ref} -> ok end.

%% covers: py:stream_cancel/1
cancel_parked(_) ->
    {ok, Ref} = py:stream_start('__main__', anumbers, [100, parked], #{}, #{credit => 1, pool => watched}),
    receive {py_chunk, Ref, 0} -> ok end,
    ok = py:stream_cancel(Ref),
    done = py:stream_next(Ref),
    until_seen(parked, <<"end">>).

cancel_running(_) ->
    {ok, Ref} = py:stream_start('__main__', asleeping, [running], #{}, #{pool => watched}),
    until_seen(running, <<"sleeps">>),
    ok = py:cancel(Ref),
    until_seen(running, <<"end">>).

consumer_dies(_) ->
    Consumers = [
        py_stream_SUITE:consumer(asleeping, [dies])
        | [py_stream_SUITE:consumer(anumbers, [100, N]) || N <- lists:seq(1, 20)]
    ],
    until_seen(dies, <<"sleeps">>),
    [
        begin
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, killed} -> ok end
        end
     || {Pid, Monitor} <- Consumers
    ],
    [until_seen(Name, <<"end">>) || Name <- [<<"dies">> | lists:seq(1, 20)]].

deadline(_) ->
    {ok, Ref} = py:stream_start('__main__', asleeping, [deadline], #{}, #{timeout => 200, pool => watched}),
    receive {py_error, Ref, timeout} -> ok end,
    receive {py_chunk, Ref, 1} -> ok end,
    until_seen(deadline, <<"end">>),
    {ok, Parked} = py:stream_start('__main__', anumbers, [9, late], #{}, #{timeout => 200, credit => 1, pool => watched}),
    receive {py_error, Parked, timeout} -> ok end,
    receive {py_chunk, Parked, 0} -> ok end,
    until_seen(late, <<"end">>),
    {error, timeout} = py:stream('__main__', asleeping, [collects], #{}, #{timeout => 200, pool => watched}),
    until_seen(collects, <<"end">>).

closing_fails(_) ->
    ok = logger:add_handler(?MODULE, py_stream_SUITE, #{config => self()}),
    [
        begin
            {ok, Ref} = py:stream_start('__main__', F, [], #{}, #{credit => 1, pool => watched}),
            {ok, 1} = py:stream_next(Ref),
            ok = py:stream_cancel(Ref),
            receive {logged, Text} -> ?assertNotEqual(nomatch, string:find(Text, Expected)) end
        end
     || {F, Expected} <- [{abad_end, "in finally"}, {ano_end, "ignored GeneratorExit"}]
    ],
    ok = logger:remove_handler(?MODULE).

%% A generator that catches its cancellation and goes on is closed at its next item.
swallowed_cancellation(_) ->
    {ok, Ref} = py:stream_start('__main__', astubborn, [stubborn], #{}, #{credit => infinity, pool => watched}),
    until_seen(stubborn, <<"sleeps">>),
    ok = py:stream_cancel(Ref),
    until_seen(stubborn, <<"end">>).

unsupported_item(_) ->
    {ok, Ref} = py:stream_start('__main__', aodd, [odd], #{}, #{unknown => error, pool => watched}),
    {ok, 1} = py:stream_next(Ref),
    {error, {unsupported_object, _}} = py:stream_next(Ref),
    [<<"end">>] = seen(odd).

close_of_iterators(_) ->
    {ok, Ref} = py:stream_start('__main__', 'Closes', [closes], #{}, #{pool => watched}),
    {ok, 1} = py:stream_next(Ref),
    ok = py:stream_cancel(Ref),
    until_seen(closes, <<"closed">>).

%% Each waits for the other at every item.
two_on_one_loop(_) ->
    Opts = #{pool => single, credit => 1},
    {ok, A} = py:stream_start('__main__', ameeting, [a, b], #{}, Opts),
    {ok, B} = py:stream_start('__main__', ameeting, [b, a], #{}, Opts),
    [begin {ok, N} = py:stream_next(A), {ok, N} = py:stream_next(B) end || N <- lists:seq(0, 4)],
    [done = py:stream_next(Ref) || Ref <- [A, B]].

%% One that waits, and one that is parked, hold no executor.
calls_go_on(_) ->
    Opts = #{pool => single},
    {ok, Waits} = py:stream_start('__main__', asleeping, [goes_on], #{}, Opts),
    {ok, Parked} = py:stream_start('__main__', anumbers, [20], #{}, Opts#{credit => 1}),
    {ok, 1} = py:stream_next(Waits),
    [{ok, 3} = py:eval(<<"1 + 2">>, #{}, Opts) || _ <- lists:seq(1, 100)],
    ?assertEqual(lists:seq(0, 19), rest(Parked)),
    ok = py:stream_cancel(Waits).

%% An endless one that never waits leaves turns to others of its loop.
endless_is_fair(_) ->
    ok = py:exec(<<"async def endless():\n    while True:\n        yield 0\n">>, #{pool => single}),
    {Pid, Monitor} = spawn_monitor(fun() ->
        {ok, Ref} = py:stream_eval_start(<<"endless()">>, #{}, #{credit => infinity, pool => single}),
        ok = py_stream_SUITE:take(Ref, infinity)
    end),
    streams(1),
    [{ok, [0, 1]} = py:stream('__main__', anumbers, [2], #{}, #{pool => single}) || _ <- lists:seq(1, 20)],
    streams(1),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, killed} -> ok end.

calls_erlang(_) ->
    ok = py:register_function(double, fun([N]) -> 2 * N end),
    {ok, Ref} = py:stream_start('__main__', acalling, [10], #{}, #{credit => 2}),
    ?assertEqual([2 * N || N <- lists:seq(0, 9)], rest(Ref)),
    ok = py:unregister_function(double).

thousand_parked(_) ->
    Refs = [
        begin
            {ok, Ref} = py:stream_start('__main__', anumbers, [3], #{}, #{credit => 1, pool => single}),
            Ref
        end
     || _ <- lists:seq(1, 1000)
    ],
    streams(1000),
    [{ok, 0} = py:stream_next(Ref) || Ref <- Refs],
    {Ended, Cancelled} = lists:split(500, Refs),
    [[1, 2] = rest(Ref) || Ref <- Ended],
    [ok = py:stream_cancel(Ref) || Ref <- Cancelled],
    streams(0).

%% Cancelled at any moment, every generator ends and no message comes afterwards.
random_cancels(_) ->
    lists:foreach(
        fun(N) ->
            {ok, Ref} = py:stream_start('__main__', anumbers, [N rem 40, N], #{}, #{credit => 1 + N rem 30, pool => watched}),
            _ = N rem 4 >= 2 andalso [_ = py:stream_next(Ref) || _ <- lists:seq(1, N rem 7)],
            ok = py:stream_cancel(Ref)
        end,
        lists:seq(1, 1000)
    ),
    py_test:settled(),
    streams(0),
    [] = py_test:mailbox(),
    Code = <<"sorted({n for n, w in log if w == 0} - {n for n, w in log if w == 'end'})">>,
    {ok, []} = py:eval(Code, #{}, #{pool => watched}).

worker_dies(_) ->
    {ok, Parked} = py:stream_start('__main__', anumbers, [100], #{}, #{credit => 2, pool => single}),
    {ok, Running} = py:stream_start('__main__', asleeping, [dies], #{}, #{pool => single}),
    {ok, 0} = py:stream_next(Parked),
    {ok, 1} = py:stream_next(Running),
    [OsPid] = py_test:os_pids(single),
    py_test:kill("KILL", OsPid),
    [{error, {worker_down, _}} = drop_items(Ref) || Ref <- [Parked, Running]],
    py_test:until(fun() -> [OsPid] =/= py_test:os_pids(single) end),
    py_test:whole(single),
    {ok, [0, 1]} = py:stream('__main__', anumbers, [2], #{}, #{pool => single}).

many_items(_) ->
    {ok, Ref} = py:stream_start('__main__', anumbers, [100000], #{}, #{credit => 1000}),
    ?assertEqual(100000 * 99999 div 2, py_stream_SUITE:sum(Ref, 0)).
