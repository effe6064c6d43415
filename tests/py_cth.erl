%% What every suite shares: a case that fails says what the node was doing, and a suite ends with nothing left.
%%
%% A case must leave no message of ours in its mailbox, and no worker may break the protocol unless that is what is tested. After the end of a suite the application must have stopped and have left
%% nothing in flight, no thread and no segment.
-module(py_cth).

-export([init/2, pre_init_per_testcase/4, pre_end_per_testcase/4, post_end_per_testcase/5, on_tc_fail/4, on_tc_skip/4, post_end_per_suite/4]).
-export([log/2]).

%% Suites whose workers write what no honest one does.
-define(ATTACKS, [py_codec_SUITE, py_handle_SUITE, py_hostile_SUITE]).

%% Who reports that a case hangs (one process for all, so that cases may count processes), and the suite and case of the last report.
-record(state, {watchdog, reported = none, broken}).

init(_Id, _Options) ->
    Broken = counters:new(1, []),
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => error, config => Broken}),
    {ok, #state{watchdog = spawn(fun watch/0), broken = Broken}}.

%% A handler of logger: counts the workers that break the protocol.
log(#{msg := {"~ts broke the protocol: ~ts", _}}, #{config := Broken}) -> counters:add(Broken, 1, 1);
log(_, _) -> ok.

%% What a case that hangs waits for must be seen before its time is over: then its process is ended, and its work with it.
pre_init_per_testcase(Suite, Case, Config, #state{watchdog = Watchdog} = State) ->
    Limit =
        case lists:keyfind(timetrap, 1, Suite:suite()) of
            {timetrap, {seconds, Seconds}} -> Seconds * 1000;
            {timetrap, {minutes, Minutes}} -> Minutes * 60000;
            %% What Common Test grants.
            false -> 30 * 60000
        end,
    Watchdog ! {watch, Case, Limit - Limit div 10},
    {Config, State}.

%% An answer, an item, a turn in a queue. What ports say and what a case has trapped is its own.
is_ours(Message) when is_tuple(Message), is_reference(element(1, Message)) -> true;
is_ours(Message) when is_tuple(Message), is_atom(element(1, Message)) -> lists:prefix("py_", atom_to_list(element(1, Message)));
is_ours(_) -> false.

watch() ->
    receive
        {watch, Case, Time} ->
            receive unwatch -> ok after Time -> print(Case, "hung") end,
            watch();
        unwatch ->
            watch()
    end.

pre_end_per_testcase(Suite, Case, Config, State) ->
    case proplists:get_value(tc_status, Config, ok) of
        {failed, _} -> {Config, report(Suite, Case, State)};
        _ -> {Config, State}
    end.

post_end_per_testcase(Suite, _Case, _Config, Return, #state{broken = Broken} = State) ->
    ok = unwatch(State),
    Count = counters:get(Broken, 1),
    ok = counters:put(Broken, 1, 0),
    case [Message || Message <- py_test:mailbox(), is_ours(Message)] of
        [] when Count =:= 0 -> {Return, State};
        [] -> {case lists:member(Suite, ?ATTACKS) of true -> Return; false -> failed(Return, {broke_the_protocol, Count}) end, State};
        Left -> {failed(Return, {left_in_mailbox, Left}), State}
    end.

on_tc_fail(Suite, Case, _Reason, State) ->
    ok = unwatch(State),
    report(Suite, Case, State).

on_tc_skip(_Suite, _Case, _Reason, State) ->
    ok = unwatch(State),
    State.

unwatch(#state{watchdog = Watchdog}) ->
    Watchdog ! unwatch,
    ok.

report(Suite, Case, #state{reported = {Suite, Case}} = State) ->
    State;
report(Suite, Case, State) ->
    ok = print(Case, "failed"),
    State#state{reported = {Suite, Case}}.

print(Case, How) ->
    ct:pal("What went on when ~ts ~ts:~n~tp", [name(Case), How, catch py:diagnose()]).

name({Case, _Group}) -> name(Case);
name(Case) -> atom_to_list(Case).

post_end_per_suite(_Suite, _Config, Return, State) ->
    try py_health:nothing_left() of
        ok -> {Return, State}
    catch
        _:Reason ->
            %% The next suite starts it with settings of its own.
            _ = application:stop(erlang_python),
            {failed(Return, Reason), State}
    end.

%% The first failure stays.
failed({'EXIT', _} = Failed, _) -> Failed;
failed({fail, _} = Failed, _) -> Failed;
failed({failed, _} = Failed, _) -> Failed;
failed({error, _} = Failed, _) -> Failed;
failed({timetrap_timeout, _} = Failed, _) -> Failed;
failed(_, Reason) -> {fail, Reason}.
