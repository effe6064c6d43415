%% @doc An HTTP/1.1 server on gen_tcp in front of an ASGI application, in one file.
%%
%% Keep-alive, pipelining, request bodies with a length or in chunks, responses as a whole or as a stream. A small request is one
%% {@link py_asgi:run/5}; a large or chunked request body, and what option `stream' names, goes through {@link py_asgi:run_stream/5}: the body is read
%% from the socket when the application asks for it, and the application waits when the client does not read.
-module(http_server).

-export([start_link/1, init/1]).

-export_type([options/0]).

-include_lib("kernel/include/logger.hrl").

-type options() :: #{
    port := inet:port_number(),
    app := {Module :: py:name(), Callable :: py:name()},
    stream => [PathPrefix :: binary()]
}.

-record(connection, {
    socket :: gen_tcp:socket(),
    options :: options(),
    base :: py_asgi:scope(),
    %% What has been read and not yet used.
    buffer = <<>> :: binary()
}).
-record(request, {
    scope :: py_asgi:scope(),
    version :: {non_neg_integer(), non_neg_integer()},
    keep_alive :: boolean(),
    continue :: boolean(),
    length :: non_neg_integer() | chunked
}).

-define(MAX_HEAD, 65536).
%% A larger request body is read as the application asks for it.
-define(MAX_WHOLE, 65536).
-define(IDLE, 60000).
%% Body events that the application may be ahead of the socket.
-define(CREDIT, 8).
-define(ACCEPTORS, 16).

%% @doc Starts a server, `{ok, Pid, Port}'; it ends with the process.
-spec start_link(options()) -> {ok, pid(), inet:port_number()} | {error, term()}.
start_link(Options) ->
    proc_lib:start_link(?MODULE, init, [Options]).

