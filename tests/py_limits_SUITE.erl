%% What a worker may use: memory_limit ends it, RLIMIT_DATA refuses single allocations; what counts, and what does not.
-module(py_limits_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(MIB, 1048576).
-define(LIMIT, 96).
%% Over the limit, and within RLIMIT_DATA.
-define(OVER, 130).
%% Far below the times of the calls that only the watchdog ends.
-define(AT_ONCE, 10000).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        over_limit, slowly_over_limit, absurd_allocation, address_space, arrays, children, children_in_own_sessions, shared_pages_count_once,
        segments_do_not_count, shared_memory_counts, lock_kept, stopped, without_requests, at_start, neighbours, idle, first_for_the_killer
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(Case, Config) ->
    [{pool, Case} | Config].

end_per_testcase(Case, _Config) ->
    _ = py_pool:stop_pool(Case),
    [] = py_test:mailbox(),
    ok.

start(Config) ->
    start(Config, #{}).

start(Config, Options) ->
    Pool = proplists:get_value(pool, Config),
    ok = py_pool:start_pool(Pool, maps:merge(#{num_workers => 1, memory_limit => ?LIMIT * ?MIB}, Options)),
    Pool.

exec(Code, Pool) ->
    exec(Code, Pool, #{}).

exec(Code, Pool, More) ->
    Values = More#{'MIB' => ?MIB, 'OVER' => ?OVER * ?MIB},
    py:call(builtins, exec, [{str, Code}, Values], #{}, #{pool => Pool, timeout => 60000}).

%% The code ends the worker for its memory, which is replaced.
ended(Code, Pool) ->
    [OsPid] = py_test:os_pids(Pool),
    {Time, Result} = py_test:timed(fun() -> exec(Code, Pool) end),
    ct:log("~b ms", [Time]),
    ?assertEqual({error, {worker_down, memory_limit}}, Result),
    ?assert(Time < ?AT_ONCE),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => Pool}),
    [#{last_error := Error, restarts := 1}] = [W || #{pool := P} = W <- py:workers(), P =:= Pool],
    ?assertNotEqual(nomatch, string:find(Error, "memory_limit of 96 MiB")),
    py_test:until(fun() -> not py_test:alive(OsPid) end).

%% covers: config:memory_limit
over_limit(Config) ->
    ended(<<"x = bytearray(b'x') * OVER\nimport time\ntime.sleep(60)">>, start(Config)).

%% covers: config:memory_limit
slowly_over_limit(Config) ->
    ended(<<"import time\nx = []\nwhile len(x) < OVER // MIB:\n    x.append(bytearray(b'x') * MIB)\n    time.sleep(0.005)\ntime.sleep(60)">>, start(Config)).

%% What no limit above the resident memory would stop is refused, and nothing has happened.
%% covers: config:memory_limit
absurd_allocation(Config) ->
    Pool = start(Config),
    [OsPid] = py_test:os_pids(Pool),
    [{error, {'MemoryError', _}} = exec(Code, Pool) || Code <- [<<"bytearray(1 << 40)">>, <<"bytearray(400 * MIB)">>, <<"[0] * (1 << 30)">>]],
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => Pool}),
    [OsPid] = py_test:os_pids(Pool).

%% Threads reserve much and use little: the address space is not limited.
%% covers: config:memory_limit
address_space(Config) ->
    Pool = start(Config),
    Limits = <<"__import__('resource').getrlimit(getattr(__import__('resource'), 'RLIMIT_' + name))">>,
    Get = fun(Name) -> {ok, {Soft, _}} = py:eval(Limits, #{name => {str, Name}}, #{pool => Pool}), Soft end,
    ?assertEqual(-1, Get(<<"AS">>)),
    Data = Get(<<"DATA">>),
    ?assert(Data > ?OVER * ?MIB),
    ?assert(Data < 400 * ?MIB).

%% covers: config:memory_limit
arrays(Config) ->
    Pool = start(Config, #{memory_limit => 160 * ?MIB}),
    case py:eval(<<"__import__('importlib.util').util.find_spec('numpy') is not None">>, #{}, #{pool => Pool}) of
        {ok, true} ->
            Ones = <<"import numpy, time\nx = numpy.ones(150 * MIB // 8)\ntime.sleep(60)">>,
            {error, {worker_down, memory_limit}} = exec(Ones, Pool),
            {error, {_, "Unable to allocate" ++ _}} = exec(<<"import numpy\nnumpy.empty(1 << 40)">>, Pool),
            ok;
        {ok, false} ->
            {skip, "no numpy"}
    end.

%% The child is over the limit; parent and child go.
%% covers: config:memory_limit
children(Config) ->
    child(Config, <<"pass">>).

%% The same for a child that no signal to the group reaches.
%% covers: config:memory_limit
children_in_own_sessions(Config) ->
    child(Config, <<"os.setsid()">>).

child(Config, First) ->
    Pool = start(Config),
    File = filename:join(proplists:get_value(priv_dir, Config), "child"),
    Code = iolist_to_binary([
        "import os, time\nif os.fork() == 0:\n    ", First, "\n    with open('", File, "', 'w') as f: f.write(str(os.getpid()))\n"
        "    x = bytearray(b'x') * OVER\n    time.sleep(60)\n    os._exit(0)\ntime.sleep(60)"
    ]),
    ended(Code, Pool),
    {ok, Text} = file:read_file(File),
    ok = file:delete(File),
    py_test:until(fun() -> not py_test:alive(binary_to_integer(Text)) end).

%% Four processes with the same 60 MiB, which none of them has written to since, are not four times as much.
%% covers: config:memory_limit
shared_pages_count_once(Config) ->
    Pool = start(Config),
    Code = <<"
import os, time
x = bytearray(b'x') * (60 * MIB)
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        assert x.count(b'x') == len(x)
        time.sleep(1)
        os._exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
">>,
    {ok, none} = exec(Code, Pool),
    ended(<<"x = bytearray(b'x') * OVER\nimport time\ntime.sleep(60)">>, Pool).

%% covers: config:memory_limit
segments_do_not_count(Config) ->
    Pool = start(Config),
    [OsPid] = py_test:os_pids(Pool),
    Data = binary:copy(<<"0123456789abcdef">>, 200 * ?MIB div 16),
    Crc = erlang:crc32(Data),
    [{ok, Crc} = py:call(zlib, crc32, [{buffer, Data}], #{}, #{pool => Pool}) || _ <- lists:seq(1, 3)],
    {ok, Result} = py:call(builtins, bytes, [40 * ?MIB], #{}, #{pool => Pool}),
    40 * ?MIB = byte_size(Result),
    [OsPid] = py_test:os_pids(Pool).

%% What a program shares with its children is its own.
%% covers: config:memory_limit
shared_memory_counts(Config) ->
    ended(<<"import mmap, time\nx = mmap.mmap(-1, OVER)\nx.write(b'x' * MIB * 100)\ntime.sleep(60)">>, start(Config)).

%% Nobody in the worker could do anything about it.
%% covers: config:memory_limit
lock_kept(Config) ->
    ended(<<"import ctypes\nx = bytearray(b'x') * OVER\nctypes.PyDLL(None).sleep(60)">>, start(Config)).

%% covers: config:memory_limit
stopped(Config) ->
    ended(<<"import os\nx = bytearray(b'x') * OVER\nos.kill(os.getpid(), 19)">>, start(Config)).

%% A thread goes on when its request has ended.
%% covers: config:memory_limit
without_requests(Config) ->
    Pool = start(Config),
    [OsPid] = py_test:os_pids(Pool),
    Code = <<"
import threading, time
def grow():
    time.sleep(0.5)
    x = bytearray(b'x') * OVER
    time.sleep(60)
threading.Thread(target=grow, daemon=True).start()
">>,
    {ok, none} = exec(Code, Pool),
    py_test:until(fun() -> not py_test:alive(OsPid) end),
    py_test:whole(Pool),
    [#{last_error := "it uses" ++ _}] = [W || #{pool := P} = W <- py:workers(), P =:= Pool].

%% covers: config:memory_limit
at_start(Config) ->
    Preload = iolist_to_binary(io_lib:format("x = bytearray(b'x') * ~b\nimport time\ntime.sleep(60)", [?OVER * ?MIB])),
    {error, {worker_start_failed, Text}} =
        py_pool:start_pool(proplists:get_value(pool, Config), #{num_workers => 1, memory_limit => ?LIMIT * ?MIB, preload => Preload}),
    ?assertNotEqual(nomatch, string:find(Text, "memory_limit")).

%% Other workers of the pool do not notice, nor does what was queued.
%% covers: config:memory_limit, guarantee:neighbours
neighbours(Config) ->
    Pool = start(Config, #{num_workers => 2}),
    Slow = py:spawn_call(time, sleep, [1.0], #{}, #{pool => Pool}),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(Pool)) =:= 1 end),
    Hog = py:spawn_call(builtins, exec, [{str, <<"import time\nx = bytearray(b'x') * n\ntime.sleep(60)">>}, #{n => ?OVER * ?MIB}], #{}, #{pool => Pool}),
    Queued = [py:spawn_call(operator, add, [N, 1], #{}, #{pool => Pool}) || N <- lists:seq(1, 20)],
    {error, {worker_down, memory_limit}} = py:await(Hog),
    {ok, none} = py:await(Slow),
    ?assertEqual([{ok, N + 1} || N <- lists:seq(1, 20)], [py:await(Ref) || Ref <- Queued]).

%% Workers with limits cost nothing while they have nothing to do.
%% covers: guarantee:idle
idle(_) ->
    #{os_pid := Node, workers := Workers} = Peer = py_test:peer([{memory_limit, 1024 * ?MIB}, {max_rss, 512 * ?MIB}, {max_calls, 1000000}]),
    Ticks = fun() -> [py_test:ticks(P) || P <- [Node | Workers]] end,
    py_test:until(fun() ->
        Before = Ticks(),
        receive after 500 -> ok end,
        Ticks() =:= Before
    end),
    [NodeBefore | Before] = Ticks(),
    receive after 5000 -> ok end,
    [NodeAfter | After] = Ticks(),
    ct:log("in 5 s: node ~b ticks, workers ~w ticks", [NodeAfter - NodeBefore, lists:sum(After) - lists:sum(Before)]),
    ?assert(NodeAfter - NodeBefore =< 4),
    ?assert(lists:sum(After) - lists:sum(Before) =< 1),
    py_test:peer_stop(Peer).

%% Where the machine has no memory left, its kernel takes a worker and not the node.
%% covers: guarantee:crash
first_for_the_killer(_) ->
    Score = fun(OsPid) ->
        {ok, Text} = file:read_file("/proc/" ++ OsPid ++ "/oom_score_adj"),
        binary_to_integer(string:trim(Text))
    end,
    Own = Score(os:getpid()),
    [?assert(Score(integer_to_list(OsPid)) > Own) || OsPid <- py_test:os_pids(default)].
