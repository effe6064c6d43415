%% Events that handlers are attached to.
-module(py_events_SUITE).

-behaviour(py_events).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(POOL, events).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        attached, refused, not_started, a_module, exceptions, timeouts, of_casts, overloaded, of_workers, recycled, replaced, failing, pools_that_stop,
        failing_handler, detaches_itself, slow_handler, bridge, nothing_attached
    ].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    Config.

end_per_testcase(_Case, _Config) ->
    [ok = py_events:detach(Id) || #{id := Id} <- py_events:list()],
    _ = py_pool:stop_pool(?POOL),
    py_test:settled(),
    drop().

drop() ->
    receive _ -> drop() after 0 -> ok end.

%% A handler that tells its process.
tell(Name, Measurements, Metadata, Pid) ->
    Pid ! {event, Name, Measurements, Metadata}.

%% The behaviour.
handle_event(Name, Measurements, Metadata, {told, Pid}) ->
    tell(Name, Measurements, Metadata, Pid).

attach(Names) ->
    ok = py_events:attach(test, Names, fun ?MODULE:tell/4, self()).

event(Name) ->
    receive
        {event, Name, Measurements, Metadata} -> {Measurements, Metadata}
    after 30000 ->
        ct:fail({no_event, Name})
    end.

pool(Options) ->
    ok = py_pool:start_pool(?POOL, maps:merge(#{num_workers => 1, max_workers => 2}, Options)).

options() ->
    #{pool => ?POOL}.

%% covers: py_events:attach/4, py_events:detach/1, py_events:list/0, py_events:names/0
attached(_) ->
    Names = py_events:names(),
    [] = py_events:list(),
    attach([[py, call, timeout], [py, call, exception]]),
    ok = py_events:attach({any, "term"}, Names, fun ?MODULE:tell/4, other),
    ?assertEqual(
        [
            #{id => test, events => [[py, call, exception], [py, call, timeout]], handler => fun ?MODULE:tell/4, config => self()},
            #{id => {any, "term"}, events => lists:usort(Names), handler => fun ?MODULE:tell/4, config => other}
        ],
        py_events:list()
    ),
    ok = py_events:detach({any, "term"}),
    ?assertEqual({error, not_found}, py_events:detach({any, "term"})),
    [#{id := test}] = py_events:list(),
    ok = py_events:detach(test),
    {error, _} = py:call(math, sqrt, [-1]),
    [] = py_test:mailbox().

%% covers: py_events:attach/4
refused(_) ->
    attach([[py, call, timeout]]),
    Handler = fun ?MODULE:tell/4,
    ?assertEqual({error, already_exists}, py_events:attach(test, [[py, call, exception]], Handler, self())),
    {error, _} = py:call(math, sqrt, [-1]),
    [] = py_test:mailbox(),
    ?assertEqual({error, {unknown_event, [py, call, stop]}}, py_events:attach(other, [[py, call, timeout], [py, call, stop]], Handler, none)),
    [?assertEqual({error, {badarg, events}}, py_events:attach(other, Bad, Handler, none)) || Bad <- [[], none, [[py, call, timeout] | none]]],
    [?assertEqual({error, {badarg, handler}}, py_events:attach(other, [[py, call, timeout]], Bad, none)) || Bad <- [lists, "f", fun(_) -> ok end, 7]],
    [#{id := test, events := [[py, call, timeout]]}] = py_events:list().

%% covers: py_events:attach/4, py_events:detach/1, py_events:list/0
not_started(_) ->
    py_test:stop(),
    ?assertEqual({error, not_started}, py_events:attach(test, py_events:names(), ?MODULE, none)),
    ?assertEqual({error, not_found}, py_events:detach(test)),
    ?assertEqual([], py_events:list()),
    ?assertEqual({error, not_started}, py:call(math, sqrt, [1])),
    ok = py_test:start([{num_workers, 1}]).

%% covers: py_events:attach/4
a_module(_) ->
    ok = py_events:attach(test, [[py, call, exception]], ?MODULE, {told, self()}),
    {error, _} = py:call(math, sqrt, [-1]),
    {#{count := 1}, #{function := sqrt}} = event([py, call, exception]).

%% Every way to wait for an answer, short or long; the calling process runs the handler.
%% covers: py_events:attach/4
exceptions(_) ->
    Self = self(),
    ok = py_events:attach(test, [[py, call, exception]], fun(N, Ms, Md, Pid) -> Pid = self(), tell(N, Ms, Md, Pid) end, self()),
    Raised = {'ValueError', "math domain error"},
    Is = fun() -> {#{count := 1, system_time := _, monotonic_time := _}, #{reason := _, caller := Self} = Metadata} = event([py, call, exception]), Metadata end,
    {error, Raised} = py:call(math, sqrt, [-1]),
    ?assertMatch(#{module := math, function := sqrt, kind := call, pool := default, reason := Raised}, Is()),
    {error, {'ZeroDivisionError', _}} = py:eval("1 / 0"),
    ?assertMatch(#{kind := eval, pool := default}, Is()),
    {error, {'ZeroDivisionError', _}} = py:exec("import time; time.sleep(0.05); 1 / 0"),
    ?assertMatch(#{kind := exec}, Is()),
    {error, Raised} = py:await(py:call_async(math, sqrt, [-1])),
    ?assertMatch(#{reason := Raised}, Is()),
    Big = py:spawn_call(math, sqrt, [-1]),
    py_test:until(fun() -> py_test:mailbox() =/= [] end),
    {error, Raised} = py:await(Big),
    _ = Is(),
    {error, {badarg, _}} = py:eval(17),
    ?assertMatch(#{reason := {badarg, _}}, Is()),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    [] = py_test:mailbox().

%% covers: py_events:attach/4
timeouts(_) ->
    attach([[py, call, timeout], [py, call, exception]]),
    {error, timeout} = py:call(time, sleep, [30], #{}, 20),
    {_, #{function := sleep, pool := default, reason := timeout}} = event([py, call, timeout]),
    {error, timeout} = py:await(py:call_async(time, sleep, [30]), 20),
    {_, #{reason := timeout}} = event([py, call, timeout]),
    [] = py_test:mailbox().

%% covers: py_events:attach/4
of_casts(_) ->
    attach([[py, call, exception]]),
    ok = py:cast(math, sqrt, [-1]),
    {#{count := 1}, #{pool := default, worker := _, kind := cast, reason := {'ValueError', _}}} = event([py, call, exception]).

%% covers: py_events:attach/4
overloaded(_) ->
    attach([[py, pool, overloaded]]),
    ok = py_semaphore:acquire(1000),
    Max = py_semaphore:max_concurrent(),
    ok = py_semaphore:set_max_concurrent(1),
    try
        {error, {overloaded, 1, 1}} = py:call(time, sleep, [30], #{}, 20)
    after
        ok = py_semaphore:set_max_concurrent(Max),
        ok = py_semaphore:release()
    end,
    {#{count := 1, permits := 1, max_permits := 1}, #{function := sleep, pool := default}} = event([py, pool, overloaded]).

%% covers: py_events:attach/4
of_workers(_) ->
    attach([[py, worker, What] || What <- [start, ready, down]]),
    pool(#{}),
    [#{os_pid := OsPid, id := Id}] = [Worker || #{pool := ?POOL} = Worker <- py:workers()],
    {#{duration := _}, #{pool := ?POOL, worker := Id, os_pid := OsPid}} = event([py, worker, start]),
    {#{duration := Start}, #{pool := ?POOL, worker := Id, os_pid := OsPid, restarts := 0}} = event([py, worker, ready]),
    ?assert(Start > 0),
    ok = py_test:kill("KILL", OsPid),
    {#{duration := Life}, #{pool := ?POOL, worker := Id, os_pid := OsPid, reason := exited}} = event([py, worker, down]),
    ?assert(Life > Start),
    {_, #{worker := Id, os_pid := Other}} = event([py, worker, start]),
    {_, #{worker := Id, os_pid := Other, restarts := 1}} = event([py, worker, ready]),
    ?assert(Other =/= OsPid).

%% covers: py_events:attach/4
recycled(_) ->
    attach([[py, worker, recycled], [py, worker, ready], [py, worker, down]]),
    pool(#{max_calls => 5}),
    {_, #{worker := Old}} = event([py, worker, ready]),
    [{ok, 2.0} = py:call(math, sqrt, [4], #{}, options()) || _ <- lists:seq(1, 5)],
    {_, #{worker := New}} = event([py, worker, ready]),
    ?assert(New =/= Old),
    {#{duration := _}, #{worker := Old, cause := max_calls, pool := ?POOL}} = event([py, worker, recycled]),
    {_, #{worker := Old, reason := stopped}} = event([py, worker, down]).

%% A worker with a request that cannot be interrupted, and another that goes on.
%% covers: py_events:attach/4
replaced(_) ->
    attach([[py, worker, replaced], [py, worker, ready]]),
    pool(#{num_executors => 2, kill_grace => 100, preload => <<"
import time
def deaf():
    import erlang
    end = time.monotonic() + 3600
    while time.monotonic() < end:
        try:
            time.sleep(1)
        except erlang.Interrupted:
            pass
">>}),
    {_, #{worker := Old}} = event([py, worker, ready]),
    Other = py:spawn_call(time, sleep, [3600], #{}, #{pool => ?POOL, timeout => infinity}),
    {error, timeout} = py:call('__main__', deaf, [], #{}, #{pool => ?POOL, timeout => 200}),
    {#{duration := _}, #{worker := Old, pool := ?POOL, request := _}} = event([py, worker, replaced]),
    {_, #{worker := New}} = event([py, worker, ready]),
    ?assert(New =/= Old),
    ok = py:cancel(Other).

%% covers: py_events:attach/4
failing(Config) ->
    attach([[py, pool, failing], [py, pool, recovered], [py, worker, down]]),
    Bad = filename:join(proplists:get_value(priv_dir, Config), "bad"),
    pool(#{preload => iolist_to_binary(["import os\nif os.path.exists('", Bad, "'): raise ValueError('not today')"])}),
    ok = file:write_file(Bad, ""),
    [OsPid] = py_test:os_pids(?POOL),
    ok = py_test:kill("KILL", OsPid),
    {_, #{os_pid := OsPid, reason := exited}} = event([py, worker, down]),
    {_, #{reason := start_failed, text := Text}} = event([py, worker, down]),
    {match, _} = re:run(Text, "not today"),
    {#{count := 1}, #{pool := ?POOL}} = event([py, pool, failing]),
    ok = file:delete(Bad),
    {#{count := 1}, #{pool := ?POOL}} = event([py, pool, recovered]).

%% covers: py_events:attach/4
pools_that_stop(_) ->
    attach([[py, worker, down], [py, worker, ready]]),
    pool(#{num_workers => 2}),
    Ids = lists:sort([Id || _ <- [1, 2], {_, #{worker := Id}} <- [event([py, worker, ready])]]),
    ok = py_pool:resize(?POOL, 1),
    {_, #{worker := First, reason := stopped}} = event([py, worker, down]),
    ok = py_pool:stop_pool(?POOL),
    {_, #{worker := Last, reason := stopped}} = event([py, worker, down]),
    ?assertEqual(Ids, lists:sort([First, Last])).

%% A handler of logger.
log(#{msg := {Format, Args}}, #{config := Pid}) when is_list(Args) ->
    Pid ! {logged, unicode:characters_to_binary(io_lib:format(Format, Args))};
log(_, _) ->
    ok.

%% covers: py_events:attach/4
failing_handler(_) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => error, config => self()}),
    try
        ok = py_events:attach(bad, [[py, call, exception]], fun(_, _, _, _) -> error(of_the_test) end, none),
        attach([[py, call, exception]]),
        {error, {'ValueError', _}} = py:call(math, sqrt, [-1]),
        _ = event([py, call, exception]),
        [#{id := test}] = py_events:list(),
        receive {logged, Text} -> {match, _} = re:run(Text, "handler bad of event \\[py,call,exception\\] failed and was detached: error:of_the_test") end,
        {error, {'ValueError', _}} = py:call(math, sqrt, [-1]),
        _ = event([py, call, exception])
    after
        ok = logger:remove_handler(?MODULE)
    end.

%% covers: py_events:detach/1
detaches_itself(_) ->
    Once = fun(Name, Measurements, Metadata, Pid) -> ok = py_events:detach(once), tell(Name, Measurements, Metadata, Pid) end,
    ok = py_events:attach(once, [[py, call, exception], [py, worker, down]], Once, self()),
    ok = py:cast(math, sqrt, [-1]),
    _ = event([py, call, exception]),
    [] = py_events:list().

%% Nobody with duties waits for a handler: workers start and serve while it does not return.
%% covers: py_events:attach/4
slow_handler(_) ->
    Wait = fun(Name, Measurements, Metadata, Pid) ->
        tell(Name, Measurements, Metadata, Pid),
        receive {go, Pid} -> ok end
    end,
    ok = py_events:attach(test, [[py, worker, What] || What <- [start, ready, down]], Wait, self()),
    pool(#{}),
    _ = event([py, worker, start]),
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, options()),
    [OsPid] = py_test:os_pids(?POOL),
    ok = py_test:kill("KILL", OsPid),
    py_test:until(fun() -> py_test:os_pids(?POOL) -- [OsPid] =/= [] end),
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, options()),
    [] = py_test:mailbox(),
    [whereis(py_events) ! {go, self()} || _ <- lists:seq(1, 5)],
    [event([py, worker, What]) || What <- [ready, down, start, ready]].

%% As `telemetry:execute/3' takes it.
%% covers: py_events:attach/4, py_events:names/0
bridge(_) ->
    Self = self(),
    Execute = fun(Event, Measurements, Metadata) when is_list(Event), is_map(Measurements), is_map(Metadata) -> Self ! {executed, Event} end,
    ok = py_events:attach(bridge, py_events:names(), fun(Event, Measurements, Metadata, _) -> Execute(Event, Measurements, Metadata) end, none),
    {error, _} = py:call(math, sqrt, [-1]),
    receive {executed, [py, call, exception]} -> ok end.

%% Without handlers no event is made and none is kept.
%% covers: py_events:attach/4
nothing_attached(_) ->
    pool(#{}),
    ?assertEqual(false, lists:any(fun py_events:wanted/1, py_events:names())),
    1 = erlang:trace(whereis(py_events), true, ['receive']),
    [OsPid] = py_test:os_pids(?POOL),
    ok = py_test:kill("KILL", OsPid),
    py_test:until(fun() -> py_test:os_pids(?POOL) -- [OsPid] =/= [] end),
    ok = py:cast(math, sqrt, [-1]),
    [{error, _} = py:call(math, sqrt, [-1]) || _ <- lists:seq(1, 100)],
    Delivered = erlang:trace_delivered(whereis(py_events)),
    receive {trace_delivered, _, Delivered} -> ok end,
    [] = py_test:mailbox().
