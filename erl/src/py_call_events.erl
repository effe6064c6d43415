%% @doc Events of calls that came to nothing, told by the process that called.
-module(py_call_events).

-export([failed/3, failed/1, cast_failed/3]).

%% @doc Tells of a synchronous request; gives its answer back.
-spec failed(Answer, py_nif:target(), py_nif:request()) -> Answer when Answer :: {error, term()}.
failed(Answer, Target, Request) ->
    tell(Answer, fun() -> maps:merge(where(Target), what(Request)) end).

%% @doc Tells of the failure of a request that was waited for by its reference.
-spec failed(Answer) -> Answer when Answer :: {error, term()}.
failed(Answer) ->
    tell(Answer, fun() -> #{} end).

tell({error, Reason} = Answer, Known) ->
    Name = name(Reason),
    ok = case py_events:wanted(Name) of
        true -> py_events:emit(Name, measured(Reason), (Known())#{reason => Reason, caller => self()});
        false -> ok
    end,
    Answer.

%% @doc Tells of a cast, for which nobody waits.
-spec cast_failed(atom(), non_neg_integer(), term()) -> ok.
cast_failed(Pool, Worker, Reason) ->
    py_events:post(name(Reason), measured(Reason), #{pool => Pool, worker => Worker, kind => cast, reason => Reason}).

-spec name(term()) -> py_events:name().
name(timeout) -> [py, call, timeout];
name({overloaded, _, _}) -> [py, pool, overloaded];
name(_) -> [py, call, exception].

-spec measured(term()) -> py_events:measurements().
measured({overloaded, Current, Max}) -> #{count => 1, permits => Current, max_permits => Max};
measured(_) -> #{count => 1}.

%% Which pool a target is: there are few.
-spec where(py_nif:target()) -> py_events:metadata().
where(Target) ->
    case [Name || Name <- py_pool:names(), py_pool:native(Name) =:= Target] of
        [Pool | _] -> #{pool => Pool};
        [] -> #{}
    end.

-spec what(py_nif:request()) -> py_events:metadata().
what({call, Module, Function, _, _}) -> #{kind => call, module => Module, function => Function};
what({method, _, Name, _, _}) -> #{kind => method, function => Name};
what(Request) -> #{kind => element(1, Request)}.
