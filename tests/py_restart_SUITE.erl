%% Workers that cannot stay up: they are tried ever more rarely, callers learn it at once, and all is well when the cause is gone.
-module(py_restart_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

%% Far below the 30 s for which a call would wait.
-define(SOON, 15000).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [preload_raises, preload_crashes, crashes_when_it_serves, killing_requests, interpreter_gone, those_who_wait, queued_work, some_serve, back_off,
     never_whole].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(Case, Config) ->
    Switch = filename:join(proplists:get_value(priv_dir, Config), atom_to_list(Case)),
    [{pool, Case}, {switch, Switch} | Config].

end_per_testcase(Case, _Config) ->
    _ = py_pool:stop_pool(Case),
    py:unbind(),
    [] = py_test:mailbox(),
    ok.

%% A pool whose workers do something bad at their start once it has been switched on.
start(Config, Bad, Options) ->
    {Pool, Switch} = {proplists:get_value(pool, Config), proplists:get_value(switch, Config)},
    Preload = iolist_to_binary(["import os\nif os.path.exists('", Switch, "'):\n    ", Bad]),
    ok = py_pool:start_pool(Pool, maps:merge(#{num_workers => 2, preload => Preload}, Options)),
    Pool.

bad(Config) -> ok = file:write_file(proplists:get_value(switch, Config), <<>>).

good(Config) -> ok = file:delete(proplists:get_value(switch, Config)).

kill_all(Pool) -> [ok = py_test:kill("KILL", OsPid) || OsPid <- py_test:os_pids(Pool)].

call(Pool) -> py:call(math, sqrt, [4], #{}, #{pool => Pool}).

%% Kills the workers, sees the pool fail and, after the cause is gone, serve again.
fails_and_recovers(Config, Pool, Word) ->
    bad(Config),
    kill_all(Pool),
    {Time, Result} = py_test:timed(fun() -> py_test:until(fun() -> call(Pool) =:= {error, no_workers_available} end) end),
    ?assertEqual(ok, Result),
    ?assert(Time < ?SOON),
    #{failing := true, ready_workers := 0, last_errors := [_ | _] = Errors} = py_pool:get_stats(Pool),
    [?assertMatch({match, _, _}, {re(Error, Word), Word, Error}) || Error <- Errors],
    Shown = [E || #{pool := P, last_error := E, state := S} <- py:workers(), P =:= Pool, S =/= ready],
    ?assertEqual(2, length([E || E <- Shown, re(E, Word) =:= match])),
    %% Whatever needs a worker learns it.
    Options = #{pool => Pool},
    {AtOnce, _} = py_test:timed(fun() ->
        {error, no_workers_available} = py:eval(<<"1">>, #{}, Options),
        {error, no_workers_available} = py:await(py:spawn_call(math, sqrt, [4], #{}, Options)),
        {error, no_workers_available} = py:stream_start(builtins, range, [3], #{}, Options),
        {error, no_workers_available} = py:async_gather([{math, sqrt, [4]}], Options),
        {error, no_workers_available} = py:exec(<<"1">>, Options)
    end),
    ?assert(AtOnce < ?SOON),
    %% The rest of the node serves.
    {ok, 2.0} = py:call(math, sqrt, [4]),
    good(Config),
    py_test:until(fun() -> {ok, 2.0} =:= call(Pool) end),
    py_test:whole(Pool),
    #{failing := false, last_errors := []} = py_pool:get_stats(Pool).

re(Text, Expression) ->
    re:run(Text, Expression, [unicode, {capture, none}]).

%% covers: error:no_workers_available, config:preload
preload_raises(Config) ->
    Pool = start(Config, "raise ValueError('not today')", #{}),
    fails_and_recovers(Config, Pool, "not today").

%% covers: error:no_workers_available
preload_crashes(Config) ->
    Pool = start(Config, "os.abort()", #{}),
    %% Whichever is heard of first: the request that failed, or the end of the process.
    fails_and_recovers(Config, Pool, "option preload|before it was ready").

%% They start well and die as soon as they serve.
%% covers: error:no_workers_available
crashes_when_it_serves(Config) ->
    Late = "import threading; threading.Timer(0.05, os.abort).start()",
    Pool = start(Config, Late, #{}),
    bad(Config),
    kill_all(Pool),
    py_test:until(fun() -> maps:get(failing, py_pool:get_stats(Pool)) end),
    {error, no_workers_available} = call(Pool),
    good(Config),
    py_test:until(fun() -> {ok, 2.0} =:= call(Pool) end),
    py_test:whole(Pool).

%% Requests that kill their workers are no reason to refuse others.
%% covers: guarantee:crash
killing_requests(Config) ->
    Pool = start(Config, "pass", #{num_workers => 1}),
    [{error, {worker_down, _}} = py:call(os, '_exit', [1], #{}, #{pool => Pool}) || _ <- lists:seq(1, 12)],
    {ok, 2.0} = call(Pool),
    #{failing := false} = py_pool:get_stats(Pool).

%% covers: error:no_workers_available, config:python
interpreter_gone(Config) ->
    Link = filename:join(proplists:get_value(priv_dir, Config), "python-link"),
    {ok, #{default := Default}} = py_config:load([{python, py_test:python()}]),
    {ok, #{executable := Executable}} = py_interpreter:find(Default),
    ok = file:make_symlink(Executable, Link),
    Pool = proplists:get_value(pool, Config),
    ok = py_pool:start_pool(Pool, #{num_workers => 1, python => Link}),
    #{interpreter := #{executable := Used}} = py_pool:spec(Pool),
    Away = Link ++ ".away",
    case unicode:characters_to_list(Used) =:= Link of
        true ->
            ok = file:rename(Link, Away),
            kill_all(Pool),
            py_test:until(fun() -> call(Pool) =:= {error, no_workers_available} end),
            #{failing := true, last_errors := [Error]} = py_pool:get_stats(Pool),
            ?assertNotEqual(nomatch, string:find(Error, "could not start Python")),
            ok = file:rename(Away, Link),
            py_test:until(fun() -> {ok, 2.0} =:= call(Pool) end);
        false ->
            {skip, "this interpreter names its own path"}
    end.

%% Callers that had come before are answered as well, also those that wait for a worker to keep to.
%% covers: error:no_workers_available
those_who_wait(_) ->
    Switch = filename:join(os:getenv("TMPDIR", "/tmp"), "py_restart_" ++ os:getpid()),
    Preload = iolist_to_binary(["import os\nif os.path.exists('", Switch, "'):\n    raise ValueError('no')"]),
    ok = py_test:restart([{preload, Preload}]),
    ok = file:write_file(Switch, <<>>),
    kill_all(default),
    Self = self(),
    Ask = fun(Fun) -> spawn_link(fun() -> Self ! {answer, self(), Fun()} end) end,
    Callers = [Ask(fun() -> py:eval(<<"1">>) end) || _ <- lists:seq(1, 200)] ++ [Ask(fun() -> py:exec(<<"1">>) end) || _ <- lists:seq(1, 20)],
    {Time, Answers} = py_test:timed(fun() -> [receive {answer, Pid, Answer} -> Answer end || Pid <- Callers] end),
    ok = file:delete(Switch),
    ?assert(Time < ?SOON),
    %% Some may have met the old workers.
    ?assertEqual([], [A || A <- Answers, A =/= {error, no_workers_available}, A =/= {ok, 1}, A =/= ok, not is_down(A)]),
    ?assert(lists:member({error, no_workers_available}, Answers)),
    py_test:until(fun() -> {ok, 1} =:= py:eval(<<"1">>) end),
    py_test:whole(default),
    py_test:restart([]).

is_down({error, {worker_down, _}}) -> true;
is_down(_) -> false.

%% What was queued in a worker when it died, and has no other to go to.
%% covers: error:no_workers_available
queued_work(Config) ->
    Pool = start(Config, "raise ValueError('not today')", #{num_workers => 1}),
    Options = #{pool => Pool},
    Running = py:spawn_call(time, sleep, [3600], #{}, Options),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(Pool)) =:= 1 end),
    Queued = [py:spawn_call(operator, add, [N, 1], #{}, Options) || N <- lists:seq(1, 20)],
    bad(Config),
    kill_all(Pool),
    {error, {worker_down, _}} = py:await(Running),
    ?assertEqual([{error, no_workers_available}], lists:usort([py:await(Ref) || Ref <- Queued])),
    good(Config),
    py_test:until(fun() -> {ok, 2.0} =:= call(Pool) end),
    py_test:settled().

%% One that cannot start is no matter for the others.
%% covers: guarantee:neighbours
some_serve(Config) ->
    Pool = start(Config, "raise ValueError('not today')", #{}),
    bad(Config),
    [First, Second] = py_test:os_pids(Pool),
    ok = py_test:kill("KILL", First),
    Failures = fun() -> lists:max([R || #{pool := P, restarts := R} <- py:workers(), P =:= Pool]) end,
    py_test:until(fun() -> Failures() >= 4 end),
    [Second] = py_test:os_pids(Pool),
    [{ok, 2.0} = call(Pool) || _ <- lists:seq(1, 100)],
    #{failing := false, num_workers := 2, ready_workers := 1, last_errors := [_]} = py_pool:get_stats(Pool),
    good(Config),
    py_test:whole(Pool).

%% The pauses double: between the fourth and the seventh start lie more than three times as much as between the first and the fourth.
back_off(Config) ->
    Pool = start(Config, "raise ValueError('not today')", #{num_workers => 1}),
    bad(Config),
    kill_all(Pool),
    Restarts = fun() -> lists:max([R || #{pool := P, restarts := R} <- py:workers(), P =:= Pool]) end,
    At = fun(N) ->
        py_test:until(fun() -> Restarts() >= N end),
        erlang:monotonic_time(millisecond)
    end,
    [First, Fourth, Seventh] = [At(N) || N <- [1, 4, 7]],
    ct:log("~b ms, ~b ms", [Fourth - First, Seventh - Fourth]),
    %% 100, 200 and 400 ms after the first; then 800, 1600 and 3200.
    ?assert(Fourth - First >= 300),
    ?assert(Seventh - Fourth >= 2400),
    good(Config),
    py_test:whole(Pool).

%% A pool is not waited for if one of its workers starts well and ends, again and again: here before the other is ready, which
%% is in its preload until then.
%% covers: py_pool:start_pool/2
never_whole(Config) ->
    [Taken, Ends] = [filename:join(proplists:get_value(priv_dir, Config), Name) || Name <- ["taken", "ends"]],
    Preload = iolist_to_binary([
        "import os, threading, time\n",
        "try:\n",
        "    os.close(os.open('", Taken, "', os.O_CREAT | os.O_EXCL))\n",
        "    while not os.path.exists('", Ends, "') or os.path.getsize('", Ends, "') < 8:\n",
        "        time.sleep(0.01)\n",
        "except FileExistsError:\n",
        "    def end():\n",
        "        with open('", Ends, "', 'a') as ends:\n",
        "            ends.write('x')\n",
        "        os._exit(7)\n",
        "    threading.Timer(0.1, end).start()\n"
    ]),
    {error, {worker_start_failed, Text}} = py_pool:start_pool(proplists:get_value(pool, Config), #{num_workers => 2, preload => Preload}),
    ct:log("~ts", [Text]),
    {error, not_started} = py_pool:get_stats(proplists:get_value(pool, Config)).
