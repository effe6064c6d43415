%% The log of slow calls.
-module(py_slow_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(POOL, slow).
-define(LIMIT, 100).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [while_it_runs, stuck_in_c, that_wait, casts, evaluated, each_once, below_the_limit, streams, own_work, two_limits, flood, off, survives, started_late].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => warning, config => self()}),
    ok = py_events:attach(?MODULE, [[py, call, slow]], fun(_, Measurements, Metadata, Pid) -> Pid ! {slow, Measurements, Metadata} end, self()),
    Config.

end_per_testcase(_Case, _Config) ->
    ok = py_events:detach(?MODULE),
    ok = logger:remove_handler(?MODULE),
    _ = py_pool:stop_pool(?POOL),
    _ = py_pool:stop_pool(slower),
    py_test:settled(),
    drop().

drop() ->
    receive _ -> drop() after 0 -> ok end.

%% A handler of logger.
log(#{msg := {Format, Args}, meta := Meta}, #{config := Pid}) when is_list(Args) ->
    Text = unicode:characters_to_binary(io_lib:format(Format, Args)),
    case re:run(Text, "slow") of
        {match, _} -> _ = [Pid ! {request_id, Id} || #{request_id := Id} <- [Meta]], Pid ! {logged, Text};
        nomatch -> ok
    end;
log(_, _) ->
    ok.

code() ->
    <<"
import ctypes, time
KEEPS = ctypes.PyDLL(None)

def outer(seconds):
    return nap(seconds)

def nap(seconds):
    time.sleep(seconds)

def stuck():
    KEEPS.sleep(3600)

def items():
    while True:
        time.sleep(0.01)
        yield 1
">>.

pool(Options) ->
    ok = py_pool:start_pool(?POOL, maps:merge(#{num_workers => 1, max_workers => 1, slow_call => ?LIMIT, preload => code()}, Options)).

options() ->
    #{pool => ?POOL, timeout => infinity}.

start(Function, Args) ->
    py:spawn_call('__main__', Function, Args, #{}, options()).

logged() ->
    receive {logged, Text} -> Text after 30000 -> ct:fail(not_logged) end.

event() ->
    receive {slow, Measurements, Metadata} -> {Measurements, Metadata} after 30000 -> ct:fail(no_event) end.

%% Whatever was to be said of what went before has been said: a call of another pool came over its limit later.
fence() ->
    Pool = slower,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, slow_call => ?LIMIT}),
    ok = py:exec("import time; time.sleep(0.5)", #{pool => Pool}),
    fence(Pool, [], []).

fence(Pool, Texts, Events) ->
    receive
        {logged, Text} ->
            fence(Pool, [Text || nomatch <- [binary:match(Text, <<"pool slower">>)]] ++ Texts, Events);
        {slow, _, #{pool := Pool}} ->
            ok = py_pool:stop_pool(Pool),
            {lists:reverse(Texts), lists:reverse(Events)};
        {slow, Measurements, Metadata} ->
            fence(Pool, Texts, [{Measurements, Metadata} | Events])
    after 30000 ->
        ct:fail(no_fence)
    end.

%% While it still runs, with what it does.
%% covers: config:slow_call
while_it_runs(_) ->
    pool(#{}),
    [#{id := Id}] = [Worker || #{pool := ?POOL} = Worker <- py:workers()],
    ok = logger:set_process_metadata(#{request_id => <<"F1x7">>}),
    Ref = start(outer, [3600]),
    Expected = io_lib:format(
        "^slow call in worker ~b of pool slow: __main__\\.outer, called by ~s, runs for [0-9]+ ms \\(slow_call is 100\\)\n"
        "    .*:9 in nap\n    .*:6 in outer$",
        [Id, pid_to_list(self())]
    ),
    {match, _} = re:run(logged(), Expected),
    receive {request_id, RequestId} -> ?assertEqual(<<"F1x7">>, RequestId) after 0 -> ct:fail(no_metadata) end,
    ok = logger:unset_process_metadata(),
    Self = self(),
    {#{duration := Duration, system_time := _, monotonic_time := _}, Metadata} = event(),
    ?assertMatch(
        #{
            pool := ?POOL, worker := Id, caller := Self, kind := call, function := <<"__main__.outer">>, started := true,
            stack := [#{function := <<"nap">>, line := 9}, #{function := <<"outer">>, line := 6}]
        },
        Metadata
    ),
    ?assert(erlang:convert_time_unit(Duration, native, millisecond) >= ?LIMIT),
    true = py_nif:in_flight(Ref),
    ok = py:cancel(Ref).

%% Where Python's lock is kept, too.
%% covers: config:slow_call
stuck_in_c(_) ->
    pool(#{kill_grace => 500}),
    Ref = start(stuck, []),
    {match, _} = re:run(logged(), "__main__\\.stuck, .* runs for [0-9]+ ms .*\n    .*:12 in stuck$"),
    {_, #{stack := [#{function := <<"stuck">>}]}} = event(),
    ok = py:cancel(Ref).

%% A call that waits behind another is as late for its caller.
%% covers: config:slow_call
that_wait(_) ->
    pool(#{}),
    First = start(nap, [3600]),
    {_, #{started := true}} = event(),
    Second = start(outer, [3600]),
    {#{duration := _}, #{started := false, stack := [], function := <<"__main__.outer">>}} = event(),
    _ = logged(),
    {match, _} = re:run(logged(), "__main__\\.outer, called by .*, waits for [0-9]+ ms"),
    ok = py:cancel(Second),
    ok = py:cancel(First).

%% covers: config:slow_call
casts(_) ->
    pool(#{}),
    ok = py:cast('__main__', nap, [0.5], #{}, #{pool => ?POOL}),
    {_, #{caller := undefined, function := <<"__main__.nap">>}} = event(),
    {match, _} = re:run(logged(), "__main__\\.nap, a cast, runs for").

%% Code is on one line.
%% covers: config:slow_call
evaluated(_) ->
    pool(#{}),
    ok = py:exec("import time\ntime.sleep(0.5)", #{pool => ?POOL}),
    {_, #{kind := exec, function := <<"import time\ntime.sleep(0.5)">>}} = event(),
    {match, _} = re:run(logged(), "exec of <<\"import time\\\\ntime.sleep\\(0.5\\)\">>, called by"),
    Coroutine = <<"__import__('asyncio').sleep(0.5)">>,
    {ok, none} = py:eval(Coroutine, #{}, options()),
    {_, #{kind := eval, function := Coroutine}} = event().

%% covers: config:slow_call
each_once(_) ->
    pool(#{num_executors => 3}),
    Refs = [start(nap, [1.5]) || _ <- [1, 2, 3]],
    [{ok, none} = py:await(Ref) || Ref <- Refs],
    {Texts, Events} = fence(),
    ?assertEqual(3, length(Texts)),
    ?assertEqual(3, length(lists:usort([Id || {_, #{request := Id}} <- Events]))),
    ?assertEqual(3, length(Events)).

%% covers: config:slow_call
below_the_limit(_) ->
    pool(#{slow_call => 60000}),
    [{ok, none} = py:call('__main__', nap, [0.3], #{}, options()) || _ <- [1, 2, 3]],
    ?assertEqual({[], []}, fence()).

%% A stream takes as long as its consumer.
%% covers: config:slow_call
streams(_) ->
    pool(#{}),
    {ok, Ref} = py:stream_start('__main__', items, [], #{}, #{pool => ?POOL, credit => 2}),
    {[], []} = fence(),
    ok = py:stream_cancel(Ref).

%% What the node asks for itself.
%% covers: config:slow_call
own_work(_) ->
    pool(#{preload => <<"import time; time.sleep(0.5)">>}),
    ?assertEqual({[], []}, fence()).

%% covers: config:slow_call
two_limits(_) ->
    pool(#{}),
    ok = py_pool:start_pool(slower, #{num_workers => 1, slow_call => 600}),
    Late = py:spawn_call(time, sleep, [3600], #{}, #{pool => slower, timeout => infinity}),
    Soon = start(nap, [3600]),
    {#{duration := First}, #{pool := ?POOL}} = event(),
    {#{duration := Second}, #{pool := slower}} = event(),
    [Ms1, Ms2] = [erlang:convert_time_unit(D, native, millisecond) || D <- [First, Second]],
    ?assert(Ms1 >= ?LIMIT andalso Ms2 >= 600),
    ok = py:cancel(Late),
    ok = py:cancel(Soon).

%% Each is an event; of many at once the log has some and the number of the others.
%% covers: config:slow_call
flood(_) ->
    pool(#{}),
    ok = sys:suspend(py_slow),
    Refs = [start(nap, [3600]) || _ <- lists:seq(1, 200)],
    py_test:until(fun() -> length(py_nif:oldest_requests(?LIMIT, infinity, 1000)) =:= 200 end),
    ok = sys:resume(py_slow),
    Seen = [event() || _ <- Refs],
    ?assertEqual(200, length(lists:usort([Id || {_, #{request := Id}} <- Seen]))),
    ?assertEqual(10, all_logged(200, 0, 0)),
    lists:foreach(fun py:cancel/1, Refs).

all_logged(Total, Told, Counted) when Told + Counted < Total ->
    case re:run(logged(), "^([0-9]+) more calls have come over slow_call", [{capture, all_but_first, list}]) of
        {match, [More]} -> all_logged(Total, Told, Counted + list_to_integer(More));
        nomatch -> all_logged(Total, Told + 1, Counted)
    end;
all_logged(Total, Told, Counted) when Told + Counted =:= Total ->
    Told.

%% Without the option nobody looks.
%% covers: config:slow_call
off(_) ->
    ok = py_pool:start_pool(?POOL, #{num_workers => 1, preload => code()}),
    #{slow_call := infinity} = py_pool:spec(?POOL),
    {ok, none} = py:call('__main__', nap, [0.3], #{}, options()),
    ?assertEqual({[], []}, fence()),
    %% The other pool has gone with its limit.
    py_test:until(fun() -> element(2, sys:get_state(py_slow)) =:= none end).

%% covers: config:slow_call
survives(_) ->
    pool(#{}),
    Old = whereis(py_slow),
    exit(Old, kill),
    py_test:until(fun() -> is_pid(whereis(py_slow)) andalso whereis(py_slow) =/= Old end),
    Ref = start(nap, [3600]),
    _ = event(),
    ok = py:cancel(Ref).

%% What is over the limit already is found by the first look, too.
%% covers: config:slow_call
started_late(_) ->
    pool(#{}),
    ok = sys:suspend(py_slow),
    Ref = start(nap, [3600]),
    py_test:until(fun() -> [old || #{age_ms := Age} <- py_nif:oldest_requests(0, infinity, 10), Age > 3 * ?LIMIT] =/= [] end),
    ok = sys:resume(py_slow),
    {#{duration := Duration}, _} = event(),
    ?assert(erlang:convert_time_unit(Duration, native, millisecond) > 3 * ?LIMIT),
    ok = py:cancel(Ref).
