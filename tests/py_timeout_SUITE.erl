%% Deadlines: on time, without late messages, and without cost for anyone else.
-module(py_timeout_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(GRACE, 1000).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        on_time, zero, infinity, stuck_in_c, pool_of_one, interrupted_sleep, interrupted_socket, interrupted_lock, interrupted_subprocess,
        interrupted_loop, not_started, no_late_message, neighbours_are_not_hit, caller_dies, swallowed, cpu_is_given_back
    ].

init_per_suite(Config) ->
    ok = py_test:start([{kill_grace, ?GRACE}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    py_test:whole(default),
    [{workers, py_test:os_pids(default)} | Config].

end_per_testcase(_Case, _Config) ->
    py:unbind().

%% Python still runs the same workers: the interruption cost none its life.
same_workers(Config) ->
    py_test:settled(),
    ?assertEqual(proplists:get_value(workers, Config), py_test:os_pids(default)).

%% covers: option:timeout, error:timeout
on_time(Config) ->
    {Time, {error, timeout}} = py_test:timed(fun() -> py:call(time, sleep, [3600], #{}, 200) end),
    ?assert(Time >= 200),
    ?assert(Time < 5000),
    {Time2, {error, timeout}} = py_test:timed(fun() -> py:eval(<<"__import__('time').sleep(3600)">>, #{}, #{timeout => 200}) end),
    ?assert(Time2 < 5000),
    {error, timeout} = py:exec(<<"import time; time.sleep(3600)">>, 200),
    same_workers(Config).

%% covers: error:timeout
zero(Config) ->
    {Time, {error, timeout}} = py_test:timed(fun() -> py:call(time, sleep, [3600], #{}, 0) end),
    ?assert(Time < 5000),
    same_workers(Config).

%% covers: option:timeout
infinity(_) ->
    {ok, none} = py:call(time, sleep, [0.01], #{}, infinity).

%% covers: guarantee:deadline
stuck_in_c(Config) ->
    {Time, {error, timeout}} = py_test:timed(fun() -> py:eval(<<"sum(range(10 ** 11))">>, #{}, 200) end),
    ?assert(Time >= 200),
    ?assert(Time < 5000),
    {Next, {ok, 2.0}} = py_test:timed(fun() -> py:call(math, sqrt, [4]) end),
    ?assert(Next < 5000),
    Before = proplists:get_value(workers, Config),
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 2 andalso py_test:os_pids(default) =/= Before end),
    [Gone] = Before -- py_test:os_pids(default),
    py_test:until(fun() -> not py_test:alive(Gone) end).

%% covers: guarantee:deadline
pool_of_one(_) ->
    Pool = pool_of_one,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, kill_grace => ?GRACE}),
    {error, timeout} = py:eval(<<"sum(range(10 ** 11))">>, #{}, #{timeout => 200, pool => Pool}),
    {Time, {ok, 2.0}} = py_test:timed(fun() -> py:call(math, sqrt, [4], #{}, #{pool => Pool, timeout => 20000}) end),
    ?assert(Time =< ?GRACE + 1000),
    ok = py_pool:stop_pool(Pool).

%% covers: erlang.Interrupted, guarantee:deadline
interrupted_sleep(Config) ->
    [{error, timeout} = py:call(time, sleep, [3600], #{}, 20) || _ <- lists:seq(1, 20)],
    same_workers(Config).

%% covers: guarantee:deadline
interrupted_socket(Config) ->
    Code = <<"__import__('socket').socketpair()[0].recv(1)">>,
    Both = <<"(lambda pair: pair[0].recv(1))(__import__('socket').socketpair())">>,
    {ok, <<>>} = py:eval(Code, #{}, 2000),
    {error, timeout} = py:eval(Both, #{}, 100),
    same_workers(Config).

%% covers: guarantee:deadline
interrupted_lock(Config) ->
    {error, timeout} = py:exec(<<"
        import threading
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    ">>, 100),
    same_workers(Config).

%% covers: guarantee:deadline
interrupted_subprocess(Config) ->
    {error, timeout} = py:exec(<<"
        import subprocess
        subprocess.run(['sleep', '3600'])
    ">>, 500),
    same_workers(Config).

%% covers: guarantee:deadline
interrupted_loop(Config) ->
    {error, timeout} = py:exec(<<"while True: pass">>, 100),
    same_workers(Config).

%% What has not started at its deadline never runs.
%% covers: guarantee:deadline
not_started(_) ->
    Pool = not_started,
    File = filename:join("/tmp", "py_timeout_" ++ os:getpid()),
    _ = file:delete(File),
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    Ref = py:spawn_call(time, sleep, [1], #{}, #{pool => Pool}),
    {error, timeout} = py:eval(<<"open(f, 'w').close()">>, #{f => list_to_binary(File)}, #{pool => Pool, timeout => 100}),
    {ok, none} = py:await(Ref),
    {ok, 1} = py:eval(<<"1">>, #{}, #{pool => Pool}),
    {error, enoent} = file:read_file_info(File),
    ok = py_pool:stop_pool(Pool).

%% Deadlines that race with answers: one outcome each, and no message afterwards.
%% covers: guarantee:no_late_message
no_late_message(_) ->
    Results = [py:call(time, sleep, [(N rem 7) * 0.0005], #{}, N rem 4) || N <- lists:seq(1, 2000)],
    [] = [R || R <- Results, R =/= {ok, none}, R =/= {error, timeout}],
    py_test:settled(),
    [] = py_test:mailbox().

%% The interruption of one request never shows in the next.
%% covers: guarantee:neighbours
neighbours_are_not_hit(Config) ->
    Pool = neighbours,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    lists:foreach(
        fun(N) ->
            _ = py:call(time, sleep, [0.002], #{}, #{pool => Pool, timeout => 1 + N rem 3}),
            {ok, N} = py:eval(<<"sum(1 for _ in range(n))">>, #{n => N}, #{pool => Pool})
        end,
        lists:seq(1, 500)
    ),
    ok = py_pool:stop_pool(Pool),
    same_workers(Config).

%% The work of a caller that has died is cancelled.
%% covers: guarantee:caller_death
caller_dies(Config) ->
    Callers = [spawn(fun() -> py:call(time, sleep, [3600], #{}, infinity) end) || _ <- lists:seq(1, 10)],
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats()) >= 10 end),
    [exit(Pid, kill) || Pid <- Callers],
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, 5000),
    same_workers(Config).

%% Code that catches the interruption runs into the grace time.
%% covers: config:kill_grace, guarantee:deadline
swallowed(Config) ->
    {error, timeout} = py:exec(<<"
        import time
        while True:
            try:
                while True:
                    time.monotonic()
            except BaseException:
                pass
    ">>, 100),
    py:unbind(),
    Before = proplists:get_value(workers, Config),
    py_test:until(fun() -> length(Before -- py_test:os_pids(default)) =:= 1 end),
    py_test:whole(default),
    {ok, 1} = py:eval(<<"1">>).

%% After the grace time nothing computes any more.
%% covers: config:kill_grace
cpu_is_given_back(Config) ->
    {error, timeout} = py:eval(<<"sum(range(10 ** 11))">>, #{}, 100),
    Before = proplists:get_value(workers, Config),
    py_test:until(fun() -> length(Before -- py_test:os_pids(default)) =:= 1 end),
    [Gone] = Before -- py_test:os_pids(default),
    py_test:until(fun() -> not py_test:alive(Gone) end).
