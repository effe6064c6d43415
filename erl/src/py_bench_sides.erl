%% @doc The sides that {@link py_unified_bench} compares: what each needs to run, and how it runs a workload.
-module(py_bench_sides).

-export([open/1, close/1, runners/2]).

-export_type([env/0, runner/0]).

-type env() :: #{wanted := all | [py_unified_bench:side()], other := [{string(), py_unified_bench:other()}], atom() => term()}.
-type runner() :: fun((WarmUp :: non_neg_integer(), Duration :: non_neg_integer()) -> py_bench_measure:round() | term()).
%% One round, in milliseconds. Anything but a round is a failure.

-define(MESSAGE_POOL, py_bench_message).
-define(CALLBACKS, [
    {py_bench_echo, fun([Value]) -> Value end},
    {py_bench_nested, fun([Value]) -> {ok, Same} = py:call(builtins, int, [Value]), Same end}
]).

%% @doc Starts pools, programs and callbacks.
-spec open(map()) -> env().
open(#{sides := Wanted, scripts := Scripts, other := Other, workers := Workers, python := Python}) ->
    ok = py_pool:start_pool(?MESSAGE_POOL, #{inline_budget_us => 0, num_workers => py:num_executors(), max_workers => py:num_executors()}),
    _ = [ok = py:register_function(Name, Fun) || {Name, Fun} <- ?CALLBACKS],
    ok = importable(Scripts),
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

%% Workers find `py_bench.py'.
-spec importable({ok, file:filename()} | {error, no_sources}) -> ok.
importable({ok, Dir}) ->
    Path = binary_to_list(unicode:characters_to_binary(Dir)),
    py:exec_all(io_lib:format("(lambda path, place: place in path or path.append(place))(__import__('sys').path, bytes(~w).decode())", [Path]));
importable({error, no_sources}) ->
    ok.

%% @doc Ends what {@link open/1} began.
-spec close(env()) -> ok.
close(Sides) ->
    _ = [ok = py:unregister_function(Name) || {Name, _} <- ?CALLBACKS],
    Ports = maps:values(maps:get(ports, Sides, #{})) ++ maps:values(maps:get(executors, Sides, #{})),
    _ = [py_bench_port:close(Port) || Port <- Ports],
    _ = [py_bench_port:stop(Server) || Server <- maps:values(maps:get(servers, Sides, #{}))],
    ok = py_pool:stop_pool(?MESSAGE_POOL).

%% @doc The sides of a workload that are wanted and there, and what runs a round on each.
-spec runners(py_bench_workloads:workload(), env()) -> [{py_unified_bench:side(), runner()}].
runners(#{sides := Sides} = Workload, #{wanted := Wanted} = Env) ->
    lists:append([runner(Side, Workload, Env) || Side <- Sides, Wanted =:= all orelse Side =:= other orelse lists:member(Side, Wanted)]).

-spec runner(py_unified_bench:side() | other, py_bench_workloads:workload(), env()) -> [{py_unified_bench:side(), runner()}].
runner(nif, Workload, _) ->
    {ok, Worker} = py_nif:choose(py_pool:native(default)),
    [{nif, local(fun() -> alive(Worker, 100) end, Workload#{per => 100})}];
runner(ring, _, #{root := Root}) ->
    [{ring, fun(_, _) -> py_bench_floor:ring(Root) end}];
runner(Side, #{runs := Runs}, _) when is_map_key(Side, Runs) ->
    [{Side, maps:get(Side, Runs)}];
runner(warm, Workload, Env) ->
    [{_, Run}] = runner(ours, Workload#{silence := 0}, Env),
    [{warm, Run}];
runner(one_worker, Workload, Env) ->
    [{_, Run}] = runner(ours, Workload#{pool := 1}, Env),
    [{one_worker, Run}];
runner(ours, #{pool := Workers, call := {M, F, Args}, window := Window} = Workload, _) when Workers =/= none ->
    Pool = py_bench_calls,
    Run =
        case Window of
            1 -> fun() -> {ok, _} = py:call(M, F, Args, [], #{pool => Pool}) end;
            _ -> in_flight(Window, fun() -> py_route:async({call, M, F, Args, []}, #{pool => Pool, timeout => infinity}) end)
        end,
    [{ours, pooled(Pool, Workers, local(Run, Workload))}];
runner(python, #{call := {py_bench, _, _}}, Env) when not is_map_key(root, Env) ->
    [];
runner(python, #{call := Call, timeit := {Number, Times}, per := Per}, _) ->
    [{python, fun(_, _) -> py_bench_floor:python(Call, Number, Times, Per) end}];
runner(ours, #{ours := Run} = Workload, _) when is_function(Run, 0) ->
    [{ours, checked(Run, Workload)}];
runner(ours, #{parallel := Workers, call := Call, window := Window} = Workload, _) when Workers =/= none ->
    Batch = lists:duplicate(Window, Call),
    Pool = py_bench_parallel,
    Run = fun() ->
        {ok, Results} = py:parallel(Batch, #{pool => Pool, timeout => infinity}),
        [{ok, _} = R || R <- Results]
    end,
    [{ours, pooled(Pool, Workers, local(Run, Workload))}];
runner(ours, #{call := {M, F, Args}, window := Window} = Workload, _) when Window > 1 ->
    [{ours, local(in_flight(Window, fun() -> py:call_async(M, F, Args) end), Workload)}];
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

%% So many calls at once.
in_flight(Window, Submit) ->
    Numbers = lists:seq(1, Window),
    fun() -> [{ok, _} = py:await(Ref) || Ref <- [Submit() || _ <- Numbers]] end.

%% Runs with a pool that is there for the round.
pooled(Pool, Workers, Run) ->
    fun(WarmUp, Duration) ->
        ok = py_pool:start_pool(Pool, #{num_workers => Workers, max_workers => Workers}),
        try
            Run(WarmUp, Duration)
        after
            py_pool:stop_pool(Pool)
        end
    end.

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

local(Run, #{silence := Silence} = Workload) when Silence > 0 ->
    WarmUpOnly = local(Run, Workload#{silence := 0}),
    After = fun() ->
        receive after Silence -> ok end,
        py_bench_measure:nanoseconds(Run)
    end,
    fun(WarmUp, Duration) ->
        _ = WarmUpOnly(WarmUp, 0),
        %% About ten of the long silences, where others run for 400 ms.
        py_bench_measure:samples(After, Duration * (1 + Silence div 40))
    end;
local(Run, Workload) ->
    Work = maps:with([callers, burst, per], Workload),
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
