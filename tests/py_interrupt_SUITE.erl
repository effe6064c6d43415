%% py:interrupt/1: erlang.Interrupted in exactly the request that was meant, once.
-module(py_interrupt_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [ends_a_call, only_what_runs, caught_once, caught_again, in_a_callback, in_an_executor, executor_in_a_callback, in_a_coroutine, not_its_neighbour, while_it_ends].

init_per_suite(Config) ->
    ok = py_test:start(),
    ok = py_test:define(code()),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    _ = py:unregister_function(hold),
    py_test:settled().

code() ->
    <<
        "import asyncio, time, erlang\n"
        "def begin(to, how):\n"
        "    erlang.send(to, 'running')\n"
        "    how()\n"
        "def sleep(to): begin(to, lambda: time.sleep(3600))\n"
        "def spin(to):\n"
        "    erlang.send(to, 'running')\n"
        "    while True: pass\n"
        "def hold(to): begin(to, lambda: erlang.call('hold', to))\n"
        "def doze():\n"
        "    while True: time.sleep(0.001)\n"
        "def stubborn(to, hits, *how):\n"
        "    caught = 0\n"
        "    while caught < hits:\n"
        "        try: begin(to, lambda: erlang.call(*how) if how else doze())\n"
        "        except erlang.Interrupted: caught += 1\n"
        "    end = time.monotonic() + 0.5\n"
        "    try:\n"
        "        while time.monotonic() < end: time.sleep(0.001)\n"
        "        for _ in range(3): erlang.state_keys()\n"
        "    except erlang.Interrupted: caught += 100\n"
        "    return caught\n"
        "async def nap(to):\n"
        "    erlang.send(to, 'running')\n"
        "    await asyncio.sleep(3600)\n"
        "async def nap_on(to):\n"
        "    try: await nap(to)\n"
        "    except asyncio.CancelledError: pass\n"
        "    await asyncio.sleep(0.3)\n"
        "    return 'woken'\n"
    >>.

%% Starts a call and waits until the program says that it runs.
start(Function) ->
    start(Function, [self()], #{}).

start(Function, Args, Options) ->
    Ref = py:spawn_call('__main__', Function, Args, #{}, Options#{timeout => infinity}),
    running(),
    Ref.

running() ->
    receive <<"running">> -> ok after 20000 -> ct:fail(not_running) end.

%% covers: py:interrupt/1, error:interrupted
ends_a_call(_) ->
    [
        begin
            Ref = start(Function),
            ok = py:interrupt(Ref),
            ?assertEqual({error, interrupted}, py:await(Ref))
        end
     || Function <- [sleep, spin]
    ],
    %% From another process, and answered as a message.
    Ref = start(sleep),
    Self = self(),
    _ = spawn_link(fun() -> Self ! py:interrupt(Ref) end),
    receive {py_error, Ref, interrupted} -> ok after 20000 -> ct:fail(no_answer) end,
    receive ok -> ok end.

%% covers: py:interrupt/1
only_what_runs(_) ->
    Pool = interrupt_one,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    ok = py:exec(code(), #{pool => Pool}),
    First = start(sleep, [self()], #{pool => Pool}),
    Second = py:spawn_call(math, sqrt, [16], #{}, #{pool => Pool, timeout => infinity}),
    not_running = py:interrupt(Second),
    ok = py:interrupt(First),
    {error, interrupted} = py:await(First),
    {ok, 4.0} = py:await(Second),
    not_running = py:interrupt(First),
    not_running = py:interrupt(Second),
    Refused = py:spawn_call(math, sqrt, [4], #{}, #{pool => no_such_pool}),
    not_running = py:interrupt(Refused),
    {error, {badarg, pool}} = py:await(Refused),
    not_running = py:interrupt(make_ref()),
    ok = py_pool:stop_pool(Pool).

%% covers: py:interrupt/1, erlang.Interrupted
caught_once(_) ->
    Ref = start(stubborn, [self(), 1], #{}),
    ok = py:interrupt(Ref),
    ?assertEqual({ok, 1}, py:await(Ref)).

caught_again(_) ->
    Ref = start(stubborn, [self(), 3], #{}),
    ok = py:interrupt(Ref),
    running(),
    ok = py:interrupt(Ref),
    running(),
    ok = py:interrupt(Ref),
    ?assertEqual({ok, 3}, py:await(Ref)).

%% The Erlang function goes on; Python does not wait for it.
in_a_callback(_) ->
    Self = self(),
    hold(Self),
    Ref = start(hold),
    Pid = receive {holding, P} -> P end,
    ok = py:interrupt(Ref),
    {error, interrupted} = py:await(Ref),
    Pid ! go,
    receive {done, Pid} -> ok end.

hold(Self) ->
    ok = py:register_function(hold, fun(_) ->
        Self ! {holding, self()},
        receive go -> ok end,
        Self ! {done, self()},
        held
    end).

in_an_executor(_) ->
    with_executors(fun(Pool) ->
        %% One is the main thread, which a signal reaches, the other is not.
        Refs = [start(Function, [self()], #{pool => Pool}) || Function <- [spin, spin]],
        [ok = py:interrupt(Ref) || Ref <- Refs],
        ?assertEqual([{error, interrupted}, {error, interrupted}], [py:await(Ref) || Ref <- Refs]),
        Twice = [start(stubborn, [self(), 1], #{pool => Pool}) || _ <- [1, 2]],
        [ok = py:interrupt(Ref) || Ref <- Twice],
        ?assertEqual([{ok, 1}, {ok, 1}], [py:await(Ref) || Ref <- Twice])
    end).

executor_in_a_callback(_) ->
    Self = self(),
    hold(Self),
    with_executors(fun(Pool) ->
        Refs = [start(stubborn, [Self, 2, <<"hold">>, Self], #{pool => Pool}) || _ <- [1, 2]],
        First = [receive {holding, P} -> P end || _ <- Refs],
        [ok = py:interrupt(Ref) || Ref <- Refs],
        Second = [receive {holding, P} -> P end || _ <- Refs],
        [running() || _ <- Refs],
        [ok = py:interrupt(Ref) || Ref <- Refs],
        ?assertEqual([{ok, 2}, {ok, 2}], [py:await(Ref) || Ref <- Refs]),
        [P ! go || P <- First ++ Second],
        [receive {done, P} -> ok end || P <- First ++ Second]
    end).

with_executors(Fun) ->
    Pool = interrupt_two,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, num_executors => 2}),
    ok = py:exec(code(), #{pool => Pool}),
    Fun(Pool),
    ok = py_pool:stop_pool(Pool).

%% covers: py:interrupt/1
in_a_coroutine(_) ->
    Ref = start(nap),
    ok = py:interrupt(Ref),
    {error, interrupted} = py:await(Ref),
    On = start(nap_on),
    ok = py:interrupt(On),
    {ok, <<"woken">>} = py:await(On).

%% covers: guarantee:neighbours
not_its_neighbour(_) ->
    with_executors(fun(Pool) ->
        Lasting = start(spin, [self()], #{pool => Pool}),
        lists:foreach(
            fun(_) ->
                Ref = start(spin, [self()], #{pool => Pool}),
                ok = py:interrupt(Ref),
                {error, interrupted} = py:await(Ref)
            end,
            lists:seq(1, 50)
        ),
        ok = py:interrupt(Lasting),
        {error, interrupted} = py:await(Lasting)
    end).

%% Aimed at requests that end by themselves: each is interrupted or has its value, and the next one is never hit.
while_it_ends(_) ->
    Count = <<"sum(1 for _ in range(3000))">>,
    Ref = fun() -> py:spawn_call(builtins, eval, [Count], #{}, infinity) end,
    lists:foreach(
        fun(_) ->
            R = Ref(),
            Asked = py:interrupt(R),
            case {Asked, py:await(R)} of
                {ok, {error, interrupted}} -> ok;
                {_, {ok, 3000}} -> ok
            end,
            ?assertEqual({ok, 3000}, py:eval(Count))
        end,
        lists:seq(1, 500)
    ).
