%% @doc What runs: interpreters, workers, statistics.
-module(py_info).

-export([version/0, execution/0, num_executors/0, subinterp_supported/0, workers/0, stats/0]).

-export_type([execution/0, worker/0, stats/0]).

-type execution() :: #{mode := multi_process, pools := #{atom() => map()}, python => binary()}.
-type worker() :: #{
    id := term(), pool := term(), state := term(), os_pid := term(), python := term(), restarts := term(),
    last_error := term(), last_stack := term(), rss := term(), in_flight := term(), served := term(), handles := term(), bound := term(), streams := term(), atom() => term()
}.
%% `state' is `down', `starting', `ready', `leaving' (its substitute serves, and it those who have something of it) or `draining';
%% `last_error' is why a process of this worker could not start or ended, `none' if none did; `last_stack' the Python stacks of the last of its processes
%% that died of a fault, as text, or `none'; `rss' in bytes; `p50_ns', `p99_ns' and `max_ns' are service times, of the process that runs, `handles' the
%% Python objects of the worker that Erlang terms refer to, `bound' whether somebody has it for himself, `streams' those that have not
%% ended.
-type stats() :: #{
    pools := #{atom() => py_pool:stats()},
    permits => non_neg_integer(),
    max_permits => pos_integer(),
    native => map()
}.

%% @doc `sys.version' of pool `default'.
-spec version() -> {ok, binary()} | {error, not_started}.
version() ->
    case interpreter() of
        #{text := Text} -> {ok, Text};
        undefined -> {error, not_started}
    end.

%% @doc Python version, and workers, executors and mode of each pool.
-spec execution() -> execution().
execution() ->
    Pools = maps:from_list([{Name, pool(py_pool:spec(Name))} || Name <- py_pool:names()]),
    case Pools of
        #{default := #{python := Version}} -> #{mode => multi_process, python => Version, pools => Pools};
        _ -> #{mode => multi_process, pools => Pools}
    end.

pool(#{num_workers := Workers, num_executors := Executors, interpreter := Interpreter}) ->
    #{version := Version, executable := Path, free_threaded := Free} = Interpreter,
    #{
        python => dotted(Version),
        executable => Path,
        workers => Workers,
        executors => Executors,
        mode => case {Executors, Free} of {1, _} -> single; {_, true} -> free_threaded; {_, false} -> multi_executor end
    }.

-spec dotted(py_interpreter:version()) -> binary().
dotted({Major, Minor, Micro}) ->
    iolist_to_binary(io_lib:format("~b.~b.~b", [Major, Minor, Micro])).

%% @doc Interpreters of pool `default' that can run at once.
-spec num_executors() -> non_neg_integer().
num_executors() ->
    case py_pool:get_stats(default) of
        #{num_workers := Workers} -> Workers;
        {error, not_started} -> 0
    end.

%% @doc Whether the Python of pool `default' has sub-interpreters with a GIL of their own.
-spec subinterp_supported() -> boolean().
subinterp_supported() ->
    case interpreter() of
        #{version := Version} -> Version >= {3, 12, 0};
        undefined -> false
    end.

-spec interpreter() -> undefined | py_interpreter:interpreter().
interpreter() ->
    case py_pool:native(default) of
        undefined -> undefined;
        _ -> maps:get(interpreter, py_pool:spec(default))
    end.

%% @doc The workers of all pools.
-spec workers() -> [worker()].
workers() ->
    [worker(Row) || Row <- py_pool:workers()].

-spec worker(py_pool:worker_row()) -> worker().
worker({Id, Pool, Worker, _, #{state := State, os_pid := OsPid, python := Version, restarts := Restarts, last_error := Error, last_stack := Stack}}) ->
    Base = #{
        id => Id, pool => Pool, state => State, os_pid => OsPid, python => dotted(Version), restarts => Restarts, last_error => Error, last_stack => Stack, rss => py_proc:rss(OsPid)
    },
    Load =
        case Worker of
            undefined -> #{};
            _ -> maps:with([in_flight, served, p50_ns, p99_ns, max_ns, handles, bound, streams], py_nif:worker_info(Worker))
        end,
    maps:merge(Base#{in_flight => 0, served => 0, handles => 0, bound => false, streams => 0}, Load).

%% @doc Statistics of each pool, of the semaphore and of the native library.
-spec stats() -> stats().
stats() ->
    case py_pool:names() of
        [] ->
            #{pools => #{}};
        Names ->
            #{
                pools => maps:from_list([{N, S} || N <- Names, S <- [py_pool:get_stats(N)], is_map(S)]),
                permits => py_nif:permits(),
                max_permits => py_nif:max_permits(),
                native => py_nif:nif_info()
            }
    end.
