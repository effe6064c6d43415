%% @doc Care of the interpreters: reload, memory, garbage collection, tracing of allocations.
-module(py_admin).

-export([reload/2, memory_stats/1, gc/0, gc/1, tracemalloc_start/1, tracemalloc_stop/0]).

-export_type([memory/0]).

-define(TIMEOUT, 30000).
%% What `tracemalloc' accepts.
-define(MAX_FRAMES, 65535).
-define(GENERATIONS, 3).

-type memory() :: #{
    gc_stats := [#{collections | collected | uncollectable := non_neg_integer()}],
    gc_count := [non_neg_integer()],
    gc_threshold := [non_neg_integer()],
    traced_memory_current := non_neg_integer(),
    traced_memory_peak := non_neg_integer(),
    rss := non_neg_integer(),
    workers => [map()]
}.
%% Lists have one element per generation; memory is in bytes. What Python traces is 0 unless `tracemalloc' runs. All are
%% sums over the workers, but for `gc_threshold', which is that of the first; the sum of peaks is a bound for the peak of the sum.

%% @doc Reloads a module in every worker that has imported it.
-spec reload(py:name(), py:options()) -> ok | {error, py:reason() | [{worker, py:reason()}]}.
reload(Module, Options) ->
    Code = <<"m in __import__('sys').modules and __import__('importlib').reload(__import__('sys').modules[m]) and None">>,
    case {text(Module), py_options:parse(Options)} of
        {{ok, Name}, {ok, {Timeout, _, Scope}}} ->
            case everywhere({eval, Code, #{m => {str, Name}}}, Timeout, Scope) of
                {ok, Answers} ->
                    case py_everywhere:failures(Answers) of
                        [] -> ok;
                        Failed -> {error, [{worker, Reason} || {_, Reason} <- Failed]}
                    end;
                {error, _} = Error -> Error
            end;
        {error, _} -> {error, {badarg, module}};
        {_, {error, _} = Error} -> Error
    end.

%% @doc Memory of every worker, and the sums. A worker that does not answer has key `error' in its map.
-spec memory_stats(py:options()) -> {ok, memory()} | {error, py:reason()}.
memory_stats(Options) ->
    Code =
        <<"(lambda gc, t: (gc.get_stats(), gc.get_count(), gc.get_threshold(), t.get_traced_memory() if t else (0, 0)))"
          "(__import__('gc'), __import__('sys').modules.get('tracemalloc'))">>,
    case py_options:parse(Options) of
        {ok, {Timeout, _, Pool}} ->
            case chosen(Pool) of
                {ok, Rows} ->
                    OsPids = maps:from_list([{Id, OsPid} || {Id, _, _, _, #{os_pid := OsPid}} <- Rows]),
                    Answers = py_everywhere:ask({eval, Code, []}, Timeout, [{Id, P, Worker} || {Id, P, Worker, _, _} <- Rows]),
                    Workers = [memory_of(Answer, maps:get(Id, OsPids)) || {Id, _, _} = Answer <- Answers],
                    {ok, maps:put(workers, Workers, lists:foldl(fun add/2, nothing(), Workers))};
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

%% Workers that serve, of one pool or of the common ones.
-spec chosen(undefined | atom()) -> {ok, [py_pool:worker_row()]} | {error, py:reason()}.
chosen(Name) ->
    case {py_pool:names(), Name =:= undefined orelse py_pool:ensure(Name)} of
        {[], _} -> {error, not_started};
        {_, {error, _} = Error} -> Error;
        _ -> {ok, [Row || {_, Pool, _, _, #{state := ready}} = Row <- py_pool:workers(), py_everywhere:belongs(Pool, Name)]}
    end.

-spec memory_of(py_everywhere:answer(), undefined | pos_integer()) -> map().
memory_of({Id, Pool, Answer}, OsPid) ->
    Worker = #{id => Id, pool => Pool, os_pid => OsPid, rss => py_proc:rss(OsPid)},
    case Answer of
        {ok, Figures} -> maps:merge(Worker, figures(Figures));
        {error, Reason} -> Worker#{error => Reason}
    end.

%% A program may have put anything in the place of module gc.
figures({Stats, Count, Threshold, {Current, Peak}}) ->
    try
        [_, _, _] = Generations = [generation(Stat) || Stat <- Stats],
        #{
            gc_stats => Generations,
            gc_count => numbers(Count),
            gc_threshold => numbers(Threshold),
            traced_memory_current => number(Current),
            traced_memory_peak => number(Peak)
        }
    catch
        error:_ -> #{error => unexpected_answer}
    end;
figures(_) ->
    #{error => unexpected_answer}.

generation(#{<<"collections">> := Collections, <<"collected">> := Collected, <<"uncollectable">> := Uncollectable}) ->
    #{collections => number(Collections), collected => number(Collected), uncollectable => number(Uncollectable)}.

numbers({A, B, C}) -> [number(A), number(B), number(C)].

number(N) when is_integer(N), N >= 0 -> N.

-spec nothing() -> memory().
nothing() ->
    Zeros = lists:duplicate(?GENERATIONS, 0),
    #{
        gc_stats => [#{collections => 0, collected => 0, uncollectable => 0} || _ <- Zeros],
        gc_count => Zeros,
        gc_threshold => [],
        traced_memory_current => 0,
        traced_memory_peak => 0,
        rss => 0
    }.

-spec add(map(), memory()) -> memory().
add(#{error := _, rss := Rss}, #{rss := Sum} = Total) ->
    Total#{rss := Sum + Rss};
add(Worker, Total) ->
    maps:map(fun(Key, Sum) -> sum(Key, Sum, maps:get(Key, Worker)) end, Total).

sum(gc_threshold, [], Threshold) -> Threshold;
sum(gc_threshold, First, _) -> First;
sum(gc_stats, Sums, Stats) -> lists:zipwith(fun(A, B) -> maps:map(fun(K, V) -> V + maps:get(K, B) end, A) end, Sums, Stats);
sum(gc_count, Sums, Counts) -> lists:zipwith(fun erlang:'+'/2, Sums, Counts);
sum(_, Sum, Value) -> Sum + Value.

%% @doc Collects garbage in every worker. The sum of the objects that were unreachable.
-spec gc() -> {ok, non_neg_integer()} | py_everywhere:failure().
gc() ->
    gc(?GENERATIONS - 1).

%% @doc As {@link gc/0}, up to a generation.
-spec gc(0..2) -> {ok, non_neg_integer()} | py_everywhere:failure().
gc(Generation) when is_integer(Generation), Generation >= 0, Generation < ?GENERATIONS ->
    case everywhere({call, gc, collect, [Generation], []}, ?TIMEOUT, undefined) of
        {ok, Answers} ->
            case py_everywhere:failures(Answers) of
                [] -> {ok, lists:sum([Count || {_, _, {ok, Count}} <- Answers, is_integer(Count)])};
                Failed -> {error, Failed}
            end;
        {error, _} = Error -> Error
    end;
gc(_) ->
    {error, {badarg, generation}}.

%% @doc Traces allocations of Python with so many frames of each traceback, also in workers that start later. Counts anew.
-spec tracemalloc_start(pos_integer()) -> ok | py_everywhere:failure().
tracemalloc_start(Frames) when is_integer(Frames), Frames > 0, Frames =< ?MAX_FRAMES ->
    Start = <<"(lambda t: (t.stop(), t.start(frames)) and None)(__import__('tracemalloc'))">>,
    Stop = <<"(lambda t: t and t.stop())(__import__('sys').modules.get('tracemalloc'))">>,
    py_exec_log:set(tracemalloc, {eval, Start, #{frames => Frames}}, {eval, Stop, []}, ?TIMEOUT);
tracemalloc_start(_) ->
    {error, {badarg, frames}}.

%% @doc Ends what {@link tracemalloc_start/1} began.
-spec tracemalloc_stop() -> ok | py_everywhere:failure().
tracemalloc_stop() ->
    py_exec_log:unset(tracemalloc, ?TIMEOUT).

-spec everywhere(py_nif:request(), timeout(), py_everywhere:scope()) -> {ok, [py_everywhere:answer()]} | {error, py:reason()}.
everywhere(Request, Timeout, Scope) ->
    case {py_pool:names(), Scope =:= undefined orelse py_pool:ensure(Scope)} of
        {[], _} -> {error, not_started};
        {_, {error, _} = Error} -> Error;
        _ -> {ok, py_everywhere:ask(Request, Timeout, py_everywhere:members(Scope))}
    end.

-spec text(term()) -> {ok, binary()} | error.
text(Name) when is_atom(Name) -> {ok, atom_to_binary(Name)};
text(Name) -> py_text:utf8(Name).
