%% Made by `py_gen gen_stubbed --prefix fx` (1) from gen_stubbed; not to be edited.
%% surface: 45e79b1bb4aaf667
%% body: 2e3507e7a1048fa2
%% @doc Python module `gen_stubbed'.
%% <pre>
%% Its stub is in a package of stubs.
%% </pre>
%%
%% Source: `gen_stubbed.py'
-module(fx_gen_stubbed).

-compile(no_auto_import).
-export([area/1, area/3]).
-export_type([area_kwargs/0]).

-type area_kwargs() :: [
    {height, number()}
].

%% @doc <pre>
%% area(width: float, height: float = 1.0) -&gt; float
%% </pre>
%% Source: `gen_stubbed.py:4'
-spec area(number()) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
area(Width) ->
    area(Width, [], #{}).

-spec area(
    number(),
    area_kwargs(),
    py:options()
) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
area(Width, Kwargs, Options) ->
    py_wrapper:call(<<"gen_stubbed">>, <<"area">>, [Width], Kwargs, [height], Options).
