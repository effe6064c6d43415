%% @doc Work of event loops: coroutines that run side by side in one worker.
%%
%% No process stands between a caller and the loop: a request goes into the ring of the worker, whose loop makes a task of
%% it, and the answer comes from the reader thread of the native layer.
-module(py_async_driver).

-export([submit/4, submit/5, gather/2, stream/5]).

-type results() :: #{pos_integer() => py:result()}.
-type flying() :: #{reference() => pos_integer()}.

%% @doc Starts a call on an event loop, without a deadline. The answer is `{py_result, Ref, Value}' or
%% `{py_error, Ref, Reason}'; see {@link py:async_call/3}.
-spec submit(py:name(), py:name(), py:args(), py:kwargs()) -> reference().
submit(Module, Function, Args, Kwargs) ->
    py_route:on_loop({call, Module, Function, Args, Kwargs}, #{timeout => infinity}).

%% @doc As {@link submit/4}, with a timeout or options.
-spec submit(py:name(), py:name(), py:args(), py:kwargs(), py:options()) -> reference().
submit(Module, Function, Args, Kwargs, Options) when is_map(Options) ->
    py_route:on_loop({call, Module, Function, Args, Kwargs}, maps:merge(#{timeout => infinity}, Options));
submit(Module, Function, Args, Kwargs, Timeout) ->
    py_route:on_loop({call, Module, Function, Args, Kwargs}, Timeout).

%% @private Runs calls side by side on the loop of one worker; see {@link py:async_gather/2}.
-spec gather([py:call()], py:options() | map()) -> {ok, [term()]} | {error, py:reason()}.
gather(Calls, Options) when is_list(Calls) ->
    {All, Rest} = take_all(Options),
    case {is_boolean(All), py_options:parse(Rest)} of
        {false, _} ->
            {error, {bad_option, return_exceptions}};
        {true, {ok, {Timeout, Flags, Name}}} ->
            Deadline = py_deadline:at(Timeout),
            case py_route:loop_worker(Name, {calls, Calls}, Timeout) of
                {ok, Worker, More} ->
                    try
                        gather(Worker, Flags bor More bor py_options:no_permit(), Calls, All, Deadline)
                    after
                        py_route:leave(Worker)
                    end;
                {error, _} = Error -> Error
            end;
        {true, {error, _} = Error} ->
            Error
    end;
gather(_Calls, _Options) ->
    {error, {badarg, calls}}.

-spec take_all(term()) -> {term(), term()}.
take_all(#{return_exceptions := All} = Options) -> {All, maps:remove(return_exceptions, Options)};
take_all(Options) -> {false, Options}.

%% The caller itself submits and collects: it is the process that the coroutines call theirs.
-spec gather(py_nif:target(), non_neg_integer(), [term()], boolean(), py_deadline:moment()) -> {ok, [term()]} | {error, py:reason()}.
gather(Worker, Flags, Calls, All, Deadline) ->
    try length(Calls) of
        Count ->
            case start(Worker, Flags, Calls, All, Deadline, 1, #{}, #{}) of
                {ok, Flying, Early} ->
                    case collect(Flying, Early, All, Deadline) of
                        {ok, Results} when All -> {ok, [maps:get(N, Results) || N <- lists:seq(1, Count)]};
                        {ok, Results} -> {ok, [element(2, maps:get(N, Results)) || N <- lists:seq(1, Count)]};
                        {error, _} = Error -> Error
                    end;
                {error, _} = Error ->
                    Error
            end
    catch
        error:badarg -> {error, {badarg, calls}}
    end.

-spec start(py_nif:target(), non_neg_integer(), [term()], boolean(), py_deadline:moment(), pos_integer(), flying(), results()) ->
    {ok, flying(), results()} | {error, py:reason()}.
start(_Worker, _Flags, [], _All, _Deadline, _N, Flying, Results) ->
    {ok, Flying, Results};
start(Worker, Flags, [Call | Rest], All, Deadline, N, Flying, Results) ->
    case publish(Worker, Flags, Call, Deadline) of
        {ok, Ref} ->
            start(Worker, Flags, Rest, All, Deadline, N + 1, Flying#{Ref => N}, Results);
        {error, _} = Error when All, Error =/= {error, timeout} ->
            start(Worker, Flags, Rest, All, Deadline, N + 1, Flying, Results#{N => Error});
        {error, _} = Error ->
            ok = cancel(Flying),
            Error
    end.

-spec publish(py_nif:target(), non_neg_integer(), term(), py_deadline:moment()) -> {ok, reference()} | {error, py:reason()}.
publish(Worker, Flags, Call, Deadline) ->
    case request(Call) of
        {call, _, _, _, _} = Request -> py_request:start(Worker, Request, py_result, Flags, py_deadline:left(Deadline));
        error -> {error, {badarg, Call}}
    end.

-spec request(term()) -> py_nif:request() | error.
request({Module, Function, Args}) -> {call, Module, Function, Args, []};
request({Module, Function, Args, Kwargs}) -> {call, Module, Function, Args, Kwargs};
request(_) -> error.

-spec collect(flying(), results(), boolean(), py_deadline:moment()) -> {ok, results()} | {error, py:reason()}.
collect(Flying, Results, _All, _Deadline) when map_size(Flying) =:= 0 ->
    {ok, Results};
collect(Flying, Results, All, Deadline) ->
    receive
        {py_result, Ref, Value} when is_map_key(Ref, Flying) ->
            {N, Left} = maps:take(Ref, Flying),
            collect(Left, Results#{N => {ok, Value}}, All, Deadline);
        {py_error, Ref, Reason} when is_map_key(Ref, Flying) ->
            {N, Left} = maps:take(Ref, Flying),
            case All of
                true ->
                    collect(Left, Results#{N => {error, Reason}}, All, Deadline);
                false ->
                    ok = cancel(Left),
                    {error, Reason}
            end
    after py_deadline:left(Deadline) ->
        ok = cancel(Flying),
        {error, timeout}
    end.

-spec cancel(flying()) -> ok.
cancel(Flying) ->
    lists:foreach(fun py_request:cancel/1, maps:keys(Flying)).

%% @private All items of an asynchronous generator, collected in the worker; see {@link py:async_stream/5}.
-spec stream(py:name(), py:name(), py:args(), py:kwargs(), py:options()) -> {ok, [term()]} | {error, py:reason()}.
stream(Module, Function, Args, Kwargs, Options) ->
    case {text(Module), text(Function), is_list(Args), keywords(Kwargs)} of
        {error, _, _, _} -> {error, {badarg, module}};
        {_, error, _, _} -> {error, {badarg, function}};
        {_, _, false, _} -> {error, {badarg, args}};
        {_, _, _, error} -> {error, {badarg, kwargs}};
        {M, F, true, K} ->
            Collect = {call, erlang, '_collect', [{str, M}, {str, F}, Args, K], []},
            %% The request has the deadline.
            py_request:await(py_route:on_loop(Collect, {call, Module, Function, Args, Kwargs}, Options), infinity)
    end.

-spec text(term()) -> binary() | error.
text(Name) when is_atom(Name) -> atom_to_binary(Name);
text(Name) when is_binary(Name) -> Name;
text([_ | _] = Name) ->
    case py_text:utf8(Name) of
        {ok, Text} -> Text;
        error -> error
    end;
text(_) -> error.

-spec keywords(term()) -> #{{str, binary()} => term()} | error.
keywords(Kwargs) when is_map(Kwargs) -> keywords(maps:to_list(Kwargs));
keywords(Kwargs) ->
    try maps:from_list([{{str, Name}, Value} || {Key, Value} <- Kwargs, Name <- [text(Key)], Name =/= error]) of
        Map when map_size(Map) =:= length(Kwargs) -> Map;
        _ -> error
    catch
        error:_ -> error
    end.
