%% @doc What the options `memory_limit', `max_rss' and `max_calls' mean for one worker.
%%
%% The native library measures and counts (`nif/src/watchdog.rs'): it ends a worker over its `memory_limit' and says so, and it says
%% when a worker is to be replaced. This module knows the figures and the words.
-module(py_limits).

-export([native/1, rlimit_data/1, describe/2]).

-export_type([event/0]).

-type event() ::
    {memory_limit, Bytes :: non_neg_integer(), Processes :: pos_integer()}
    | {max_rss, Bytes :: non_neg_integer()}
    | {max_calls, Requests :: pos_integer()}.
%% What the message `{py_limit, Serial, Event}' tells.

%% What an interpreter maps and does not use.
-define(SLACK, 64 * 1024 * 1024).
-define(STACK, 8 * 1024 * 1024).
%% Libraries of numbers start a thread for each processor, some of them twice.
-define(THREADS, 2).

%% @doc The options of {@link py_nif:worker_new/1}.
-spec native(py_pool:spec()) -> #{atom() => pos_integer()}.
native(Spec) ->
    maps:filter(fun(_, Limit) -> is_integer(Limit) end, maps:with([memory_limit, max_rss, max_calls], Spec)).

%% @doc The arguments of the host that make a single allocation beyond `memory_limit' a `MemoryError'. The limit of the
%% kernel counts what is mapped, so it lies above by the stacks of threads and some slack: what becomes resident meets `memory_limit' first.
-spec rlimit_data(py_pool:spec()) -> [string()].
rlimit_data(#{memory_limit := Limit, num_executors := Executors}) when is_integer(Limit) ->
    Threads = Executors + ?THREADS * erlang:system_info(schedulers_online),
    ["--rlimit-data", integer_to_list(Limit + ?SLACK + Threads * ?STACK)];
rlimit_data(_) ->
    [].

%% @doc An event for people.
-spec describe(event(), py_pool:spec()) -> string().
describe({memory_limit, Bytes, Processes}, #{memory_limit := Limit}) ->
    text("it uses ~s in ~b processes, more than its memory_limit of ~s; it is killed", [mib(Bytes), Processes, mib(Limit)]);
describe({max_rss, Bytes}, #{max_rss := Limit}) ->
    text("it uses ~s, more than max_rss of ~s; it is replaced", [mib(Bytes), mib(Limit)]);
describe({max_calls, Requests}, _) ->
    text("it has had ~b requests (max_calls); it is replaced", [Requests]).

-spec mib(non_neg_integer()) -> string().
mib(Bytes) ->
    text("~b MiB", [Bytes div (1024 * 1024)]).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
