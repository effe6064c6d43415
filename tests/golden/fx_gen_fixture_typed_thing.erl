%% Made by `py_gen gen_fixture.typed --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 0bc1db3aa6777166
%% body: 2d5f379bb9392ae4
%% @doc Python class `gen_fixture.typed.Thing': `new' gives a handle, which the other functions take.
%%
%% Source: `gen_fixture/typed.py:16'
-module(fx_gen_fixture_typed_thing).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([get/2, get/4]).
-export([name/1, name/2]).
-export([rename/2, rename/4]).
-export_type([t/0, get_kwargs/0]).

-type t() :: py:ref().

-type get_kwargs() :: [
    {default, integer() | none}
].

%% @doc <pre>
%% Thing(name: str)
%% </pre>
%% Source: `gen_fixture/typed.py:16'
-spec new(binary() | {str, unicode:chardata()}) -> {ok, t()} | {error, py:reason()}.
new(Name) ->
    new(Name, [], #{}).

-spec new(binary() | {str, unicode:chardata()}, [], py:options()) -> {ok, t()} | {error, py:reason()}.
new(Name, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.typed">>, <<"Thing">>, [Name], Kwargs, [], Options).

%% @doc <pre>
%% get(key: str, default: int | None = None) -&gt; str | int | None
%% get(key: str) -&gt; str | None
%% get(key: str, default: int) -&gt; str | int
%% </pre>
%% Source: `gen_fixture/typed.py:24'
-spec get(t(), binary() | {str, unicode:chardata()}) -> {ok, binary() | integer() | none} | {error, py:reason()}.
get(Self, Key) ->
    get(Self, Key, [], #{}).

-spec get(
    t(),
    binary() | {str, unicode:chardata()},
    get_kwargs(),
    py:options()
) -> {ok, binary() | integer() | none} | {error, py:reason()}.
get(Self, Key, Kwargs, Options) ->
    py_wrapper:method(Self, <<"get">>, [Key], Kwargs, [default], Options).

%% @doc Source: `gen_fixture/typed.py:27'
-spec name(t()) -> {ok, binary()} | {error, py:reason()}.
name(Self) ->
    name(Self, #{}).

-spec name(t(), py:options()) -> {ok, binary()} | {error, py:reason()}.
name(Self, Options) ->
    py_wrapper:get(Self, <<"name">>, Options).

%% @doc <pre>
%% rename(name: str) -&gt; Thing
%% </pre>
%% Source: `gen_fixture/typed.py:20'
-spec rename(t(), binary() | {str, unicode:chardata()}) -> {ok, fx_gen_fixture_typed_thing:t()} | {error, py:reason()}.
rename(Self, Name) ->
    rename(Self, Name, [], #{}).

-spec rename(
    t(),
    binary() | {str, unicode:chardata()},
    [],
    py:options()
) -> {ok, fx_gen_fixture_typed_thing:t()} | {error, py:reason()}.
rename(Self, Name, Kwargs, Options) ->
    py_wrapper:method(Self, <<"rename">>, [Name], Kwargs, [], Options).
