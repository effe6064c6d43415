%% Web applications from PyPI behind py_asgi and py_wsgi: Starlette, FastAPI, Django, Flask.
-module(py_web_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [{group, starlette}, {group, fastapi}, {group, django}, {group, flask}].

groups() ->
    [
        {starlette, [], [
            starlette_routing, starlette_json, starlette_form, starlette_upload, starlette_request_stream, starlette_stream,
            starlette_events, starlette_exceptions, starlette_background, starlette_rest, starlette_concurrent
        ]},
        {fastapi, [], [
            fastapi_routing, fastapi_validation, fastapi_upload, fastapi_stream, fastapi_exceptions, fastapi_background, fastapi_concurrent,
            fastapi_lifespan
        ]},
        {django, [], [django_asgi, django_wsgi]},
        {flask, [], [flask_routing, flask_json, flask_forms, flask_stream, flask_exceptions, flask_session]}
    ].

init_per_suite(Config) ->
    ok = py_test:start([{paths, [py_test:apps()]}, {num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

%% The packages of tests/requirements.txt are installed where the whole test run is made.
init_per_group(Group, Config) ->
    case py:call(importlib, import_module, [Group]) of
        {ok, _} -> Config;
        {error, {'ModuleNotFoundError', _}} -> {skip, {not_installed, Group}}
    end.

end_per_group(_Group, _Config) ->
    ok.

end_per_testcase(_Case, _Config) ->
    py_test:settled(),
    ok.

%% Requests

get(App, Path) ->
    asgi(App, #{path => Path}, <<>>).

asgi(App, Scope0, Body) ->
    Scope = maps:merge(#{headers => [], client => {"127.0.0.1", 4321}, server => {"localhost", 80}}, split(Scope0)),
    py_asgi:run(module(App), App, Scope, Body, #{timeout => 60000}).

%% The query goes from the path into a field of its own.
split(#{path := Path} = Scope) ->
    case string:split(Path, "?") of
        [_] -> Scope;
        [P, Query] -> Scope#{path := P, query_string => Query}
    end.

module(app) -> web_starlette;
module(api) -> web_fastapi;
module(asgi) -> web_django.

wsgi(Module, App, Environ) ->
    py_wsgi:run(Module, App, Environ#{'HTTP_HOST' => <<"localhost">>}).

flask(Path) ->
    flask(Path, #{}).

flask(Path, Environ) ->
    {ok, {<<Status:3/binary, " ", _/binary>>, Headers, Body}} =
        wsgi(web_flask, app, environ(split(#{path => Path}), Environ)),
    {binary_to_integer(Status), Headers, Body}.

environ(#{path := Path} = Split, Environ) ->
    Environ#{'PATH_INFO' => Path, 'QUERY_STRING' => maps:get(query_string, Split, <<>>)}.

header(Name, Headers) ->
    proplists:get_value(Name, [{string:lowercase(N), V} || {N, V} <- Headers]).

%% A JSON document as an Erlang term, by Python's reading of it.
json({Status, _Headers, Body}, Status) ->
    {ok, Value} = py:call(json, loads, [{bytes, Body}]),
    Value.

multipart(Parts) ->
    Boundary = <<"----------boundary-of-the-test">>,
    Body = [
        [
            ["--", Boundary, "\r\nContent-Disposition: form-data; name=\"", Name, "\"", case File of none -> ""; {F, Type} -> ["; filename=\"", F, "\"\r\nContent-Type: ", Type] end],
            ["\r\n\r\n", Content, "\r\n"]
        ]
     || {Name, File, Content} <- Parts
    ],
    {<<"multipart/form-data; boundary=", Boundary/binary>>, iolist_to_binary([Body, "--", Boundary, "--\r\n"])}.

sha256(Data) ->
    binary:encode_hex(crypto:hash(sha256, Data)).

lower(Text) ->
    string:lowercase(Text).

%% Starlette; its application stands behind the validator.

%% covers: guarantee:asgi
starlette_routing(_) ->
    {ok, {200, Headers, <<"home">>}} = get(app, <<"/">>),
    <<"GET">> = header(<<"x-stamp">>, Headers),
    <<"text/plain; charset=utf-8">> = header(<<"content-type">>, Headers),
    {ok, Item} = get(app, <<"/items/7?a=1&b=%C3%BC">>),
    #{<<"id">> := 7, <<"query">> := #{<<"a">> := <<"1">>, <<"b">> := <<"ü"/utf8>>}, <<"state">> := <<"connected">>} = json(Item, 200),
    {ok, {404, _, <<"Not Found">>}} = get(app, <<"/nowhere">>),
    {ok, {404, _, _}} = get(app, <<"/items/x">>),
    {ok, {405, _, _}} = get(app, <<"/data">>),
    {ok, {200, HeadHeaders, <<>>}} = asgi(app, #{path => <<"/">>, method => <<"HEAD">>}, <<>>),
    <<"4">> = header(<<"content-length">>, HeadHeaders),
    {ok, {Redirect, Away, _}} = get(app, <<"/away">>),
    307 = Redirect,
    <<"/">> = header(<<"location">>, Away),
    {ok, Who} = asgi(app, #{path => <<"/sub/who">>, headers => [{<<"Host">>, <<"example.org">>}]}, <<>>),
    #{<<"client">> := <<"127.0.0.1">>, <<"url">> := <<"http://example.org/sub/who">>} = json(Who, 200).

starlette_json(_) ->
    Text = <<"{\"a\": [1, 2.5, null, \"", "ü"/utf8, "\"]}">>,
    {ok, Answer} = asgi(app, #{path => <<"/data">>, method => <<"POST">>, headers => [{<<"Content-Type">>, <<"application/json">>}]}, Text),
    #{<<"got">> := #{<<"a">> := [1, 2.5, none, <<"ü"/utf8>>]}, <<"type">> := <<"application/json">>} = json(Answer, 201).

starlette_form(_) ->
    Headers = [{<<"content-type">>, <<"application/x-www-form-urlencoded">>}],
    {ok, Answer} = asgi(app, #{path => <<"/form">>, method => <<"POST">>, headers => Headers}, <<"name=Ada&city=M%C3%BCnchen">>),
    #{<<"name">> := <<"Ada">>, <<"city">> := <<"München"/utf8>>} = json(Answer, 200).

%% Larger than the pieces in which it arrives.
starlette_upload(_) ->
    Content = rand:bytes(3_000_000),
    {Type, Body} = multipart([{"note", none, "a file"}, {"file", {"data.bin", "application/x-data"}, Content}]),
    {ok, Answer} = asgi(app, #{path => <<"/upload">>, method => <<"POST">>, headers => [{<<"Content-Type">>, Type}]}, Body),
    Sum = lower(sha256(Content)),
    #{<<"name">> := <<"data.bin">>, <<"size">> := 3_000_000, <<"sha256">> := Sum, <<"note">> := <<"a file">>, <<"type">> := <<"application/x-data">>} =
        json(Answer, 200).

starlette_request_stream(_) ->
    {ok, {200, _, <<"10000000">>}} = asgi(app, #{path => <<"/count">>, method => <<"POST">>}, binary:copy(<<"x">>, 10_000_000)),
    {ok, Ref} = py_asgi:run_stream(web_starlette, app, #{path => <<"/count">>, method => <<"POST">>}, stream, #{}),
    [
        begin
            receive {py_asgi, Ref, body_wanted} -> ok end,
            ok = py_asgi:feed(Ref, binary:copy(<<"x">>, 1000), case I of 20 -> last; _ -> more end)
        end
     || I <- lists:seq(1, 20)
    ],
    {200, _, <<"20000">>} = collect(Ref).

collect(Ref) ->
    receive {py_asgi, Ref, {start, Status, Headers}} -> {Status, Headers, collect(Ref, [])} end.

collect(Ref, Pieces) ->
    receive
        {py_asgi, Ref, {body, Piece}} -> collect(Ref, [Piece | Pieces]);
        {py_asgi, Ref, done} -> iolist_to_binary(lists:reverse(Pieces))
    end.

starlette_stream(_) ->
    Expected = iolist_to_binary([[integer_to_list(I), $\n] || I <- lists:seq(0, 9)]),
    {ok, {200, _, Expected}} = get(app, <<"/stream">>),
    {ok, Ref} = py_asgi:run_stream(web_starlette, app, #{path => <<"/stream">>, query_string => <<"n=1000">>}, <<>>, #{}),
    {200, _, Long} = collect(Ref),
    1000 = length(binary:split(Long, <<"\n">>, [global, trim])).

%% Server-sent events: they come while the application goes on, and it ends when the consumer goes.
starlette_events(_) ->
    {ok, Ref} = py_asgi:run_stream(web_starlette, app, #{path => <<"/events">>}, <<>>, #{credit => 5}),
    receive {py_asgi, Ref, {start, 200, Headers}} -> <<"text/event-stream", _/binary>> = header(<<"content-type">>, Headers) end,
    [
        receive {py_asgi, Ref, {body, Event}} ->
            ?assertEqual(iolist_to_binary(["data: ", integer_to_list(I), "\n\n"]), Event),
            ok = py_asgi:credit(Ref, 1)
        end
     || I <- lists:seq(0, 49)
    ],
    ok = py:cancel(Ref),
    event_seen(<<"stream closed">>).

%% The page of the framework, and the exception goes to the log.
starlette_exceptions(_) ->
    {ok, {500, _, <<"Internal Server Error">>}} = get(app, <<"/fail">>),
    {ok, {418, _, <<"short and stout">>}} = get(app, <<"/teapot">>).

starlette_background(_) ->
    {ok, Answer} = get(app, <<"/background">>),
    #{<<"accepted">> := true} = json(Answer, 200),
    event_seen(<<"background ran">>).

event_seen(Event) ->
    py_test:until(fun() -> {ok, Events} = py:eval(<<"__import__('web_starlette').events">>, #{}, #{pool => pool()}), lists:member(Event, Events) end).

starlette_rest(_) ->
    {ok, {200, Headers, <<"nothing">>}} = get(app, <<"/cookies">>),
    [<<"seen=yes", _/binary>>, <<"other=too", _/binary>>] = [V || {<<"set-cookie">>, V} <- Headers],
    {ok, {200, _, <<"yes">>}} = asgi(app, #{path => <<"/cookies">>, headers => [{<<"Cookie">>, <<"seen=yes">>}]}, <<>>),
    {ok, Thread} = get(app, <<"/thread">>),
    #{<<"main_thread">> := false} = json(Thread, 200),
    {ok, {200, Zipped, Body}} = py_asgi:run(web_starlette, zipped, #{path => <<"/long">>, headers => [{<<"Accept-Encoding">>, <<"gzip">>}]}, <<>>),
    <<"gzip">> = header(<<"content-encoding">>, Zipped),
    Long = binary:copy(<<"abc">>, 10000),
    Long = zlib:gunzip(Body).

starlette_concurrent(_) ->
    together([fun() -> {ok, {200, _, _}} = get(app, <<"/stream?n=20">>) end || _ <- lists:seq(1, 200)]).

together(Funs) ->
    Monitors = [element(2, spawn_monitor(Fun)) || Fun <- Funs],
    [receive {'DOWN', M, _, _, Reason} -> normal = Reason end || M <- Monitors].

%% FastAPI

fastapi_routing(_) ->
    {ok, {_, Headers, _} = Root} = get(api, <<"/">>),
    #{<<"hello">> := <<"world">>, <<"ready">> := true} = json(Root, 200),
    <<"yes">> = header(<<"x-middleware">>, Headers),
    {ok, Plain} = get(api, <<"/plain?q=x&limit=5">>),
    #{<<"q">> := <<"x">>, <<"skip">> := 0, <<"limit">> := 5} = json(Plain, 200),
    {ok, Schema} = get(api, <<"/openapi.json">>),
    #{<<"paths">> := #{<<"/orders">> := _}} = json(Schema, 200),
    {ok, {200, _, <<"\n    <!DOCTYPE html>", _/binary>>}} = get(api, <<"/docs">>).

fastapi_validation(_) ->
    Post = fun(Body, Headers) ->
        {ok, Answer} = asgi(api, #{path => <<"/orders">>, method => <<"POST">>, headers => [{<<"Content-Type">>, <<"application/json">>} | Headers]}, Body),
        Answer
    end,
    Token = [{<<"X-Token">>, <<"secret">>}],
    #{<<"order">> := #{<<"name">> := <<"tea">>, <<"tags">> := [], <<"note">> := none}, <<"total">> := 5.0, <<"token">> := <<"secret">>} =
        json(Post(<<"{\"name\": \"tea\", \"price\": 2.5}">>, Token), 201),
    #{<<"detail">> := [#{<<"loc">> := [<<"body">>, <<"price">>]}]} = json(Post(<<"{\"name\": \"tea\", \"price\": \"much\"}">>, Token), 422),
    #{<<"detail">> := [#{<<"loc">> := [<<"header">>, <<"x-token">>]}]} = json(Post(<<"{\"name\": \"tea\", \"price\": 1}">>, []), 422),
    #{<<"detail">> := [#{<<"type">> := <<"json_invalid">>}]} = json(Post(<<"{broken">>, Token), 422).

fastapi_upload(_) ->
    {Type, Body} = multipart([
        {"note", none, "two"}, {"files", {"a.txt", "text/plain"}, "small"}, {"files", {"b.bin", "application/octet-stream"}, rand:bytes(200_000)}
    ]),
    {ok, Answer} = asgi(api, #{path => <<"/upload">>, method => <<"POST">>, headers => [{<<"content-type">>, Type}]}, Body),
    #{<<"note">> := <<"two">>, <<"files">> := [#{<<"name">> := <<"a.txt">>, <<"size">> := 5}, #{<<"name">> := <<"b.bin">>, <<"size">> := 200_000}]} =
        json(Answer, 200).

fastapi_stream(_) ->
    {ok, {200, _, <<"0,1,2,3,4,">>}} = get(api, <<"/stream">>).

fastapi_exceptions(_) ->
    {ok, Refused} = get(api, <<"/refuse">>),
    #{<<"refused">> := <<"no">>} = json(Refused, 409),
    {ok, Missing} = get(api, <<"/missing">>),
    #{<<"detail">> := <<"not here">>} = json(Missing, 404),
    {ok, {500, _, <<"Internal Server Error">>}} = get(api, <<"/fail">>).

fastapi_background(_) ->
    {ok, Answer} = get(api, <<"/later">>),
    #{<<"ok">> := true} = json(Answer, 200),
    py_test:until(fun() -> {ok, Log} = py:eval(<<"__import__('web_fastapi').log">>, #{}, #{pool => pool()}), Log =:= [<<"task">>] end).

%% One after the other they would take 100 s.
fastapi_concurrent(_) ->
    {Time, _} = py_test:timed(fun() -> together([fun() -> {ok, {200, _, _}} = get(api, <<"/slow?seconds=0.5">>) end || _ <- lists:seq(1, 200)]) end),
    ?assert(Time < 50000).

fastapi_lifespan(_) ->
    {ok, true} = py:eval(<<"__import__('web_fastapi').api.state.ready">>, #{}, #{pool => pool()}).

%% Django

%% covers: guarantee:asgi
django_asgi(_) ->
    {ok, {200, _, <<"GET / hello">>}} = get(asgi, <<"/?q=hello">>),
    {ok, Wait} = get(asgi, <<"/wait">>),
    #{<<"waited">> := true} = json(Wait, 200),
    {ok, {200, _, <<"grün"/utf8>>}} = get(asgi, <<"/where/grün"/utf8>>),
    {ok, Query} = get(asgi, <<"/query">>),
    #{<<"answer">> := 42} = json(Query, 200),
    {ok, {200, _, <<"0,1,2,", _/binary>>}} = get(asgi, <<"/stream">>),
    {ok, {404, _, _}} = get(asgi, <<"/nowhere">>),
    {ok, {500, _, _}} = get(asgi, <<"/fail">>),
    {Type, Body} = multipart([{"a", none, "1"}, {"file", {"f.bin", "application/octet-stream"}, rand:bytes(150_000)}]),
    Headers = [{<<"Content-Type">>, Type}, {<<"Content-Length">>, integer_to_binary(byte_size(Body))}],
    {ok, Form} = asgi(asgi, #{path => <<"/form">>, method => <<"POST">>, headers => Headers}, Body),
    #{<<"fields">> := #{<<"a">> := <<"1">>}, <<"file">> := #{<<"name">> := <<"f.bin">>, <<"size">> := 150_000}} = json(Form, 200),
    together([fun() -> {ok, {200, _, _}} = get(asgi, <<"/wait">>) end || _ <- lists:seq(1, 50)]).

%% covers: guarantee:wsgi
django_wsgi(_) ->
    Run = fun(Environ) -> {ok, Response} = wsgi(web_django, wsgi, Environ), Response end,
    {<<"200 OK">>, _, <<"GET / hello">>} = Run(#{'QUERY_STRING' => <<"q=hello">>}),
    {<<"200 OK">>, _, <<"grün"/utf8>>} = Run(#{'PATH_INFO' => <<"/where/grün"/utf8>>}),
    {<<"200 OK">>, _, <<"0,1,2,", _/binary>>} = Run(#{'PATH_INFO' => <<"/stream">>}),
    {<<"404 Not Found">>, _, _} = Run(#{'PATH_INFO' => <<"/nowhere">>}),
    {<<"500 Internal Server Error">>, _, _} = Run(#{'PATH_INFO' => <<"/fail">>}),
    Form = Run(#{'PATH_INFO' => <<"/form">>, 'REQUEST_METHOD' => <<"POST">>, 'CONTENT_TYPE' => <<"application/x-www-form-urlencoded">>, 'wsgi.input' => <<"a=1&b=2">>}),
    #{<<"fields">> := #{<<"a">> := <<"1">>, <<"b">> := <<"2">>}, <<"length">> := <<"7">>} = json(Form, <<"200 OK">>).

%% Flask

%% covers: guarantee:wsgi
flask_routing(_) ->
    {200, Headers, <<"home">>} = flask(<<"/">>),
    <<"text/html; charset=utf-8">> = header(<<"content-type">>, Headers),
    #{<<"number">> := 5, <<"query">> := #{<<"q">> := <<"ü"/utf8>>}, <<"host">> := <<"localhost">>} = json(flask(<<"/items/5?q=%C3%BC">>), 200),
    #{<<"error">> := <<"nothing here">>} = json(flask(<<"/nowhere">>), 404),
    {405, _, _} = flask(<<"/">>, #{'REQUEST_METHOD' => <<"DELETE">>}),
    {200, _, <<>>} = flask(<<"/">>, #{'REQUEST_METHOD' => <<"HEAD">>}),
    {302, Away, _} = flask(<<"/away">>),
    <<"/">> = header(<<"location">>, Away),
    {ok, {<<"200 OK">>, _, <<"home">>}} = py_wsgi:run(web_flask, create_app, #{'HTTP_HOST' => <<"localhost">>}, #{factory => true}).

flask_json(_) ->
    Environ = #{'REQUEST_METHOD' => <<"POST">>, 'CONTENT_TYPE' => <<"application/json">>},
    #{<<"got">> := #{<<"a">> := [1, none]}} = json(flask(<<"/data">>, Environ#{'wsgi.input' => <<"{\"a\": [1, null]}">>}), 201),
    {400, _, _} = flask(<<"/data">>, Environ#{'wsgi.input' => <<"{broken">>}).

flask_forms(_) ->
    Form = #{'REQUEST_METHOD' => <<"POST">>, 'CONTENT_TYPE' => <<"application/x-www-form-urlencoded">>, 'wsgi.input' => <<"a=1&b=%C3%BC">>},
    #{<<"a">> := <<"1">>, <<"b">> := <<"ü"/utf8>>} = json(flask(<<"/form">>, Form), 200),
    Content = rand:bytes(1_000_000),
    {Type, Body} = multipart([{"note", none, "hi"}, {"file", {"x.bin", "application/octet-stream"}, Content}]),
    Sum = lower(sha256(Content)),
    #{<<"name">> := <<"x.bin">>, <<"size">> := 1_000_000, <<"sha256">> := Sum, <<"note">> := <<"hi">>} =
        json(flask(<<"/upload">>, #{'REQUEST_METHOD' => <<"POST">>, 'CONTENT_TYPE' => Type, 'wsgi.input' => Body}), 200).

flask_stream(_) ->
    {200, _, <<"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n">>} = flask(<<"/stream">>),
    {ok, [<<"/stream">> | _]} = py:eval(<<"__import__('web_flask').closed">>).

flask_exceptions(_) ->
    {500, _, _} = flask(<<"/fail">>),
    {418, _, _} = flask(<<"/teapot">>).

flask_session(_) ->
    {200, Headers, <<"1">>} = flask(<<"/visits">>),
    [Cookie | _] = binary:split(header(<<"set-cookie">>, Headers), <<";">>),
    {200, _, <<"2">>} = flask(<<"/visits">>, #{'HTTP_COOKIE' => Cookie}).

pool() ->
    async.
