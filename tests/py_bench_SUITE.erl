%% The benchmark: its arithmetic, the programs it compares with, and runs as short as possible.
-module(py_bench_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").
-include_lib("common_test/include/ct.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() -> [percentiles, buckets, rounds, samples, late_beats, json_text, ports, quick, full_run_begins, compared].

percentiles(_) ->
    Counts = [{1.0, 50}, {2.0, 40}, {3.0, 9}, {4.0, 1}],
    1.0 = py_bench_measure:percentile(0.5, Counts),
    2.0 = py_bench_measure:percentile(0.51, Counts),
    2.0 = py_bench_measure:percentile(0.9, Counts),
    3.0 = py_bench_measure:percentile(0.99, Counts),
    4.0 = py_bench_measure:percentile(0.999, Counts),
    4.0 = py_bench_measure:percentile(1.0, Counts),
    7.0 = py_bench_measure:percentile(0.5, [{7.0, 1}]).

buckets(_) ->
    lists:foreach(
        fun(Nanoseconds) ->
            Middle = py_bench_measure:value(py_bench_measure:bucket(Nanoseconds)),
            ?assert(abs(Middle / Nanoseconds - 1) < 0.011)
        end,
        [2, 3, 10, 99, 1000, 12345, 1000000, 123456789, 10000000000]
    ),
    1 = py_bench_measure:bucket(0),
    1 = py_bench_measure:bucket(1).

rounds(_) ->
    Fast = py_bench_measure:from_times([100.0, 100.0, 100.0], 10),
    Slow = py_bench_measure:from_times([10000.0], 10),
    #{ops := 40, p50 := P50, p90 := P90, max := 10.0, p50_rounds := [Low, High]} = py_bench_measure:row([Fast, Slow]),
    [?assert(abs(Seen / Expected - 1) < 0.011) || {Seen, Expected} <- [{P50, 0.1}, {P90, 10.0}, {Low, 0.1}, {High, 10.0}]],
    #{ops := 60, max := Max} = py_bench_measure:run(fun() -> ok end, #{callers => 3, burst => 4, per => 5}, 0),
    ?assert(Max > 0).

samples(_) ->
    #{ops := 1, p50 := P50, max := 5.0} = py_bench_measure:row([py_bench_measure:samples(fun() -> 5000 end, 0)]),
    ?assert(abs(P50 / 5 - 1) < 0.011),
    Counted = counters:new(1, []),
    #{ops := Ops} = py_bench_measure:samples(fun() -> counters:add(Counted, 1, 1), py_bench_measure:nanoseconds(fun erlang:yield/0) end, 5),
    Ops = counters:get(Counted, 1),
    ?assert(Ops > 1).

%% Every scheduler is asked, and one that is blocked is seen.
late_beats(_) ->
    Before = erts_debug:set_internal_state(available_internal_state, true),
    Blocking = spawn_link(fun block/0),
    Schedulers = erlang:system_info(schedulers_online),
    Delays = py_bench_ticker:delays([any | lists:seq(1, Schedulers)], 300),
    Blocking ! stop,
    ?assert(length(Delays) >= 300 * (1 + Schedulers)),
    ?assert(lists:max(Delays) > 20000000),
    _ = Before orelse erts_debug:set_internal_state(available_internal_state, false),
    ok.

block() ->
    _ = erts_debug:set_internal_state(block, 30),
    receive stop -> ok after 10 -> block() end.

%% covers: py_unified_bench:run_all/1
quick(_) ->
    ok = py_test:start(),
    Rows = py_unified_bench:run_all(#{quick => true, duration => 200, warmup => 50, callers => [10], workers => 2}),
    [ours, ours, ours, ours] = [Side || #{side := Side} <- Rows],
    lists:foreach(fun plausible/1, Rows),
    py_test:stop().

%% A run without options takes minutes; here it gets as far as its first workload.
%% covers: py_unified_bench:run_all/0
full_run_begins(_) ->
    ok = py_test:start(),
    Self = self(),
    {Run, Monitor} = spawn_monitor(fun() ->
        true = group_leader(Self, self()),
        py_unified_bench:run_all()
    end),
    Output = printed(Run, "math.sqrt(16.0), 1 caller", []),
    [?assertNotEqual(nomatch, string:find(Output, Word)) || Word <- ["machine", "OTP", "python", "5 rounds", "runs 400 ms"]],
    exit(Run, kill),
    receive {'DOWN', Monitor, process, Run, killed} -> ok end,
    py_test:stop().

%% What a process that has this one for its group leader prints, up to some text.
printed(Pid, Text, Before) ->
    receive
        {io_request, From, ReplyAs, {put_chars, unicode, Module, Function, Args}} ->
            From ! {io_reply, ReplyAs, ok},
            Output = Before ++ unicode:characters_to_list(apply(Module, Function, Args)),
            case string:find(Output, Text) of
                nomatch -> printed(Pid, Text, Output);
                _ -> Output
            end
    end.

plausible(#{ops := Ops, ops_per_s := Rate, p50 := P50, p90 := P90, p99 := P99, p999 := P999, max := Max, p50_rounds := Rounds}) ->
    ?assert(Ops > 0),
    ?assert(Rate =:= undefined orelse Rate > 0),
    ?assert(P50 =< P90 andalso P90 =< P99 andalso P99 =< P999 andalso P999 =< Max),
    %% The longest of a round is exact, anything else to the width of a bucket.
    ?assert(lists:min(Rounds) =< P50 * 1.011 andalso P50 =< lists:max(Rounds) * 1.011).

%% Every workload and every side, with stand-ins for another library and for what cargo would have to build.
%% covers: py_unified_bench:run_all/1
compared(Config) ->
    ok = py_test:start(),
    Results = filename:join(?config(priv_dir, Config), "results"),
    Path = os:getenv("PATH"),
    true = os:putenv("PATH", cargo(?config(priv_dir, Config)) ++ ":" ++ Path),
    Other = [{"a <fun>", fun stand_in/3}, {"mfa", {?MODULE, stand_in, [first]}}, {"broken", fun(_, _, _) -> exit(no_such_thing) end}],
    Rows = py_unified_bench:run_all(#{
        duration => 4, warmup => 0, rounds => 2, callers => [2], workers => 2, pools => [1, 2], silences => [1], results => Results, other => Other
    }),
    true = os:putenv("PATH", Path),
    lists:foreach(fun plausible/1, Rows),
    Sides = [{Workload, Side} || #{workload := Workload, side := Side} <- Rows],
    One = "math.sqrt(16.0), 1 caller",
    [nif, ring, python, ours, message, executor, port_etf, port_pickle, {other, "a <fun>"}, {other, "mfa"}] = [Side || {W, Side} <- Sides, W =:= One],
    [ours, message, port_etf, port_pickle, {other, "a <fun>"}, {other, "mfa"}] = [Side || {"math.sqrt(16.0), 2 callers", Side} <- Sides],
    [ours, port_etf, port_pickle, executor] = [Side || {"math.sqrt(16.0), 200 in flight from 1 caller", Side} <- Sides],
    [python, ours, buffer, port_etf, port_pickle, executor] = [Side || {"len(100 MB)", Side} <- Sides],
    [python, ours, port_etf, port_pickle, executor] = [Side || {"dict(map of 1000 pairs), echo", Side} <- Sides],
    [python, ours, message, port_etf, port_pickle, executor] = [Side || {"20 ms of Python", Side} <- Sides],
    [ours] = [Side || {"Python calls Erlang", Side} <- Sides],
    [python, ours] = [Side || {"stream_next of 1000 integers, each", Side} <- Sides],
    [python, ours] = [Side || {"ASGI request, 1 caller", Side} <- Sides],
    [ours] = [Side || {"ASGI request, 50 callers", Side} <- Sides],
    [ours] = [Side || {"async_call(asyncio, sleep, [0]), 2 callers", Side} <- Sides],
    [python, ours] = [Side || {"gather of 50 coroutines, each", Side} <- Sides],
    [ours, executor] = [Side || {"CPU-bound, 4 at once, 2 workers", Side} <- Sides],
    [ours] = [Side || {"math.sqrt(16.0), 1 worker and as many callers", Side} <- Sides],
    [ours, one_worker] = [Side || {"math.sqrt(16.0), 2 workers and as many callers, 50 in flight from each", Side} <- Sides],
    [ours, threads] = [Side || {"choice of a worker among 64", Side} <- Sides],
    [ours, warm, port_pickle] = [Side || {"math.sqrt(16.0) after 1 ms of silence", Side} <- Sides],
    [ours, warm, port_pickle] = [Side || {"100 calls at once after 1 ms of silence, all of them", Side} <- Sides],
    Beats = [Side || {"late for 1 ms, " ++ _, Side} <- Sides],
    Beats = lists:append(lists:duplicate(5, [ours, idle, computing])),
    [ours, replacement, interpreter, interpreter_ready] = [Side || {"start of a worker; python -c pass", Side} <- Sides],
    Memory = [{Side, Used} || #{workload := "memory of an idle worker, resident", side := Side, unit := 'KiB', p50 := Used} <- Rows],
    [{ours, Ours}, {interpreter_ready, Bare}] = Memory,
    ?assert(Bare > 1000 andalso Ours > Bare),
    [1.0 = Ratio || #{side := ours, ratio := Ratio} <- Rows],
    read_back(Results, Rows),
    py_test:stop().

%% The directory of a cargo that has measured already.
cargo(Dir) ->
    Cargo = filename:join(Dir, "cargo"),
    ok = file:write_file(Cargo, "#!/bin/sh\necho 'histogram 1000 60 296:10 345:2'\n"),
    ok = file:change_mode(Cargo, 8#755),
    Dir.

%% Knows one function.
stand_in(math, sqrt, [X]) -> math:sqrt(X);
stand_in(_, _, _) -> {error, unknown}.

stand_in(first, math, sqrt, [X]) -> {ok, math:sqrt(X)};
stand_in(first, _, _, _) -> {error, unknown}.

%% Python reads the files.
read_back(Results, Rows) ->
    {ok, Files} = file:list_dir(Results),
    [Html, Json] = lists:sort(Files),
    {ok, Text} = file:read_file(filename:join(Results, Json)),
    {ok, #{<<"machine">> := #{<<"cores">> := _, <<"cpu">> := _, <<"kernel">> := _}, <<"rows">> := Read}} = py:call(json, loads, [Text]),
    ?assertEqual(
        [{list_to_binary(W), list_to_binary(N), P} || #{workload := W, name := N, p50 := P} <- Rows],
        [{W, N, P} || #{<<"workload">> := W, <<"name">> := N, <<"p50">> := P, <<"histogram">> := [[_, _] | _]} <- Read]
    ),
    {ok, Page} = file:read_file(filename:join(Results, Html)),
    Count = fun(Tag) ->
        {ok, Found} = py:eval("sum(len(list(svg.iter('{http://www.w3.org/2000/svg}' + tag))) for svg in map(parse, re.findall('<svg.*?</svg>', page, re.S)))",
            #{page => Page, tag => Tag}),
        Found
    end,
    ok = py:exec("import re\nfrom xml.etree.ElementTree import fromstring as parse"),
    ?assertEqual(length([R || #{workload := W} = R <- Rows, shown(R), length([1 || #{workload := V} = O <- Rows, V =:= W, shown(O)]) > 1]), Count(circle)),
    ?assert(Count(rect) >= length(Rows)),
    [?assertNotEqual({Word, nomatch}, {Word, binary:match(Page, Word)}) || Word <- [<<"a &lt;fun&gt;">>, <<"prefers-color-scheme:dark">>, <<"per second">>]],
    py:unbind().

shown(#{ratio := Ratio}) -> is_float(Ratio) andalso Ratio >= 0.01.


json_text(_) ->
    Text = "\"\\q\u00e4\n\x{1F600}",
    Json = iolist_to_binary(py_bench_report:json(#{a => [1, -2.5e-9, true, null], <<"t">> => unicode:characters_to_binary(Text)})),
    ok = py_test:start(),
    {ok, #{<<"a">> := [1, -2.5e-9, true, none], <<"t">> := Read}} = py:call(json, loads, [Json]),
    Text = unicode:characters_to_list(Read),
    py_test:stop().

%% What goes through the port comes back, whichever way it is written.
ports(_) ->
    ok = py_test:start(),
    {ok, Scripts} = py_bench_port:scripts(),
    #{pools := #{default := #{executable := Python}}} = py:execution_info(),
    Values = [
        0, 255, 256, 65536, -1, -129, 16#7fffffff, -16#80000000, 1.5, true, false, none, <<>>, <<"abc">>, binary:copy(<<1>>, 70000), [],
        [1, 2, 300], lists:seq(1, 3000), [[1.0], [], <<0, 255>>], {}, {1}, {1, 2}, {1, 2, 3}, {1, [2], {3}, #{}}, #{},
        #{1 => #{<<"k">> => {1, 2}}}, maps:from_list([{N, [N]} || N <- lists:seq(1, 2000)])
    ],
    lists:foreach(
        fun(Codec) ->
            Port = py_bench_port:open(Python, Scripts, Codec),
            lists:foreach(
                fun(Value) -> ?assertEqual({Value}, {py_bench_port:call(Port, Codec, {operator, getitem, [[Value], 0]})}) end,
                Values
            ),
            [5.0, 5.0, 5.0] = py_bench_port:window(Port, Codec, {math, sqrt, [25.0]}, 3),
            {'EXIT', {python, <<"ZeroDivisionError", _/binary>>}} = (catch py_bench_port:call(Port, Codec, {operator, truediv, [1, 0]})),
            py_bench_port:close(Port)
        end,
        [etf, pickle]
    ),
    py_test:stop().
