%% @doc What {@link py_unified_bench} measures: calls, how many at once, and on which sides.
-module(py_bench_workloads).

-export([all/1, base/3]).

-export_type([workload/0, kind/0, call/0]).

-type kind() ::
    calls | in_flight | data | values | work | parallel | callbacks | async | asgi | streams | pools | silence | ticker | start | memory | choice.
-type call() :: {atom(), atom(), [term()]}.
-type workload() :: #{
    name := string(),
    call := call() | none,
    check := fun((term()) -> boolean()),
    callers := pos_integer(),
    burst := pos_integer(),
    window := pos_integer(),
    per := pos_integer(),
    parallel := none | pos_integer(),
    timeit := {Number :: pos_integer(), Times :: pos_integer()},
    ours := call | fun(() -> {ok, term()}),
    pool := none | pos_integer(),
    silence := non_neg_integer(),
    runs := #{py_unified_bench:side() => py_bench_sides:runner()},
    unit := us | 'KiB',
    rate := boolean(),
    by := default | p50 | p99,
    sides := [py_unified_bench:side() | other]
}.
%% `callers': processes; `burst': of so many turns the first is timed; `window': calls at once of one caller; `per': operations of one
%% turn; `parallel': workers of a pool of its own; `timeit': calls per mean, and means, on side `python'; `ours': the plain call, or
%% what else runs one turn on our side; `pool': calls to a pool of its own with so many workers; `silence': milliseconds of rest before each
%% turn; `runs': the rounds of sides that run in a way of their own; `unit': of the figures; `rate': whether so many per second says
%% anything; `by': the figure whose ratio is told, by default the throughput, of one call at a time the median.

-define(MB, 1000000).

%% In the order in which they run.
kinds() ->
    [calls, in_flight, data, values, work, callbacks, streams, asgi, async, parallel, pools, choice, silence, ticker, start, memory].

%% @doc The workloads that these settings ask for.
-spec all(#{workloads := all | [kind()], callers := [pos_integer()], workers := pos_integer(), _ => _}) -> [workload()].
all(#{workloads := Wanted} = Settings) ->
    Kinds = case Wanted of all -> kinds(); _ -> Wanted end,
    lists:append([workloads(Kind, Settings) || Kind <- Kinds]).

workloads(calls, #{callers := Callers}) ->
    Sqrt = base("", {math, sqrt, [16.0]}, fun(Value) -> Value =:= 4.0 end),
    [
        Sqrt#{
            name := "math.sqrt(16.0), " ++ case Count of 1 -> "1 caller"; _ -> integer_to_list(Count) ++ " callers" end,
            callers := Count,
            burst := 16,
            sides := case Count of 1 -> [nif, ring, python, ours, message, executor]; _ -> [ours, message] end ++ [port_etf, port_pickle, other]
        }
     || Count <- [1 | Callers]
    ];
workloads(in_flight, _) ->
    Sqrt = base("math.sqrt(16.0), 200 in flight from 1 caller", {math, sqrt, [16.0]}, fun(Value) -> Value =:= 4.0 end),
    [
        Sqrt#{window := 200, per := 200, sides := [ours, port_etf, port_pickle, executor]},
        Sqrt#{name := "math.sqrt(16.0), 200 in flight from 1 caller to 1 worker", window := 200, per := 200, pool := 1, sides := [ours]}
    ];
workloads(data, _) ->
    One = binary:copy(<<7>>, ?MB),
    Hundred = binary:copy(<<7>>, 100 * ?MB),
    All = [python, ours, buffer, port_etf, port_pickle, executor, other],
    Len = base("len(1 MB)", {builtins, len, [{bytes, One}]}, fun(Value) -> Value =:= ?MB end),
    Echo = base("bytes(1 MB), echo", {builtins, bytes, [{bytes, One}]}, fun(Value) -> Value =:= One end),
    Long = base("len(100 MB)", {builtins, len, [{bytes, Hundred}]}, fun(Value) -> Value =:= 100 * ?MB end),
    [Len#{sides := All}, Echo#{sides := All -- [buffer]}, Long#{sides := All}];
workloads(values, _) ->
    Numbers = lists:seq(1, 1000),
    Map = maps:from_list([{N, N} || N <- Numbers]),
    Sides = [python, ours, port_etf, port_pickle, executor, other],
    Sum = base("sum(list of 1000 integers)", {builtins, sum, [Numbers]}, fun(Value) -> Value =:= 500500 end),
    Echo = base("dict(map of 1000 pairs), echo", {builtins, dict, [Map]}, fun(Value) -> Value =:= Map end),
    [Sum#{sides := Sides, timeit := {20, 100}}, Echo#{sides := Sides, timeit := {20, 100}}];
workloads(work, _) ->
    Sides = [python, ours, message, port_etf, port_pickle, executor, other],
    [
        (base("200 us of Python", sum_of(200), fun is_integer/1))#{sides := Sides, timeit := {1, 100}},
        (base("20 ms of Python", sum_of(20000), fun is_integer/1))#{sides := Sides, timeit := {1, 5}}
    ];
workloads(callbacks, _) ->
    %% The loop is in Python, so that the call around it does not count.
    Loop = "[erlang.call('py_bench_echo', n) for n in range(100)][-1]",
    Last = fun(Value) -> Value =:= 99 end,
    Call = {builtins, eval, [iolist_to_binary(Loop), #{erlang => none}]},
    [
        (base("Python calls Erlang", Call, Last))#{per := 100, ours := fun() -> py:eval(Loop) end, sides := [ours]},
        (base("Erlang calls Python calls Erlang calls Python", Call, Last))#{
            ours := fun() -> py:eval("erlang.call('py_bench_nested', 99)") end, sides := [ours]
        }
    ];
workloads(async, #{callers := Callers}) ->
    Sleep = {asyncio, sleep, [0]},
    Awaited = fun() -> py:async_await(py:async_call(asyncio, sleep, [0])) end,
    Any = fun(_) -> true end,
    Some = case Callers of [] -> []; _ -> [lists:nth((length(Callers) + 1) div 2, Callers)] end,
    [
        (base(lists:flatten(io_lib:format("async_call(asyncio, sleep, [0]), ~b caller~ts", [Count, plural(Count)])), Sleep, Any))#{
            callers := Count, ours := Awaited, sides := [ours]
        }
     || Count <- [1 | Some]
    ] ++
        [
            (base(lists:flatten(io_lib:format("gather of ~b coroutines, each", [Count])), {py_bench, gather, [Count]}, Any))#{
                ours := fun() -> py:async_gather(lists:duplicate(Count, Sleep)) end, per := Count, timeit := {20, 100}, sides := [python, ours]
            }
         || Count <- [10, 50]
        ];
workloads(asgi, #{scripts := {ok, _}, callers := Callers}) ->
    Scope = #{path => <<"/hello">>, headers => [{<<"host">>, <<"localhost">>}, {<<"accept">>, <<"*/*">>}]},
    Request = fun() -> py_asgi:run(py_bench, app, Scope, <<>>) end,
    Hello = fun({200, _, Body}) -> Body =:= <<"hello">>; (Direct) -> Direct =:= 2 end,
    [
        (base(lists:flatten(io_lib:format("ASGI request, ~b caller~ts", [Count, plural(Count)])), {py_bench, request, []}, Hello))#{
            callers := Count, ours := Request, timeit := {20, 100}, sides := case Count of 1 -> [python, ours]; _ -> [ours] end
        }
     || Count <- [1 | [50 || Callers =/= []]]
    ];
workloads(asgi, _) ->
    %% The application is part of the sources only.
    [];
workloads(streams, _) ->
    Items = 1000,
    Collected = base("stream of 1000 integers, each", {py_bench, collect, [Items]}, fun(Value) -> length(Value) =:= Items end),
    Pulled = base("stream_next of 1000 integers, each", {py_bench, collect, [Items]}, fun(Value) -> Value =:= Items end),
    [
        Collected#{
            ours := fun() -> py:stream_eval("iter(range(n))", #{n => Items}) end, per := Items, timeit := {20, 100}, sides := [python, ours]
        },
        Pulled#{ours := fun() -> pull(Items) end, per := Items, timeit := {20, 100}, sides := [python, ours]}
    ];
workloads(parallel, #{workers := Most, duration := Duration, rounds := Rounds}) ->
    %% A task of about a twentieth of a round.
    Task = sum_of(max(1000, Duration div Rounds * 1000 div 20)),
    Steps = [N || N <- lists:seq(1, Most), N =:= 1 orelse N =:= Most orelse N band (N - 1) =:= 0],
    [
        (base(lists:flatten(io_lib:format("CPU-bound, ~b at once, ~b worker~ts", [2 * Most, N, plural(N)])), Task, fun is_integer/1))#{
            window := 2 * Most, per := 2 * Most, parallel := N, sides := [ours, executor]
        }
     || N <- Steps
    ];
workloads(pools, #{pools := Pools}) ->
    Sqrt = base("", {math, sqrt, [16.0]}, fun(Value) -> Value =:= 4.0 end),
    [
        Sqrt#{
            name := lists:flatten(io_lib:format("math.sqrt(16.0), ~b worker~ts and as many callers~ts", [N, plural(N), What])),
            pool := N, callers := N, window := Window, per := Window, burst := case Window of 1 -> 16; _ -> 1 end,
            sides := case N of 1 -> [ours]; _ -> [ours, one_worker] end
        }
     || {What, Window} <- [{"", 1}, {", 50 in flight from each", 50}], N <- Pools
    ];
workloads(silence, #{silences := Silences}) ->
    Sqrt = (base("", {math, sqrt, [16.0]}, fun(Value) -> Value =:= 4.0 end))#{rate := false, by := p50, sides := [ours, warm, port_pickle]},
    [Sqrt#{name := lists:flatten(io_lib:format("math.sqrt(16.0) after ~b ms of silence", [Ms])), silence := Ms} || Ms <- Silences] ++
        [
            Sqrt#{name := lists:flatten(io_lib:format("100 calls at once after ~b ms of silence, all of them", [Ms])), silence := Ms, window := 100}
         || Ms <- Silences, Ms =< 100
        ];
workloads(choice, #{scripts := {ok, Dir}}) ->
    Root = filename:dirname(Dir),
    Side = fun(Workers, Threads) -> fun(_, _) -> py_bench_floor:choice(Root, Workers, Threads) end end,
    [
        (base(lists:flatten(io_lib:format("choice of a worker among ~b", [Workers])), none, fun is_integer/1))#{
            runs := #{ours => Side(Workers, 1), threads => Side(Workers, erlang:system_info(schedulers_online))}, by := p50, sides := [ours, threads]
        }
     || Workers <- [1, 8, 64]
    ];
workloads(choice, _) ->
    [];
workloads(ticker, _) ->
    py_bench_ticker:workloads();
workloads(start, Settings) ->
    py_bench_start:starts(Settings);
workloads(memory, Settings) ->
    py_bench_start:memory(Settings).

pull(Items) ->
    {ok, Ref} = py:stream_eval_start("iter(range(n))", #{n => Items}),
    {ok, pulled(Ref, 0)}.

pulled(Ref, Count) ->
    case py:stream_next(Ref) of
        {ok, _} -> pulled(Ref, Count + 1);
        done -> Count
    end.

plural(1) -> "";
plural(_) -> "s".

%% @doc A workload with nothing special, and no sides.
-spec base(string(), call() | none, fun((term()) -> boolean())) -> workload().
base(Name, Call, Check) ->
    #{
        name => Name, call => Call, check => Check, callers => 1, burst => 1, window => 1, per => 1, parallel => none, timeit => {1000, 100},
        ours => call, pool => none, silence => 0, runs => #{}, unit => us, rate => true, by => default, sides => []
    }.

%% A call that computes for about so many microseconds.
-spec sum_of(pos_integer()) -> {builtins, eval, [binary() | map()]}.
sum_of(Microseconds) ->
    Probe = 100000,
    #{max := Time} = py_bench_floor:python(sum_to(Probe), 1, 5, 1),
    sum_to(max(1, round(Probe * Microseconds * 1000 / Time))).

sum_to(N) ->
    {builtins, eval, [iolist_to_binary(io_lib:format("sum(i * i for i in range(~b))", [N])), #{}]}.
