%% @doc How many threads numerical libraries start in a worker. Left alone, each of them starts one for each processor in each worker, and
%% all of these take turns.
-module(py_threads).

-export([environment/1]).

%% What OpenMP, OpenBLAS, MKL, BLIS, numexpr and polars read when they are loaded.
-define(VARIABLES, [
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS"
]).

%% @doc Variables for a worker of a pool, as {@link py_interpreter:environment/1} has them, and the share of the processors that each of its
%% workers has, unless the node's environment or option `env' says something about it.
-spec environment(py_pool:spec()) -> [{string(), string() | false}].
environment(#{env := Env, num_workers := Workers} = Spec) ->
    Variables = py_interpreter:environment(Spec),
    Share = integer_to_list(max(1, processors() div Workers)),
    Ours = [{Name, Share} || Name <- ?VARIABLES, is_open(Name, Env, Variables)],
    [Variable || {Name, _} = Variable <- Variables, not lists:keymember(Name, 1, Ours)] ++ Ours.

-spec is_open(string(), inherit | clean | list(), [{string(), string() | false}]) -> boolean().
is_open(_Name, clean, _Variables) -> true;
is_open(Name, _Env, Variables) -> os:getenv(Name) =:= false andalso not lists:keymember(Name, 1, Variables).

%% Those that the node may use; a container may have a quota. Schedulers may be fewer for reasons of their own.
-spec processors() -> pos_integer().
processors() ->
    case [Count || Item <- [logical_processors_available, cpu_quota], Count <- [erlang:system_info(Item)], is_integer(Count)] of
        [] -> erlang:system_info(schedulers_online);
        Counts -> lists:min(Counts)
    end.
