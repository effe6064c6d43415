%% Calls, expressions, statements, and what stays where.
-module(py_call_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [
        first_call, names, keyword_arguments, bad_arguments, eval, eval_locals, exec_affinity, exec_in_pool, unbind,
        affinity_ends_with_worker, affinity_is_shared, exec_all, exec_all_failure, exec_all_replay, parallel_order, parallel_errors,
        parallel_timeout, parallel_many, options, overloaded, information, reload, many_callers, main_is_clean, working_directory
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py:unbind().

%% covers: py:call/3,4,5
first_call(_) ->
    {ok, 4.0} = py:call(math, sqrt, [16]),
    {ok, 4.0} = py:call(math, sqrt, [16.0], #{}),
    {ok, 4.0} = py:call(math, sqrt, [16], #{}, 1000).

%% covers: py:call/3
names(_) ->
    {ok, 4.0} = py:call(<<"math">>, "sqrt", [16]),
    {ok, <<"a/b">>} = py:call('os.path', join, [<<"a">>, <<"b">>]),
    {ok, #{<<"a">> := 1}} = py:call(builtins, 'dict.fromkeys', [[a], 1]),
    {ok, 3} = py:call("operator", <<"add">>, [1, 2]).

%% covers: py:call/4
keyword_arguments(_) ->
    {ok, <<"{\"a\": 1, \"b\": 2}">>} = py:call(json, dumps, [#{b => 2, a => 1}], #{sort_keys => true}),
    {ok, <<"{\"a\": 1, \"b\": 2}">>} = py:call(json, dumps, [#{b => 2, a => 1}], [{<<"sort_keys">>, true}]),
    {ok, 5} = py:call(builtins, int, [<<"101">>], #{"base" => 2}).

%% covers: error:badarg
bad_arguments(_) ->
    {error, {badarg, _}} = py:call(math, sqrt, not_a_list),
    {error, {badarg, _}} = py:call(math, sqrt, [1 | 2]),
    {error, {badarg, _}} = py:call(math, sqrt, [1], not_a_map),
    {error, {badarg, _}} = py:call(1, sqrt, [1]),
    {error, {badarg, _}} = py:call(math, {}, [1]),
    {error, {badarg, _}} = py:eval(1),
    {error, {badarg, _}} = py:eval(<<"1">>, 1),
    {error, {badarg, _}} = py:exec(1),
    {error, {badarg, timeout}} = py:call(math, sqrt, [1], #{}, soon),
    {error, {badarg, timeout}} = py:call(math, sqrt, [1], #{}, -1),
    {error, {badarg, calls}} = py:parallel(none),
    {ok, 2.0} = py:call(math, sqrt, [4]).

%% covers: py:eval/1
eval(_) ->
    {ok, 3} = py:eval(<<"1 + 2">>),
    {ok, 3} = py:eval("  1 + 2"),
    {ok, 3} = py:eval([<<"1 ">>, "+ 2"]),
    {ok, [0, 1, 4]} = py:eval(<<"[x * x for x in range(3)]">>),
    {ok, none} = py:eval(<<"None">>).

%% covers: py:eval/2,3
eval_locals(_) ->
    {ok, 30} = py:eval(<<"sum(x * x for x in range(n))">>, #{n => 5}),
    {ok, [2, 4]} = py:eval(<<"[x * f for x in xs]">>, #{f => 2, xs => [1, 2]}),
    {ok, 7} = py:eval(<<"(lambda: a + b)()">>, [{a, 3}, {<<"b">>, 4}], 1000),
    ok = py:exec(<<"pass">>),
    {error, {'NameError', _}} = py:eval(<<"n">>).

%% covers: py:exec/1
exec_affinity(_) ->
    ok = py:exec(<<"
        def double(x):
            return 2 * x
        seen = [1]
    ">>),
    [{ok, 8} = py:call('__main__', double, [4]) || _ <- lists:seq(1, 50)],
    ok = py:exec("seen.append(2)"),
    {ok, [1, 2]} = py:eval(<<"seen">>),
    {ok, 10} = py:await(py:call_async('__main__', double, [5])).

%% covers: py:exec/2, option:pool
exec_in_pool(_) ->
    ok = py:exec(<<"pass">>, #{pool => default}),
    undefined = get('$py_affinity').

%% covers: py:unbind/0
unbind(_) ->
    ok = py:exec(<<"mine = 1">>),
    ?assertNotEqual(undefined, get('$py_affinity')),
    ok = py:unbind(),
    ok = py:unbind(),
    undefined = get('$py_affinity').

%% covers: py:exec/1, error:worker_down
affinity_ends_with_worker(_) ->
    ok = py:exec(<<"import os">>),
    {ok, OsPid} = py:eval(<<"os.getpid()">>),
    ok = py_test:kill("9", OsPid),
    py_test:until(fun() -> not lists:member(OsPid, py_test:os_pids(default)) end),
    {error, {worker_down, _}} = py:eval(<<"1">>),
    {ok, 1} = py:eval(<<"1">>),
    py_test:whole(default).

%% Others use the worker of a process that has run exec.
%% covers: py:exec/2
affinity_is_shared(_) ->
    Pool = affinity_is_shared,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    ok = py:exec(<<"import os">>, #{pool => Pool}),
    Pids = [element(2, py:call(os, getpid, [], #{}, #{pool => Pool})) || _ <- lists:seq(1, 10)],
    [_] = lists:usort(Pids),
    ok = py_pool:stop_pool(Pool).

%% covers: py:exec_all/1,2
exec_all(_) ->
    ok = py:exec_all(<<"everywhere = 41">>),
    ok = py:exec_all("everywhere += 1", 20000),
    Values = [py:eval(<<"everywhere">>) || _ <- lists:seq(1, 20)],
    [{ok, 42}] = lists:usort(Values),
    {ok, [{ok, 42}]} = py:parallel([{builtins, eval, [<<"__import__('__main__').everywhere">>, #{}]}]).

%% covers: py:exec_all/1,2, error:syntax, error:timeout
exec_all_failure(_) ->
    {error, Failed} = py:exec_all(<<"raise ValueError('not here')">>),
    ?assert(length(Failed) >= 2),
    [{'ValueError', "not here"}] = lists:usort([Reason || {Id, Reason} <- Failed, is_integer(Id)]),
    {error, [{_, {'SyntaxError', _}} | _]} = py:exec_all(<<"def">>),
    {error, [{_, timeout} | _]} = py:exec_all(<<"import time; time.sleep(60)">>, 200).

%% A worker that starts later has run the same code, in the same order.
%% covers: py:exec_all/1
exec_all_replay(_) ->
    ok = py:exec_all(<<"order = ['first']">>),
    ok = py:exec_all(<<"order.append('second')">>),
    {error, _} = py:exec_all(<<"order.append('failed'); 1 / 0">>),
    [Victim | _] = py_test:os_pids(default),
    ok = py_test:kill("9", Victim),
    py_test:until(fun() -> not lists:member(Victim, py_test:os_pids(default)) end),
    py_test:whole(default),
    Seen = [
        element(2, py:eval(<<"[o for o in order if o != 'failed']">>))
     || _ <- lists:seq(1, 200)
    ],
    ?assertEqual([[<<"first">>, <<"second">>]], lists:usort(Seen)).

%% covers: py:parallel/1
parallel_order(_) ->
    Calls = [{operator, add, [N, N]} || N <- lists:seq(1, 500)],
    Expected = [{ok, 2 * N} || N <- lists:seq(1, 500)],
    {ok, Expected} = py:parallel(Calls),
    {ok, []} = py:parallel([]).

%% covers: py:parallel/1
parallel_errors(_) ->
    {ok, [{ok, 1.0}, {error, {'ValueError', _}}, {error, {badarg, _}}, {ok, [3, 2, 1]}, {error, {'ModuleNotFoundError', _}}]} =
        py:parallel([
            {math, sqrt, [1]},
            {math, sqrt, [-1]},
            nonsense,
            {builtins, sorted, [[1, 3, 2]], #{reverse => true}},
            {no_such_module, f, []}
        ]).

%% covers: py:parallel/2
parallel_timeout(_) ->
    {Time, {ok, [{ok, 1.0}, {error, timeout}]}} =
        py_test:timed(fun() -> py:parallel([{math, sqrt, [1]}, {time, sleep, [60]}], 500) end),
    ?assert(Time >= 500),
    ?assert(Time < 5000).

%% covers: py:parallel/2
parallel_many(_) ->
    Count = 20000,
    {ok, Results} = py:parallel([{builtins, abs, [-N]} || N <- lists:seq(1, Count)], infinity),
    Results = [{ok, N} || N <- lists:seq(1, Count)],
    ok.

%% covers: error:bad_option, option:none, option:binary, option:tags, option:unknown, option:error, option:pool
options(_) ->
    {error, {bad_option, colour}} = py:call(math, sqrt, [1], #{}, #{colour => red}),
    {error, {bad_option, none}} = py:call(math, sqrt, [1], #{}, #{none => never}),
    {ok, nil} = py:eval(<<"None">>, #{}, #{none => nil}),
    {ok, undefined} = py:eval(<<"None">>, #{}, #{none => undefined}),
    {ok, <<"bytes">>} = py:eval(<<"type(x).__name__">>, #{x => <<"abc">>}, #{binary => bytes}),
    {ok, <<"str">>} = py:eval(<<"type(x).__name__">>, #{x => <<"abc">>}),
    {ok, {<<"bytes">>, <<"a">>}} = py:eval(<<"x">>, #{x => {bytes, <<"a">>}}, #{tags => false}),
    {error, {unsupported_object, _}} = py:eval(<<"object()">>, #{}, #{unknown => error}),
    {error, #{type := 'ZeroDivisionError', traceback := Traceback}} = py:eval(<<"1 / 0">>, #{}, #{error => map}),
    ?assertNotEqual(nomatch, string:find(Traceback, "ZeroDivisionError")),
    {error, {badarg, pool}} = py:call(math, sqrt, [1], #{}, #{pool => no_such_pool}).

%% covers: error:overloaded, py_semaphore:acquire/1, py_semaphore:release/0, py_semaphore:current/0
%% covers: py_semaphore:max_concurrent/0, py_semaphore:set_max_concurrent/1
overloaded(_) ->
    Max = py_semaphore:max_concurrent(),
    ok = py_semaphore:set_max_concurrent(1),
    try
        Ref = py:call_async(time, sleep, [30]),
        py_test:until(fun() -> py_semaphore:current() =:= 1 end),
        {error, {overloaded, 1, 1}} = py:call(math, sqrt, [1], #{}, 100),
        {error, max_concurrent} = py_semaphore:acquire(50),
        Self = self(),
        #{waiting := Before} = py_nif:nif_info(),
        Waiting = spawn_link(fun() -> Self ! {done, self(), py:call(math, sqrt, [4])} end),
        py_test:until(fun() -> maps:get(waiting, py_nif:nif_info()) > Before end),
        ok = py:cancel(Ref),
        receive {done, Waiting, {ok, 2.0}} -> ok end,
        ok = py_semaphore:acquire(1000),
        ok = py_semaphore:release()
    after
        ok = py_semaphore:set_max_concurrent(Max)
    end.

%% covers: py:version/0, py:execution_mode/0, py:execution_info/0, py:num_executors/0, py:subinterp_supported/0
%% covers: py:workers/0, py:stats/0
information(_) ->
    {ok, Version} = py:version(),
    {ok, Version0} = py:eval(<<"' '.join(__import__('sys').version.split())">>),
    ?assertEqual(Version0, Version),
    multi_process = py:execution_mode(),
    #{python := Short, pools := #{default := #{workers := 2, executors := 1, mode := single}}} = py:execution_info(),
    {ok, Short} = py:eval(<<"'%d.%d.%d' % __import__('sys').version_info[:3]">>),
    2 = py:num_executors(),
    {ok, Supported} = py:eval(<<"__import__('sys').version_info >= (3, 12)">>),
    Supported = py:subinterp_supported(),
    Workers = [W || #{pool := default} = W <- py:workers()],
    [#{state := ready, os_pid := OsPid, rss := Rss, served := _, restarts := _, python := Short} | _] = Workers,
    ?assert(py_test:alive(OsPid)),
    ?assert(Rss > 0),
    #{pools := #{default := #{num_workers := 2, ready_workers := 2}}} = py:stats().

%% covers: py:reload/1
reload(_) ->
    ok = py:exec_all(<<"import colorsys; colorsys.marked = 1; colorsys.ONE_THIRD = 0">>),
    ok = py:reload(colorsys),
    {ok, Third} = py:eval(<<"colorsys.ONE_THIRD">>),
    ?assert(abs(Third - 1 / 3) < 1.0e-9),
    ok = py:reload(<<"no.such.module.imported">>),
    ok = py:exec_all(<<"import sys, types; sys.modules['made_up'] = types.ModuleType('made_up')">>),
    {error, [{worker, {'ModuleNotFoundError', _}} | _]} = py:reload(made_up),
    {error, {badarg, module}} = py:reload(1).

%% Every caller gets its own answers.
%% covers: guarantee:one_answer, guarantee:neighbours
many_callers(_) ->
    Self = self(),
    Callers = [
        spawn_link(fun() ->
            [{ok, {N, K}} = py:eval(<<"(n, k)">>, #{n => N, k => K}) || K <- lists:seq(1, 50)],
            Self ! {done, self()}
        end)
     || N <- lists:seq(1, 200)
    ],
    [receive {done, Pid} -> ok end || Pid <- Callers],
    ok.

%% The library leaves no name in the user's namespace.
%% covers: config:paths, config:imports
main_is_clean(_) ->
    Pool = main_is_clean,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, paths => ["/tmp"], imports => [json, 'os.path']}),
    {ok, Names} = py:eval(<<"sorted(n for n in dir() if not n.startswith('__'))">>, #{}, #{pool => Pool}),
    ?assertEqual([], Names -- [<<"erlang">>]),
    {ok, true} = py:eval(<<"'json' in __import__('sys').modules and __import__('sys').path[0] == '/tmp'">>, #{}, #{pool => Pool}),
    ok = py_pool:stop_pool(Pool).

%% covers: config:cd
working_directory(_) ->
    Pool = working_directory,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, cd => "/"}),
    {ok, <<"/">>} = py:call(os, getcwd, [], #{}, #{pool => Pool}),
    ok = py_pool:stop_pool(Pool).
