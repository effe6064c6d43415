%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 7a00c3cb1c6f5bfe
%% body: 8e6859777e0a9a51
%% @doc Python class `gen_fixture.objects.Base': `new' gives a handle, which the other functions take.
%% <pre>
%% What others extend.
%% </pre>
%%
%% Source: `gen_fixture/objects.py:13'
-module(fx_gen_fixture_objects_base).

-compile(no_auto_import).
-export([new/0, new/2]).
-export([favourite/1, favourite/2]).
-export([inherited/1, inherited/3]).
-export([overridden/1, overridden/3]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Base()
%% </pre>
%% Source: `gen_fixture/objects.py:13'
-spec new() -> {ok, t()} | {error, py:reason()}.
new() ->
    new([], #{}).

-spec new([], py:options()) -> {ok, t()} | {error, py:reason()}.
new(Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Base">>, [], Kwargs, [], Options).

-spec favourite(t()) -> {ok, py:ref()} | {error, py:reason()}.
favourite(Self) ->
    favourite(Self, #{}).

-spec favourite(t(), py:options()) -> {ok, py:ref()} | {error, py:reason()}.
favourite(Self, Options) ->
    py_wrapper:get(Self, <<"favourite">>, Options).

%% @doc <pre>
%% inherited()
%% </pre>
%% Source: `gen_fixture/objects.py:16'
-spec inherited(t()) -> py:result().
inherited(Self) ->
    inherited(Self, [], #{}).

-spec inherited(t(), [], py:options()) -> py:result().
inherited(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"inherited">>, [], Kwargs, [], Options).

%% @doc <pre>
%% overridden()
%% </pre>
%% Source: `gen_fixture/objects.py:19'
-spec overridden(t()) -> py:result().
overridden(Self) ->
    overridden(Self, [], #{}).

-spec overridden(t(), [], py:options()) -> py:result().
overridden(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"overridden">>, [], Kwargs, [], Options).