%% @private
-spec init(options()) -> no_return().
init(#{port := Port} = Options) ->
    Settings = [binary, {active, false}, {reuseaddr, true}, {nodelay, true}, {backlog, 1024}, {send_timeout, ?IDLE}, {send_timeout_close, true}],
    case gen_tcp:listen(Port, Settings) of
        {ok, Listener} ->
            {ok, Number} = inet:port(Listener),
            _ = [spawn(fun() -> accept(Listener, Options) end) || _ <- lists:seq(1, ?ACCEPTORS)],
            proc_lib:init_ack({ok, self(), Number}),
            receive stop -> exit(normal) end;
        {error, Reason} ->
            proc_lib:init_ack({error, Reason}),
            exit(normal)
    end.

accept(Listener, Options) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            _ = spawn(fun() -> accept(Listener, Options) end),
            {ok, Client} = inet:peername(Socket),
            {ok, Server} = inet:sockname(Socket),
            serve(#connection{socket = Socket, options = Options, base = #{client => Client, server => Server}});
        {error, closed} ->
            ok;
        {error, _} ->
            %% Out of descriptors, most likely.
            receive after 100 -> accept(Listener, Options) end
    end.

%% One request after the other.
serve(Connection) ->
    try
        {Request, Rest} = head(Connection),
        case respond(Request, Rest) of
            {keep_alive, Next} -> serve(Next);
            close -> gen_tcp:close(Connection#connection.socket)
        end
    catch
        throw:closed ->
            gen_tcp:close(Connection#connection.socket);
        throw:{bad_request, Status} ->
            _ = gen_tcp:send(Connection#connection.socket, whole(Status, [], <<>>, {1, 1}, false)),
            gen_tcp:close(Connection#connection.socket)
    end.

%% The head of a request

head(Connection) ->
    {{http_request, Method, Target, Version}, Connection1} = packet(http_bin, Connection),
    {Headers, Connection2} = headers(Connection1, [], ?MAX_HEAD),
    {Path, Query} = target(Target),
    Get = fun(Name) -> [V || {N, V} <- Headers, N =:= Name] end,
    Tokens = [string:lowercase(T) || V <- Get('Connection'), T <- string:lexemes(V, ", ")],
    Scope = (Connection#connection.base)#{
        method => Method,
        raw_path => Path,
        query_string => Query,
        headers => Headers,
        http_version => case Version of {1, 0} -> <<"1.0">>; _ -> <<"1.1">> end
    },
    Request = #request{
        scope = Scope,
        version = Version,
        keep_alive = (Version >= {1, 1} andalso not lists:member(<<"close">>, Tokens)) orelse lists:member(<<"keep-alive">>, Tokens),
        continue = [string:lowercase(V) || V <- Get(<<"Expect">>)] =:= [<<"100-continue">>],
        length = body_length(Get('Transfer-Encoding'), lists:usort(Get('Content-Length')))
    },
    {Request, Connection2}.

packet(Type, #connection{buffer = Buffer} = Connection) ->
    case erlang:decode_packet(Type, Buffer, [{packet_size, 16384}]) of
        {ok, {http_error, <<"\r\n">>}, Rest} -> packet(Type, Connection#connection{buffer = Rest});
        {ok, {http_error, _}, _} -> throw({bad_request, 400});
        {ok, Packet, Rest} -> {Packet, Connection#connection{buffer = Rest}};
        {more, _} when byte_size(Buffer) > ?MAX_HEAD -> throw({bad_request, 431});
        {more, _} -> packet(Type, more(Connection));
        {error, _} -> throw({bad_request, 400})
    end.

headers(_Connection, _Headers, Left) when Left < 0 ->
    throw({bad_request, 431});
headers(Connection, Headers, Left) ->
    case packet(httph_bin, Connection) of
        {http_eoh, Rest} -> {lists:reverse(Headers), Rest};
        {{http_header, _, Name, _, Value}, Rest} -> headers(Rest, [{Name, Value} | Headers], Left - byte_size(Value) - 32)
    end.

target({abs_path, Path}) -> split(Path);
target({absoluteURI, _, _, _, Path}) -> split(Path);
target('*') -> {<<"*">>, <<>>};
target(_) -> throw({bad_request, 400}).

split(Path) ->
    case binary:split(Path, <<"?">>) of
        [P, Query] -> {P, Query};
        [P] -> {P, <<>>}
    end.

%% A message whose length is in doubt is refused: the next server in a row might read it differently.
body_length([], []) -> 0;
body_length([], [Length]) ->
    case re:run(Length, "^[0-9]{1,15}$", [{capture, none}]) of
        match -> binary_to_integer(Length);
        nomatch -> throw({bad_request, 400})
    end;
body_length([Coding], []) ->
    case string:lowercase(Coding) of
        <<"chunked">> -> chunked;
        _ -> throw({bad_request, 501})
    end;
body_length(_, _) -> throw({bad_request, 400}).

%% Bytes from the socket

more(#connection{socket = Socket, buffer = Buffer} = Connection) ->
    case gen_tcp:recv(Socket, 0, ?IDLE) of
        {ok, Data} -> Connection#connection{buffer = <<Buffer/binary, Data/binary>>};
        {error, _} -> throw(closed)
    end.

send(#connection{socket = Socket}, Data) ->
    case gen_tcp:send(Socket, Data) of
        ok -> ok;
        {error, _} -> throw(closed)
    end.

%% A request body that is whole before the application begins

respond(#request{length = Length, continue = Continue} = Request, #connection{options = Options} = Connection) ->
    #{raw_path := Path} = Request#request.scope,
    Streams = lists:any(fun(Prefix) -> string:prefix(Path, Prefix) =/= nomatch end, maps:get(stream, Options, [])),
    case Streams orelse Length =:= chunked orelse Length > ?MAX_WHOLE of
        true ->
            streamed(Request, Connection);
        false ->
            _ = [send(Connection, <<"HTTP/1.1 100 Continue\r\n\r\n">>) || Continue, Length > 0],
            {Body, Rest} = take(Length, Connection),
            answered(Request, Body, Rest)
    end.

take(Length, #connection{buffer = Buffer} = Connection) ->
    case Buffer of
        <<Body:Length/binary, Rest/binary>> -> {Body, Connection#connection{buffer = Rest}};
        _ -> take(Length, more(Connection))
    end.

answered(#request{scope = Scope, version = Version, keep_alive = KeepAlive}, Body, #connection{options = #{app := {Module, Callable}}} = Connection) ->
    Response =
        case py_asgi:run(Module, Callable, Scope, Body) of
            {ok, {Status, Headers, Content}} ->
                whole(Status, Headers, Content, Version, KeepAlive);
            {error, Reason} ->
                ?LOG_ERROR("~ts: ~tp", [maps:get(raw_path, Scope), Reason]),
                whole(500, [{<<"content-type">>, <<"text/plain">>}], <<"Internal Server Error">>, Version, KeepAlive)
        end,
    ok = send(Connection, Response),
    case KeepAlive of
        true -> {keep_alive, Connection};
        false -> close
    end.

whole(Status, Headers, Body, Version, KeepAlive) ->
    Length =
        case Status =:= 204 orelse Status =:= 304 orelse named(<<"content-length">>, Headers) of
            true -> [];
            false -> [<<"content-length: ">>, integer_to_binary(iolist_size(Body)), <<"\r\n">>]
        end,
    [status_line(Status), [[N, <<": ">>, V, <<"\r\n">>] || {N, V} <- Headers], Length, connection(Version, KeepAlive), <<"\r\n">>, Body].

connection({1, 0}, true) -> <<"connection: keep-alive\r\n">>;
connection(_, true) -> <<>>;
connection(_, false) -> <<"connection: close\r\n">>.

status_line(200) -> <<"HTTP/1.1 200 OK\r\n">>;
status_line(Status) -> [<<"HTTP/1.1 ">>, integer_to_binary(Status), " ", phrase(Status), <<"\r\n">>].

phrase(201) -> "Created";
phrase(204) -> "No Content";
phrase(304) -> "Not Modified";
phrase(400) -> "Bad Request";
phrase(404) -> "Not Found";
phrase(431) -> "Request Header Fields Too Large";
phrase(500) -> "Internal Server Error";
phrase(501) -> "Not Implemented";
%% The phrase may be empty.
phrase(_) -> "".

named(Name, Headers) ->
    lists:any(fun({N, _}) -> byte_size(N) =:= byte_size(Name) andalso string:lowercase(N) =:= Name end, Headers).

%% A request body or a response that flows

-record(flow, {
    ref :: reference(),
    connection :: #connection{},
    request :: #request{},
    %% What of the request body is still in the socket: bytes, bytes of the current chunk, or nothing.
    left :: non_neg_integer() | {chunk, non_neg_integer()} | none,
    framing = undefined :: undefined | length | chunks | until_close | nothing
}).

streamed(#request{scope = Scope, length = Length} = Request, #connection{options = #{app := {Module, Callable}}} = Connection) ->
    {Body, Left} =
        case Length of
            0 -> {<<>>, none};
            chunked -> {stream, {chunk, 0}};
            _ -> {stream, Length}
        end,
    {ok, Ref} = py_asgi:run_stream(Module, Callable, Scope, Body, #{credit => ?CREDIT}),
    try
        flow(watch(#flow{ref = Ref, connection = Connection, request = Request, left = Left}))
    catch
        throw:Reason ->
            ok = py_asgi:cancel(Ref),
            throw(Reason)
    end.

flow(#flow{ref = Ref, connection = #connection{socket = Socket, buffer = Buffer} = Connection} = Flow) ->
    receive
        {py_asgi, Ref, body_wanted} ->
            flow(watch(feed(continue(Flow))));
        {py_asgi, Ref, {start, Status, Headers}} ->
            flow(start(Status, Headers, Flow));
        {py_asgi, Ref, {body, Body}} ->
            ok = piece(Body, Flow),
            ok = py_asgi:credit(Ref, 1),
            flow(Flow);
        {py_asgi, Ref, done} ->
            finish(Flow);
        {py_asgi, Ref, {error, Reason}} ->
            failed(Reason, Flow);
        {tcp, Socket, Data} ->
            %% The next request; who sends much more than that waits in the socket.
            Next = <<Buffer/binary, Data/binary>>,
            _ = [inet:setopts(Socket, [{active, once}]) || byte_size(Next) < ?MAX_HEAD],
            flow(Flow#flow{connection = Connection#connection{buffer = Next}});
        {tcp_closed, Socket} ->
            throw(closed);
        {tcp_error, Socket, _} ->
            throw(closed)
    end.

%% When the whole request has been read, the socket is only heard for the client's leaving.
watch(#flow{left = none, connection = #connection{socket = Socket}} = Flow) ->
    _ = inet:setopts(Socket, [{active, once}]),
    Flow;
watch(Flow) ->
    Flow.

continue(#flow{request = #request{continue = true} = Request, connection = Connection} = Flow) ->
    ok = send(Connection, <<"HTTP/1.1 100 Continue\r\n\r\n">>),
    Flow#flow{request = Request#request{continue = false}};
continue(Flow) ->
    Flow.

%% The next piece of the request body.
feed(#flow{left = none} = Flow) ->
    Flow;
feed(#flow{left = {chunk, 0}, connection = Connection} = Flow) ->
    {Line, Rest} = line(Connection),
    case chunk_size(Line) of
        0 -> fed(<<>>, last, Flow#flow{left = none, connection = trailers(Rest)});
        Size -> feed(Flow#flow{left = {chunk, Size}, connection = Rest})
    end;
feed(#flow{connection = #connection{buffer = <<>>} = Connection} = Flow) ->
    feed(Flow#flow{connection = more(Connection)});
feed(#flow{left = {chunk, Left}, connection = Connection} = Flow) ->
    case part(Left, Connection) of
        {Piece, 0, Rest} ->
            {<<>>, Next} = line(Rest),
            fed(Piece, more, Flow#flow{left = {chunk, 0}, connection = Next});
        {Piece, Missing, Rest} ->
            fed(Piece, more, Flow#flow{left = {chunk, Missing}, connection = Rest})
    end;
feed(#flow{left = Left, connection = Connection} = Flow) ->
    case part(Left, Connection) of
        {Piece, 0, Rest} -> fed(Piece, last, Flow#flow{left = none, connection = Rest});
        {Piece, Missing, Rest} -> fed(Piece, more, Flow#flow{left = Missing, connection = Rest})
    end.

fed(Piece, More, #flow{ref = Ref} = Flow) ->
    ok = py_asgi:feed(Ref, Piece, More),
    Flow.

part(Left, #connection{buffer = Buffer} = Connection) ->
    Size = min(Left, byte_size(Buffer)),
    <<Piece:Size/binary, Rest/binary>> = Buffer,
    {Piece, Left - Size, Connection#connection{buffer = Rest}}.

line(#connection{buffer = Buffer} = Connection) ->
    case binary:split(Buffer, <<"\r\n">>) of
        [Line, Rest] -> {Line, Connection#connection{buffer = Rest}};
        [_] when byte_size(Buffer) > ?MAX_HEAD -> throw({bad_request, 400});
        [_] -> line(more(Connection))
    end.

chunk_size(Line) ->
    [Size | _] = binary:split(Line, <<";">>),
    case re:run(Size, "^[0-9A-Fa-f]{1,12}[ \t]*$", [{capture, none}]) of
        match -> binary_to_integer(string:trim(Size), 16);
        nomatch -> throw({bad_request, 400})
    end.

trailers(Connection) ->
    case line(Connection) of
        {<<>>, Rest} -> Rest;
        {_, Rest} -> trailers(Rest)
    end.

start(Status, Headers, #flow{request = #request{scope = #{method := Method}, version = Version, keep_alive = KeepAlive}} = Flow) ->
    Framing =
        case named(<<"content-length">>, Headers) of
            _ when Method =:= 'HEAD'; Status =:= 204; Status =:= 304 -> nothing;
            true -> length;
            false when Version >= {1, 1} -> chunks;
            false -> until_close
        end,
    Coding = case Framing of chunks -> <<"transfer-encoding: chunked\r\n">>; _ -> <<>> end,
    Reusable = KeepAlive andalso Framing =/= until_close,
    Lines = [[N, <<": ">>, V, <<"\r\n">>] || {N, V} <- Headers],
    ok = send(Flow#flow.connection, [status_line(Status), Lines, Coding, connection(Version, Reusable), <<"\r\n">>]),
    Flow#flow{framing = Framing}.

piece(Body, #flow{framing = chunks, connection = Connection}) ->
    send(Connection, [integer_to_binary(byte_size(Body), 16), <<"\r\n">>, Body, <<"\r\n">>]);
piece(Body, #flow{connection = Connection}) ->
    send(Connection, Body).

finish(#flow{framing = Framing, left = Left, request = #request{keep_alive = KeepAlive}, connection = #connection{socket = Socket} = Connection}) ->
    _ = [send(Connection, <<"0\r\n\r\n">>) || Framing =:= chunks],
    _ = inet:setopts(Socket, [{active, false}]),
    %% A request body that the application did not want is in the way of the next request.
    case KeepAlive andalso Framing =/= until_close andalso Left =:= none of
        true ->
            receive
                {tcp, Socket, Data} -> {keep_alive, Connection#connection{buffer = <<(Connection#connection.buffer)/binary, Data/binary>>}};
                {tcp_closed, Socket} -> close
            after 0 -> {keep_alive, Connection}
            end;
        false ->
            close
    end.

failed(Reason, #flow{request = #request{scope = Scope, version = Version}, framing = undefined, connection = Connection}) ->
    ?LOG_ERROR("~ts: ~tp", [maps:get(raw_path, Scope), Reason]),
    ok = send(Connection, whole(500, [{<<"content-type">>, <<"text/plain">>}], <<"Internal Server Error">>, Version, false)),
    close;
failed(Reason, #flow{request = #request{scope = Scope}}) ->
    %% All that can be said in the middle of a response.
    ?LOG_ERROR("~ts: ~tp", [maps:get(raw_path, Scope), Reason]),
    close.
