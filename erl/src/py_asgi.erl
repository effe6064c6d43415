%% @doc Requests to Python web applications (ASGI 3.0, HTTP).
%%
%% ```
%% {ok, {200, Headers, Body}} = py_asgi:run(myapp, app, #{method => <<"GET">>, path => <<"/hello">>}, <<>>).
%% '''
%% The application `app' of module `myapp' is imported and started (its lifespan protocol) at the first request in a worker, or
%% by option `preload'. Requests go to pool `async', or to the worker that the calling process is bound to; thousands may
%% be under way in one worker.
%%
%% {@link run/5} gives the whole response. {@link run_stream/5} gives it piece by piece, and takes the request body so.
-module(py_asgi).

-export([run/4, run/5, run_async/4, run_async/5, await_response/1, await_response/2]).
-export([run_stream/5, feed/2, feed/3, credit/2, cancel/1]).
-export([build_scope/1, build_scope/2]).

-export_type([scope/0, options/0, response/0, event/0]).

-type scope() :: py_asgi_scope:scope().
%% `method', `path', `raw_path', `query_string', `headers', `scheme', `http_version', `root_path', `client', `server',
%% `state' and whatever else the application looks for; the keys are atoms, binaries or strings. Headers are a list of `{Name, Value}' or
%% `[Name, Value]'. Without `raw_path' it is made from `path', and the other way round.
-type options() :: timeout() | #{
    timeout => timeout(),
    pool => atom(),
    error => tuple | map,
    factory => boolean(),
    runner => py:name(),
    credit => pos_integer() | infinity
}.
%% `factory': the callable is called without arguments and returns the application. `runner': a Python module whose function
%% `run(module, callable, scope, body)' serves the request instead and returns `(status, headers, body)'; not for streams. `credit': how
%% many `body' events a stream may be ahead of its consumer, default `infinity'; {@link credit/2} allows more.
-type response() :: {Status :: 200..999, Headers :: [{binary(), binary()}], Body :: binary()}.
-type event() :: {start, Status :: 200..999, Headers :: [{binary(), binary()}]} | {body, binary()} | body_wanted | done | {error, py:reason()}.

-define(RUNNER, <<"erlang._asgi">>).
%% For a worker that is being replaced.
-define(PATIENCE, 30000).
%% The worker sees a larger body in place and makes pieces of it.
-define(IN_PLACE, 65536).

