%% @doc Handles of Python objects that stay in their worker.
-module(py_object).

-export([attribute/3, to_term/2, is_ref/1, release/1]).

%% @doc Value of an attribute.
-spec attribute(py:ref(), py:name(), py:options()) -> py:result().
attribute(Ref, Name, Options) when is_atom(Name) ->
    attribute(Ref, atom_to_binary(Name), Options);
attribute(Ref, Name, Options) when is_binary(Name); is_list(Name) ->
    sync(Ref, {call, builtins, getattr, [Ref, {str, Name}], []}, Options);
attribute(_Ref, _Name, _Options) ->
    {error, {badarg, name}}.

%% @doc The object as an Erlang term.
-spec to_term(py:ref(), py:options()) -> py:result().
to_term(Ref, Options) ->
    sync(Ref, {eval, <<"value">>, [{value, Ref}]}, Options).

-spec sync(py:ref(), py_nif:request(), py:options()) -> py:result().
sync(Ref, Request, Options) ->
    case {is_ref(Ref), py_options:parse(Options)} of
        {true, {ok, {Timeout, Flags, Name}}} -> py_route:sync(Request, Timeout, py_options:for_result(Flags), Name);
        {false, {ok, _}} -> {error, {badarg, ref}};
        {_, {error, _} = Error} -> Error
    end.

%% @doc Whether a term stands for a Python object, even one that is gone with its worker.
-spec is_ref(term()) -> boolean().
is_ref({Tag, Handle}) when (Tag =:= py_object orelse Tag =:= generator), is_reference(Handle) ->
    py_nif:is_handle(Handle);
is_ref(_) ->
    false.

%% @doc Lets the worker drop an object.
-spec release(py:ref()) -> ok | {error, {badarg, ref}}.
release(Ref) ->
    case is_ref(Ref) of
        true -> py_nif:release_handle(element(2, Ref));
        false -> {error, {badarg, ref}}
    end.
