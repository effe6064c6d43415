%% @doc One worker: an operating-system process with a CPython of its own, and its life cycle.
%%
%% <pre>
%% down --> starting --> ready --> leaving --> draining --> gone
%%   ^         |          |  |                    ^
%%   +---------+----------+  +--------------------+
%% </pre>
%%
%% `leaving': its substitute serves, and it those who have something of it.
%% The port carries the control frames; requests never pass here. Death is reported by the native layer
%% (`py_down'), which sees it at once; the port's exit status comes when every process that
%% holds the port's descriptors is gone, and only completes the log entry.
-module(py_worker).

-behaviour(gen_statem).

-export([start_link/4, retire/1, recycle/1, shutdown_time/0]).
-export([init/1, callback_mode/0, terminate/3]).
-export([down/3, starting/3, ready/3, leaving/3, draining/3]).

-include_lib("kernel/include/logger.hrl").

-define(PING_INTERVAL, 10000).
%% Frames that answer one of ours.
-define(IS_ANSWER(Kind), (Kind =:= $p orelse Kind =:= $g orelse Kind =:= $k orelse Kind =:= $n orelse Kind =:= $b)).
%% Frames about stacks.
-define(IS_STACKS(Kind), (Kind =:= $t orelse Kind =:= $c)).
%% Milliseconds that a worker has to say its stacks.
-define(STACKS_PATIENCE, 2500).
%% A worker that dies sooner than this after its start, and of no request, has failed to stay up.
-define(QUICK_DEATH, 1000).
-define(DRAIN_LOOK, 20).
%% Nobody tells when the last object or tie of a worker has gone.
-define(LEAVE_LOOK, 50).
%% A worker that is over `max_rss' once it has started would be replaced by another such one.
-define(LEAST_LIFE, 2000).

-record(data, {
    id :: non_neg_integer(),
    pool :: atom(),
    spec :: py_pool:spec(),
    native :: py_nif:pool(),
    worker :: undefined | py_nif:worker(),
    serial = 0 :: non_neg_integer(),
    port :: undefined | port(),
    os_pid :: undefined | pos_integer(),
    handshake = <<>> :: binary(),
    text = <<>> :: binary(),
    attached = false :: boolean(),
    setup = [] :: [py_worker_setup:step()],
    step :: undefined | {reference(), py_worker_setup:step()},
    log_number = 0 :: non_neg_integer(),
    pinged = 0 :: non_neg_integer(),
    %% Frames that may be answered and were not yet.
    asked = 0 :: non_neg_integer(),
    stuck = #{} :: #{integer() => interrupted | abandoned | over},
    ready_at :: undefined | integer(),
    %% Requests that had come then.
    ready_with = 0 :: non_neg_integer(),
    failures = 0 :: non_neg_integer(),
    last_error = none :: none | string(),
    %% Why it is to be replaced, until the pool has been told.
    due = none :: none | py_limits:event(),
    recycled_for = none :: none | max_calls | max_rss,
    launched_at = 0 :: integer(),
    restarts = 0 :: non_neg_integer(),
    stacks = py_worker_stacks:new() :: py_worker_stacks:stacks(),
    %% Stacks of the last incarnation that died of a fault.
    last_stack = none :: none | binary(),
    exits = #{} :: #{port() => {pos_integer() | undefined, atom(), py_worker_stacks:stacks()}}
}).

%% @doc Starts the process; the worker follows at once.
-spec start_link(atom(), py_pool:spec(), non_neg_integer(), py_nif:pool()) -> {ok, pid()} | ignore | {error, term()}.
start_link(Pool, Spec, Id, Native) ->
    gen_statem:start_link(?MODULE, {Pool, Spec, Id, Native}, []).

%% @doc The worker takes no new work and ends when it has nothing to do.
-spec retire(pid()) -> ok.
retire(Pid) ->
    gen_statem:cast(Pid, retire).

%% @doc The worker takes no new unbound work, and ends when it has nothing to do and nobody has anything that leads to it.
-spec recycle(pid()) -> ok.
recycle(Pid) ->
    gen_statem:cast(Pid, recycle).

%% @doc Milliseconds that a supervisor grants to `terminate/3'.
-spec shutdown_time() -> 5000.
shutdown_time() ->
    py_worker_stop:time() + 2000.

%% @private
-spec callback_mode() -> state_functions.
callback_mode() ->
    state_functions.

