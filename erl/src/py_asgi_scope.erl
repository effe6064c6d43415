%% @doc The scope of an HTTP request as the ASGI specification has it.
%%
%% {@link build/2} fills in what the caller left out and keeps plain terms; {@link encode/1} says for each of them which
%% Python type it becomes.
-module(py_asgi_scope).

-export([build/2, encode/1]).

-export_type([scope/0]).

-type scope() :: #{atom() | binary() | string() => term()}.

-define(FIELDS, [type, asgi, http_version, method, scheme, path, raw_path, query_string, root_path, headers, client, server, state]).
-define(DEFAULTS, #{
    type => <<"http">>,
    asgi => #{version => <<"3.0">>, spec_version => <<"2.3">>},
    http_version => <<"1.1">>,
    method => <<"GET">>,
    scheme => <<"http">>,
    root_path => <<>>,
    query_string => <<>>,
    headers => []
}).

%% @doc A complete scope: `Params', then `Defaults', then the defaults of the specification. Known keys become atoms.
-spec build(scope(), scope()) -> #{
    type := term(), asgi := term(), http_version := term(), method := term(), scheme := term(), path := term(), raw_path := term(),
    query_string := term(), root_path := term(), headers := term(), atom() | binary() | string() => term()
}.
build(Params, Defaults) ->
    case maps:merge(maps:merge(?DEFAULTS, keys(Defaults)), keys(Params)) of
        #{path := _, raw_path := _} = Scope -> Scope;
        #{path := Path} = Scope -> Scope#{raw_path => quote(py_web:octets(Path, path))};
        #{raw_path := Raw} = Scope -> Scope#{path => unquote(py_web:octets(Raw, raw_path))};
        Scope -> Scope#{path => <<"/">>, raw_path => <<"/">>}
    end.

-spec keys(scope()) -> scope().
keys(Scope) when is_map(Scope) ->
    case lists:all(fun is_atom/1, maps:keys(Scope)) of
        true -> Scope;
        false -> maps:from_list([{key(K), V} || {K, V} <- maps:to_list(Scope)])
    end;
keys(_) ->
    throw({badarg, scope}).

key(Key) when is_atom(Key) -> Key;
key(<<"type">>) -> type;
key(<<"asgi">>) -> asgi;
key(<<"http_version">>) -> http_version;
key(<<"method">>) -> method;
key(<<"scheme">>) -> scheme;
key(<<"path">>) -> path;
key(<<"raw_path">>) -> raw_path;
key(<<"query_string">>) -> query_string;
key(<<"root_path">>) -> root_path;
key(<<"headers">>) -> headers;
key(<<"client">>) -> client;
key(<<"server">>) -> server;
key(<<"state">>) -> state;
key(Key) when is_binary(Key) -> Key;
key([_ | _] = Key) -> key(py_web:octets(Key, scope));
key(_) -> throw({badarg, scope}).

%% @doc The fields that the specification names, in the order in which the worker expects them, and all others. Throws `{badarg, Field}'.
-spec encode(scope()) -> {tuple(), scope()}.
encode(#{
    type := Type, asgi := Asgi, http_version := Version, method := Method, scheme := Scheme, path := Path, raw_path := Raw,
    query_string := Query, root_path := Root, headers := Headers
} = Scope) ->
    lists:member(Type, [<<"http">>, http, "http"]) orelse throw({badarg, type}),
    is_list(Headers) orelse throw({badarg, headers}),
    #{asgi := Default} = ?DEFAULTS,
    State = maps:get(state, Scope, none),
    State =:= none orelse is_map(State) orelse throw({badarg, state}),
    Fields = {
        {str, py_web:octets(Version, http_version)},
        {str, py_web:octets(Method, method)},
        {str, py_web:octets(Scheme, scheme)},
        {str, utf8(py_web:octets(Path, path))},
        {bytes, py_web:octets(Raw, raw_path)},
        {bytes, py_web:octets(Query, query_string)},
        {str, utf8(py_web:octets(Root, root_path))},
        [header(H) || H <- Headers],
        address(maps:get(client, Scope, none), client),
        address(maps:get(server, Scope, none), server),
        case Asgi of Default -> none; _ -> Asgi end,
        State
    },
    {Fields, maps:without(?FIELDS, Scope)}.

header({Name, Value}) when is_binary(Name), is_binary(Value) -> {{bytes, Name}, {bytes, Value}};
header({Name, Value}) -> {{bytes, py_web:octets(Name, headers)}, {bytes, py_web:octets(Value, headers)}};
header([Name, Value]) -> header({Name, Value});
header(_) -> throw({badarg, headers}).

address(None, _) when None =:= none; None =:= nil; None =:= undefined -> none;
address([Host, Port], What) -> address({Host, Port}, What);
address({Host, Port}, What) when tuple_size(Host) =:= 4; tuple_size(Host) =:= 8 ->
    case inet:ntoa(Host) of
        {error, einval} -> throw({badarg, What});
        Text -> address({Text, Port}, What)
    end;
address({Host, Port}, What) when is_integer(Port); is_atom(Port) -> {{str, py_web:octets(Host, What)}, Port};
address(_, What) -> throw({badarg, What}).

%% The text with what is no UTF-8 replaced, as servers do with a path.
-spec utf8(binary()) -> binary().
utf8(Bytes) ->
    case unicode:characters_to_binary(Bytes) of
        Bytes -> Bytes;
        {_, Good, <<_, Rest/binary>>} -> <<Good/binary, 16#FFFD/utf8, (utf8(Rest))/binary>>
    end.

%% The path as a client would have sent it.
-spec quote(binary()) -> binary().
quote(Path) ->
    case plain(Path) of
        true -> Path;
        false -> << <<(quoted(C))/binary>> || <<C>> <= Path >>
    end.

-spec plain(binary()) -> boolean().
plain(<<C, Rest/binary>>) ->
    is_plain(C) andalso plain(Rest);
plain(<<>>) ->
    true.

quoted(C) ->
    case is_plain(C) of
        true -> <<C>>;
        false -> <<"%", (hex(C bsr 4)), (hex(C band 15))>>
    end.

%% The characters that stand for themselves in a path (RFC 3986).
-spec is_plain(byte()) -> boolean().
is_plain(C) when C >= $a, C =< $z; C >= $A, C =< $Z; C >= $&, C =< $; -> true;
is_plain(C) -> C =:= $_ orelse C =:= $~ orelse C =:= $! orelse C =:= $$ orelse C =:= $= orelse C =:= $@.

-spec hex(0..15) -> byte().
hex(Digit) when Digit < 10 -> $0 + Digit;
hex(Digit) -> $A + Digit - 10.

-spec unquote(binary()) -> binary().
unquote(Raw) ->
    case binary:match(Raw, <<"%">>) of
        nomatch -> Raw;
        _ -> iolist_to_binary(unquoted(Raw))
    end.

-spec unquoted(binary()) -> iolist().
unquoted(<<"%", High, Low, Rest/binary>> = All) ->
    case {digit(High), digit(Low)} of
        {H, L} when is_integer(H), is_integer(L) -> [H * 16 + L | unquoted(Rest)];
        _ -> <<C, More/binary>> = All, [C | unquoted(More)]
    end;
unquoted(<<C, Rest/binary>>) ->
    [C | unquoted(Rest)];
unquoted(<<>>) ->
    [].

-spec digit(byte()) -> 0..15 | none.
digit(C) when C >= $0, C =< $9 -> C - $0;
digit(C) when C >= $a, C =< $f -> C - $a + 10;
digit(C) when C >= $A, C =< $F -> C - $A + 10;
digit(_) -> none.
