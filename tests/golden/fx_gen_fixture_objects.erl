%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 0369359f260f8c0f
%% body: 72e7a778a3c9b4cb
%% @doc Python module `gen_fixture.objects'.
%% <pre>
%% Classes of every kind.
%% </pre>
%% Exceptions: ObjectsError.
%%
%% Source: `gen_fixture/objects.py'
-module(fx_gen_fixture_objects).

-compile(no_auto_import).
-export([color/1, color/3]).
-export([describe/1, describe/3]).
-export([level/1, level/3]).
-export([unsaid/1, unsaid/3]).

%% @doc <pre>
%% color(name: str) -&gt; Color
%% </pre>
%% Source: `gen_fixture/objects.py:182'
-spec color(binary() | {str, unicode:chardata()}) -> {ok, fx_gen_fixture_objects_color:t()} | {error, py:reason()}.
color(Name) ->
    color(Name, [], #{}).

-spec color(
    binary() | {str, unicode:chardata()},
    [],
    py:options()
) -> {ok, fx_gen_fixture_objects_color:t()} | {error, py:reason()}.
color(Name, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"color">>, [Name], Kwargs, [], Options).

%% @doc <pre>
%% describe(point: Point) -&gt; str
%% </pre>
%% Source: `gen_fixture/objects.py:186'
-spec describe(fx_gen_fixture_objects_point:t()) -> {ok, binary()} | {error, py:reason()}.
describe(Point) ->
    describe(Point, [], #{}).

-spec describe(fx_gen_fixture_objects_point:t(), [], py:options()) -> {ok, binary()} | {error, py:reason()}.
describe(Point, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"describe">>, [Point], Kwargs, [], Options).

%% @doc <pre>
%% level(of: Level) -&gt; Level
%% </pre>
%% Source: `gen_fixture/objects.py:178'
-spec level(fx_gen_fixture_objects_level:t() | integer()) -> {ok, integer()} | {error, py:reason()}.
level(Of) ->
    level(Of, [], #{}).

-spec level(fx_gen_fixture_objects_level:t() | integer(), [], py:options()) -> {ok, integer()} | {error, py:reason()}.
level(Of, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"level">>, [Of], Kwargs, [], Options).

%% @doc <pre>
%% unsaid(*args, **kwargs)
%%
%% What it takes cannot be told.
%% </pre>
%% Source: `gen_fixture.objects'
-spec unsaid([term()]) -> py:result().
unsaid(Args) ->
    unsaid(Args, [], #{}).

-spec unsaid([term()], py:kwargs(), py:options()) -> py:result().
unsaid(Args, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"unsaid">>, Args, Kwargs, any, Options).
