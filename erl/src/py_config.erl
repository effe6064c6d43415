%% @doc The application environment, checked.
%%
%% One clause of `check/2' per option says what it accepts. An unknown key or a bad value stops the start
%% with a text that names it and says how to fix it.
-module(py_config).

-export([load/0, load/1, pool/2]).

-export_type([config/0, pool_config/0, reason/0]).

-type config() :: #{max_concurrent := pos_integer(), pools := [{atom(), pool_config()}], default := pool_config()}.
-type pool_config() :: #{num_workers := pos_integer(), max_workers := pos_integer(), atom() => term()}.
%% All options of one pool, defaults filled in.
-type reason() :: {bad_config, string()}.
%% What is wrong and how to fix it, for people.

-define(APP, erlang_python).

%% Options of the node; all others are options of a pool and defaults for all pools.
-define(NODE_KEYS, [max_concurrent, pools, pools_of, num_subinterp_workers, num_async_workers]).

%% @doc Checks the application environment.
-spec load() -> {ok, config()} | {error, reason()}.
load() ->
    load(application:get_all_env(?APP)).

%% @doc Checks an environment.
-spec load([{atom(), term()}]) -> {ok, config()} | {error, reason()}.
load(Env0) ->
    Env = maps:from_list(lists:keydelete(included_applications, 1, Env0)),
    try
        ok = check_all(Env, fun known/1),
        Named = [{Name, pool(Name, pool_options(Options), Env)} || {Name, Options} <- pairs(maps:get(pools, Env, []))],
        {ok, #{
            max_concurrent => maps:get(max_concurrent, Env, 16384),
            default => pool(default, #{}, Env),
            pools => Named
        }}
    catch
        throw:{bad_config, _} = Reason -> {error, Reason}
    end.

%% @doc The options of one pool: its own, then the application environment, then the defaults.
-spec pool(atom(), map() | [{atom(), term()}]) -> {ok, pool_config()} | {error, reason()}.
pool(Name, Options) ->
    Env = maps:from_list(application:get_all_env(?APP)),
    try
        {ok, pool(Name, pool_options(Options), Env)}
    catch
        throw:{bad_config, _} = Reason -> {error, Reason}
    end.

-spec pool_options(term()) -> #{atom() => term()}.
pool_options(Options) ->
    try maps:from_list(pairs(Options)) of
        Map -> Map
    catch
        error:_ -> fail("the options of a pool must be a map or a list of {Key, Value}, got ~tp", [Options])
    end.

-spec pool(atom(), map(), map()) -> pool_config().
pool(Name, Own, Env) ->
    ok = check_all(Own, fun(Key) -> known(Key) andalso not lists:member(Key, ?NODE_KEYS) end),
    Given = maps:merge(maps:without(?NODE_KEYS, maps:with(keys(), Env)), Own),
    Online = erlang:system_info(schedulers_online),
    NumWorkers =
        case Name of
            parallel -> maps:get(num_workers, Own, maps:get(num_subinterp_workers, Env, Online));
            async -> maps:get(num_workers, Own, maps:get(num_async_workers, Env, 1));
            _ -> maps:get(num_workers, Given, Online)
        end,
    Kind = maps:get(kind, Own, case Name of async -> async; _ -> sync end),
    Executors =
        case Kind of
            %% As asyncio's own executor; the threads are started when they are needed.
            async -> maps:get(num_executors, Own, min(32, Online + 4));
            sync -> maps:get(num_executors, Given, 1)
        end,
    Config = maps:merge(defaults(), Given#{
        kind => Kind,
        num_workers => NumWorkers,
        num_executors => Executors,
        pools_of => case Name of default -> py_pools_of:table(maps:get(pools_of, Env, [])); _ -> py_pools_of:table([]) end,
        max_workers => maps:get(max_workers, case Name of async -> Own; _ -> Given end, 4 * NumWorkers)
    }),
    consistent(Config).

-spec consistent(pool_config()) -> pool_config().
consistent(#{num_workers := N, max_workers := Max}) when N > Max ->
    fail("num_workers is ~b, more than max_workers, ~b: raise max_workers or lower num_workers", [N, Max]);
consistent(#{num_executors := N, max_threads := Max}) when N > Max ->
    fail("num_executors is ~b, more than max_threads, ~b: raise max_threads or lower num_executors", [N, Max]);
consistent(#{sandbox := Sandbox, segments := named}) when Sandbox =/= false ->
    fail("sandbox needs sealed memfds, so it cannot be used with segments => named: leave segments at auto", []);
consistent(#{max_rss := Rss, memory_limit := Limit}) when is_integer(Rss), is_integer(Limit), Rss >= Limit ->
    fail("max_rss is ~b, not less than memory_limit, ~b: lower max_rss or raise memory_limit", [Rss, Limit]);
consistent(Config) ->
    Config.

defaults() ->
    #{
        kind => sync,
        loop => asyncio,
        num_executors => 1,
        max_threads => 256,
        python => undefined,
        venv => undefined,
        paths => [],
        imports => [],
        preload => [],
        env => inherit,
        sandbox => false,
        cd => undefined,
        worker_timeout => 30000,
        kill_grace => 5000,
        drain_limit => 30000,
        stop_timeout => 5000,
        ring_size => 256 * 1024,
        arena_size => 1024 * 1024,
        blob_cache => 128 * 1024 * 1024,
        inline_budget_us => 20,
        segments => auto,
        stdout => inherit,
        memory_limit => infinity,
        max_rss => infinity,
        max_calls => infinity,
        slow_call => infinity
    }.

-spec keys() -> [atom()].
keys() ->
    [num_workers, max_workers | maps:keys(defaults())] ++ ?NODE_KEYS.

-spec known(term()) -> boolean().
known(Key) ->
    lists:member(Key, keys()).

-spec check_all(map(), fun((term()) -> boolean())) -> ok.
check_all(Options, Known) ->
    lists:foreach(
        fun({Key, Value}) ->
            Known(Key) orelse fail("unknown option ~tp; the options are: ~ts", [Key, names(Known)]),
            case check(Key, Value) of
                true -> ok;
                Expected -> fail("~tp must be ~ts, got ~tp", [Key, Expected, Value])
            end
        end,
        maps:to_list(Options)
    ).

-spec names(fun((term()) -> boolean())) -> string().
names(Known) ->
    lists:flatten(lists:join(", ", [atom_to_list(K) || K <- lists:sort(keys()), Known(K)])).

%% One clause per option: true, or what would be right.

-spec check(atom(), term()) -> true | string().
check(num_workers, N) -> positive(N);
check(max_workers, N) -> positive(N);
check(num_subinterp_workers, N) -> positive(N);
check(num_async_workers, N) -> positive(N);
check(kind, K) -> K =:= sync orelse K =:= async orelse "sync, or async (its workers serve from an event loop)";
check(loop, L) -> L =:= asyncio orelse L =:= uvloop orelse "asyncio or uvloop";
check(num_executors, N) -> positive(N);
check(max_threads, N) -> positive(N);
check(max_concurrent, N) -> positive(N);
check(python, P) -> path(P) orelse "the path of an interpreter or of a virtual environment";
check(venv, P) -> path(P) orelse "the path of a virtual environment";
check(paths, L) -> (is_list(L) andalso lists:all(fun path/1, L)) orelse "a list of directories";
check(imports, L) -> (is_list(L) andalso lists:all(fun name/1, L)) orelse "a list of module names";
check(preload, P) -> preload(P) orelse "Python code, {file, Path}, {asgi, Module, Callable}, or a list of these";
check(env, E) -> env(E) orelse "inherit, clean or a list of {\"NAME\", \"value\" | false}";
check(sandbox, S) -> py_sandbox:check(S);
check(cd, P) -> (path(P) andalso filelib:is_dir(P)) orelse "a directory that exists";
check(worker_timeout, T) -> milliseconds(T);
check(kill_grace, T) -> milliseconds(T);
check(drain_limit, T) -> milliseconds(T);
check(stop_timeout, T) -> milliseconds(T);
check(ring_size, N) -> size(N, 64 * 1024, 64 * 1024 * 1024);
check(arena_size, N) -> size(N, 64 * 1024, 1024 * 1024 * 1024);
check(blob_cache, N) ->
    (is_integer(N) andalso N >= 0 andalso N < 1 bsl 48) orelse "a number of bytes, 0 to keep none";
check(segments, S) ->
    S =:= auto orelse S =:= named orelse "auto (sealed memfds where the system has them) or named (named shared memory)";
check(stdout, S) ->
    lists:member(S, [inherit, logger, null]) orelse "inherit (that of the node), logger (an event for each line) or null";
check(inline_budget_us, N) ->
    (is_integer(N) andalso N >= 0 andalso N =< 1000) orelse "a number of microseconds from 0 (never watch) to 1000";
check(memory_limit, N) -> memory(N);
check(max_rss, N) -> memory(N);
check(max_calls, N) -> N =:= infinity orelse (is_integer(N) andalso N > 0 andalso N < 1 bsl 31) orelse "a positive number of requests below 2^31, or infinity";
check(slow_call, T) -> T =:= infinity orelse (is_integer(T) andalso T >= 10 andalso T =< 16#ffffffff) orelse "a number of milliseconds, at least 10, or infinity";
check(pools_of, L) -> py_pools_of:check(L) orelse "a map or a list of {Module, Pool} and {{Module, Function}, Pool}";
check(pools, L) -> pools(L) orelse "a map or a list of {Name, Options}; default, async and parallel are configured by the plain options".

positive(N) ->
    (is_integer(N) andalso N > 0 andalso N < 65536) orelse "a positive integer below 65536".

%% An interpreter alone takes some 10 MiB.
memory(N) ->
    N =:= infinity orelse (is_integer(N) andalso N >= 1 bsl 24 andalso N < 1 bsl 48) orelse "a number of bytes, at least 16 MiB (16777216), or infinity".

milliseconds(T) ->
    (is_integer(T) andalso T > 0 andalso T =< 16#ffffffff) orelse "a positive number of milliseconds".

-spec size(term(), pos_integer(), pos_integer()) -> true | string().
size(N, Min, Max) ->
    (is_integer(N) andalso N >= Min andalso N =< Max andalso N band (N - 1) =:= 0) orelse
        lists:flatten(io_lib:format("a power of two from ~b to ~b (bytes)", [Min, Max])).

-spec path(term()) -> boolean().
path(P) when is_binary(P) -> P =/= <<>> andalso binary:match(P, <<0>>) =:= nomatch;
path([_ | _] = P) -> io_lib:char_list(P) andalso not lists:member(0, P);
path(_) -> false.

-spec name(term()) -> boolean().
name(M) -> is_atom(M) orelse path(M).

-spec preload(term()) -> boolean().
preload([]) -> true;
preload({asgi, M, C}) -> name(M) andalso name(C);
preload({file, P}) -> path(P) andalso filelib:is_regular(P);
preload([H | T] = L) when not is_integer(H) -> is_list(T) andalso lists:all(fun(P) -> P =/= [] andalso preload(P) end, L);
preload(Code) -> path(Code).

-spec env(term()) -> boolean().
env(inherit) -> true;
env(clean) -> true;
env(L) when is_list(L) ->
    lists:all(
        fun
            ({Name, Value}) -> path(Name) andalso (Value =:= false orelse Value =:= "" orelse Value =:= <<>> orelse path(Value));
            (_) -> false
        end,
        L
    );
env(_) -> false.

-spec pools(term()) -> boolean().
pools(Pools) when is_map(Pools); is_list(Pools) ->
    lists:all(
        fun
            ({Name, Options}) -> is_atom(Name) andalso not lists:member(Name, [default, async, parallel]) andalso (is_map(Options) orelse is_list(Options));
            (_) -> false
        end,
        pairs(Pools)
    );
pools(_) -> false.

-spec pairs(term()) -> [term()].
pairs(Map) when is_map(Map) -> maps:to_list(Map);
pairs(List) -> List.

-spec fail(string(), [term()]) -> no_return().
fail(Format, Args) ->
    Text = io_lib:format(Format ++ ". Set it in the environment of application erlang_python (sys.config).", Args),
    throw({bad_config, unicode:characters_to_list(Text)}).
