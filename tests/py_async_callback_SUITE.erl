%% Coroutines that call Erlang.
-module(py_async_callback_SUITE).
-compile([export_all, nowarn_export_all]).

-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        erlang_calls, thousands_of_erlang_calls, cancelled_erlang_call, erlang_calls_of_ordinary_workers, erlang_call_asks_again, answers_that_come_at_once
    ].

init_per_suite(Config) ->
    ok = py_test:start([{num_async_workers, 1}]),
    ok = py_test:define(<<"
        import asyncio, threading
        import erlang

        async def double(x, delay=0):
            await asyncio.sleep(delay)
            return 2 * x
    ">>),
    {ok, 4} = py:await(py:async_call('__main__', double, [2])),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py_test:settled(),
    py:unbind().

run(Function, Args) ->
    py:await(py:async_call('__main__', Function, Args)).

%% covers: erlang.async_call
erlang_calls(_) ->
    ok = py:register_function(add, fun([A, B]) -> A + B end),
    ok = py:register_function(fail, fun(_) -> error(on_purpose) end),
    ok = py:register_function(echo, fun([X]) -> X end),
    ok = py_test:define(<<"
        async def adds(a, b):
            return await erlang.async_call('add', a, b)
        async def fails(name):
            try:
                await erlang.async_call(name, 1)
            except RuntimeError as error:
                return str(error)
        async def echoes(value):
            return (await erlang.async_call('echo', value)) == value
        def outside():
            return erlang.async_call('add', 1, 2)
    ">>),
    {ok, 5} = run(adds, [2, 3]),
    {ok, Failed} = run(fails, [<<"fail">>]),
    ?assertNotEqual(nomatch, string:find(Failed, "on_purpose")),
    {ok, <<"Function 'nobody' not registered">>} = run(fails, [<<"nobody">>]),
    {ok, true} = run(echoes, [{bytes, binary:copy(<<255>>, 2000000)}]),
    {ok, true} = run(echoes, [lists:seq(1, 1000)]),
    {error, {'RuntimeError', Text}} = run(outside, []),
    ?assertNotEqual(nomatch, string:find(Text, "erlang.call")),
    [ok = py:unregister_function(Name) || Name <- [add, fail, echo]].

%% Thousands of coroutines wait for Erlang at once, in a few threads of the worker.
thousands_of_erlang_calls(_) ->
    ok = py:register_function(slow_echo, fun([X]) -> receive after 20 -> X end end),
    ok = py_test:define(<<"
        async def ask(n):
            return await erlang.async_call('slow_echo', n)
        async def ask_all(n):
            before = threading.active_count()
            answers = await asyncio.gather(*(ask(i) for i in range(n)))
            return [answers == list(range(n)), threading.active_count() - before]
    ">>),
    {ok, [true, More]} = run(ask_all, [5000]),
    ?assert(More =< 1),
    {ok, Answers} = py:async_gather([{'__main__', ask, [N]} || N <- lists:seq(1, 3000)]),
    ?assertEqual(lists:seq(1, 3000), Answers),
    py:unregister_function(slow_echo).

%% A task that is cancelled gives its call up; what has not been sent is never sent.
cancelled_erlang_call(_) ->
    Self = self(),
    ok = py:register_function(hang, fun([N]) -> Self ! {called, N, self()}, receive stop -> N end end),
    ok = py_test:define(<<"
        async def hangs(n):
            try:
                return await asyncio.wait_for(erlang.async_call('hang', n), 0.2)
            except asyncio.TimeoutError:
                return 'gave up'
        async def short():
            return await erlang.async_call('hang', 0)
    ">>),
    {ok, <<"gave up">>} = run(hangs, [1]),
    Pid = receive {called, 1, P} -> P end,
    Ref = py:async_call('__main__', hangs, [2]),
    Pid2 = receive {called, 2, P2} -> P2 end,
    Pid2 ! stop,
    {ok, 2} = py:await(Ref),
    Pid ! stop,
    {error, timeout} = py:await(py:async_call('__main__', short, []), 200),
    receive {called, 0, P3} -> P3 ! stop end,
    {ok, 4} = run(double, [2]),
    py:unregister_function(hang).

%% An answer that comes before anybody waits for it wakes its coroutine, also while another one waits for long.
answers_that_come_at_once(_) ->
    Self = self(),
    ok = py:register_function(hang, fun([_]) -> Self ! {called, self()}, receive stop -> ok end end),
    ok = py:register_function(echo, fun([X]) -> X end),
    ok = py_test:define(<<"
        async def hangs():
            await erlang.async_call('hang', 0)
        async def quick(n):
            return [await erlang.async_call('echo', i) for i in range(n)]
    ">>),
    Waiting = py:async_call('__main__', hangs, []),
    Hanging = receive {called, Pid} -> Pid end,
    Numbers = lists:seq(0, 9999),
    {ok, Numbers} = run(quick, [length(Numbers)]),
    Hanging ! stop,
    {ok, none} = py:await(Waiting),
    [ok = py:unregister_function(Name) || Name <- [hang, echo]].

%% The loop of an ordinary worker, and one that a function runs itself.
erlang_calls_of_ordinary_workers(_) ->
    ok = py:register_function(add, fun([A, B]) -> A + B end),
    ok = py:exec(<<"
        import asyncio, erlang
        async def adds(a, b):
            values = await asyncio.gather(*(erlang.async_call('add', a, b) for _ in range(50)))
            assert set(values) == {a + b}
            return values[0]
        def own(a, b):
            return asyncio.run(adds(a, b))
    ">>),
    {ok, 5} = run(adds, [2, 3]),
    {ok, 6} = py:call('__main__', own, [3, 3]),
    {ok, 7} = py:call('__main__', adds, [3, 4]),
    py:unregister_function(add).

%% The function asks the very worker whose coroutine waits for it.
erlang_call_asks_again(_) ->
    ok = py:register_function(deeper, fun
        ([0]) -> 0;
        ([N]) -> {ok, V} = py:await(py:async_call('__main__', dive, [N - 1])), V + 1
    end),
    ok = py_test:define(<<"
        async def dive(n):
            return await erlang.async_call('deeper', n)
    ">>),
    {ok, 100} = run(dive, [100]),
    ok = py:exec(<<"
        async def dive(n):
            return await erlang.async_call('deeper', n)
    ">>),
    {ok, 100} = run(dive, [100]),
    {ok, 20} = py:call('__main__', dive, [20]),
    py:unregister_function(deeper).
