%% Many coroutines at once, and the items of asynchronous generators.
-module(py_gather_SUITE).
-compile([export_all, nowarn_export_all]).

-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        gather, gather_side_by_side, gather_failure, gather_exceptions, gather_out_of_time, gather_many, gather_tied, gather_worker_death,
        stream
    ].

init_per_suite(Config) ->
    ok = py_test:start([{num_async_workers, 1}]),
    ok = py_test:define(<<"
        import asyncio

        started = []
        log = []

        async def double(x, delay=0):
            await asyncio.sleep(delay)
            return 2 * x

        async def note(n):
            started.append(n)
            while len(started) < 1000:
                await asyncio.sleep(0.01)
            return n

        async def forever(name):
            try:
                await asyncio.sleep(3600)
            except BaseException as error:
                log.append((name, type(error).__name__))
                raise
    ">>),
    {ok, 4} = py:await(py:async_call('__main__', double, [2])),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py_test:settled(),
    py:unbind().

worker() ->
    [Pid] = py_test:os_pids(async),
    Pid.

fetch(Name) ->
    py:eval(Name, #{}, #{pool => async}).

clear() ->
    {ok, _} = py:eval(<<"[started.clear(), log.clear()]">>, #{}, #{pool => async}).

%% covers: py:async_gather/1,2
gather(_) ->
    {ok, []} = py:async_gather([]),
    {ok, [none, 4.0, 6]} = py:async_gather([{asyncio, sleep, [0]}, {math, sqrt, [16]}, {'__main__', double, [3], #{delay => 0.01}}]),
    {ok, [nil]} = py:async_gather([{asyncio, sleep, [0]}], #{none => nil}),
    {ok, Numbers} = py:async_gather([{'__main__', double, [N, (N rem 7) / 1000]} || N <- lists:seq(1, 500)]),
    ?assertEqual([2 * N || N <- lists:seq(1, 500)], Numbers),
    {error, {badarg, calls}} = py:async_gather(nonsense),
    {error, {badarg, nonsense}} = py:async_gather([{asyncio, sleep, [0]}, nonsense]),
    {error, {badarg, _}} = py:async_gather([{asyncio, sleep, nonsense}]),
    {error, {bad_option, colour}} = py:async_gather([], #{colour => red}),
    {error, {bad_option, return_exceptions}} = py:async_gather([], #{return_exceptions => maybe}).

%% covers: py:async_gather/1
gather_side_by_side(_) ->
    clear(),
    {ok, Numbers} = py:async_gather([{'__main__', note, [N]} || N <- lists:seq(1, 1000)]),
    ?assertEqual(lists:seq(1, 1000), Numbers),
    {Time, {ok, _}} = py_test:timed(fun() -> py:async_gather([{asyncio, sleep, [1]} || _ <- lists:seq(1, 1000)]) end),
    ct:pal("1000 x asyncio.sleep(1): ~b ms", [Time]),
    ?assert(Time < 20000, Time).

%% The first failure is that of the whole; the others are cancelled.
gather_failure(_) ->
    clear(),
    Calls = [{'__main__', forever, [N]} || N <- lists:seq(1, 5)] ++ [{math, sqrt, [-1]}],
    {error, {'ValueError', _}} = py:async_gather(Calls),
    py_test:until(fun() -> {ok, Log} = fetch(<<"log">>), lists:sort(Log) =:= [{N, <<"CancelledError">>} || N <- lists:seq(1, 5)] end).

%% covers: py:async_gather/2
gather_exceptions(_) ->
    Calls = [{asyncio, sleep, [0.01, 1]}, {math, sqrt, [-1]}, {'__main__', double, [2]}, nonsense],
    {ok, [{ok, 1}, {error, {'ValueError', _}}, {ok, 4}, {error, {badarg, nonsense}}]} =
        py:async_gather(Calls, #{return_exceptions => true}),
    {error, {'ValueError', _}} = py:async_gather(lists:droplast(Calls), #{return_exceptions => false}).

gather_out_of_time(_) ->
    clear(),
    Calls = [{asyncio, sleep, [0]} | [{'__main__', forever, [N]} || N <- lists:seq(1, 3)]],
    {Time, {error, timeout}} = py_test:timed(fun() -> py:async_gather(Calls, 300) end),
    ?assert(Time < 10000),
    {error, timeout} = py:async_gather(Calls, #{timeout => 100, return_exceptions => true}),
    py_test:until(fun() -> {ok, Log} = fetch(<<"log">>), length(Log) =:= 6 end).

%% More at once than the ring or the semaphore has room for.
gather_many(_) ->
    {ok, Numbers} = py:async_gather([{asyncio, sleep, [0.5, N]} || N <- lists:seq(1, 20000)], 100000),
    ?assertEqual(lists:seq(1, 20000), Numbers).

gather_tied(_) ->
    ok = py:exec(<<"here = 'tied'\nasync def where():\n    return here\n">>),
    {ok, [<<"tied">>, <<"tied">>]} = py:async_gather([{'__main__', where, []}, {'__main__', where, []}]).

gather_worker_death(_) ->
    Pid = worker(),
    Self = self(),
    _ = spawn_link(fun() -> Self ! {gathered, py:async_gather([{asyncio, sleep, [3600]} || _ <- lists:seq(1, 100)])} end),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(async)) =:= 100 end),
    ok = py_test:kill("KILL", Pid),
    receive {gathered, Result} -> {error, {worker_down, _}} = Result end,
    {ok, [none]} = py:async_gather([{asyncio, sleep, [0]}]).

%% covers: py:async_stream/3,4
stream(_) ->
    ok = py_test:define(<<"
        async def numbers(n, step=1):
            for i in range(0, n, step):
                await asyncio.sleep(0)
                yield i
        async def late(n):
            await asyncio.sleep(0)
            return numbers(n)
        async def breaks():
            yield 1
            raise ValueError('broken')
        async def plain():
            return 5
    ">>),
    {ok, [0, 1, 2, 3]} = py:async_stream('__main__', numbers, [4]),
    {ok, [0, 3, 6, 9]} = py:async_stream(<<"__main__">>, "numbers", [10], #{step => 3}),
    {ok, [0, 3]} = py:async_stream('__main__', numbers, [4], [{step, 3}]),
    {ok, Numbers} = py:async_stream('__main__', numbers, [20000]),
    ?assertEqual(lists:seq(0, 19999), Numbers),
    {ok, [0, 1]} = py:async_stream('__main__', late, [2]),
    {ok, [5]} = py:async_stream('__main__', plain, []),
    {error, {'ValueError', "broken"}} = py:async_stream('__main__', breaks, []),
    {error, {'ModuleNotFoundError', _}} = py:async_stream(no_such_module, f, []),
    {error, {badarg, args}} = py:async_stream('__main__', numbers, nonsense),
    {error, {badarg, kwargs}} = py:async_stream('__main__', numbers, [1], nonsense).
