%% Named pools: start, stop, size, statistics, and how parallel they are.
-module(py_pool_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [
        start_stop, trapping, options, bad_options, resize, shrink_lets_work_finish, statistics, parallel_starts_once, parallel_is_parallel, work_spreads,
        executors, named_segments, server_restarts, start_fails, preload, preload_file, preload_fails, environment, stop_with_work,
        resize_twice, supervisor_restarts, large_arguments_refused, moved_where_no_room_is
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(Case, Config) ->
    py_test:whole(default),
    [{pool, Case} | Config].

end_per_testcase(Case, _Config) ->
    _ = py_pool:stop_pool(Case),
    ok.

pool(Config) -> proplists:get_value(pool, Config).

pid_of(Pool) ->
    {ok, Pid} = py:call(os, getpid, [], #{}, #{pool => Pool}),
    Pid.

%% covers: py_pool:start_pool/2, py_pool:stop_pool/1
start_stop(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    {error, already_started} = py_pool:start_pool(Pool, #{}),
    OsPid = pid_of(Pool),
    [OsPid] = py_test:os_pids(Pool),
    ok = py_pool:stop_pool(Pool),
    py_test:until(fun() -> not py_test:alive(OsPid) end),
    {error, not_started} = py_pool:stop_pool(Pool),
    {error, not_started} = py_pool:get_stats(Pool),
    [] = [W || #{pool := P} = W <- py:workers(), P =:= Pool],
    ok = py_pool:start_pool(Pool, [{num_workers, 1}]),
    ok = py_pool:stop_pool(Pool).

%% Who traps exits gets no messages about the programs that the start of a pool runs.
trapping(Config) ->
    Before = process_flag(trap_exit, true),
    ok = py_pool:start_pool(pool(Config), #{num_workers => 1}),
    {error, {no_python, _}} = py_pool:start_pool(other, #{python => "/bin/true"}),
    ok = py_pool:stop_pool(pool(Config)),
    [] = py_test:mailbox(),
    process_flag(trap_exit, Before).

%% covers: config:paths, config:imports, config:preload
options(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, paths => [<<"/some/where">>], imports => [colorsys], preload => "answer = 42"}),
    {ok, {<<"/some/where">>, true, 42}} =
        py:eval(<<"(__import__('sys').path[0], 'colorsys' in __import__('sys').modules, answer)">>, #{}, #{pool => Pool}),
    ok.

%% covers: py_pool:start_pool/2
bad_options(Config) ->
    Pool = pool(Config),
    {error, {bad_config, Text}} = py_pool:start_pool(Pool, #{num_workers => none}),
    ?assertNotEqual(nomatch, string:find(Text, "num_workers")),
    {error, {bad_config, _}} = py_pool:start_pool(Pool, #{colour => red}),
    {error, {bad_config, _}} = py_pool:start_pool(Pool, #{max_concurrent => 1}),
    {error, {no_python, _}} = py_pool:start_pool(Pool, #{python => "/no/such/python"}).

%% covers: py_pool:resize/2, config:max_workers
resize(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, max_workers => 4}),
    ok = py_pool:resize(Pool, 3),
    3 = length(py_test:os_pids(Pool)),
    {error, {max_workers, 4}} = py_pool:resize(Pool, 5),
    Three = py_test:os_pids(Pool),
    ok = py_pool:resize(Pool, 1),
    py_test:until(fun() -> length([P || P <- Three, py_test:alive(P)]) =:= 1 end),
    py_test:until(fun() -> length([W || #{pool := P} = W <- py:workers(), P =:= Pool]) =:= 1 end),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => Pool}),
    {error, not_started} = py_pool:resize(no_such_pool, 2).

%% covers: py_pool:resize/2, config:drain_limit
shrink_lets_work_finish(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 2}),
    Refs = [py:spawn_call(time, sleep, [0.5], #{}, #{pool => Pool}) || _ <- lists:seq(1, 2)],
    py_test:until(fun() -> maps:get(available_workers, py_pool:get_stats(Pool)) =:= 0 end),
    ok = py_pool:resize(Pool, 1),
    [{ok, none} = py:await(Ref) || Ref <- Refs],
    py_test:until(fun() -> length(py_test:os_pids(Pool)) =:= 1 end).

%% covers: py_pool:get_stats/0,1
statistics(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 2, max_workers => 3}),
    #{num_workers := 2, max_workers := 3, ready_workers := 2, available_workers := 2, checked_out := 0, pending_requests := 0} =
        py_pool:get_stats(Pool),
    Ref = py:spawn_call(time, sleep, [3600], #{}, #{pool => Pool}),
    py_test:until(fun() -> maps:with([available_workers, pending_requests], py_pool:get_stats(Pool)) =:= #{available_workers => 1, pending_requests => 1} end),
    ok = py:cancel(Ref),
    py_test:until(fun() -> maps:get(available_workers, py_pool:get_stats(Pool)) =:= 2 end),
    [{ok, _} = py:call(math, sqrt, [N], #{}, #{pool => Pool}) || N <- lists:seq(1, 100)],
    py_test:until(fun() -> lists:sum([S || #{pool := P, served := S} <- py:workers(), P =:= Pool]) >= 100 end),
    #{num_workers := _} = py_pool:get_stats().

%% covers: py:parallel/1, config:num_subinterp_workers
parallel_starts_once(_) ->
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {done, self(), py:parallel([{math, sqrt, [4]}])} end) || _ <- lists:seq(1, 10)],
    [receive {done, Pid, {ok, [{ok, 2.0}]}} -> ok end || Pid <- Pids],
    2 = length(py_test:os_pids(parallel)).

%% Two equal CPU-bound calls side by side take at most 0.6 of the time of one after the other.
%% covers: py:parallel/1
parallel_is_parallel(_) ->
    case erlang:system_info(schedulers_online) of
        1 ->
            {skip, "one processor"};
        _ ->
            Task = {builtins, eval, [<<"sum(i * i for i in range(6000000))">>, #{}]},
            {ok, [{ok, _}, {ok, _}]} = py:parallel([Task, Task]),
            ?assertEqual(parallel, py_test:parallel_within(20, 0.6, fun py:parallel/1, Task))
    end.

%% covers: py:call/3
work_spreads(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 2}),
    Handles = [py:spawn_call('time', sleep, [3600], #{}, #{pool => Pool}) || _ <- lists:seq(1, 2)],
    py_test:until(fun() -> [1, 1] =:= [N || #{pool := P, in_flight := N} <- py:workers(), P =:= Pool] end),
    [ok = py:cancel(Handle) || Handle <- Handles].

%% Threads of one worker: none gets past the barrier before all four are there.
%% covers: config:num_executors
executors(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, num_executors => 4}),
    #{pools := #{Pool := #{mode := multi_executor, executors := 4}}} = py:execution_info(),
    Meet = <<"__import__('sys').__dict__.setdefault('meeting', __import__('threading').Barrier(4)).wait()">>,
    Refs = [py:spawn_call(builtins, eval, [Meet], #{}, #{pool => Pool}) || _ <- lists:seq(1, 4)],
    [0, 1, 2, 3] = lists:sort([begin {ok, N} = py:await(Ref), N end || Ref <- Refs]),
    {error, timeout} = py:call(time, sleep, [3600], #{}, #{pool => Pool, timeout => 100}),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => Pool}).

%% The fallback: its objects have lost their names when the worker is ready; it ends and comes back like any other.
%% covers: config:segments
named_segments(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, segments => named}),
    Named = fun() -> filelib:wildcard("/dev/shm/erlang_python-*/*") end,
    [] = Named(),
    Opts = #{pool => Pool},
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, Opts),
    Data = binary:copy(<<7>>, 300000),
    {ok, Data} = py:call(builtins, bytes, [{bytes, Data}], #{}, Opts),
    {error, {worker_down, _}} = py:call(os, abort, [], #{}, Opts),
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, Opts),
    [] = Named().

%% The server of a pool is not in the path of a call and comes back without harm.
server_restarts(_) ->
    Workers = py_test:os_pids(default),
    [{_, Server}] = ets:lookup(py_pools, {server, default}),
    exit(Server, kill),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    py_test:until(fun() ->
        [{_, Now}] = ets:lookup(py_pools, {server, default}),
        Now =/= Server
    end),
    Workers = py_test:os_pids(default),
    ok = py_pool:resize(default, 2),
    {ok, 2.0} = py:call(math, sqrt, [4]).

%% covers: config:worker_timeout
start_fails(Config) ->
    Pool = pool(Config),
    {error, {worker_start_failed, Text}} = py_pool:start_pool(Pool, #{num_workers => 1, imports => [no_such_module_at_all]}),
    ?assertNotEqual(nomatch, string:find(Text, "no_such_module_at_all")),
    {error, not_started} = py_pool:get_stats(Pool),
    [] = [W || #{pool := P} = W <- py:workers(), P =:= Pool].

%% covers: config:preload
preload(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, preload => [<<"a = 1">>, "b = a + 1"]}),
    {ok, {1, 2}} = py:eval(<<"(a, b)">>, #{}, #{pool => Pool}),
    {error, {worker_down, _}} = py:call(os, '_exit', [1], #{}, #{pool => Pool}),
    {ok, {1, 2}} = py:eval(<<"(a, b)">>, #{}, #{pool => Pool}).

%% covers: config:preload
preload_file(Config) ->
    Pool = pool(Config),
    File = filename:join(proplists:get_value(priv_dir, Config), "preload.py"),
    ok = file:write_file(File, "where = __file__ if '__file__' in globals() else 'no file'\ndef f(x):\n    return x + 1\n"),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, preload => {file, File}}),
    {ok, 3} = py:call('__main__', f, [2], #{}, #{pool => Pool}).

%% covers: config:preload
preload_fails(Config) ->
    Pool = pool(Config),
    {error, {worker_start_failed, Text}} = py_pool:start_pool(Pool, #{num_workers => 1, preload => <<"raise ValueError('no good')">>}),
    ?assertNotEqual(nomatch, string:find(Text, "no good")).

%% Workers do not see what belongs to the node.
%% covers: config:env
environment(Config) ->
    Pool = pool(Config),
    true = os:putenv("RELEASE_COOKIE", "secret"),
    true = os:putenv("PY_POOL_TEST", "visible"),
    Environ = <<"dict(__import__('os').environ)">>,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    {ok, Inherited} = py:eval(Environ, #{}, #{pool => Pool}),
    ok = py_pool:stop_pool(Pool),
    ?assertEqual([], [Name || Name <- [<<"RELEASE_COOKIE">>, <<"ROOTDIR">>, <<"BINDIR">>, <<"EMU">>], is_map_key(Name, Inherited)]),
    #{<<"PY_POOL_TEST">> := <<"visible">>} = Inherited,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, env => clean}),
    {ok, Clean} = py:eval(Environ, #{}, #{pool => Pool}),
    ok = py_pool:stop_pool(Pool),
    ?assertNot(is_map_key(<<"PY_POOL_TEST">>, Clean)),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, env => [{"PY_POOL_TEST", false}, {<<"OTHER">>, <<"1">>}]}),
    {ok, Own} = py:eval(Environ, #{}, #{pool => Pool}),
    ?assertNot(is_map_key(<<"PY_POOL_TEST">>, Own)),
    #{<<"OTHER">> := <<"1">>} = Own,
    true = os:unsetenv("RELEASE_COOKIE"),
    true = os:unsetenv("PY_POOL_TEST").

%% covers: py_pool:stop_pool/1, error:worker_down
stop_with_work(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    Running = py:spawn_call(time, sleep, [3600], #{}, #{pool => Pool}),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(Pool)) =:= 1 end),
    {Time, ok} = py_test:timed(fun() -> py_pool:stop_pool(Pool) end),
    ?assert(Time < 5000),
    {error, {worker_down, stopped}} = py:await(Running).

%% Workers that were told to go do not count, even before they have heard of it.
%% covers: py_pool:resize/2
resize_twice(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 3, max_workers => 3}),
    ok = py_pool:resize(Pool, 1),
    ok = py_pool:resize(Pool, 3),
    py_test:until(fun() -> [ready, ready, ready] =:= [S || #{pool := P, state := S} <- py:workers(), P =:= Pool] end),
    3 = length(py_test:os_pids(Pool)).

%% What waits in the pool is served when its supervision is back.
supervisor_restarts(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    Started = filename:join(proplists:get_value(priv_dir, Config), "started"),
    Code = ["open('", Started, "', 'w').close()\nimport time\ntime.sleep(3600)"],
    Running = py:spawn_call(builtins, exec, [iolist_to_binary(Code), #{}], #{}, #{pool => Pool}),
    py_test:until(fun() -> filelib:is_file(Started) end),
    Queued = [py:spawn_call(operator, add, [N, 1], #{}, #{pool => Pool}) || N <- lists:seq(1, 5)],
    [{_, Sup}] = ets:lookup(py_pools, {workers, Pool}),
    exit(Sup, kill),
    {error, {worker_down, _}} = py:await(Running),
    ?assertEqual([{ok, N + 1} || N <- lists:seq(1, 5)], [py:await(Ref, 20000) || Ref <- Queued]),
    py_test:until(fun() -> [ready] =:= [S || #{pool := P, state := S} <- py:workers(), P =:= Pool] end).

%% Arguments that the worker cannot open are given back: the places for large ones do not run out.
large_arguments_refused(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    ok = py:exec(<<"import resource, os\nold = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
                   "resource.setrlimit(resource.RLIMIT_NOFILE, (3, old[1]))">>, #{pool => Pool}),
    Big = binary:copy(<<0>>, 2 * 1024 * 1024),
    Call = fun() -> py:call(builtins, len, [{bytes, Big}], #{}, #{pool => Pool}) end,
    [{error, {'OSError', _}} = Call() || _ <- lists:seq(1, 70)],
    ok = py:exec(<<"resource.setrlimit(resource.RLIMIT_NOFILE, old)">>, #{pool => Pool}),
    {ok, 2097152} = Call().

%% A queued request whose worker dies, and for whose arguments no other has room, is answered.
moved_where_no_room_is(Config) ->
    Pool = pool(Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 2}),
    [A, B] = [W || {_, P, W, _, _} <- py_pool:workers(), P =:= Pool],
    Big = binary:copy(<<0>>, 1200 * 1024),
    Submit = fun(Target, Request) ->
        {Ref, submitted} = py_request:async(Target, Request, infinity, py_options:no_permit()),
        Ref
    end,
    Sleep = {call, time, sleep, [3600], []},
    Length = {call, builtins, len, [{bytes, Big}], []},
    Sleeping = [Submit(W, Sleep) || W <- [A, B]],
    Filling = [Submit(B, Length) || _ <- lists:seq(1, 64)],
    Moved = Submit(py_pool:native(Pool), Length),
    #{in_flight := 2, os_pid := OsPid} = py_nif:worker_info(A),
    ok = py_test:kill("KILL", OsPid),
    {error, {exhausted, _}} = py:await(Moved, 10000),
    {error, {worker_down, _}} = py:await(hd(Sleeping), 10000),
    [ok = py:cancel(Ref) || Ref <- tl(Sleeping) ++ Filling],
    py_test:settled().
