%% @doc The benchmark of the library: prints a table and returns its rows.
%%
%% The full run puts every workload beside the floor of the machine, a plain port, `concurrent.futures' and whatever library
%% the caller names. Each side warms up, and the sides take turns in several short rounds, so that whatever disturbs the machine
%% disturbs all of them. The figures go to `bench/results/' as JSON, with a bar chart in SVG.
%%
%% ```
%% py_unified_bench:run_all(#{other => [{"my library", fun(Module, Function, Args) -> my_python:call(Module, Function, Args) end}]}).
%% '''
-module(py_unified_bench).

-export([run_all/0, run_all/1]).

-export_type([options/0, row/0, side/0, other/0]).

-type options() :: #{
    quick => boolean(),
    duration => pos_integer(),
    warmup => non_neg_integer(),
    rounds => pos_integer(),
    callers => [pos_integer()],
    workers => pos_integer(),
    workloads => all | [workload()],
    sides => all | [side()],
    other => [{Name :: string(), other()}],
    results => none | file:filename()
}.
%% `quick': calls and scaling of the library alone, in half a minute. `duration' and `warmup' are milliseconds of each case in sum of its
%% rounds; `callers' the numbers of concurrent processes; `workers' the largest pool of the scaling case; `results' the directory
%% of the files, by default `bench/results' where the sources are.
-type workload() :: calls | in_flight | data | values | work | parallel.
-type side() :: ours | message | buffer | nif | ring | python | port_etf | port_pickle | executor | {other, string()}.
%% `message': ours with `inline_budget_us' 0; `buffer': ours with `{buffer, Bin}' instead of `{bytes, Bin}'.
-type other() :: fun((module(), atom(), [term()]) -> term()) | {module(), atom(), [term()]}.
%% A call of another library, which the caller of run_all/1 has started: a fun, or a function that gets Module, Function and Args
%% after its own arguments. The result is the value, or `{ok, Value}'. Anything else, or an exception, and the workload is shown
%% as not supported.
-type row() :: #{name := string(), workload := string(), side := side(), ratio := float() | undefined, atom() => term()}.
%% The times of {@link py_bench_measure:row()}, in microseconds. `ratio': time of this side by time of ours; by throughput where there is
%% more than one call at once, else by the median.

-define(MESSAGE_POOL, py_bench_message).
-define(MB, 1000000).

