%% @doc Starts one worker of a pool that does not run, and ends it.
%%
%% The worker goes through what {@link py_worker} has it do, but outside the tree of the application, which need not run. Code of option
%% `preload' is left out: it may want the application.
-module(py_doctor_trial).

-export([findings/2]).

-define(STOP_PATIENCE, 2000).

-record(trial, {worker :: py_nif:worker(), serial :: non_neg_integer(), port :: port(), deadline :: integer(), warnings = [] :: [string()]}).

%% @doc Whether a worker starts, imports and evaluates.
-spec findings(py_config:pool_config(), py_interpreter:interpreter()) -> [py_doctor:finding(), ...].
findings(Config, Interpreter) ->
    %% Its limits need threads of the library, its output a logger.
    Unlimited = Config#{preload := [], memory_limit := infinity, max_rss := infinity, max_calls := infinity},
    Quiet = case Unlimited of #{stdout := logger} -> Unlimited#{stdout := null}; _ -> Unlimited end,
    Spec = py_worker_launch:spec(Quiet, Interpreter),
    {Pid, Monitor} = spawn_monitor(fun() -> exit({ended, trial(Spec)}) end),
    Found =
        receive
            {'DOWN', Monitor, process, Pid, {ended, Findings}} -> Findings;
            {'DOWN', Monitor, process, Pid, Reason} -> [failed(text("~tp", [Reason]))]
        end,
    ok = left(),
    Found.

%% Threads that have ended and names of segments are the library's until it stops.
-spec left() -> ok.
left() ->
    case whereis(py_sup) of
        undefined -> py_nif:stop();
        _ -> ok
    end.

-spec trial(py_pool:spec()) -> [py_doctor:finding(), ...].
trial(#{worker_timeout := Timeout} = Spec) ->
    _ = process_flag(trap_exit, true),
    Begin = now_ms(),
    case py_worker_launch:start(0, doctor, Spec) of
        {ok, Handshake, #{worker := Worker, port := Port}} ->
            #{serial := Serial} = py_nif:worker_info(Worker),
            Trial = #trial{worker = Worker, serial = Serial, port = Port, deadline = Begin + Timeout},
            case started(Handshake, Spec, Trial) of
                {ok, Warnings} ->
                    Took = now_ms() - Begin,
                    ok = stop(Trial),
                    [{warning, Warning} || Warning <- Warnings] ++ [{ok, text("a worker started, in ~b ms", [Took])}];
                {error, Text} ->
                    ok = py_nif:worker_kill(Worker, stopped),
                    [failed(Text)]
            end;
        {error, Text, #{worker := Worker}} ->
            ok = py_nif:worker_kill(Worker, stopped),
            [failed(Text)];
        {error, Text, none} ->
            [failed(Text)]
    end.

failed(Text) ->
    {problem, "a worker could not start: " ++ Text}.

%% The frames of a start, as in state `starting' of py_worker.
-spec started(binary(), py_pool:spec(), #trial{}) -> {ok, [string()]} | {error, string()}.
started(Handshake, Spec, #trial{worker = Worker, serial = Serial, port = Port, deadline = Deadline, warnings = Warnings} = Trial) ->
    receive
        {Port, {data, <<"a">>}} ->
            _ = catch erlang:port_command(Port, Handshake, [nosuspend]),
            started(Handshake, Spec, Trial);
        {Port, {data, <<"h", _/binary>> = Hello}} ->
            case py_nif:worker_attach(Worker, Hello) of
                ok -> started(Handshake, Spec, Trial);
                {error, Reason} -> {error, text("its hello was refused: ~tp", [Reason])}
            end;
        {Port, {data, <<"r", _/binary>>}} ->
            set_up(py_worker_setup:steps(Spec), Trial);
        {Port, {data, <<"w", Text/binary>>}} ->
            started(Handshake, Spec, Trial#trial{warnings = [text("~ts", [Text]) | Warnings]});
        {Port, {data, <<"f", Text/binary>>}} ->
            {error, text("~ts", [Text])};
        {Port, {data, Frame}} ->
            {error, text("unexpected frame ~0tP", [Frame, 40])};
        {Port, {exit_status, Status}} ->
            {error, text("it ended before it was ready, with status ~b", [Status])};
        {'EXIT', Port, Reason} when Reason =/= normal ->
            {error, text("the system could not start a process: ~tp", [Reason])};
        {py_down, Serial, Reason, _} ->
            {error, text("it ended before it was ready (~tp)", [Reason])}
    after max(0, Deadline - now_ms()) ->
        {error, "it was not ready within worker_timeout"}
    end.

-spec set_up([py_worker_setup:step()], #trial{}) -> {ok, [string()]} | {error, string()}.
set_up([], #trial{warnings = Warnings} = Trial) ->
    case ask({eval, <<"None">>, []}, Trial) of
        {ok, _} -> {ok, Warnings};
        {error, Reason} -> {error, "it evaluates nothing: " ++ py_worker_setup:reason(Reason)}
    end;
set_up([Step | Rest], Trial) ->
    case ask(py_worker_setup:request(Step), Trial) of
        {ok, _} -> set_up(Rest, Trial);
        {error, Reason} -> {error, text("~ts failed: ~ts", [py_worker_setup:describe(Step), py_worker_setup:reason(Reason)])}
    end.

-spec ask(py_nif:request(), #trial{}) -> {ok, term()} | {error, term()}.
ask(Request, #trial{worker = Worker, deadline = Deadline}) ->
    py_request:sync(Worker, Request, max(0, Deadline - now_ms()), py_options:of_node()).

%% Python may run its exit handlers.
-spec stop(#trial{}) -> ok.
stop(#trial{worker = Worker, serial = Serial, port = Port}) ->
    _ = catch erlang:port_command(Port, <<"S">>, [nosuspend]),
    receive {py_down, Serial, _, _} -> ok after ?STOP_PATIENCE -> py_nif:worker_kill(Worker, stopped) end.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
