%% @doc The benchmark of the library: prints a table and returns its rows.
%%
%% The full run puts every workload beside the floor of the machine, a plain port, `concurrent.futures' and whatever library
%% the caller names. Each side warms up, and the sides take turns in several short rounds, so that whatever disturbs the machine
%% disturbs all of them. The figures go to `bench/results/' as JSON and as a page to look at, {@link py_bench_page}.
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
    pools => [pos_integer()],
    silences => [pos_integer()],
    workloads => all | [py_bench_workloads:kind()],
    sides => all | [side()],
    other => [{Name :: string(), other()}],
    results => none | file:filename()
}.
%% `quick': calls and scaling of the library alone, in half a minute. `duration' and `warmup' are milliseconds of each case in sum of its
%% rounds; `callers' the numbers of concurrent processes; `workers' the largest pool of the CPU-bound case; `pools' the numbers of workers among which calls of as many callers
%% are shared; `silences' milliseconds before a call; `results' the directory
%% of the files, by default `bench/results' where the sources are.
-type side() ::
    ours | message | buffer | warm | one_worker | threads | replacement
    | nif | ring | python | interpreter | interpreter_ready | idle | computing
    | port_etf | port_pickle | executor | {other, string()}.
%% `message': ours with `inline_budget_us' 0; `buffer': ours with `{buffer, Bin}' instead of `{bytes, Bin}'; `warm': without the silence;
%% `one_worker': the same callers on one worker; `threads': on as many threads as there are schedulers; `replacement': of a worker that is
%% killed; `interpreter': Python alone, to its end or to its first output; `idle': the node that does nothing; `computing': processes that compute in Erlang.
-type other() :: fun((module(), atom(), [term()]) -> term()) | {module(), atom(), [term()]}.
%% A call of another library, which the caller of run_all/1 has started: a fun, or a function that gets Module, Function and Args
%% after its own arguments. The result is the value, or `{ok, Value}'. Anything else, or an exception, and the workload is shown
%% as not supported.
-type row() :: #{
    name := string(), workload := string(), side := side(), unit := us | 'KiB', ops_per_s := float() | undefined, ratio := float() | undefined,
    atom() => term()
}.
%% The figures of {@link py_bench_measure:row()}, in microseconds, or KiB of memory. `ratio': figure of this side by that of ours; by
%% throughput where there is more than one call at once, for the beat of the node by the 99th percentile, else by the median.

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
    Sides = py_bench_sides:open(Settings),
    try
        Rows = lists:append([compare(Workload, Settings, Sides) || Workload <- py_bench_workloads:all(Settings)]),
        py_bench_report:write(Settings, Rows),
        Rows
    after
        py_bench_sides:close(Sides)
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
            pools => [1, 2, 4, 8],
            silences => [1, 10, 100, 1000],
            other => [],
            results => Results,
            python => Python
        },
        Options
    ).

%% All sides of one workload, in rounds.

compare(#{name := Name, unit := Unit} = Workload, #{rounds := Rounds, duration := Duration, warmup := WarmUp}, Env) ->
    Runners = py_bench_sides:runners(Workload, Env),
    py_bench_report:title(Name, Unit),
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
result(Side, Rounds, #{name := Name, unit := Unit, rate := HasRate} = Workload, Base) ->
    #{ops_per_s := Rate} = Row = py_bench_measure:row(Rounds),
    Ratio = case Base of undefined -> undefined; _ -> time(Workload, Row) / Base end,
    Full = Row#{
        name => py_bench_report:side(Side), workload => Name, side => Side, unit => Unit, ratio => Ratio,
        ops_per_s := case HasRate of true -> Rate; false -> undefined end
    },
    py_bench_report:line(Side, Full),
    [Full].

%% The figure that stands for a side.
time(#{by := Key}, Row) when Key =/= default -> maps:get(Key, Row);
time(#{callers := 1, window := 1}, #{p50 := P50}) -> P50;
time(_, #{ops_per_s := Rate}) -> 1.0e6 / Rate.
