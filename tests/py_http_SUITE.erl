%% The example docs/examples/http_server: a web server in Erlang before a Python application, spoken to over TCP.
-module(py_http_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        whole, keep_alive, pipelined, http_1_0, head, chunked_request, large_request, continue, streamed_response, streamed_keep_alive,
        errors, bad_requests, client_leaves, slow_client, concurrent
    ].

init_per_suite(Config) ->
    Example = filename:join(code:priv_dir(erlang_python), "../docs/examples/http_server"),
    Dir = ?config(priv_dir, Config),
    {ok, http_server} = compile:file(filename:join(Example, "http_server.erl"), [{outdir, Dir}, report, warnings_as_errors]),
    true = code:add_path(Dir),
    ok = py_test:start([{paths, [Example, py_test:apps()]}, {num_workers, 1}]),
    Config.

end_per_suite(Config) ->
    py_test:stop(),
    true = code:del_path(?config(priv_dir, Config)).

%% `http_hello' is the application of the example, `asgi_raw' one of our own.
init_per_testcase(_Case, Config) ->
    case py:call(importlib, import_module, [starlette]) of
        {ok, _} ->
            {ok, Server, Port} = http_server:start_link(#{port => 0, app => {hello, app}, stream => [<<"/ticks">>]}),
            {ok, Raw, RawPort} = http_server:start_link(#{port => 0, app => {http_app, app}, stream => [<<"/stream">>]}),
            [{servers, [Server, Raw]}, {port, Port}, {raw, RawPort} | Config];
        {error, {'ModuleNotFoundError', _}} ->
            {skip, {not_installed, starlette}}
    end.

end_per_testcase(_Case, Config) ->
    [Server ! stop || Server <- ?config(servers, Config)],
    py_test:settled(),
    py_test:until(fun() -> ets:info(py_asgi_streams, size) =:= 0 end),
    [] = [M || M <- py_test:mailbox(), element(1, M) =/= 'EXIT'].

%% A client

connect(Config, Which) ->
    {ok, Socket} = gen_tcp:connect("127.0.0.1", ?config(Which, Config), [binary, {active, false}]),
    Socket.

send(Socket, Data) ->
    ok = gen_tcp:send(Socket, Data).

ask(Socket, Method, Path, Headers, Body) ->
    send(Socket, [Method, " ", Path, " HTTP/1.1\r\nHost: test\r\n", [[N, ": ", V, "\r\n"] || {N, V} <- Headers], "\r\n", Body]),
    answer(Socket).

get(Socket, Path) ->
    ask(Socket, "GET", Path, [], "").

%% Status, headers, body; what is left in the socket stays there.
answer(Socket) ->
    {Status, Headers} = answer_head(Socket),
    Body =
        case Headers of
            #{<<"transfer-encoding">> := <<"chunked">>} -> chunks(Socket);
            #{<<"content-length">> := <<"0">>} -> <<>>;
            #{<<"content-length">> := Length} -> bytes(Socket, binary_to_integer(Length));
            #{<<"connection">> := <<"close">>} -> rest(Socket);
            #{} -> <<>>
        end,
    {Status, Headers, Body}.

answer_head(Socket) ->
    ok = inet:setopts(Socket, [{packet, http_bin}]),
    {ok, {http_response, {1, 1}, Status, _}} = gen_tcp:recv(Socket, 0, 20000),
    Headers = answer_headers(Socket, #{}),
    ok = inet:setopts(Socket, [{packet, raw}]),
    {Status, Headers}.

answer_headers(Socket, Headers) ->
    case gen_tcp:recv(Socket, 0, 20000) of
        {ok, {http_header, _, Name, _, Value}} -> answer_headers(Socket, Headers#{name(Name) => Value});
        {ok, http_eoh} -> Headers
    end.

name(Name) when is_atom(Name) -> name(atom_to_binary(Name));
name(Name) -> string:lowercase(Name).

bytes(Socket, N) ->
    {ok, Bytes} = gen_tcp:recv(Socket, N, 20000),
    Bytes.

chunks(Socket) ->
    case chunk(Socket) of
        <<>> -> <<>>;
        Chunk -> <<Chunk/binary, (chunks(Socket))/binary>>
    end.

chunk(Socket) ->
    ok = inet:setopts(Socket, [{packet, line}]),
    {ok, Line} = gen_tcp:recv(Socket, 0, 20000),
    ok = inet:setopts(Socket, [{packet, raw}]),
    case binary_to_integer(string:trim(Line), 16) of
        0 -> <<"\r\n">> = bytes(Socket, 2), <<>>;
        Size -> Chunk = bytes(Socket, Size), <<"\r\n">> = bytes(Socket, 2), Chunk
    end.

rest(Socket) ->
    case gen_tcp:recv(Socket, 0, 20000) of
        {ok, Data} -> <<Data/binary, (rest(Socket))/binary>>;
        {error, _} -> <<>>
    end.

%% Cases

%% covers: guarantee:asgi
whole(Config) ->
    Socket = connect(Config, port),
    {200, #{<<"content-type">> := <<"text/plain; charset=utf-8">>, <<"content-length">> := <<"18">>}, <<"Hello from Python\n">>} = get(Socket, "/"),
    {200, #{<<"content-type">> := <<"application/json">>}, <<"{\"hello\":\"grün\"}"/utf8>>} = get(Socket, "/greet/gr%C3%BCn"),
    {404, _, <<"Not Found">>} = get(Socket, "/nowhere?x=1").

keep_alive(Config) ->
    Socket = connect(Config, port),
    [{200, _, <<"Hello from Python\n">>} = get(Socket, "/") || _ <- lists:seq(1, 20)],
    {200, #{<<"connection">> := <<"close">>}, _} = ask(Socket, "GET", "/", [{"Connection", "close"}], ""),
    {error, _} = gen_tcp:recv(Socket, 0, 20000).

pipelined(Config) ->
    Socket = connect(Config, port),
    send(Socket, [["GET /greet/", integer_to_list(I), " HTTP/1.1\r\nHost: x\r\n\r\n"] || I <- lists:seq(1, 10)]),
    [?assertMatch({200, _, <<"{\"hello\":\"", _/binary>>}, answer(Socket)) || _ <- lists:seq(1, 9)],
    {200, _, <<"{\"hello\":\"10\"}">>} = answer(Socket).

http_1_0(Config) ->
    Socket = connect(Config, port),
    send(Socket, "GET /ticks?n=2&every=0 HTTP/1.0\r\n\r\n"),
    {200, Headers, <<"data: 0\n\ndata: 1\n\n">>} = answer(Socket),
    false = is_map_key(<<"transfer-encoding">>, Headers),
    {error, _} = gen_tcp:recv(Socket, 0, 20000),
    Other = connect(Config, port),
    send(Other, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    {200, #{<<"connection">> := <<"keep-alive">>}, _} = answer(Other),
    {200, _, _} = get(Other, "/").

head(Config) ->
    Socket = connect(Config, port),
    send(Socket, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"),
    {200, #{<<"content-length">> := <<"18">>}} = answer_head(Socket),
    {200, _, <<"Hello from Python\n">>} = get(Socket, "/").

chunked_request(Config) ->
    Socket = connect(Config, port),
    Chunk = fun(Data) -> [integer_to_list(iolist_size(Data), 16), "\r\n", Data, "\r\n"] end,
    {200, _, <<"{\"bytes\":13}">>} =
        ask(Socket, "POST", "/size", [{"Transfer-Encoding", "chunked"}], [Chunk("hello"), "3;extension=1\r\nabc\r\n", Chunk("world"), "0\r\nTrailer: x\r\n\r\n"]),
    %% In pieces, however small.
    send(Socket, "POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
    [send(Socket, <<C>>) || <<C>> <= iolist_to_binary([Chunk("abc"), Chunk(binary:copy(<<"x">>, 20)), "0\r\n\r\n"])],
    {200, _, <<"{\"bytes\":23}">>} = answer(Socket),
    {200, _, _} = get(Socket, "/").

large_request(Config) ->
    Socket = connect(Config, port),
    Size = 5_000_000,
    {200, _, Answer} = ask(Socket, "POST", "/size", [{"Content-Length", integer_to_list(Size)}], binary:copy(<<"x">>, Size)),
    <<"{\"bytes\":5000000}">> = Answer,
    {200, _, _} = get(Socket, "/").

continue(Config) ->
    [
        begin
            Socket = connect(Config, port),
            send(Socket, ["POST /size HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ", integer_to_list(Size), "\r\n\r\n"]),
            <<"HTTP/1.1 100 Continue\r\n\r\n">> = bytes(Socket, 25),
            send(Socket, binary:copy(<<"x">>, Size)),
            {200, _, Answer} = answer(Socket),
            ?assertEqual(iolist_to_binary(["{\"bytes\":", integer_to_list(Size), "}"]), Answer)
        end
     || Size <- [10, 100_000]
    ].

%% The first event is there long before the last.
streamed_response(Config) ->
    Socket = connect(Config, raw),
    send(Socket, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"),
    {200, #{<<"transfer-encoding">> := <<"chunked">>}} = answer_head(Socket),
    <<"first">> = chunk(Socket),
    ok = go(),
    <<"second">> = chunk(Socket),
    <<>> = chunk(Socket).

go() ->
    {ok, none} = py:call(http_app, go, [], #{}, #{pool => pool()}),
    ok.

streamed_keep_alive(Config) ->
    Socket = connect(Config, port),
    [{200, _, <<"data: 0\n\ndata: 1\n\n">>} = get(Socket, "/ticks?n=2&every=0") || _ <- lists:seq(1, 5)],
    send(Socket, ["GET /ticks?n=3&every=0.01 HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"]),
    {200, _, <<"data: 0\n\ndata: 1\n\ndata: 2\n\n">>} = answer(Socket),
    {200, _, <<"Hello from Python\n">>} = answer(Socket).

errors(Config) ->
    Socket = connect(Config, raw),
    {500, _, <<"Internal Server Error">>} = get(Socket, "/fail"),
    {500, #{<<"connection">> := <<"close">>}, <<"Internal Server Error">>} = get(Socket, "/stream/fail"),
    %% In the middle of a response there is nothing left but to hang up.
    Other = connect(Config, raw),
    send(Other, "GET /stream/broken HTTP/1.1\r\nHost: x\r\n\r\n"),
    {200, _} = answer_head(Other),
    <<"5\r\nfirst\r\n">> = rest(Other).

bad_requests(Config) ->
    [
        begin
            Socket = connect(Config, port),
            send(Socket, Request),
            {Status, _, _} = answer(Socket),
            {error, _} = gen_tcp:recv(Socket, 0, 20000)
        end
     || {Status, Request} <- [
            {400, "nonsense\r\n\r\n"},
            {400, "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
            {400, "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
            {400, "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"},
            {501, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"},
            {400, "POST /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}
        ]
    ].

%% The application's generator is closed when nobody reads.
client_leaves(Config) ->
    ok = clear(),
    Socket = connect(Config, raw),
    send(Socket, "GET /stream/endless HTTP/1.1\r\nHost: x\r\n\r\n"),
    {200, _} = answer_head(Socket),
    <<"tick">> = chunk(Socket),
    ok = gen_tcp:close(Socket),
    py_test:until(fun() -> seen() =:= [<<"closed">>] end).

%% The application waits for a client that does not read.
slow_client(Config) ->
    ok = clear(),
    Socket = connect(Config, raw),
    send(Socket, "GET /stream/flood HTTP/1.1\r\nHost: x\r\n\r\n"),
    {200, _} = answer_head(Socket),
    %% What fits into the sockets and the credit, no more: it stands still.
    Sent = fun() -> {ok, N} = py:eval(<<"__import__('http_app').sent">>, #{}, #{pool => pool()}), N end,
    py_test:until(fun() -> Before = Sent(), Before > 0 andalso lists:usort([Sent() || _ <- lists:seq(1, 200)]) =:= [Before] end),
    ?assert(Sent() < 2000),
    ok = gen_tcp:close(Socket),
    py_test:until(fun() -> seen() =:= [<<"flood stopped">>] end).

clear() ->
    {ok, none} = py:call(http_app, clear, [], #{}, #{pool => pool()}),
    ok.

seen() ->
    {ok, Seen} = py:eval(<<"__import__('http_app').seen">>, #{}, #{pool => pool()}),
    Seen.

concurrent(Config) ->
    Client = fun() ->
        Socket = connect(Config, port),
        [{200, _, <<"Hello from Python\n">>} = get(Socket, "/") || _ <- lists:seq(1, 20)]
    end,
    Monitors = [element(2, spawn_monitor(Client)) || _ <- lists:seq(1, 50)],
    [receive {'DOWN', M, _, _, Reason} -> normal = Reason end || M <- Monitors].

pool() ->
    async.
