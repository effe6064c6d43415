%% @doc Option `pools_of': the pools that modules and functions belong to, for work that names no pool and of a process that keeps to
%% no worker.
%%
%% The table stands beside the native pool in the term of pool `default', which every such request reads anyway; without
%% the option that term is the native pool alone.
-module(py_pools_of).

-export([check/1, table/1, pool/2, of_request/2]).

-export_type([table/0, work/0]).

-opaque table() :: #{binary() | {binary(), binary()} => atom()}.
-type work() :: py_nif:request() | {calls, [py:call() | term()]} | none.
%% A request, several calls that one pool is wanted for, or what belongs to none.

%% @doc Whether a value of the option is right.
-spec check(term()) -> boolean().
check(Pairs) when is_map(Pairs) ->
    check(maps:to_list(Pairs));
check(Pairs) when is_list(Pairs) ->
    lists:all(
        fun
            ({Of, Pool}) -> key(Of) =/= error andalso is_atom(Pool) andalso Pool =/= undefined;
            (_) -> false
        end,
        Pairs
    );
check(_) ->
    false.

%% @doc The table of a value that {@link check/1} accepts.
-spec table(term()) -> table().
table(Pairs) when is_map(Pairs) ->
    table(maps:to_list(Pairs));
table(Pairs) ->
    maps:from_list([{key(Of), Pool} || {Of, Pool} <- Pairs]).

key({Module, Function}) -> pair(name(Module), name(Function));
key(Module) -> name(Module).

pair(error, _) -> error;
pair(_, error) -> error;
pair(Module, Function) -> {Module, Function}.

-spec name(term()) -> binary() | error.
name(Name) when is_atom(Name) -> atom_to_binary(Name);
name(<<>>) -> error;
name([]) -> error;
name(Name) when is_binary(Name) -> Name;
name(Name) ->
    case py_text:utf8(Name) of
        {ok, Text} -> Text;
        error -> error
    end.

%% @doc The pool of a piece of work in this node, or else `Default'.
-spec of_request(work(), Default) -> atom() | Default.
of_request(Work, Default) ->
    case persistent_term:get({py_pool, default}, undefined) of
        {Table, _} -> or_default(pool(Work, Table), Default);
        _ -> Default
    end.

or_default(undefined, Default) -> Default;
or_default(Pool, _) -> Pool.

%% @doc The pool that a table has for a piece of work. A function comes before its module, a module before the package that it is in. Calls
%% of several pools have none.
-spec pool(work(), table()) -> atom() | undefined.
pool({calls, Calls}, Table) ->
    try lists:usort([pool(call(Call), Table) || Call <- Calls]) of
        [Pool] -> Pool;
        _ -> undefined
    catch
        %% An improper list, which whoever runs the calls refuses.
        error:_ -> undefined
    end;
pool({Kind, Module, Function, _Args, _Kwargs}, Table) when Kind =:= call; Kind =:= stream ->
    case {name(Module), name(Function)} of
        {error, _} ->
            undefined;
        {Text, Name} ->
            case Table of
                #{{Text, Name} := Pool} -> Pool;
                _ -> of_module(Text, Table)
            end
    end;
pool(_, _) ->
    undefined.

call({Module, Function, Args}) -> {call, Module, Function, Args, []};
call({Module, Function, Args, Kwargs}) -> {call, Module, Function, Args, Kwargs};
call(_) -> none.

of_module(Module, Table) ->
    case Table of
        #{Module := Pool} ->
            Pool;
        _ ->
            case binary:matches(Module, <<".">>) of
                [] ->
                    undefined;
                Dots ->
                    {Last, _} = lists:last(Dots),
                    of_module(binary:part(Module, 0, Last), Table)
            end
    end.
