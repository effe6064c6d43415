%% Workers that die: the call learns it at once, nobody else notices, the pool is whole again.
-module(py_crash_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

%% A crash must be reported long before the children that outlive it are gone.
-define(AT_ONCE, 2000).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        segfault, os_exit, null_pointer, abort, killed, with_living_children, neighbours, queued_work_moves, affine, in_async_calls,
        exec_all_that_kills, many_crashes, closed_descriptors, stopped_worker, ordinary_errors, random_kills, supervisor_restarts_owner,
        large_argument_dies, supervision_killed
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    py_test:whole(default),
    Config.

end_per_testcase(_Case, _Config) ->
    py:unbind().

crash(Code) ->
    Before = py_test:os_pids(default),
    {Time, Result} = py_test:timed(fun() -> py:call(builtins, exec, [Code, #{}]) end),
    {error, {worker_down, _}} = Result,
    ?assert(Time < ?AT_ONCE),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    py_test:until(fun() -> py_test:os_pids(default) =/= Before end),
    py_test:whole(default),
    ?assertEqual(length(Before), length(py_test:os_pids(default))),
    ?assertEqual(length(Before) - 1, length([P || P <- Before, lists:member(P, py_test:os_pids(default))])).

%% covers: guarantee:crash
segfault(_) -> crash(<<"import os; os.kill(os.getpid(), 11)">>).
%% covers: guarantee:crash
os_exit(_) -> crash(<<"import os; os._exit(3)">>).
%% covers: guarantee:crash
null_pointer(_) -> crash(<<"import ctypes; ctypes.string_at(0)">>).
%% covers: guarantee:crash
abort(_) -> crash(<<"import os; os.abort()">>).
%% covers: guarantee:crash
killed(_) -> crash(<<"import os; os.kill(os.getpid(), 9)">>).

%% Children in sessions of their own hold the worker's descriptors and live on.
%% covers: guarantee:crash
with_living_children(_) ->
    lists:foreach(
        fun(End) ->
            crash(iolist_to_binary([
                <<"
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(6)
        os._exit(0)
">>, End]))
        end,
        [<<"os.kill(os.getpid(), 11)">>, <<"os._exit(3)">>]
    ).

%% covers: guarantee:crash, guarantee:neighbours
neighbours(_) ->
    Ref = py:call_async(time, sleep, [1.0]),
    py_test:until(fun() -> lists:member(1, [N || #{in_flight := N} <- py:workers()]) end),
    {error, {worker_down, _}} = py:call(os, '_exit', [3]),
    {ok, none} = py:await(Ref).

%% What waited behind the call that crashed is served by others.
%% covers: guarantee:crash
queued_work_moves(_) ->
    Pool = queued_work_moves,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    ok = py:exec(<<"import time, os\ndef late_exit():\n    time.sleep(0.3)\n    os._exit(3)">>, #{pool => Pool}),
    Crash = py:spawn_call('__main__', late_exit, [], #{}, #{pool => Pool}),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(Pool)) =:= 1 end),
    Queued = [py:spawn_call(operator, add, [N, 1], #{}, #{pool => Pool}) || N <- lists:seq(1, 20)],
    {error, {worker_down, _}} = py:await(Crash),
    ?assertEqual([{ok, N + 1} || N <- lists:seq(1, 20)], [py:await(Ref) || Ref <- Queued]),
    ok = py_pool:stop_pool(Pool).

%% covers: error:worker_down
affine(_) ->
    ok = py:exec(<<"mine = 1">>),
    {error, {worker_down, _}} = py:exec(<<"import os; os._exit(3)">>),
    {error, {'NameError', _}} = py:eval(<<"mine">>).

%% covers: error:worker_down
in_async_calls(_) ->
    Refs = [py:call_async(os, '_exit', [3]) || _ <- lists:seq(1, 2)],
    [{error, {worker_down, _}} = py:await(Ref) || Ref <- Refs],
    py_test:whole(default).

%% Code that kills workers is not recorded, so that later workers live.
%% covers: py:exec_all/1
exec_all_that_kills(_) ->
    {error, Failed} = py:exec_all(<<"import os; os._exit(3)">>),
    [{worker_down, _} | _] = [Reason || {_, Reason} <- Failed],
    py_test:whole(default),
    {ok, 1} = py:eval(<<"1">>).

many_crashes(_) ->
    [{error, {worker_down, _}} = py:call(os, '_exit', [N rem 256]) || N <- lists:seq(1, 10)],
    py_test:whole(default),
    {ok, 1} = py:eval(<<"1">>).

%% Code that closes every descriptor ends its own worker at worst.
closed_descriptors(_) ->
    _ = py:call(builtins, exec, [<<"import os; os.closerange(3, 4096)">>, #{}], #{}, 5000),
    py_test:until(fun() -> {ok, 1} =:= py:eval(<<"1">>, #{}, 1000) end),
    py_test:whole(default).

%% A stopped worker costs its callers their timeout and is replaced in the end.
stopped_worker(_) ->
    ok = py:exec(<<"import os">>),
    {ok, OsPid} = py:eval(<<"os.getpid()">>),
    ok = py_test:kill("STOP", OsPid),
    {Time, {error, timeout}} = py_test:timed(fun() -> py:eval(<<"1">>, #{}, 300) end),
    ?assert(Time < 2000),
    py:unbind(),
    ok = py_test:kill("KILL", OsPid),
    py_test:until(fun() -> not lists:member(OsPid, py_test:os_pids(default)) end).

ordinary_errors(_) ->
    Before = py_test:os_pids(default),
    {error, {'SystemExit', _}} = py:call(sys, exit, []),
    {error, {'KeyboardInterrupt', _}} = py:exec(<<"raise KeyboardInterrupt">>),
    {error, {'RecursionError', _}} = py:exec(<<"def f(n): return f(n + 1)\nf(0)">>),
    Before = py_test:os_pids(default).

%% Under random kills every call gets exactly one answer, and only the right ones.
%% covers: guarantee:one_answer, guarantee:crash
random_kills(_) ->
    Self = self(),
    Callers = [
        spawn_link(fun() ->
            Results = [py:call(operator, mul, [N, K], #{}, 20000) || K <- lists:seq(1, 300)],
            Bad = [{K, R} || {K, R} <- lists:zip(lists:seq(1, 300), Results), R =/= {ok, N * K}, not is_down(R)],
            [] = py_test:mailbox(),
            Self ! {done, self(), Bad}
        end)
     || N <- lists:seq(1, 20)
    ],
    Killer = spawn_link(fun Kill() ->
        case py_test:os_pids(default) of
            [] -> ok;
            Pids -> os:cmd("kill -9 " ++ integer_to_list(lists:nth(rand:uniform(length(Pids)), Pids)))
        end,
        receive stop -> ok after 50 -> Kill() end
    end),
    ?assertEqual([], lists:append([receive {done, Pid, Bad} -> Bad end || Pid <- Callers])),
    unlink(Killer),
    Killer ! stop,
    py_test:whole(default),
    py_test:settled().

is_down({error, {worker_down, _}}) -> true;
is_down(_) -> false.

%% py_worker is the owner of its worker: without it the worker goes, and both come back.
supervisor_restarts_owner(_) ->
    [{_, _, _, _, #{pid := Owner, os_pid := OsPid}} | _] = [Row || {_, default, _, _, _} = Row <- py_pool:workers()],
    exit(Owner, kill),
    py_test:until(fun() -> not py_test:alive(OsPid) end),
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 2 andalso not lists:member(OsPid, py_test:os_pids(default)) end),
    {ok, 1} = py:eval(<<"1">>).

%% covers: guarantee:crash
large_argument_dies(_) ->
    Big = binary:copy(<<0>>, 8 * 1024 * 1024),
    [{error, {worker_down, _}} = py:eval(<<"__import__('os')._exit(len(x) & 1)">>, #{x => {bytes, Big}}) || _ <- lists:seq(1, 3)],
    py_test:whole(default),
    {ok, 8388608} = py:call(builtins, len, [{bytes, Big}]).

%% The application that ends by the death of its supervisor leaves no pool behind in which calls would wait.
supervision_killed(_) ->
    exit(whereis(py_sup), kill),
    py_test:until(fun() -> not lists:keymember(erlang_python, 1, application:which_applications()) end),
    {error, not_started} = py:eval(<<"1">>, #{}, 5000),
    ok = py_test:start(),
    {ok, 1} = py:eval(<<"1">>).