%% @private
-spec init({atom(), py_pool:spec(), non_neg_integer(), py_nif:pool()}) -> {ok, down, #data{}, [gen_statem:action()]}.
init({Pool, Spec, Id, Native}) ->
    _ = process_flag(trap_exit, true),
    Data = #data{id = Id, pool = Pool, spec = Spec, native = Native},
    ok = publish(down, Data),
    {ok, down, Data, [{state_timeout, 0, start}]}.

%% State down: no operating-system process.

%% @private
-spec down(gen_statem:event_type(), term(), #data{}) -> gen_statem:event_handler_result(atom()).
down(state_timeout, start, Data) ->
    case launch(Data) of
        {ok, #data{spec = #{worker_timeout := Limit}} = Started} ->
            ok = publish(starting, Started),
            ok = tell(start, #{}, Started),
            {next_state, starting, Started, [{state_timeout, Limit, silent}]};
        {error, Text, Failed} ->
            failed(Text, Failed)
    end;
down(cast, Go, Data) when Go =:= retire; Go =:= recycle ->
    {stop, normal, Data};
down(Type, Event, Data) ->
    common(Type, Event, down, Data).

%% State starting: handshake, then the set-up requests.

%% @private
-spec starting(gen_statem:event_type(), term(), #data{}) -> gen_statem:event_handler_result(atom()).
starting(info, {Port, {data, <<"a">>}}, #data{port = Port, attached = false, handshake = Handshake} = Data) ->
    ok = send(Handshake, Data),
    keep_state_and_data;
starting(info, {Port, {data, <<"h", _/binary>> = Hello}}, #data{port = Port, worker = Worker} = Data) ->
    case py_nif:worker_attach(Worker, Hello) of
        ok -> {keep_state, Data#data{attached = true}};
        {error, Reason} -> failed(text("its hello was refused: ~tp", [Reason]), Data)
    end;
starting(info, {Port, {data, <<"r", Text/binary>>}}, #data{port = Port, attached = true, spec = Spec} = Data) ->
    next_step(Data#data{text = Text, setup = py_worker_setup:steps(Spec), log_number = 0});
starting(info, {Port, {data, <<"w", Text/binary>>}}, #data{port = Port, attached = false} = Data) ->
    ?LOG_WARNING("~ts: ~ts", [name(Data), Text]),
    keep_state_and_data;
starting(info, {Port, {data, <<"f", Text/binary>>}}, #data{port = Port} = Data) ->
    failed(text("~ts", [Text]), Data);
starting(info, {Port, {data, <<Kind, _/binary>> = Frame}}, #data{port = Port, attached = true} = Data) when ?IS_STACKS(Kind) ->
    stacks(Frame, Data);
starting(info, {Port, {data, Frame}}, #data{port = Port} = Data) ->
    failed(text("unexpected frame ~0tP", [Frame, 40]), Data);
starting(info, {Port, {exit_status, Status}}, #data{port = Port, attached = false} = Data) ->
    failed(text("it ended before it was ready, ~ts", [py_worker_exit:status(Status)]), Data);
starting(info, {'EXIT', Port, Reason}, #data{port = Port} = Data) when Reason =/= normal ->
    failed(text("the system could not start a process: ~tp", [Reason]), Data);
starting(info, {py_down, Serial, Reason, Check}, #data{serial = Serial} = Data) ->
    ok = broke(Check, Data),
    failed(text("it ended before it was ready (~tp)", [Reason]), Data);
starting(info, {py_response, Handle, {ok, _}}, #data{step = {Handle, _}} = Data) ->
    next_step(Data#data{step = undefined});
starting(info, {py_error, Handle, Reason}, #data{step = {Handle, Step}} = Data) ->
    step_failed(Step, Reason, Data#data{step = undefined});
starting(state_timeout, silent, #data{spec = #{worker_timeout := Limit}} = Data) ->
    failed(text("it was not ready within worker_timeout, ~b ms", [Limit]), Data);
starting(cast, Go, Data) when Go =:= retire; Go =:= recycle ->
    {stop, normal, Data};
starting(Type, Event, Data) ->
    common(Type, Event, starting, Data).

-spec next_step(#data{}) -> gen_statem:event_handler_result(atom()).
next_step(#data{setup = [Step | Rest], worker = Worker} = Data) ->
    Request = py_worker_setup:request(Step),
    case py_request:async(Worker, Request, infinity, py_options:of_node()) of
        {Handle, submitted} -> {keep_state, Data#data{setup = Rest, step = {Handle, Step}}};
        {Ref, {refused, Reason}} ->
            ok = py_request:cancel(Ref),
            step_failed(Step, Reason, Data#data{setup = Rest})
    end;
next_step(#data{setup = []} = Data) ->
    read_on(Data).

-spec read_on(#data{}) -> gen_statem:event_handler_result(atom()).
read_on(#data{id = Id, pool = Pool, log_number = Number} = Data) ->
    case py_exec_log:after_number(Pool, Number) of
        {Number, []} ->
            case py_exec_log:join(Id, Number) of
                joined -> serve(Data);
                behind -> read_on(Data)
            end;
        {Last, Entries} ->
            next_step(Data#data{setup = [{replay, Entry} || Entry <- Entries], log_number = Last})
    end.

-spec step_failed(py_worker_setup:step(), term(), #data{}) -> gen_statem:event_handler_result(atom()).
step_failed({replay, _} = Step, Reason, Data) when not (is_tuple(Reason) andalso element(1, Reason) =:= worker_down) ->
    ?LOG_WARNING("~ts: replay of ~ts failed: ~ts", [name(Data), py_worker_setup:describe(Step), py_worker_setup:reason(Reason)]),
    next_step(Data);
step_failed(Step, Reason, Data) ->
    failed(text("~ts failed: ~ts", [py_worker_setup:describe(Step), py_worker_setup:reason(Reason)]), Data).

-spec serve(#data{}) -> gen_statem:event_handler_result(atom()).
serve(#data{native = Native, worker = Worker, pool = Pool} = Data0) ->
    Data = Data0#data{ready_at = erlang:monotonic_time(millisecond), ready_with = maps:get(requests, py_nif:worker_info(Worker))},
    %% Who finds the worker ready finds it in its pool.
    ok = py_nif:pool_add(Native, Worker),
    ok = publish(ready, Data),
    ok = py_pool:notify(Pool, ready),
    ok = tell(ready, #{restarts => Data#data.restarts}, Data),
    {next_state, ready, Data, [{{timeout, ping}, ?PING_INTERVAL, send} | due(Data)]}.

%% State ready: the worker serves.

%% @private
-spec ready(gen_statem:event_type(), term(), #data{}) -> gen_statem:event_handler_result(atom()).
ready(cast, recycle, #data{native = Native, worker = Worker} = Data) ->
    ok = py_nif:pool_remove(Native, Worker),
    ok = publish(leaving, Data),
    ok = tell(recycled, #{cause => Data#data.recycled_for}, Data),
    {next_state, leaving, Data, [{state_timeout, 0, look}]};
ready({timeout, due}, tell, #data{pool = Pool, id = Id, due = Event, spec = Spec} = Data) ->
    ?LOG_NOTICE("~ts: ~ts", [name(Data), py_limits:describe(Event, Spec)]),
    ok = py_pool:notify(Pool, {due, Id}),
    {keep_state, Data#data{due = none, recycled_for = element(1, Event)}};
ready(info, {py_limit, Serial, Event}, #data{serial = Serial, due = none} = Data) when element(1, Event) =/= memory_limit ->
    Due = Data#data{due = Event},
    {keep_state, Due, due(Due)};
ready(info, {py_down, Serial, Reason, Check}, #data{serial = Serial} = Data) ->
    ok = broke(Check, Data),
    died(Reason, Data);
ready(Type, Event, Data) ->
    working(Type, Event, ready, Data).

-spec due(#data{}) -> [gen_statem:action()].
due(#data{due = none}) -> [];
due(#data{due = {max_rss, _}, ready_at = ReadyAt}) -> [{{timeout, due}, max(0, ReadyAt + ?LEAST_LIFE - erlang:monotonic_time(millisecond)), tell}];
due(#data{due = {max_calls, _}}) -> [{{timeout, due}, 0, tell}].

%% State leaving: no unbound work; ends when nobody can come any more.

%% @private
-spec leaving(gen_statem:event_type(), term(), #data{}) -> gen_statem:event_handler_result(atom()).
leaving(state_timeout, look, #data{native = Native, worker = Worker} = Data) ->
    case py_nif:worker_unused(Native, Worker) of
        true ->
            ok = py_nif:worker_close(Worker),
            drain(Data);
        false ->
            {keep_state, Data, [{state_timeout, ?LEAVE_LOOK, look}]}
    end;
leaving(cast, recycle, _Data) ->
    keep_state_and_data;
leaving(Type, Event, Data) ->
    working(Type, Event, leaving, Data).

%% Events of a worker that works, for all or for some.

-spec working(gen_statem:event_type(), term(), ready | leaving, #data{}) -> gen_statem:event_handler_result(atom()).
working(cast, retire, _State, Data) ->
    leave_pool(Data),
    drain(Data);
working(info, {Port, {exit_status, Status}}, State, #data{port = Port, worker = Worker} = Data) ->
    %% The process may be gone and its reader thread not have noticed: this makes sure that it does.
    ok = py_nif:worker_kill(Worker, exited),
    {keep_state, note_exit(Port, Status, State, Data#data{port = undefined})};
working(Type, Event, State, Data) ->
    serving(Type, Event, State, Data).

%% The check that a worker did not pass.
-spec broke(binary() | undefined, #data{}) -> ok.
broke(undefined, _Data) -> ok;
broke(Check, Data) -> ?LOG_ERROR("~ts broke the protocol: ~ts", [name(Data), Check]).

%% An interrupted request has its grace time.
-spec expect_end(non_neg_integer(), #data{}) -> gen_statem:event_handler_result(atom()).
expect_end(Request, #data{spec = #{kill_grace := Grace}, stuck = Stuck} = Data) ->
    Timers = [{{timeout, {abandon, Request}}, cancel}, {{timeout, {grace, Request}}, Grace, over}],
    {keep_state, Data#data{stuck = Stuck#{Request => interrupted}}, Timers}.

%% A coroutine that swallows its cancellation does no harm to the others: the worker is asked to leave it to itself. It
%% says so if the request is no coroutine or its event loop is blocked.
-spec abandon(non_neg_integer(), #data{}) -> gen_statem:event_handler_result(atom()).
abandon(Request, #data{spec = #{kill_grace := Grace}, stuck = Stuck} = Data) ->
    ok = send(<<"A", Request:64/little>>, Data),
    {keep_state, Data#data{asked = Data#data.asked + 1, stuck = Stuck#{Request => abandoned}}, [{{timeout, {abandon, Request}}, Grace, over}]}.

%% Nothing that the worker runs will ever end.
-spec blocked(non_neg_integer(), #data{}) -> gen_statem:event_handler_result(atom()).
blocked(Request, #data{worker = Worker} = Data) ->
    ?LOG_WARNING("~ts: request ~b did not end within kill_grace and its event loop is blocked; the worker is killed", [name(Data), Request]),
    leave_pool(Data),
    ok = py_nif:worker_kill(Worker, killed),
    {keep_state, Data}.

%% A request that nothing but a kill can end.
-spec end_stuck(non_neg_integer(), ready | leaving, #data{}) -> gen_statem:event_handler_result(atom()).
end_stuck(Request, State, #data{worker = Worker, pool = Pool, spec = #{kill_grace := Grace}} = Data0) ->
    Data = over(Request, Data0),
    Settled = {{timeout, {abandon, Request}}, cancel},
    leave_pool(Data),
    case only_stuck(Data) of
        true ->
            ?LOG_WARNING("~ts: request ~b did not end within kill_grace; the worker is killed", [name(Data), Request]),
            ok = py_nif:worker_kill(Worker, killed),
            {keep_state, Data, [Settled]};
        false ->
            ?LOG_WARNING("~ts: request ~b did not end within kill_grace; the worker is replaced", [name(Data), Request]),
            ok = tell(replaced, #{request => Request}, Data),
            _ = [py_pool:notify(Pool, replace) || State =:= ready],
            %% If Python's lock cannot be had, the others do not go on either.
            ok = send(<<"G", Request:64/little>>, Data),
            {next_state, draining, Drained, Actions} = drain(Data#data{asked = Data#data.asked + 1}),
            {next_state, draining, Drained, [Settled, {{timeout, gil}, Grace, kept} | Actions]}
    end.

%% State draining: no new work; ends with the work in flight or when its time is over.

-spec drain(#data{}) -> gen_statem:event_handler_result(atom()).
drain(#data{spec = #{drain_limit := Limit}} = Data) ->
    ok = publish(draining, Data),
    {next_state, draining, Data, [{state_timeout, 0, look}, {{timeout, drain}, Limit, over}]}.

%% @private
-spec draining(gen_statem:event_type(), term(), #data{}) -> gen_statem:event_handler_result(atom()).
draining(state_timeout, look, #data{worker = Worker, stuck = Stuck} = Data) ->
    #{in_flight := InFlight} = py_nif:worker_info(Worker),
    case InFlight =:= 0 orelse (lists:member(over, maps:values(Stuck)) andalso only_stuck(Data)) of
        true when InFlight =:= 0 ->
            {stop, normal, Data};
        true ->
            ok = py_nif:worker_kill(Worker, killed),
            {keep_state, Data};
        false ->
            {keep_state, Data, [{state_timeout, ?DRAIN_LOOK, look}]}
    end;
draining({timeout, gil}, kept, #data{worker = Worker} = Data) ->
    ?LOG_WARNING("~ts: Python's lock could not be had for kill_grace; the worker is killed", [name(Data)]),
    ok = py_nif:worker_kill(Worker, killed),
    {keep_state, Data};
draining({timeout, drain}, over, #data{worker = Worker} = Data) ->
    ok = py_nif:worker_kill(Worker, killed),
    {keep_state, Data};
draining(info, {Port, {exit_status, _}}, #data{port = Port} = Data) ->
    {stop, normal, Data#data{port = undefined}};
draining(cast, Go, _Data) when Go =:= retire; Go =:= recycle ->
    keep_state_and_data;
draining(Type, Event, Data) ->
    serving(Type, Event, draining, Data).

%% The request did not end within its grace time.
-spec over(integer(), #data{}) -> #data{}.
over(Request, #data{stuck = Stuck} = Data) ->
    Data#data{stuck = Stuck#{Request => over}}.

%% Nothing goes on in the worker but what should have ended: nothing else is in it, or nothing else was started and no executor is free.
-spec only_stuck(#data{}) -> boolean().
only_stuck(#data{worker = Worker, stuck = Stuck, spec = #{num_executors := Executors}}) ->
    #{in_flight := InFlight} = py_nif:worker_info(Worker),
    Count = map_size(Stuck),
    InFlight =< Count orelse (Executors =< Count andalso py_nif:worker_running(Worker) =< Count).

-spec leave_pool(#data{}) -> ok.
leave_pool(#data{native = Native, worker = Worker}) ->
    ok = py_nif:pool_remove(Native, Worker),
    ok = py_nif:worker_close(Worker).

%% Events of a worker that serves or drains.

-spec serving(gen_statem:event_type(), term(), ready | leaving | draining, #data{}) -> gen_statem:event_handler_result(atom()).
serving(info, {py_down, Serial, Reason, Check}, State, #data{serial = Serial} = Data) ->
    ok = broke(Check, Data),
    _ = [?LOG_WARNING("~ts: the worker ended before those who use it: ~tp", [name(Data), Reason]) || State =:= leaving],
    ok = tell(down, #{reason => Reason}, Data),
    ok = py_worker_exit:last_words(name(Data), Data#data.os_pid, Reason, Data#data.stacks),
    {stop, normal, Data#data{worker = undefined}};
serving({timeout, {grace, Request}}, over, _State, Data) ->
    abandon(Request, Data);
serving({timeout, {abandon, Request}}, over, _State, Data) ->
    blocked(Request, Data);
serving(info, {py_interrupt, Request}, _State, Data) ->
    ok = send(<<"I", Request:64/little>>, Data),
    expect_end(Request, Data);
serving(info, {py_raise, Request}, _State, Data) ->
    ok = send(<<"R", Request:64/little>>, Data),
    {keep_state, Data};
serving(info, {py_ended, Request}, _State, #data{stuck = Stuck} = Data) ->
    case Stuck of
        #{Request := abandoned} ->
            ?LOG_WARNING("~ts: request ~b swallowed its cancellation; its coroutine was left to itself", [name(Data), Request]);
        _ ->
            ok
    end,
    Timers = [{{timeout, {Name, Request}}, cancel} || Name <- [grace, abandon]],
    {keep_state, Data#data{stuck = maps:remove(Request, Stuck)}, Timers};
serving(info, {Port, {data, <<Kind, _:64/little>> = Frame}}, State, #data{port = Port, asked = Asked} = Data) when Asked > 0, ?IS_ANSWER(Kind) ->
    answered(Frame, State, Data#data{asked = Asked - 1});
serving({timeout, ping}, send, _State, #data{pinged = N, asked = Asked} = Data) ->
    ok = send(<<"P", (N + 1):64/little>>, Data),
    {keep_state, Data#data{pinged = N + 1, asked = Asked + 1}, [{{timeout, ping}, ?PING_INTERVAL, missed}]};
serving({timeout, ping}, missed, _State, Data) ->
    ?LOG_WARNING("~ts: no answer to a ping; the worker is killed", [name(Data)]),
    ok = kill(unresponsive, Data),
    {keep_state, Data};
serving(info, {Port, {data, <<Kind, _/binary>> = Frame}}, _State, #data{port = Port} = Data) when ?IS_STACKS(Kind) ->
    stacks(Frame, Data);
serving(info, {Port, {data, Frame}}, _State, #data{port = Port} = Data) ->
    unexpected(Frame, Data);
serving(info, {py_cast_failed, Reason}, _State, #data{pool = Pool, id = Id} = Data) ->
    ok = py_call_events:cast_failed(Pool, Id, Reason),
    ?LOG_WARNING("~ts: a cast failed: ~0tP", [name(Data), Reason, 100]),
    keep_state_and_data;
serving(info, {py_stream_failed, Reason}, _State, Data) ->
    ?LOG_WARNING("~ts: a stream failed while it was stopped: ~0tP", [name(Data), Reason, 100]),
    keep_state_and_data;
serving(Type, Event, State, Data) ->
    common(Type, Event, State, Data).

-spec unexpected(binary(), #data{}) -> gen_statem:event_handler_result(atom()).
unexpected(Frame, Data) ->
    ?LOG_WARNING("~ts: unexpected frame ~0tP; the worker is killed", [name(Data), Frame, 40]),
    ok = kill(corrupt, Data),
    {keep_state, Data}.

-spec stacks(binary(), #data{}) -> gen_statem:event_handler_result(atom()).
stacks(Frame, #data{stacks = Stacks} = Data) ->
    case py_worker_stacks:take(Frame, Stacks) of
        {ok, Taken} -> {keep_state, Data#data{stacks = Taken}};
        refused -> unexpected(Frame, Data)
    end.

%% A worker answers what it was asked and nothing else, so it cannot fill the mailbox.
-spec answered(binary(), ready | leaving | draining, #data{}) -> gen_statem:event_handler_result(atom()).
answered(<<"p", N:64/little>>, _State, #data{pinged = N} = Data) ->
    {keep_state, Data, [{{timeout, ping}, ?PING_INTERVAL, send}]};
answered(<<"g", _:64/little>>, _State, Data) ->
    {keep_state, Data, [{{timeout, gil}, cancel}]};
answered(<<"b", Request:64/little>>, _State, #data{stuck = Stuck} = Data) when is_map_key(Request, Stuck) ->
    blocked(Request, Data);
answered(<<"n", Request:64/little>>, _State, #data{stuck = Stuck} = Data) when is_map_key(Request, Stuck) ->
    %% A busy worker ends what it was told to end later.
    expect_end(Request, Data);
answered(<<"k", Request:64/little>>, draining, #data{stuck = Stuck} = Data) when is_map_key(Request, Stuck) ->
    {keep_state, over(Request, Data), [{{timeout, {abandon, Request}}, cancel}]};
answered(<<"k", Request:64/little>>, State, #data{stuck = Stuck} = Data) when is_map_key(Request, Stuck) ->
    end_stuck(Request, State, Data);
answered(_Frame, _State, Data) ->
    %% The request has ended meanwhile.
    {keep_state, Data}.

%% Events of every state.

-spec common(gen_statem:event_type(), term(), atom(), #data{}) -> gen_statem:event_handler_result(atom()).
common(info, {Port, {exit_status, Status}}, State, #data{exits = Exits} = Data) when is_map_key(Port, Exits) ->
    {keep_state, note_exit(Port, Status, State, Data), [{{timeout, {exit, Port}}, cancel}]};
common({timeout, {exit, Port}}, over, State, Data) ->
    {keep_state, note_exit(Port, unknown, State, Data)};
common(info, {Port, {data, Frame}}, _State, #data{exits = Exits} = Data) when is_map_key(Port, Exits) ->
    #{Port := {OsPid, Reason, Stacks}} = Exits,
    {keep_state, Data#data{exits = Exits#{Port := {OsPid, Reason, py_worker_stacks:take_crash(Frame, Stacks)}}}};
common({call, From}, stacks, _State, #data{attached = true, stacks = Stacks} = Data) ->
    {Todo, Asked} = py_worker_stacks:ask(From, Stacks),
    _ = [ok = send(<<"T">>, Data) || ask <- Todo],
    {keep_state, Data#data{stacks = Asked}, [{{timeout, stacks}, ?STACKS_PATIENCE, over} || first <- Todo]};
common({call, From}, stacks, State, _Data) ->
    {keep_state_and_data, [{reply, From, {error, State}}]};
common({timeout, stacks}, over, _State, #data{stacks = Stacks} = Data) ->
    {keep_state, Data#data{stacks = py_worker_stacks:give_up(no_answer, Stacks)}};
common({timeout, _}, _, _State, _Data) ->
    keep_state_and_data;
common(info, {py_limit, Serial, Event}, _State, #data{serial = Serial, spec = Spec} = Data) when element(1, Event) =:= memory_limit ->
    Text = py_limits:describe(Event, Spec),
    ?LOG_WARNING("~ts: ~ts", [name(Data), Text]),
    {keep_state, Data#data{last_error = Text}};
common(info, {py_limit, Serial, Event}, starting, #data{serial = Serial} = Data) ->
    {keep_state, Data#data{due = Event}};
common(info, {'EXIT', Port, _}, _State, _Data) when is_port(Port) ->
    keep_state_and_data;
common(info, {'EXIT', _Pid, Reason}, _State, Data) ->
    {stop, Reason, Data};
common({call, From}, _, _State, _Data) ->
    {keep_state_and_data, [{reply, From, {error, unknown_call}}]};
common(_Type, _Event, _State, _Data) ->
    %% What is left concerns an incarnation that has been dropped.
    keep_state_and_data.

%% Start of the operating-system process.

-spec launch(#data{}) -> {ok, #data{}} | {error, string(), #data{}}.
launch(#data{id = Id, pool = Pool, spec = Spec} = Data) ->
    Clean = Data#data{worker = undefined, attached = false, asked = 0, stuck = #{}, step = undefined, setup = [], ready_at = undefined, due = none, recycled_for = none, launched_at = erlang:monotonic_time(), stacks = py_worker_stacks:new()},
    case py_worker_launch:start(Id, Pool, Spec) of
        {ok, Handshake, Started} ->
            {ok, launched(Started, Clean#data{handshake = Handshake})};
        {error, Text, Started} ->
            {error, Text, launched(Started, Clean)}
    end.

-spec launched(py_worker_launch:started(), #data{}) -> #data{}.
launched(#{worker := Worker, port := Port, os_pid := OsPid}, Data) ->
    #{serial := Serial} = py_nif:worker_info(Worker),
    Data#data{worker = Worker, serial = Serial, port = Port, os_pid = OsPid};
launched(none, Data) ->
    Data.

-spec send(binary(), #data{}) -> ok.
send(_Frame, #data{port = undefined}) ->
    ok;
send(Frame, #data{port = Port} = Data) ->
    try erlang:port_command(Port, Frame, [nosuspend]) of
        true -> ok;
        false ->
            ?LOG_WARNING("~ts: it does not read its commands; the worker is killed", [name(Data)]),
            kill(unresponsive, Data)
    catch
        %% The port is closed; its exit status is in the mailbox.
        error:badarg -> ok
    end.

-spec kill(atom(), #data{}) -> ok.
kill(_Reason, #data{worker = undefined}) -> ok;
kill(Reason, #data{worker = Worker}) -> py_nif:worker_kill(Worker, Reason).

%% End of an incarnation.

%% A start that did not succeed: the pool is told, then it is tried again.
-spec failed(string(), #data{}) -> gen_statem:event_handler_result(atom()).
failed(Text, #data{pool = Pool} = Data) ->
    ?LOG_ERROR("~ts could not start: ~ts", [name(Data), Text]),
    ok = tell(down, #{reason => start_failed, text => Text}, Data),
    ok = kill(start_failed, Data),
    ok = py_pool:notify(Pool, {failed, text("~ts could not start: ~ts", [name(Data), Text])}),
    again(start_failed, Data#data{failures = max(Data#data.failures, 2) + 1, last_error = Text}).

%% The end of a worker that served.
-spec died(atom(), #data{}) -> gen_statem:event_handler_result(atom()).
died(Reason, #data{worker = Worker, ready_at = ReadyAt, ready_with = Before, failures = Failures, last_error = Last} = Data) ->
    #{requests := Requests} = py_nif:worker_info(Worker),
    ok = tell(down, #{reason => Reason}, Data),
    Failed = Requests =:= Before andalso erlang:monotonic_time(millisecond) - ReadyAt < ?QUICK_DEATH,
    %% The event that preceded it says more.
    Error = case Reason of memory_limit -> Last; _ -> text("it ended: ~tp", [Reason]) end,
    again(Reason, Data#data{failures = case Failed of true -> Failures + 1; false -> 0 end, last_error = Error}).

-spec again(atom(), #data{}) -> gen_statem:event_handler_result(atom()).
again(Reason, #data{pool = Pool, failures = Failures, stuck = Stuck} = Data0) ->
    Data = dropped(Reason, Data0),
    ok = publish(down, Data),
    ok = py_pool:notify(Pool, down),
    Stale = [{{timeout, {Name, R}}, cancel} || R <- maps:keys(Stuck), Name <- [grace, abandon]],
    Status = [{{timeout, {exit, P}}, py_worker_exit:patience(), over} || P <- maps:keys(Data#data.exits), P =:= Data0#data.port],
    {next_state, down, Data, [{state_timeout, py_worker_launch:backoff(Failures), start}, {{timeout, ping}, cancel}, {{timeout, due}, cancel} | Stale ++ Status]}.

-spec dropped(atom(), #data{}) -> #data{}.
dropped(Reason, #data{port = Port, os_pid = OsPid, restarts = Restarts, exits = Exits, stacks = Stacks0} = Data) ->
    Stacks = py_worker_stacks:give_up(down, Stacks0),
    Waiting = case Port of undefined -> Exits; _ -> Exits#{Port => {OsPid, Reason, Stacks}} end,
    Data#data{worker = undefined, attached = false, stacks = Stacks, port = undefined, os_pid = undefined, step = undefined, stuck = #{}, restarts = Restarts + 1, exits = Waiting}.

-spec note_exit(port(), non_neg_integer() | unknown, atom(), #data{}) -> #data{}.
note_exit(Port, Status, State, #data{exits = Exits, os_pid = Current, stacks = Own} = Data) ->
    {OsPid, Reason, Stacks} = maps:get(Port, Exits, {Current, exited, Own}),
    ok = py_worker_exit:close(Port),
    Stack = py_worker_stacks:crash(Stacks),
    ok = py_worker_exit:log(name(Data), OsPid, Reason, Status, Stack),
    Last = case Stack of <<>> -> Data#data.last_stack; _ -> Stack end,
    Noted = Data#data{exits = maps:remove(Port, Exits), last_stack = Last},
    ok = publish(State, Noted),
    Noted.

%% @private
-spec terminate(term(), atom(), #data{}) -> ok.
terminate(Reason, _State, #data{worker = Worker, id = Id} = Data) ->
    _ = [tell(down, #{reason => stopped}, Data) || Worker =/= undefined],
    case Reason =:= normal orelse Reason =:= shutdown orelse (is_tuple(Reason) andalso element(1, Reason) =:= shutdown) of
        true when Worker =/= undefined -> stop_worker(Data);
        _ -> ok = kill(killed, Data)
    end,
    ok = py_worker_exit:hear_out(name(Data), Data#data.exits),
    case Reason of normal -> py_pool:forget_worker(Id); _ -> ok end.

-spec stop_worker(#data{}) -> ok.
stop_worker(#data{worker = Worker, serial = Serial, attached = true} = Data) ->
    py_worker_stop:stop(Worker, Serial, fun() -> send(<<"S">>, Data) end);
stop_worker(Data) ->
    kill(stopped, Data).

-spec publish(down | starting | ready | leaving | draining, #data{}) -> ok.
publish(State, #data{id = Id, pool = Pool, worker = Worker, os_pid = OsPid, restarts = Restarts, failures = Failures, spec = Spec} = Data) ->
    #{interpreter := #{version := Version}, num_executors := Executors} = Spec,
    py_pool:update_worker(Id, Pool, Worker, #{
        state => State, pid => self(), os_pid => OsPid, restarts => Restarts, python => Version, executors => Executors,
        failures => Failures, last_error => Data#data.last_error, last_stack => Data#data.last_stack
    }).

-spec tell(start | ready | down | replaced | recycled, py_events:metadata(), #data{}) -> ok.
tell(What, Metadata, #data{id = Id, pool = Pool, os_pid = OsPid, launched_at = LaunchedAt}) ->
    py_events:post([py, worker, What], #{duration => erlang:monotonic_time() - LaunchedAt}, Metadata#{pool => Pool, worker => Id, os_pid => OsPid}).

-spec name(#data{}) -> string().
name(#data{id = Id, pool = Pool}) ->
    text("worker ~b of pool ~ts", [Id, Pool]).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
