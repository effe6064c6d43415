%% @doc Start of a worker's operating-system process: its shared memory, its port, and what ties the two.
-module(py_worker_launch).

-export([spec/2, start/3, backoff/1]).

-export_type([started/0]).

-define(BACKOFF_FIRST, 100).
-define(BACKOFF_LAST, 10000).

-type started() :: none | #{worker := py_nif:worker(), port := undefined | port(), os_pid := undefined | pos_integer()}.
%% How far a start has come. A port without a process has ended already, and says why.

%% @doc What {@link start/3} needs of a pool.
-spec spec(py_config:pool_config(), py_interpreter:interpreter()) -> py_pool:spec().
spec(Config, Interpreter) ->
    Config#{
        interpreter => Interpreter,
        host => filename:join(py_app:priv(), "py_host"),
        core => py_interpreter:core(Interpreter)
    }.

%% @doc Milliseconds until the next try. The first restarts come at once; a worker that keeps dying is started ever more rarely.
-spec backoff(non_neg_integer()) -> non_neg_integer().
backoff(Failures) when Failures < 3 -> 0;
backoff(Failures) -> min(?BACKOFF_LAST, ?BACKOFF_FIRST bsl min(Failures - 3, 10)).

%% @doc Starts the process. The handshake is what it asks for first.
-spec start(non_neg_integer(), atom(), py_pool:spec()) ->
    {ok, Handshake :: binary(), started()} | {error, string(), started()}.
start(Id, Pool, Spec) ->
    case py_nif:worker_new(maps:merge(options(Id, Spec), py_limits:native(Spec))) of
        {ok, Worker, Handshake} -> open(Id, Pool, Spec, Worker, Handshake);
        {error, {_, Detail}} -> {error, text("~ts", [Detail]), none}
    end.

-spec options(non_neg_integer(), py_pool:spec()) -> #{atom() => term()}.
options(Id, Spec) ->
    #{
        id => Id,
        owner => self(),
        ring_size => maps:get(ring_size, Spec),
        arena_size => maps:get(arena_size, Spec),
        %% A worker of kind async starts as one with a single executor; its threads come when they are needed.
        executors => case Spec of #{kind := async} -> 1; #{num_executors := Executors} -> Executors end,
        max_threads => maps:get(max_threads, Spec),
        blob_cache => maps:get(blob_cache, Spec),
        inline_budget_us => maps:get(inline_budget_us, Spec),
        segments => maps:get(segments, Spec),
        stdout => maps:get(stdout, Spec),
        callers_only => py_sandbox:callers_only(Spec)
    }.

-spec open(non_neg_integer(), atom(), py_pool:spec(), py_nif:worker(), binary()) ->
    {ok, binary(), started()} | {error, string(), started()}.
open(Id, Pool, #{host := Host, core := Core, interpreter := #{executable := Python}} = Spec, Worker, Handshake) ->
    Cd = case Spec of #{cd := Dir} when Dir =/= undefined -> ["--cd", Dir]; _ -> [] end,
    Args = ["--python", Python, "--core", Core, "--pool", atom_to_binary(Pool), "--id", integer_to_list(Id)]
        ++ Cd ++ py_limits:rlimit_data(Spec) ++ output(Spec, Worker) ++ kept(Spec) ++ py_sandbox:arguments(Spec),
    Settings = [{args, Args}, {env, py_threads:environment(Spec)}, {packet, 2}, nouse_stdio, exit_status, binary, hide],
    Started = #{worker => Worker, port => undefined, os_pid => undefined},
    try erlang:open_port({spawn_executable, Host}, Settings) of
        Port ->
            case erlang:port_info(Port, os_pid) of
                {os_pid, OsPid} -> watch(Handshake, Started#{port := Port, os_pid := OsPid});
                undefined -> {ok, Handshake, Started#{port := Port}}
            end
    catch
        error:Reason -> {error, text("could not start ~ts: ~tp", [Host, Reason]), Started}
    end.

-spec watch(binary(), started()) -> {ok, binary(), started()} | {error, string(), started()}.
watch(Handshake, #{worker := Worker, os_pid := OsPid} = Started) ->
    case py_nif:worker_watch(Worker, OsPid) of
        ok -> {ok, Handshake, Started};
        %% A process that is gone already is reported by its exit status.
        {error, exited} -> {ok, Handshake, Started};
        {error, Text} -> {error, text("~ts", [Text]), Started}
    end.

%% The host removes variables of the node, unless the option names them.
-spec kept(py_pool:spec()) -> [string()].
kept(Spec) ->
    lists:append([["--keep-env", Name] || {Name, Value} <- py_interpreter:environment(Spec), Value =/= false]).

-spec output(py_pool:spec(), py_nif:worker()) -> [string() | binary()].
output(#{stdout := inherit}, _Worker) -> [];
output(#{stdout := null}, _Worker) -> ["--output", "/dev/null"];
output(_Spec, Worker) -> ["--output", maps:get(output, py_nif:worker_info(Worker))].

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
