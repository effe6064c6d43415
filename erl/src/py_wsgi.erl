%% @doc Requests to Python web applications (WSGI, PEP 3333).
%%
%% ```
%% {ok, {<<"200 OK">>, Headers, Body}} = py_wsgi:run(myapp, app, #{'PATH_INFO' => <<"/hello">>}).
%% '''
%% The application `app' of module `myapp' runs on a worker of pool `default', or on the one that the calling process is bound to.
-module(py_wsgi).

-export([run/3, run/4]).

-export_type([environ/0, options/0, response/0]).

-type environ() :: #{atom() | binary() | string() => term()}.
%% `REQUEST_METHOD', `PATH_INFO', `QUERY_STRING', `HTTP_HOST' and so on; what PEP 3333 demands and is missing is filled in. Texts and numbers
%% become native strings. `wsgi.input' is the request body as iodata.
-type options() :: timeout() | #{timeout => timeout(), pool => atom(), error => tuple | map, factory => boolean()}.
%% `factory': the callable is called without arguments and returns the application.
-type response() :: {Status :: binary(), Headers :: [{binary(), binary()}], Body :: binary()}.

-define(RUNNER, <<"erlang._wsgi">>).
-define(DEFAULTS, #{
    <<"REQUEST_METHOD">> => {bytes, <<"GET">>},
    <<"SCRIPT_NAME">> => {bytes, <<>>},
    <<"PATH_INFO">> => {bytes, <<"/">>},
    <<"QUERY_STRING">> => {bytes, <<>>},
    <<"SERVER_NAME">> => {bytes, <<"localhost">>},
    <<"SERVER_PORT">> => {bytes, <<"80">>},
    <<"SERVER_PROTOCOL">> => {bytes, <<"HTTP/1.1">>}
}).

%% @doc Runs a request and gives its response.
-spec run(py:name(), py:name(), environ()) -> {ok, response()} | {error, py:reason()}.
run(Module, Callable, Environ) ->
    run(Module, Callable, Environ, #{}).

%% @doc As {@link run/3}, with a timeout or options. An exception that leaves the application is the error.
-spec run(py:name(), py:name(), environ(), options()) -> {ok, response()} | {error, py:reason()}.
run(Module, Callable, Environ, Options) ->
    try request(Module, Callable, Environ, Options) of
        {Request, Passed} -> py_route:sync(Request, Passed)
    catch
        throw:Reason -> {error, Reason}
    end.

-spec request(py:name(), py:name(), environ(), options()) -> {py_nif:request(), py:options()}.
request(Module, Callable, Environ, Options) ->
    {Own, Passed} = py_web:options(Options, [factory]),
    Names = [py_web:name(Module, module), py_web:name(Callable, callable), maps:get(factory, Own, false)],
    {Input, Given} = environ(Environ),
    Length =
        case Given of
            #{<<"CONTENT_LENGTH">> := _} -> #{};
            #{} when Input =:= <<>> -> #{};
            #{} -> #{<<"CONTENT_LENGTH">> => {bytes, integer_to_binary(byte_size(Input))}}
        end,
    Complete = maps:merge(maps:merge(?DEFAULTS, Length), Given),
    {{call, ?RUNNER, run, Names ++ [Complete, {bytes, Input}], []}, Passed}.

-spec environ(environ()) -> {binary(), #{binary() => term()}}.
environ(Environ) when is_map(Environ) ->
    Given = maps:from_list([{key(K), V} || {K, V} <- maps:to_list(Environ)]),
    case maps:take(<<"wsgi.input">>, Given) of
        {Body, Rest} -> {input(Body), maps:map(fun value/2, Rest)};
        error -> {<<>>, maps:map(fun value/2, Given)}
    end;
environ(_) ->
    throw({badarg, environ}).

key(Key) when is_binary(Key) -> Key;
key(Key) when is_atom(Key) -> atom_to_binary(Key);
key([_ | _] = Key) -> py_web:octets(Key, environ);
key(_) -> throw({badarg, environ}).

%% Bytes become native strings in the worker; what is no text is left to the application.
-spec value(binary(), term()) -> term().
value(<<"wsgi.", _/binary>>, Value) when not is_binary(Value) -> Value;
value(_, Value) when is_binary(Value); is_integer(Value) -> {bytes, py_web:octets(Value, environ)};
value(_, Value) when is_list(Value) ->
    try
        {bytes, py_web:octets(Value, environ)}
    catch
        throw:_ -> Value
    end;
value(_, Value) -> Value.

input(Body) ->
    try
        iolist_to_binary(Body)
    catch
        error:badarg -> throw({badarg, 'wsgi.input'})
    end.
