%% @doc The options of one request: what may stand in the place of a timeout.
-module(py_options).

-export([parse/1, no_permit/0, no_handles/0, any_handles/0, async/0, of_node/0, for_result/1]).

-export_type([options/0, parsed/0]).

-type options() :: timeout() | #{
    timeout => timeout(),
    pool => atom(),
    return => term | ref,
    error => tuple | map,
    binary => auto | bytes,
    none => none | nil | undefined,
    ndarray => list | binary,
    unknown => str | ref | error,
    tags => boolean()
}.
%% A timeout in milliseconds, or a map. `error' is the form of Python exceptions, `binary' how binaries
%% become Python objects, `return' whether the result comes as a handle, `none' what `None' becomes, `ndarray' what numpy arrays become, `unknown'
%% what happens to objects without an Erlang counterpart, `tags' whether tuples such as `{bytes, Bin}'
%% are special.
-type parsed() :: {Timeout :: timeout(), Flags :: non_neg_integer(), Pool :: undefined | atom()}.

-define(DEFAULT_TIMEOUT, 30000).
-define(MAX_TIMEOUT, 16#ffffffff).

-define(NONE_NIL, 1).
-define(NONE_UNDEFINED, 2).
-define(NDARRAY_BINARY, (1 bsl 2)).
-define(UNKNOWN_REF, (1 bsl 3)).
-define(UNKNOWN_ERROR, (2 bsl 3)).
-define(BINARY_BYTES, (1 bsl 5)).
-define(ERROR_MAP, (1 bsl 6)).
-define(RETURN_REF, (1 bsl 7)).
-define(NO_TAGS, (1 bsl 9)).
-define(NO_PERMIT, (1 bsl 10)).
-define(NO_HANDLES, (1 bsl 16)).
-define(POOL_HANDLES, (1 bsl 17)).
-define(ANY_HANDLES, (1 bsl 18)).
-define(NODE, (1 bsl 24)).
-define(ASYNC, (1 bsl 19)).

%% @doc Flag of requests that do not count in the semaphore.
-spec no_permit() -> 1024.
no_permit() -> ?NO_PERMIT.

%% @doc Flag of requests that must be free to go to any worker, and so carry no object handles.
-spec no_handles() -> 65536.
no_handles() -> ?NO_HANDLES.

%% @doc Flag of requests whose worker is a preference, which object handles overrule.
-spec any_handles() -> 262144.
any_handles() -> ?ANY_HANDLES.

%% @doc Flags of requests of the node itself: bindings do not keep them out, they need no permit, and what they change in a worker
%% stays when a binding ends.
-spec of_node() -> 16778240.
of_node() -> ?NODE bor ?NO_PERMIT.

%% @doc Flag of requests that run functions of module asyncio on the event loop, whatever kind of function they are.
-spec async() -> 524288.
async() -> ?ASYNC.

%% @doc Flags without those that say how arguments are read.
-spec for_result(non_neg_integer()) -> non_neg_integer().
for_result(Flags) -> Flags band bnot (?NO_TAGS bor ?BINARY_BYTES).

%% @doc Timeout, flags of the native layer and the explicit pool, if any.
-spec parse(options() | term()) -> {ok, parsed()} | {error, {bad_option, term()} | {badarg, timeout}}.
parse(infinity) ->
    {ok, {infinity, 0, undefined}};
parse(Timeout) when is_integer(Timeout), Timeout >= 0, Timeout =< ?MAX_TIMEOUT ->
    {ok, {Timeout, 0, undefined}};
parse(Options) when is_map(Options) ->
    fold(maps:to_list(Options), {?DEFAULT_TIMEOUT, 0, undefined});
parse(_) ->
    {error, {badarg, timeout}}.

-spec fold([{term(), term()}], parsed()) -> {ok, parsed()} | {error, {bad_option, term()}}.
fold([], Parsed) ->
    {ok, Parsed};
fold([{Key, Value} | Rest], {Timeout, Flags, Pool}) ->
    case option(Key, Value) of
        {flag, Flag} -> fold(Rest, {Timeout, Flags bor Flag, Pool});
        timeout -> fold(Rest, {Value, Flags, Pool});
        pool -> fold(Rest, {Timeout, Flags bor ?POOL_HANDLES, Value});
        bad -> {error, {bad_option, Key}}
    end.

option(timeout, infinity) -> timeout;
option(timeout, T) when is_integer(T), T >= 0, T =< ?MAX_TIMEOUT -> timeout;
option(pool, P) when is_atom(P), P =/= undefined -> pool;
option(none, none) -> {flag, 0};
option(none, nil) -> {flag, ?NONE_NIL};
option(none, undefined) -> {flag, ?NONE_UNDEFINED};
option(ndarray, list) -> {flag, 0};
option(ndarray, binary) -> {flag, ?NDARRAY_BINARY};
option(unknown, str) -> {flag, 0};
option(unknown, ref) -> {flag, ?UNKNOWN_REF};
option(unknown, error) -> {flag, ?UNKNOWN_ERROR};
option(binary, auto) -> {flag, 0};
option(binary, bytes) -> {flag, ?BINARY_BYTES};
option(error, tuple) -> {flag, 0};
option(error, map) -> {flag, ?ERROR_MAP};
option(return, term) -> {flag, 0};
option(return, ref) -> {flag, ?RETURN_REF};
option(tags, true) -> {flag, 0};
option(tags, false) -> {flag, ?NO_TAGS};
option(_, _) -> bad.
