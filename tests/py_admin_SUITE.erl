%% What is done to every worker: settings that later workers get as well, reload, memory, garbage collection, tracemalloc.
-module(py_admin_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [
        busy_worker_runs_it_first, setting_is_replaced, setting_on_later_workers, setting_keeps_its_place, setting_fails, setting_of_dead_caller,
        unset_setting, settings_and_code_together, pool_of_the_user, pool_async, memory_stats, memory_of_one_pool, memory_of_busy_worker, odd_figures,
        gc, gc_bad_generation, tracemalloc, tracemalloc_restarted_worker, tracemalloc_bad_frames, reload_by_any_name, reload_in_parallel, not_started
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    {ok, _} = application:ensure_all_started(erlang_python),
    py_test:whole(default),
    Config.

end_per_testcase(_Case, _Config) ->
    py:unbind(),
    _ = py_pool:stop_pool(own),
    ok.

%% Requests of the setting `test', as py_exec_log takes them: sys.setting becomes a value.
setting(Value) ->
    {eval, <<"setattr(__import__('sys'), 'setting', value)">>, #{value => Value}}.

set(Value) ->
    py_exec_log:set(test, setting(Value), setting(nothing), 10000).

%% What the workers of the common pools see.
seen() ->
    lists:usort([Answer || {_, _, {ok, Answer}} <- py_everywhere:ask({eval, <<"getattr(__import__('sys'), 'setting', None)">>, []}, 10000)]).

kill_one() ->
    [Victim | _] = py_test:os_pids(default),
    ok = py_test:kill("9", Victim),
    py_test:until(fun() -> not lists:member(Victim, py_test:os_pids(default)) end),
    py_test:whole(default).

%% A worker that is busy gets the code when its work has ended, and before the request that comes after it.
%% covers: py:exec_all/1, py:exec_all/2
busy_worker_runs_it_first(Config) ->
    Go = filename:join(proplists:get_value(priv_dir, Config), "go"),
    ok = py:exec(<<"import os, time\ndef until(path):\n  while not os.path.exists(path): time.sleep(0.005)">>),
    {ok, OsPid} = py:call(os, getpid, []),
    Load = fun() -> hd([N || #{os_pid := P, in_flight := N} <- py:workers(), P =:= OsPid]) end,
    Busy = py:call_async('__main__', until, [iolist_to_binary(Go)]),
    py_test:until(fun() -> Load() =:= 1 end),
    Self = self(),
    All = spawn_link(fun() -> Self ! {self(), py:exec_all(<<"came_first = 1">>)} end),
    py_test:until(fun() -> Load() =:= 2 end),
    Next = py:call_async(builtins, eval, [<<"__import__('__main__').came_first">>]),
    py_test:until(fun() -> Load() =:= 3 end),
    ok = file:write_file(Go, <<>>),
    {ok, none} = py:await(Busy),
    {ok, 1} = py:await(Next),
    receive {All, Result} -> ?assertEqual(ok, Result) end.

setting_is_replaced(_) ->
    ok = set(1),
    ok = set(2),
    [2] = seen(),
    ?assertEqual({ok, setting(2)}, py_exec_log:setting(test)),
    none = py_exec_log:setting(other),
    ok = py_exec_log:unset(test, 10000),
    [<<"nothing">>] = seen(),
    none = py_exec_log:setting(test).

setting_on_later_workers(_) ->
    ok = set(later),
    kill_one(),
    [<<"later">>] = seen(),
    _ = py_pool:stop_pool(parallel),
    {ok, [{ok, <<"later">>}]} = py:parallel([{builtins, eval, [<<"__import__('sys').setting">>]}]),
    ok = py_exec_log:unset(test, 10000).

%% Code that builds on a setting still does on later workers when the setting was made again.
setting_keeps_its_place(_) ->
    ok = set(early),
    ok = py:exec_all(<<"import sys; at_code = getattr(sys, 'setting', None)">>),
    ok = set(early),
    kill_one(),
    [<<"early">>] = lists:usort([V || {_, _, {ok, V}} <- py_everywhere:ask({eval, <<"at_code">>, []}, 10000)]),
    ok = set(late),
    [<<"late">>] = seen(),
    ok = py_exec_log:unset(test, 10000).

%% Where it fails on one worker, all are as they were.
setting_fails(_) ->
    Odd = fun(Value) ->
        {eval, <<"setattr(__import__('sys'), 'setting', value if __import__('erlang').WorkerInfo.id % 2 == 0 else 1 / 0)">>, #{value => Value}}
    end,
    {error, [{_, {'ZeroDivisionError', _}} | _]} = py_exec_log:set(test, Odd(1), setting(nothing), 10000),
    [<<"nothing">>] = seen(),
    none = py_exec_log:setting(test),
    ok = set(before),
    {error, [{_, {'ZeroDivisionError', _}} | _]} = py_exec_log:set(test, Odd(2), setting(nothing), 10000),
    [<<"before">>] = seen(),
    ?assertEqual({ok, setting(before)}, py_exec_log:setting(test)),
    kill_one(),
    [<<"before">>] = seen(),
    ok = py_exec_log:unset(test, 10000).

%% A setting that is being made does not stop half-way.
setting_of_dead_caller(_) ->
    Slow = {eval, <<"(__import__('time').sleep(0.3), setattr(__import__('sys'), 'setting', 'whole')) and None">>, []},
    {Caller, Monitor} = spawn_monitor(fun() -> py_exec_log:set(test, Slow, setting(nothing), 10000) end),
    py_test:until(fun() -> py_exec_log:setting(test) =/= none end),
    exit(Caller, kill),
    receive {'DOWN', Monitor, process, Caller, killed} -> ok end,
    py_test:until(fun() -> seen() =:= [<<"whole">>] end),
    ok = py_exec_log:unset(test, 10000).

%% Unsetting what is not set does nothing; later workers do not hear of what was unset.
unset_setting(_) ->
    ok = py_exec_log:unset(never_set, 1000),
    Counted = {eval, <<"setattr(__import__('sys'), 'unsets', getattr(__import__('sys'), 'unsets', 0) + 1)">>, []},
    ok = py_exec_log:set(counted, setting(1), Counted, 10000),
    ok = py_exec_log:unset(counted, 10000),
    ok = py_exec_log:unset(counted, 10000),
    kill_one(),
    Counts = [N || {_, default, {ok, N}} <- py_everywhere:ask({eval, <<"getattr(__import__('sys'), 'unsets', 0)">>, []}, 10000)],
    ?assertEqual([0, 1], lists:sort(Counts)),
    _ = py_pool:stop_pool(parallel),
    ok.

%% Many at once: all workers see the same order, and those that come later end where the others are.
settings_and_code_together(_) ->
    Self = self(),
    ok = py:exec_all(<<"trail = []">>),
    Pids = [
        spawn_link(fun() ->
            ok = case N rem 2 of
                0 -> set(N);
                1 -> py:exec_all(io_lib:format("trail.append(~b)", [N]))
            end,
            Self ! {done, self()}
        end)
     || N <- lists:seq(1, 20)
    ],
    [receive {done, Pid} -> ok end || Pid <- Pids],
    Trail = fun() -> lists:usort([V || {_, default, {ok, V}} <- py_everywhere:ask({eval, <<"(trail, __import__('sys').setting)">>, []}, 10000)]) end,
    [{Order, _}] = Before = Trail(),
    ?assertEqual(lists:seq(1, 20, 2), lists:sort(Order)),
    kill_one(),
    ?assertEqual(Before, Trail()),
    ok = py_exec_log:unset(test, 10000).

%% Pools of the user's own are not meant.
pool_of_the_user(_) ->
    ok = py_pool:start_pool(own, #{num_workers => 1}),
    ok = set(1),
    {ok, none} = py:eval(<<"getattr(__import__('sys'), 'setting', None)">>, #{}, #{pool => own}),
    ok = py_exec_log:unset(test, 10000).

%% Pool async is meant, from its first use on.
%% covers: py:exec_all/1, py:gc/0, py:memory_stats/0
pool_async(_) ->
    _ = py_pool:stop_pool(async),
    ok = set(known),
    ok = py:exec_all(<<"said_before = 1">>),
    Seen = fun() -> py:await(py:async_call(builtins, eval, [<<"(__import__('sys').setting, __import__('__main__').said_before)">>])) end,
    {ok, {<<"known">>, 1}} = Seen(),
    [OsPid] = py_test:os_pids(async),
    ok = set(changed),
    {ok, {<<"changed">>, 1}} = Seen(),
    {ok, _} = py:gc(),
    {ok, #{workers := Workers}} = py:memory_stats(),
    [OsPid] = [P || #{pool := async, os_pid := P, gc_stats := _} <- Workers],
    ok = py_test:kill("9", OsPid),
    py_test:until(fun() -> py_test:os_pids(async) =/= [OsPid] andalso length(py_test:os_pids(async)) =:= 1 end),
    {ok, {<<"changed">>, 1}} = Seen(),
    ok = py_exec_log:unset(test, 10000),
    ok = py_pool:stop_pool(async).

%% covers: py:memory_stats/0
memory_stats(_) ->
    {ok, #{workers := Workers, rss := Rss, gc_stats := [_, _, #{collections := Collections}], gc_count := [_, _, _]} = Stats} = py:memory_stats(),
    ?assert(length(Workers) >= 2),
    #{gc_threshold := [_, _, _], traced_memory_current := 0, traced_memory_peak := 0} = Stats,
    ?assertEqual(Rss, lists:sum([R || #{rss := R} <- Workers])),
    ?assertEqual(Collections, lists:sum([C || #{gc_stats := [_, _, #{collections := C}]} <- Workers])),
    ?assertEqual(lists:sort([{Id, P} || #{id := Id, os_pid := P} <- py:workers()]), lists:sort([{Id, P} || #{id := Id, os_pid := P} <- Workers])),
    [?assert(R > 1000000) || #{rss := R} <- Workers].

%% covers: py:memory_stats/1
memory_of_one_pool(_) ->
    ok = py_pool:start_pool(own, #{num_workers => 1}),
    {ok, #{workers := [#{pool := own}]}} = py:memory_stats(#{pool => own}),
    {error, {badarg, pool}} = py:memory_stats(#{pool => no_such_pool}),
    {error, {bad_option, colour}} = py:memory_stats(#{colour => red}),
    {error, {badarg, timeout}} = py:memory_stats(-1),
    ok.

%% covers: py:memory_stats/1
memory_of_busy_worker(_) ->
    ok = py_pool:start_pool(own, #{num_workers => 2}),
    Ref = py:spawn_call(time, sleep, [3600], #{}, #{pool => own}),
    py_test:until(fun() -> lists:sum([N || #{pool := own, in_flight := N} <- py:workers()]) =:= 1 end),
    {ok, #{workers := Workers, rss := Sum}} = py:memory_stats(#{pool => own, timeout => 300}),
    [timeout] = [E || #{error := E} <- Workers],
    [_] = [S || #{gc_stats := S} <- Workers],
    ?assertEqual(Sum, lists:sum([R || #{rss := R} <- Workers])),
    ok = py:cancel(Ref),
    ok.

%% What a program puts in the place of Python's own figures does no harm.
odd_figures(_) ->
    ok = py_pool:start_pool(own, #{num_workers => 1}),
    ok = py:exec(<<"import gc\ngc.get_count = lambda: ['many']">>, #{pool => own}),
    {ok, #{workers := [#{error := unexpected_answer}]}} = py:memory_stats(#{pool => own}),
    ok.

%% covers: py:gc/0, py:gc/1
gc(_) ->
    Cycles = <<"import gc\ngc.disable()\nfor _ in range(100):\n  x = []\n  x.append(x)\ndel x">>,
    {ok, _} = py:gc(),
    ok = py:exec_all(Cycles),
    {ok, Collected} = py:gc(),
    ?assert(Collected >= 200),
    {ok, Young} = py:gc(0),
    ?assert(Young < 200),
    {ok, _} = py:gc(1),
    ok = py:exec_all(<<"gc.enable()">>).

%% covers: py:gc/1
gc_bad_generation(_) ->
    [{error, {badarg, generation}} = py:gc(G) || G <- [-1, 3, two, 1.0]].

traced() ->
    {ok, #{traced_memory_current := Current, traced_memory_peak := Peak, workers := Workers}} = py:memory_stats(),
    {Current, Peak, lists:sort([C || #{pool := default, traced_memory_current := C} <- Workers])}.

%% covers: py:tracemalloc_start/0, py:tracemalloc_stop/0
tracemalloc(_) ->
    ok = py:tracemalloc_start(),
    ok = py:exec_all(<<"kept = bytearray(3000000)\nlost = bytearray(3000000)\ndel lost">>),
    {Current, Peak, [Least | _]} = traced(),
    ?assert(Least >= 3000000),
    ?assert(Current >= 2 * 3000000),
    ?assert(Peak >= Current + 2 * 2900000),
    ok = py:tracemalloc_stop(),
    {0, 0, _} = traced(),
    ok = py:tracemalloc_stop(),
    ok = py:exec_all(<<"globals().pop('kept', None) and None">>).

%% covers: py:tracemalloc_start/1
tracemalloc_restarted_worker(_) ->
    ok = py:tracemalloc_start(7),
    kill_one(),
    Limits = py_everywhere:ask({call, tracemalloc, get_traceback_limit, [], []}, 10000),
    [7] = lists:usort([L || {_, _, {ok, L}} <- Limits]),
    {_, _, [Least | _]} = traced(),
    ?assert(Least > 0),
    ok = py:tracemalloc_start(2),
    [2] = lists:usort([L || {_, _, {ok, L}} <- py_everywhere:ask({call, tracemalloc, get_traceback_limit, [], []}, 10000)]),
    ok = py:tracemalloc_stop(),
    kill_one(),
    Imported = py_everywhere:ask({eval, <<"'tracemalloc' in __import__('sys').modules">>, []}, 10000),
    ?assert(lists:member(false, [I || {_, _, {ok, I}} <- Imported])),
    {0, 0, _} = traced().

%% covers: py:tracemalloc_start/1
tracemalloc_bad_frames(_) ->
    [{error, {badarg, frames}} = py:tracemalloc_start(F) || F <- [0, -1, 65536, many, 1.5]].

%% covers: py:reload/1
reload_by_any_name(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "reloaded"),
    File = filename:join([Dir, "reload_package", "reload_inner.py"]),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(filename:join([Dir, "reload_package", "__init__.py"]), <<>>),
    ok = file:write_file(File, <<"value = 1\n">>),
    ok = py:exec_all(["import sys; sys.path.append('", Dir, "'); sys.dont_write_bytecode = True; import reload_package.reload_inner"]),
    Value = fun() -> py:eval(<<"__import__('reload_package.reload_inner').reload_inner.value">>) end,
    {ok, 1} = Value(),
    lists:foreach(
        fun({Name, N}) ->
            ok = file:write_file(File, ["value = ", integer_to_list(N), lists:duplicate(N, $\n)]),
            ok = py:reload(Name),
            ?assertEqual([{ok, N}], lists:usort([Value() || _ <- lists:seq(1, 20)]))
        end,
        [{'reload_package.reload_inner', 10}, {"reload_package.reload_inner", 11}, {<<"reload_package.reload_inner">>, 12}]
    ),
    [{error, {badarg, module}} = py:reload(Bad) || Bad <- [1, [a], {x}, [1 | 2]]].

%% covers: py:reload/1
reload_in_parallel(_) ->
    {ok, [{ok, _}]} = py:parallel([{colorsys, rgb_to_hsv, [0, 0, 0]}]),
    ok = py:exec_all(<<"import colorsys; colorsys.ONE_THIRD = 0">>),
    ok = py:reload(colorsys),
    Third = [V || {_, _, {ok, V}} <- py_everywhere:ask({eval, <<"colorsys.ONE_THIRD">>, []}, 10000)],
    ?assert(length(Third) >= 4),
    ?assertEqual([], [V || V <- Third, V == 0]).

%% covers: error:not_started
not_started(_) ->
    py_test:stop(),
    {error, not_started} = py:memory_stats(),
    {error, not_started} = py:gc(),
    {error, not_started} = py:tracemalloc_start(),
    {error, not_started} = py:tracemalloc_stop(),
    {error, not_started} = py:reload(json),
    ok = py_test:start().