%% @doc The full run.
-spec run_all() -> [row()].
run_all() ->
    run_all(#{}).

%% @doc A run with options. Starts the application if it is not running.
-spec run_all(options()) -> [row()].
run_all(Options) ->
    {ok, _} = application:ensure_all_started(erlang_python),
    Settings = settings(Options),
    py_bench_report:preamble(Settings),
    Sides = open_sides(Settings),
    try
        Rows = lists:append([compare(Workload, Settings, Sides) || Workload <- workloads(Settings)]),
        py_bench_report:write(Settings, Rows),
        Rows
    after
        close_sides(Sides)
    end.

settings(Options) ->
    {Defaults, Results} =
        case {maps:get(quick, Options, false), py_bench_port:scripts()} of
            {true, Scripts} ->
                {#{duration => 1000, warmup => 200, rounds => 1, workloads => [calls, parallel], sides => [ours], scripts => Scripts}, none};
            {false, {ok, Dir} = Scripts} ->
                {#{duration => 2000, warmup => 500, rounds => 5, workloads => all, sides => all, scripts => Scripts}, filename:join(Dir, "results")};
            {false, Scripts} ->
                {#{duration => 2000, warmup => 500, rounds => 5, workloads => all, sides => all, scripts => Scripts}, none}
        end,
    #{pools := #{default := #{executable := Python}}} = py:execution_info(),
    maps:merge(
        Defaults#{
            callers => [10, 100, 1000],
            workers => erlang:system_info(schedulers_online),
            other => [],
            results => Results,
            python => Python
        },
        Options
    ).

%% Workloads: what is called, and how often at once.

workloads(#{workloads := Wanted, callers := Callers, workers := Workers} = Settings) ->
    Kinds = case Wanted of all -> [calls, in_flight, data, values, work, parallel]; _ -> Wanted end,
    lists:append([workload(Kind, Callers, Workers, Settings) || Kind <- Kinds]).

workload(calls, Callers, _, _) ->
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
workload(in_flight, _, _, _) ->
    Sqrt = base("math.sqrt(16.0), 200 in flight from 1 caller", {math, sqrt, [16.0]}, fun(Value) -> Value =:= 4.0 end),
    [Sqrt#{window := 200, sides := [ours, port_etf, port_pickle, executor]}];
workload(data, _, _, _) ->
    One = binary:copy(<<7>>, ?MB),
    Hundred = binary:copy(<<7>>, 100 * ?MB),
    All = [python, ours, buffer, port_etf, port_pickle, executor, other],
    Len = base("len(1 MB)", {builtins, len, [{bytes, One}]}, fun(Value) -> Value =:= ?MB end),
    Echo = base("bytes(1 MB), echo", {builtins, bytes, [{bytes, One}]}, fun(Value) -> Value =:= One end),
    Long = base("len(100 MB)", {builtins, len, [{bytes, Hundred}]}, fun(Value) -> Value =:= 100 * ?MB end),
    [Len#{sides := All}, Echo#{sides := All -- [buffer]}, Long#{sides := All}];
workload(values, _, _, _) ->
    Numbers = lists:seq(1, 1000),
    Map = maps:from_list([{N, N} || N <- Numbers]),
    Sides = [python, ours, port_etf, port_pickle, executor, other],
    Sum = base("sum(list of 1000 integers)", {builtins, sum, [Numbers]}, fun(Value) -> Value =:= 500500 end),
    Echo = base("dict(map of 1000 pairs), echo", {builtins, dict, [Map]}, fun(Value) -> Value =:= Map end),
    [Sum#{sides := Sides, timeit := {20, 100}}, Echo#{sides := Sides, timeit := {20, 100}}];
workload(work, _, _, _) ->
    Sides = [python, ours, message, port_etf, port_pickle, executor, other],
    [
        (base("200 us of Python", sum_of(200), fun is_integer/1))#{sides := Sides, timeit := {1, 100}},
        (base("20 ms of Python", sum_of(20000), fun is_integer/1))#{sides := Sides, timeit := {1, 5}}
    ];
workload(parallel, _, Most, #{duration := Duration, rounds := Rounds}) ->
    %% A task of about a twentieth of a round.
    Task = sum_of(max(1000, Duration div Rounds * 1000 div 20)),
    Steps = [N || N <- lists:seq(1, Most), N =:= 1 orelse N =:= Most orelse N band (N - 1) =:= 0],
    [
        (base(lists:flatten(io_lib:format("CPU-bound, ~b at once, ~b worker~ts", [2 * Most, N, plural(N)])), Task, fun is_integer/1))#{
            window := 2 * Most, parallel := N, sides := [ours, executor]
        }
     || N <- Steps
    ].

plural(1) -> "";
plural(_) -> "s".

%% `timeit': calls per mean, and means.
base(Name, Call, Check) ->
    #{
        name => Name, call => Call, check => Check, callers => 1, burst => 1, window => 1, parallel => none, timeit => {1000, 100},
        sides => []
    }.

%% A call that computes for about so many microseconds.
-spec sum_of(pos_integer()) -> {builtins, eval, [binary() | map()]}.
sum_of(Microseconds) ->
    Probe = 100000,
    #{max := Time} = py_bench_floor:python(sum_to(Probe), 1, 5),
    sum_to(max(1, round(Probe * Microseconds * 1000 / Time))).

sum_to(N) ->
    {builtins, eval, [iolist_to_binary(io_lib:format("sum(i * i for i in range(~b))", [N])), #{}]}.

%% Sides.

open_sides(#{sides := Wanted, scripts := Scripts, other := Other, workers := Workers, python := Python}) ->
    ok = py_pool:start_pool(?MESSAGE_POOL, #{inline_budget_us => 0, num_workers => py:num_executors(), max_workers => py:num_executors()}),
    Base = #{wanted => Wanted, other => Other},
    case Scripts of
        {ok, Dir} when Wanted =/= [ours] ->
            Codecs = [etf, pickle],
            Base#{
                root => filename:dirname(Dir),
                ports => maps:from_list([{Codec, py_bench_port:open(Python, Dir, Codec)} || Codec <- Codecs]),
                servers => maps:from_list([
                    {Codec, py_bench_port:serve(fun() -> py_bench_port:open(Python, Dir, Codec) end)}
                 || Codec <- Codecs
                ]),
                executors => maps:from_list([{N, py_bench_port:pool(Python, Dir, N)} || N <- lists:seq(1, Workers)])
            };
        _ ->
            Base
    end.

close_sides(Sides) ->
    Ports = maps:values(maps:get(ports, Sides, #{})) ++ maps:values(maps:get(executors, Sides, #{})),
    _ = [py_bench_port:close(Port) || Port <- Ports],
    _ = [py_bench_port:stop(Server) || Server <- maps:values(maps:get(servers, Sides, #{}))],
    py_pool:stop_pool(?MESSAGE_POOL).

%% What runs one round of a workload on a side; `none' if the side does not do such a workload here.
-spec runner(side() | other, map(), map()) -> [{side(), fun((non_neg_integer(), non_neg_integer()) -> py_bench_measure:round() | term())}].
runner(nif, Workload, _) ->
    {ok, Worker} = py_nif:choose(persistent_term:get({py_pool, default})),
    [{nif, local(fun() -> alive(Worker, 100) end, Workload#{per => 100})}];
runner(ring, _, #{root := Root}) ->
    [{ring, fun(_, _) -> py_bench_floor:ring(Root) end}];
runner(python, #{call := Call, timeit := {Number, Times}}, _) ->
    [{python, fun(_, _) -> py_bench_floor:python(Call, Number, Times) end}];
runner(ours, #{parallel := Workers, call := Call, window := Window} = Workload, _) when Workers =/= none ->
    Batch = lists:duplicate(Window, Call),
    [
        {ours, fun(WarmUp, Duration) ->
            Pool = py_bench_parallel,
            ok = py_pool:start_pool(Pool, #{num_workers => Workers, max_workers => Workers}),
            Run = fun() ->
                {ok, Results} = py:parallel(Batch, #{pool => Pool, timeout => infinity}),
                [{ok, _} = R || R <- Results]
            end,
            try
                (local(Run, Workload))(WarmUp, Duration)
            after
                py_pool:stop_pool(Pool)
            end
        end}
    ];
runner(ours, #{call := {M, F, Args}, window := Window} = Workload, _) when Window > 1 ->
    Numbers = lists:seq(1, Window),
    Run = fun() -> [{ok, _} = py:await(Ref) || Ref <- [py:call_async(M, F, Args) || _ <- Numbers]] end,
    [{ours, local(Run, Workload)}];
runner(ours, #{call := {M, F, Args}} = Workload, _) ->
    [{ours, checked(fun() -> py:call(M, F, Args) end, Workload)}];
runner(message, #{call := {M, F, Args}} = Workload, _) ->
    [{message, checked(fun() -> py:call(M, F, Args, [], #{pool => ?MESSAGE_POOL}) end, Workload)}];
runner(buffer, #{call := {M, F, [{bytes, Data}]}} = Workload, _) ->
    [{buffer, checked(fun() -> py:call(M, F, [{buffer, Data}]) end, Workload)}];
runner(Side, #{window := Window, call := Call} = Workload, #{ports := Ports, servers := Servers}) when Side =:= port_etf; Side =:= port_pickle ->
    Codec = case Side of port_etf -> etf; port_pickle -> pickle end,
    Plain = plain(Call),
    #{Codec := Port} = Ports,
    #{Codec := Server} = Servers,
    Run =
        case Workload of
            #{callers := 1} when Window > 1 -> local(fun() -> py_bench_port:window(Port, Codec, Plain, Window) end, Workload);
            #{callers := 1} -> checked(fun() -> py_bench_port:call(Port, Codec, Plain) end, Workload);
            _ -> checked(fun() -> py_bench_port:ask(Server, Codec, Plain) end, Workload)
        end,
    [{Side, Run}];
runner(executor, #{window := Window, call := Call, parallel := Workers}, #{executors := Executors}) ->
    Port = maps:get(case Workers of none -> maps:size(Executors); _ -> Workers end, Executors),
    [{executor, fun(WarmUp, Duration) -> py_bench_port:measure(Port, plain(Call), Window, WarmUp, Duration) end}];
runner(other, #{call := Call} = Workload, #{other := Other}) ->
    {M, F, Args} = plain(Call),
    [{{other, Name}, checked(fun() -> foreign(Fun, M, F, Args) end, Workload)} || {Name, Fun} <- Other];
runner(_, _, _) ->
    [].

foreign(Fun, M, F, Args) when is_function(Fun, 3) -> Fun(M, F, Args);
foreign({Module, Function, First}, M, F, Args) -> apply(Module, Function, First ++ [M, F, Args]).

alive(_, 0) ->
    ok;
alive(Worker, Times) ->
    true = py_nif:alive(Worker),
    alive(Worker, Times - 1).

%% What others than us get: no `{bytes, _}'.
plain({M, F, Args}) ->
    {M, F, [case Arg of {bytes, Data} -> Data; _ -> Arg end || Arg <- Args]}.

local(Run, #{window := Window} = Workload) ->
    Work = maps:merge(#{per => Window}, maps:with([callers, burst, per], Workload)),
    fun(WarmUp, Duration) ->
        _ = py_bench_measure:run(Run, Work, WarmUp),
        py_bench_measure:run(Run, Work, Duration)
    end.

%% The first result of each round is looked at.
checked(Run, #{check := Check} = Workload) ->
    Measure = local(Run, Workload),
    fun(WarmUp, Duration) ->
        Value = case Run() of {ok, V} -> V; Other -> Other end,
        case Check(Value) of
            true -> Measure(WarmUp, Duration);
            false -> {wrong_result, Value}
        end
    end.

%% All sides of one workload, in rounds.

compare(#{name := Name, sides := Sides} = Workload, #{rounds := Rounds, duration := Duration, warmup := WarmUp}, Env) ->
    #{wanted := Wanted} = Env,
    Runners = lists:append([runner(Side, Workload, Env) || Side <- Sides, Wanted =:= all orelse Side =:= other orelse lists:member(Side, Wanted)]),
    py_bench_report:title(Name),
    Taken = rounds(Rounds, Runners, WarmUp div Rounds, Duration div Rounds, #{}),
    Measured = [{Side, maps:get(Side, Taken)} || {Side, _} <- Runners],
    Base = proplists:get_value(ours, [{Side, time(Workload, py_bench_measure:row(R))} || {Side, [#{} | _] = R} <- Measured]),
    lists:append([result(Side, R, Workload, Base) || {Side, R} <- Measured]).

rounds(0, _, _, _, Taken) ->
    Taken;
rounds(Left, Runners, WarmUp, Duration, Taken) ->
    Round = fun({Side, Run}, Acc) ->
        case Acc of
            #{Side := {failed, _}} -> Acc;
            _ -> add(Side, attempt(Side, Run, WarmUp, Duration), Acc)
        end
    end,
    rounds(Left - 1, lists:reverse(Runners), WarmUp, Duration, lists:foldl(Round, Taken, Runners)).

add(Side, #{} = Round, Taken) -> maps:update_with(Side, fun(Earlier) -> Earlier ++ [Round] end, [Round], Taken);
add(Side, Failure, Taken) -> Taken#{Side => {failed, Failure}}.

%% Our own failures are failures of the benchmark.
attempt({other, _}, Run, WarmUp, Duration) ->
    try Run(WarmUp, Duration) catch Class:Reason -> {Class, Reason} end;
attempt(_, Run, WarmUp, Duration) ->
    Run(WarmUp, Duration).

result(Side, {failed, Why}, _, _) when Side =:= ring; is_tuple(Side) ->
    py_bench_report:line(Side, {failed, Why}),
    [];
result(Side, {failed, Why}, #{name := Name}, _) ->
    error({benchmark_failed, Side, Name, Why});
result(Side, Rounds, #{name := Name} = Workload, Base) ->
    Row = py_bench_measure:row(Rounds),
    Ratio = case Base of undefined -> undefined; _ -> time(Workload, Row) / Base end,
    Full = Row#{name => py_bench_report:side(Side), workload => Name, side => Side, ratio => Ratio},
    py_bench_report:line(Side, Full),
    [Full].

%% Microseconds that stand for a side.
time(#{callers := 1, window := 1}, #{p50 := P50}) -> P50;
time(_, #{ops_per_s := Rate}) -> 1.0e6 / Rate.