%% @doc Runs a request and gives its response.
-spec run(py:name(), py:name(), scope(), iodata()) -> {ok, response()} | {error, py:reason()}.
run(Module, Callable, Scope, Body) ->
    run(Module, Callable, Scope, Body, #{}).

%% @doc As {@link run/4}, with a timeout or options. An exception that leaves the application before its response is complete is
%% the error; later ones go to Python's logger `erlang.asgi'. `{error, {lifespan_failed, Message}}': the application could not start.
-spec run(py:name(), py:name(), scope(), iodata(), options()) -> {ok, response()} | {error, py:reason()}.
run(Module, Callable, Scope, Body, Options) ->
    try request(Module, Callable, Scope, Body, Options) of
        {Request, Passed} -> py_route:sync_on_loop(Request, Passed)
    catch
        throw:Reason -> {error, Reason}
    end.

%% @doc Starts a request; {@link await_response/1} gives its response, or it comes as a message `{py_result, Ref, Response}'
%% or `{py_error, Ref, Reason}'. No deadline of its own.
-spec run_async(py:name(), py:name(), scope(), iodata()) -> {ok, reference()} | {error, py:reason()}.
run_async(Module, Callable, Scope, Body) ->
    run_async(Module, Callable, Scope, Body, #{}).

%% @doc As {@link run_async/4}, with a timeout or options.
-spec run_async(py:name(), py:name(), scope(), iodata(), options()) -> {ok, reference()} | {error, py:reason()}.
run_async(Module, Callable, Scope, Body, Options) ->
    try request(Module, Callable, Scope, Body, Options) of
        {Request, Passed} -> {ok, py_route:on_loop(Request, unlimited(Passed))}
    catch
        throw:Reason -> {error, Reason}
    end.

%% @doc The response of {@link run_async/4}, after at most 30 s.
-spec await_response(reference()) -> {ok, response()} | {error, py:reason()}.
await_response(Ref) ->
    py:await(Ref).

%% @doc As {@link await_response/1}; after `Timeout' ms the request is cancelled.
-spec await_response(reference(), timeout()) -> {ok, response()} | {error, py:reason()}.
await_response(Ref, Timeout) ->
    py:await(Ref, Timeout).

%% @doc Starts a request whose response comes as messages `{py_asgi, Ref, Event}': `{start, Status, Headers}', `{body, Bytes}' as often
%% as needed, then `done'; or `{error, Reason}', which may come at any point.
%%
%% With `stream' in the place of the body, its pieces come from {@link feed/3}: the event `body_wanted' says that the
%% application waits for the next one. With option `credit' the application waits when that many `body' events have not been answered
%% with {@link credit/2}. {@link cancel/1}, `py:cancel/1' and the death of the calling process cancel the request. No deadline but that of
%% option `timeout'. Blocks the calling process until the request has its permit and is with the worker.
-spec run_stream(py:name(), py:name(), scope(), iodata() | stream, options()) -> {ok, reference()} | {error, py:reason()}.
run_stream(Module, Callable, Scope, Body, Options) ->
    try
        {Own, Passed} = py_web:options(Options, [factory, credit]),
        Credit = case Own of #{credit := N} when is_integer(N) -> N; #{} -> none end,
        Args = arguments(Module, Callable, Scope, Own) ++ [body(Body)],
        {Limits, Worker} = worker(unlimited(Passed)),
        Request = fun(Pid) -> {call, ?RUNNER, run_stream, Args ++ [Pid, Credit], []} end,
        {ok, py_asgi_stream:start(Worker, Request, Limits)}
    catch
        throw:Reason -> {error, Reason}
    end.

%% @equiv feed(Ref, Piece, more)
-spec feed(reference(), iodata()) -> ok.
feed(Ref, Piece) ->
    feed(Ref, Piece, more).

%% @doc Hands a piece of the request body to the application of a stream; `last' with the last one. Does not wait: who has much to
%% say waits for `body_wanted'.
-spec feed(reference(), iodata(), more | last) -> ok.
feed(Ref, Piece, More) when More =:= more; More =:= last ->
    py_asgi_stream:feed(Ref, iolist_to_binary(Piece), More).

%% @doc Allows `Credit' more `body' events.
-spec credit(reference(), pos_integer()) -> ok.
credit(Ref, Credit) when is_integer(Credit), Credit > 0 ->
    py_asgi_stream:credit(Ref, Credit).

%% @doc Cancels a stream or a request of this process; nothing of it arrives afterwards.
-spec cancel(reference()) -> ok.
cancel(Ref) ->
    py:cancel(Ref).

%% @doc A complete scope from the fields that are given.
-spec build_scope(scope()) -> scope() | {error, {badarg, atom()}}.
build_scope(Fields) ->
    build_scope(Fields, #{}).

%% @doc As {@link build_scope/1}, with defaults of your own.
-spec build_scope(scope(), scope()) -> scope() | {error, {badarg, atom()}}.
build_scope(Fields, Defaults) ->
    try
        py_asgi_scope:build(Fields, Defaults)
    catch
        throw:Reason -> {error, Reason}
    end.

%% The request of a response that comes as a whole.
-spec request(py:name(), py:name(), scope(), iodata(), options()) -> {py_nif:request(), py:options()}.
request(Module, Callable, Scope, Body, Options) ->
    {Own, Passed} = py_web:options(Options, [factory, runner]),
    Content = case Body of stream -> throw({badarg, body}); _ -> body(Body) end,
    Args = arguments(Module, Callable, Scope, Own) ++ [Content],
    case Own of
        #{runner := Runner} -> {{call, ?RUNNER, run_with, [Runner | Args], []}, Passed};
        #{} -> {{call, ?RUNNER, run, Args, []}, Passed}
    end.

arguments(Module, Callable, Scope, Own) ->
    Factory = maps:get(factory, Own, false),
    {Fields, Others} = py_asgi_scope:encode(py_asgi_scope:build(Scope, #{})),
    [py_web:name(Module, module), py_web:name(Callable, callable), Factory, Fields, Others].

-spec unlimited(py:options()) -> py:options().
unlimited(Options) when is_map(Options) -> maps:merge(#{timeout => infinity}, Options);
unlimited(Timeout) -> Timeout.

-spec worker(py:options()) -> {{timeout(), non_neg_integer()}, py_nif:target()}.
worker(Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, Flags, Pool}} ->
            case py_route:loop_worker(Pool, none, min(Timeout, ?PATIENCE)) of
                {ok, Worker, More} -> {{Timeout, Flags bor More}, Worker};
                {error, Reason} -> throw(Reason)
            end;
        {error, Reason} ->
            throw(Reason)
    end.

-spec body(iodata() | stream) -> none | {bytes | buffer, binary()}.
body(stream) ->
    none;
body(Body) when is_binary(Body) ->
    {case byte_size(Body) > ?IN_PLACE of true -> buffer; false -> bytes end, Body};
body(Body) ->
    try
        body(iolist_to_binary(Body))
    catch
        error:badarg -> throw({badarg, body})
    end.
