%% The live view of what goes on, and the service times that it shows.
-module(py_top_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(POOL, top).

suite() -> [{timetrap, {seconds, 180}}].

all() ->
    [idle, rates, slowest, stuck, stopped, widths, hostile_text, times, times_of_the_dead, own_work, bad_options, not_started, no_terminal, terminal].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    Config.

end_per_testcase(_Case, _Config) ->
    _ = py_pool:stop_pool(?POOL),
    py_test:settled(),
    [] = py_test:mailbox(),
    ok.

code() ->
    <<"
import ctypes, time
KEEPS = ctypes.PyDLL(None)

def stuck():
    KEEPS.sleep(3600)

def nap(seconds):
    time.sleep(seconds)
">>.

pool() ->
    ok = py_pool:start_pool(?POOL, #{num_workers => 1, max_workers => 1, preload => code()}).

options() ->
    #{pool => ?POOL, timeout => infinity}.

pools(#{pools := Pools}) -> [Pool || #{name := ?POOL} = Pool <- Pools].
workers(#{workers := Workers}) -> [Worker || #{pool := ?POOL} = Worker <- Workers].

text(Snapshot, Width) ->
    py_top:format(Snapshot, Width).

%% covers: py_top:snapshot/0, py_top:format/1
idle(_) ->
    pool(),
    Snapshot = py_top:snapshot(),
    [OsPid] = py_test:os_pids(?POOL),
    [#{workers := 1, ready := 1, pending := 0, parked := 0, waiting := 0, restarts := 0}] = pools(Snapshot),
    [#{id := Id, state := ready, os_pid := OsPid, queue := 0, rss := Rss, restarts := 0, latency := #{count := 0}}] = workers(Snapshot),
    ?assert(Rss > 0),
    #{permits := 0, max_permits := 16384, waiting_for_permits := 0, requests := []} = Snapshot,
    Text = py_top:format(Snapshot),
    {match, _} = re:run(Text, "^top +1/1 +0 +0 +0 +- +- +- +- +0 +0$", [multiline]),
    {match, _} = re:run(Text, io_lib:format("^ +~b  top +ready +~b +- +[0-9.]+M +0 ", [Id, OsPid]), [multiline]),
    ?assertEqual(nomatch, re:run(Text, "FUNCTION")).

%% covers: py_top:snapshot/1, py:stats/0
rates(_) ->
    pool(),
    Before = py_top:snapshot(),
    [{ok, none} = py:call('__main__', nap, [0.001], #{}, options()) || _ <- lists:seq(1, 50)],
    {ok, none} = py:call('__main__', nap, [0.2], #{}, options()),
    After = py_top:snapshot(Before),
    %% At least 250 ms have passed.
    [#{ops_s := Rate, latency := #{count := 51, p50_ns := P50, p99_ns := P99, max_ns := Max}}] = pools(After),
    ?assert(Rate > 0 andalso Rate =< 51 * 4),
    ?assert(P50 >= 1000000 andalso P99 >= 200000000 andalso P99 =< Max),
    [#{ops_s := _, cpu := _, times := #{count := 51}}] = workers(After),
    %% The next look has nothing of the last.
    [#{ops_s := 0, latency := #{count := 0, p99_ns := 0}}] = pools(py_top:snapshot(After)),
    {match, _} = re:run(text(After, 120), "^top .*  [0-9.]+m?s  [0-9.]+m?s  [0-9.]+m?s +51 ", [multiline]).

%% covers: py_top:snapshot/0, py_top:format/2
slowest(_) ->
    pool(),
    Start = fun() -> py:spawn_call('__main__', nap, [3600], #{}, options()) end,
    Runs = Start(),
    py_test:until(fun() -> lists:any(fun(#{started := Started, age_ms := Age}) -> Started andalso Age > 50 end, maps:get(requests, py_top:snapshot())) end),
    Refs = [Runs, Start(), Start()],
    py_test:until(fun() -> length([R || #{age_ms := Age} = R <- maps:get(requests, py_top:snapshot()), Age > 0]) =:= 3 end),
    #{requests := [First | Rest]} = Snapshot = py_top:snapshot(),
    Self = self(),
    ?assertMatch(#{started := true, function := <<"__main__.nap">>, caller := Self, pool := ?POOL, runs := call}, First),
    ?assertMatch([#{started := false}, #{started := false}], Rest),
    Ages = [Age || #{age_ms := Age} <- [First | Rest]],
    ?assertEqual(lists:reverse(lists:sort(Ages)), Ages),
    Caller = pid_to_list(self()),
    {match, _} = re:run(text(Snapshot, 120), ["^ *[0-9.]+m?s +top +[0-9]+  runs +", Caller, ".*__main__\\.nap$"], [multiline]),
    {match, [[_], [_]]} = re:run(text(Snapshot, 120), ["^ *[0-9.]+m?s +top +[0-9]+  waits +", Caller, ".*__main__\\.nap$"], [multiline, global]),
    lists:foreach(fun py:cancel/1, Refs).

%% A worker that keeps Python's lock answers nothing, and is shown all the same.
%% covers: py_top:snapshot/0, py_top:format/2
stuck(_) ->
    pool(),
    Ref = py:spawn_call('__main__', stuck, [], #{}, options()),
    py_test:until(fun() -> [started || #{started := true} <- maps:get(requests, py_top:snapshot())] =/= [] end),
    py_test:until(fun() -> [kept || #{lock := kept} <- py:stacks(?POOL)] =/= [] end),
    Snapshot = py_top:snapshot(py_top:snapshot()),
    [#{queue := 1}] = workers(Snapshot),
    {match, _} = re:run(text(Snapshot, 120), "^ +[0-9]+  top +ready .*  [0-9.]+m?s __main__\\.stuck$", [multiline]),
    ok = py:cancel(Ref).

%% covers: py_top:snapshot/0
stopped(_) ->
    pool(),
    [OsPid] = py_test:os_pids(?POOL),
    ok = py_test:kill("STOP", OsPid),
    Ref = py:spawn_call('__main__', nap, [0], #{}, options()),
    #{requests := [#{started := false, function := <<"__main__.nap">>}]} = Snapshot = py_top:snapshot(),
    [#{os_pid := OsPid, queue := 1}] = workers(Snapshot),
    ok = py_test:kill("CONT", OsPid),
    {ok, none} = py:await(Ref).

%% covers: py_top:format/2
widths(_) ->
    pool(),
    Ref = py:spawn_call('__main__', nap, [3600], #{}, options()),
    py_test:until(fun() -> [started || #{started := true} <- maps:get(requests, py_top:snapshot())] =/= [] end),
    Snapshot = py_top:snapshot(py_top:snapshot()),
    lists:foreach(
        fun(Width) ->
            Lines = string:split(text(Snapshot, Width), "\n", all),
            ?assertEqual([], [Line || Line <- Lines, string:length(Line) > Width])
        end,
        lists:seq(20, 200)
    ),
    Has = fun(Title, Width) -> re:run(text(Snapshot, Width), ["\\b", Title, "\\b"], [{capture, none}]) =:= match end,
    %% What matters stays the longest.
    ?assertEqual({true, true, true}, {Has("PID", 160), Has("RSS", 160), Has("P99", 160)}),
    ?assertEqual({false, true, true}, {Has("PID", 60), Has("P99", 60), Has("QUEUE", 60)}),
    ok = py:cancel(Ref).

%% Names and code come from programs; no terminal obeys them.
%% covers: py_top:format/1
hostile_text(_) ->
    pool(),
    Code = unicode:characters_to_binary("__import__('time').sleep(3600) or '''\e[2J\r\n\t\x{9b}31m " ++ lists:duplicate(100, $\x{fc}) ++ "'''"),
    Caller = spawn(fun() -> py:eval(Code, #{}, options()) end),
    py_test:until(fun() -> maps:get(requests, py_top:snapshot()) =/= [] end),
    #{requests := [#{function := Function, runs := eval}]} = Snapshot = py_top:snapshot(),
    {match, _} = re:run(Function, "^__import__\\('time'\\).sleep"),
    Text = py_top:format(Snapshot),
    ?assertEqual([], [C || C <- unicode:characters_to_list(Text), C =/= $\n, C < $\s orelse (C >= 16#7f andalso C < 16#a0)]),
    exit(Caller, kill).

%% The figures agree with each other and with what was done.
%% covers: py:stats/0, py_pool:get_stats/1, py:workers/0
times(_) ->
    pool(),
    [{ok, none} = py:call('__main__', nap, [Seconds], #{}, options()) || Seconds <- [0.005, 0.005, 0.005, 0.3]],
    #{latency := #{count := Count, p50_ns := P50, p99_ns := P99, max_ns := Max, buckets := Buckets}} = py_pool:get_stats(?POOL),
    ?assertEqual(4, Count),
    ?assertEqual(Count, lists:sum([N || {_, N} <- Buckets])),
    ?assertEqual(lists:usort(Buckets), Buckets),
    ?assert(P50 >= 5000000 andalso P50 < P99 andalso P99 =< Max andalso Max >= 300000000),
    {Last, 1} = lists:last(Buckets),
    ?assert(Last > Max andalso Last =< Max * 5 div 4 + 1),
    [#{max_ns := Max, p99_ns := P99, served := 4}] = [Worker || #{pool := P} = Worker <- py:workers(), P =:= ?POOL],
    #{pools := #{?POOL := #{latency := #{count := 4}}}} = py:stats().

%% What a worker has counted stays when it goes.
%% covers: py_pool:get_stats/1
times_of_the_dead(_) ->
    pool(),
    Count = fun() -> maps:get(count, maps:get(latency, py_pool:get_stats(?POOL))) end,
    lists:foldl(
        fun(_, Before) ->
            [{ok, none} = py:call('__main__', nap, [0], #{}, options()) || _ <- lists:seq(1, 10)],
            ?assertEqual(Before + 10, Count()),
            [OsPid] = py_test:os_pids(?POOL),
            ok = py_test:kill("KILL", OsPid),
            py_test:until(fun() -> ?assertEqual(Before + 10, Count()), py_test:os_pids(?POOL) -- [OsPid] =/= [] end),
            Before + 10
        end,
        0,
        lists:seq(1, 3)
    ).

%% What the node asks for itself is no service time: imports at the start would be the longest for ever.
%% covers: py_pool:get_stats/1
own_work(_) ->
    ok = py_pool:start_pool(?POOL, #{num_workers => 1, preload => <<"import time; time.sleep(0.2)">>}),
    #{latency := #{count := 0, max_ns := 0}} = py_pool:get_stats(?POOL),
    #{requests := []} = py_top:snapshot().

%% covers: py:top/1
bad_options(_) ->
    ?assertEqual({error, {badarg, options}}, py:top(often)),
    ?assertEqual({error, {bad_option, every}}, py:top(#{every => 1})),
    ?assertEqual({error, {bad_option, interval}}, py:top(#{interval => 0})).

%% covers: py:top/0
not_started(_) ->
    py_test:stop(),
    ?assertEqual({error, not_started}, py:top()),
    ok = py_test:start([{num_workers, 1}]).

%% Where nobody could press a key it ends by itself.
%% covers: py:top/0, py:top/1
no_terminal(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "top.txt"),
    {ok, Out} = file:open(File, [write, {encoding, utf8}]),
    Own = group_leader(),
    group_leader(Out, self()),
    try
        ok = py:top(),
        ok = py:top(#{interval => 200})
    after
        group_leader(Own, self())
    end,
    ok = file:close(Out),
    {ok, Text} = file:read_file(File),
    {match, [_, _]} = re:run(Text, "^py:top ", [multiline, global]),
    ?assertEqual(nomatch, binary:match(Text, <<"\e">>)).

%% In a shell, beside a busy worker and one that is stuck: it draws again and again in place, Enter ends it, and the shell goes on.
%% covers: py:top/1
terminal(_) ->
    Start = [
        "application:load(erlang_python), application:set_env(erlang_python, python, \"", py_test:python(), "\"), ",
        "application:set_env(erlang_python, preload, <<\"import ctypes\\nKEEPS = ctypes.PyDLL(None)\\ndef stuck(): KEEPS.sleep(3600)\">>), ",
        "{ok, _} = application:ensure_all_started(erlang_python), ok = py_pool:start_pool(busy, #{num_workers => 1}), ok = py:cast('__main__', stuck, []), ",
        "spawn(fun F() -> {ok, _} = py:call(math, sqrt, [2.0], #{}, #{pool => busy}), F() end), ready.\r"
    ],
    Steps = [
        ["1> ", Start], ["\nready", ""], ["2> ", "py:top(#{interval => 200}).\r"],
        %% Of the second look and later ones.
        ["Enter ends", ""], ["Enter ends", ""], ["Enter ends", "\r"], ["3> ", "{went, on}.\r"], ["{went,on}", "halt().\r"]
    ],
    {0, Shown} = in_terminal(40, 130, Steps, ["erl", "-pa", filename:dirname(code:which(py))]),
    [_, Top] = string:split(Shown, "\e[?1049h"),
    [Frames, _] = string:split(Top, "\e[?1049l"),
    [_, _, Second | _] = string:split(Frames, "\e[H", all),
    {match, _} = re:run(Second, "^ +[0-9]+  busy +ready .*  [1-9][0-9]* +[0-9.]+us ", [multiline]),
    {match, _} = re:run(Second, "^ +[0-9]+  default +ready .* __main__\\.stuck", [multiline]),
    {match, _} = re:run(Second, "^ *[0-9.]+m?s +default .* runs .* __main__\\.stuck", [multiline]).

in_terminal(Rows, Columns, Steps, Program) ->
    Script = filename:join(code:priv_dir(erlang_python), "../tests/terminal.py"),
    Pairs = lists:join(",", [["[", json(Text), ",", json(Keys), "]"] || [Text, Keys] <- Steps]),
    Args = [Script, integer_to_list(Rows), integer_to_list(Columns), unicode:characters_to_list(["[", Pairs, "]"]) | Program],
    Port = open_port({spawn_executable, py_test:python()}, [{args, Args}, binary, exit_status, stderr_to_stdout, use_stdio]),
    collect(Port, []).

%% ASCII only.
json(Text) ->
    [$", [case C of $" -> "\\\""; $\\ -> "\\\\"; $\r -> "\\r"; $\n -> "\\n"; _ -> C end || C <- lists:flatten(Text)], $"].

collect(Port, Shown) ->
    receive
        {Port, {data, Data}} -> collect(Port, [Shown, Data]);
        {Port, {exit_status, Status}} ->
            ct:log("~ts", [Shown]),
            {Status, iolist_to_binary(Shown)}
    end.
