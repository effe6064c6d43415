%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 50fbb66bf2578b82
%% body: 96eaa9b6b8eb9b38
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

%% @doc <pre>
%% color(name: str) -&gt; Color
%% </pre>
%% Source: `gen_fixture/objects.py:156'
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
%% Source: `gen_fixture/objects.py:160'
-spec describe(fx_gen_fixture_objects_point:t()) -> {ok, binary()} | {error, py:reason()}.
describe(Point) ->
    describe(Point, [], #{}).

-spec describe(fx_gen_fixture_objects_point:t(), [], py:options()) -> {ok, binary()} | {error, py:reason()}.
describe(Point, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"describe">>, [Point], Kwargs, [], Options).

%% @doc <pre>
%% level(of: Level) -&gt; Level
%% </pre>
%% Source: `gen_fixture/objects.py:152'
-spec level(fx_gen_fixture_objects_level:t() | integer()) -> {ok, integer()} | {error, py:reason()}.
level(Of) ->
    level(Of, [], #{}).

-spec level(fx_gen_fixture_objects_level:t() | integer(), [], py:options()) -> {ok, integer()} | {error, py:reason()}.
level(Of, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"level">>, [Of], Kwargs, [], Options).
