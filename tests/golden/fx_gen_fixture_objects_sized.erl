%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 9dab14b685d09856
%% body: 9783ad30856abfe4
%% @doc Python class `gen_fixture.objects.Sized': `new' gives a handle, which the other functions take.
%%
%% Source: `gen_fixture/objects.py:9'
-module(fx_gen_fixture_objects_sized).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([len/1, len/2]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Sized(*args, **kwargs)
%% </pre>
%% Source: `gen_fixture/objects.py:9'
-spec new([term()]) -> {ok, t()} | {error, py:reason()}.
new(Args) ->
    new(Args, [], #{}).

-spec new([term()], py:kwargs(), py:options()) -> {ok, t()} | {error, py:reason()}.
new(Args, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Sized">>, Args, Kwargs, any, Options).

%% @doc <pre>
%% __len__() -&gt; int
%% </pre>
%% Source: `gen_fixture/objects.py:10'
-spec len(t()) -> {ok, integer()} | {error, py:reason()}.
len(Self) ->
    len(Self, #{}).

-spec len(t(), py:options()) -> {ok, integer()} | {error, py:reason()}.
len(Self, Options) ->
    py_wrapper:method(Self, <<"__len__">>, [], [], [], Options).
