%% @doc How many threads numerical libraries start in a worker. Left alone, each of them starts one for each processor in each worker, and
%% all of these take turns.
-module(py_threads).

-export([environment/1, processors/0]).

%% What OpenBLAS, MKL, BLIS and numexpr read before the variable of OpenMP, which each of them takes otherwise.
-define(OPENMP, "OMP_NUM_THREADS").
-define(BEFORE_OPENMP, ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"]).
-define(ALONE, ["POLARS_MAX_THREADS"]).

%% @doc Variables for a worker of a pool, as {@link py_interpreter:environment/1} has them, and the share of the processors that each of its
%% workers has, unless the node's environment or option `env' says something about it. What is said about OpenMP must reach the libraries
%% that would take it.
-spec environment(py_pool:spec()) -> [{string(), string() | false}].
environment(#{env := Env, num_workers := Workers} = Spec) ->
    Variables = py_interpreter:environment(Spec),
    Share = integer_to_list(max(1, processors() div Workers)),
    Names = case is_open(?OPENMP, Env, Variables) of true -> [?OPENMP | ?BEFORE_OPENMP]; false -> [] end ++ ?ALONE,
    Ours = [{Name, Share} || Name <- Names, is_open(Name, Env, Variables)],
    [Variable || {Name, _} = Variable <- Variables, not lists:keymember(Name, 1, Ours)] ++ Ours.

-spec is_open(string(), inherit | clean | list(), [{string(), string() | false}]) -> boolean().
is_open(_Name, clean, _Variables) -> true;
is_open(Name, _Env, Variables) -> os:getenv(Name) =:= false andalso not lists:keymember(Name, 1, Variables).

%% @doc Processors that the node may use; a container may have a quota. Schedulers may be fewer for reasons of their own.
-spec processors() -> pos_integer().
processors() ->
    case [Count || Item <- [logical_processors_available, cpu_quota], Count <- [erlang:system_info(Item)], is_integer(Count)] of
        [] -> erlang:system_info(schedulers_online);
        Counts -> lists:min(Counts)
    end.
