%% Made by `py_gen gen_fixture.annotated --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 6a8854bf93d93309
%% body: 9d7cdb0cd6d56c5d
%% @doc Python module `gen_fixture.annotated'.
%% <pre>
%% Annotations, postponed and not, which say the same.
%% </pre>
%%
%% Source: `gen_fixture/annotated.py'
-module(fx_gen_fixture_annotated).

-compile(no_auto_import).
-export([both/1, both/3]).
-export([call/2, call/4]).
-export([either/1, either/3]).
-export([iterate/1, iterate/3]).
-export([mapping/1, mapping/3]).
-export([movie/1, movie/3]).
-export([nested/1, nested/3]).
-export([numbers/1, numbers/3]).
-export([optional/0, optional/2]).
-export([pair/1, pair/3]).
-export([point/1, point/3]).
-export([scalars/5, scalars/7]).
-export([sequence/1, sequence/3]).
-export([sized/1, sized/3]).
-export([text/1, text/3]).
-export([tuples/2, tuples/4]).
-export_type([movie/0, both_kwargs/0, mapping_kwargs/0, optional_kwargs/0, scalars_kwargs/0, sequence_kwargs/0]).

-type movie() :: #{binary() | atom() => binary() | {str, unicode:chardata()} | integer()}.
%% Dict with the keys title (optional), year (optional).

-type both_kwargs() :: [
    {times, integer()}
].

-type mapping_kwargs() :: [
    {y, #{binary() | atom() => term()} | py:ref() | none}
].

-type optional_kwargs() :: [
    {x, integer() | none}
    | {y, integer() | binary() | {str, unicode:chardata()} | none}
].

-type scalars_kwargs() :: [
    {f, none}
].

-type sequence_kwargs() :: [
    {y, [binary() | {str, unicode:chardata()}] | py:ref()}
].

%% @doc <pre>
%% both(x: int | str, times: int = 1) -&gt; int | str
%% both(x: int) -&gt; int
%% both(x: str, times: int = ...) -&gt; str
%%
%% One of two.
%% </pre>
%% Source: `gen_fixture/annotated.py:102'
-spec both(integer() | binary() | {str, unicode:chardata()}) -> {ok, integer() | binary()} | {error, py:reason()}.
both(X) ->
    both(X, [], #{}).

-spec both(
    integer() | binary() | {str, unicode:chardata()},
    both_kwargs(),
    py:options()
) -> {ok, integer() | binary()} | {error, py:reason()}.
both(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"both">>, [X], Kwargs, [times], Options).

%% @doc <pre>
%% call(f: Callable, x: int) -&gt; int
%% </pre>
%% Source: `gen_fixture/annotated.py:74'
-spec call(py:ref(), integer()) -> {ok, integer()} | {error, py:reason()}.
call(F, X) ->
    call(F, X, [], #{}).

-spec call(py:ref(), integer(), [], py:options()) -> {ok, integer()} | {error, py:reason()}.
call(F, X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"call">>, [F, X], Kwargs, [], Options).

%% @doc <pre>
%% either(x: int | str) -&gt; int | str
%% </pre>
%% Source: `gen_fixture/annotated.py:50'
-spec either(integer() | binary() | {str, unicode:chardata()}) -> {ok, integer() | binary()} | {error, py:reason()}.
either(X) ->
    either(X, [], #{}).

-spec either(
    integer() | binary() | {str, unicode:chardata()},
    [],
    py:options()
) -> {ok, integer() | binary()} | {error, py:reason()}.
either(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"either">>, [X], Kwargs, [], Options).

%% @doc <pre>
%% iterate(n: int) -&gt; Iterator[int]
%% </pre>
%% Source: `gen_fixture/annotated.py:78'
-spec iterate(integer()) -> {ok, [term()]} | {error, py:reason()}.
iterate(N) ->
    iterate(N, [], #{}).

-spec iterate(integer(), [], py:options()) -> {ok, [term()]} | {error, py:reason()}.
iterate(N, Kwargs, Options) ->
    py_wrapper:stream(<<"gen_fixture.annotated">>, <<"iterate">>, [N], Kwargs, [], Options).

%% @doc <pre>
%% mapping(x: dict[str, int], y: dict[str, Any] | None = None) -&gt; dict[str, list[int]]
%% </pre>
%% Source: `gen_fixture/annotated.py:66'
-spec mapping(#{binary() | atom() => integer()} | py:ref()) -> {ok, #{binary() => [integer()]}} | {error, py:reason()}.
mapping(X) ->
    mapping(X, [], #{}).

-spec mapping(
    #{binary() | atom() => integer()} | py:ref(),
    mapping_kwargs(),
    py:options()
) -> {ok, #{binary() => [integer()]}} | {error, py:reason()}.
mapping(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"mapping">>, [X], Kwargs, [y], Options).

%% @doc <pre>
%% movie(m: Movie) -&gt; Movie
%% </pre>
%% Source: `gen_fixture/annotated.py:82'
-spec movie(
    fx_gen_fixture_annotated:movie() | py:ref()
) -> {ok, fx_gen_fixture_annotated:movie()} | {error, py:reason()}.
movie(M) ->
    movie(M, [], #{}).

-spec movie(
    fx_gen_fixture_annotated:movie() | py:ref(),
    [],
    py:options()
) -> {ok, fx_gen_fixture_annotated:movie()} | {error, py:reason()}.
movie(M, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"movie">>, [M], Kwargs, [], Options).

%% @doc <pre>
%% nested(x: list[dict[str, tuple[int, ...] | None]]) -&gt; int
%% </pre>
%% Source: `gen_fixture/annotated.py:70'
-spec nested(
    [#{binary() | atom() => tuple() | py:ref() | none} | py:ref()] | py:ref()
) -> {ok, integer()} | {error, py:reason()}.
nested(X) ->
    nested(X, [], #{}).

-spec nested(
    [#{binary() | atom() => tuple() | py:ref() | none} | py:ref()] | py:ref(),
    [],
    py:options()
) -> {ok, integer()} | {error, py:reason()}.
nested(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"nested">>, [X], Kwargs, [], Options).

%% @doc <pre>
%% numbers(*values: int, **named: float) -&gt; float
%% </pre>
%% Source: `gen_fixture/annotated.py:94'
-spec numbers([integer()]) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
numbers(Values) ->
    numbers(Values, [], #{}).

-spec numbers(
    [integer()],
    py:kwargs(),
    py:options()
) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
numbers(Values, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"numbers">>, Values, Kwargs, any, Options).

%% @doc <pre>
%% optional(x: int | None = None, y: int | str | None = None) -&gt; int | None
%% </pre>
%% Source: `gen_fixture/annotated.py:46'
-spec optional() -> {ok, integer() | none} | {error, py:reason()}.
optional() ->
    optional([], #{}).

-spec optional(optional_kwargs(), py:options()) -> {ok, integer() | none} | {error, py:reason()}.
optional(Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"optional">>, [], Kwargs, [x, y], Options).

%% @doc <pre>
%% pair(p: Pair) -&gt; Pair
%% </pre>
%% Source: `gen_fixture/annotated.py:86'
-spec pair(
    fx_gen_fixture_annotated_pair:t() | {integer(), number()} | py:ref()
) -> {ok, {integer(), float() | nan | infinity | neg_infinity}} | {error, py:reason()}.
pair(P) ->
    pair(P, [], #{}).

-spec pair(
    fx_gen_fixture_annotated_pair:t() | {integer(), number()} | py:ref(),
    [],
    py:options()
) -> {ok, {integer(), float() | nan | infinity | neg_infinity}} | {error, py:reason()}.
pair(P, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"pair">>, [P], Kwargs, [], Options).

%% @doc <pre>
%% point(p: Point) -&gt; Point
%% </pre>
%% Source: `gen_fixture/annotated.py:90'
-spec point(py:ref()) -> {ok, py:ref()} | {error, py:reason()}.
point(P) ->
    point(P, [], #{}).

-spec point(py:ref(), [], py:options()) -> {ok, py:ref()} | {error, py:reason()}.
point(P, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"point">>, [P], Kwargs, [], Options).

%% @doc <pre>
%% scalars(a: int, b: float, c: str, d: bytes, e: bool, f: None = None) -&gt; tuple[int, float, str, bytes, bool, None]
%% </pre>
%% Source: `gen_fixture/annotated.py:42'
-spec scalars(
    integer(),
    number(),
    binary() | {str, unicode:chardata()},
    binary() | {bytes, binary()},
    boolean()
) -> {ok, {integer(), float() | nan | infinity | neg_infinity, binary(), binary(), boolean(), none}} | {error, py:reason()}.
scalars(A, B, C, D, E) ->
    scalars(A, B, C, D, E, [], #{}).

-spec scalars(
    integer(),
    number(),
    binary() | {str, unicode:chardata()},
    binary() | {bytes, binary()},
    boolean(),
    scalars_kwargs(),
    py:options()
) -> {ok, {integer(), float() | nan | infinity | neg_infinity, binary(), binary(), boolean(), none}} | {error, py:reason()}.
scalars(A, B, C, D, E, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"scalars">>, [A, B, C, D, E], Kwargs, [f], Options).

%% @doc <pre>
%% sequence(x: list[int], y: Iterable[str] = ()) -&gt; list[int]
%% </pre>
%% Source: `gen_fixture/annotated.py:58'
-spec sequence([integer()] | py:ref()) -> {ok, [integer()]} | {error, py:reason()}.
sequence(X) ->
    sequence(X, [], #{}).

-spec sequence([integer()] | py:ref(), sequence_kwargs(), py:options()) -> {ok, [integer()]} | {error, py:reason()}.
sequence(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"sequence">>, [X], Kwargs, [y], Options).

%% @doc <pre>
%% sized(x) -&gt; int
%% </pre>
%% Source: `gen_fixture/annotated.py:107'
-spec sized(term()) -> {ok, integer()} | {error, py:reason()}.
sized(X) ->
    sized(X, [], #{}).

-spec sized(term(), [], py:options()) -> {ok, integer()} | {error, py:reason()}.
sized(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"sized">>, [X], Kwargs, [], Options).

%% @doc <pre>
%% text(mode: Literal['r', 'w', 1, True, None]) -&gt; Literal['r', 'w']
%% </pre>
%% Source: `gen_fixture/annotated.py:54'
-spec text(binary() | r | w | 1 | true | none) -> {ok, binary()} | {error, py:reason()}.
text(Mode) ->
    text(Mode, [], #{}).

-spec text(binary() | r | w | 1 | true | none, [], py:options()) -> {ok, binary()} | {error, py:reason()}.
text(Mode, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"text">>, [Mode], Kwargs, [], Options).

%% @doc <pre>
%% tuples(x: tuple[int, ...], y: tuple[int, str]) -&gt; tuple[str, ...]
%% </pre>
%% Source: `gen_fixture/annotated.py:62'
-spec tuples(
    tuple() | py:ref(),
    {integer(), binary() | {str, unicode:chardata()}} | py:ref()
) -> {ok, tuple()} | {error, py:reason()}.
tuples(X, Y) ->
    tuples(X, Y, [], #{}).

-spec tuples(
    tuple() | py:ref(),
    {integer(), binary() | {str, unicode:chardata()}} | py:ref(),
    [],
    py:options()
) -> {ok, tuple()} | {error, py:reason()}.
tuples(X, Y, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.annotated">>, <<"tuples">>, [X, Y], Kwargs, [], Options).
