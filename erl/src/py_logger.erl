%% @doc What Python logs, as events of OTP's `logger'.
%%
%% A handler on Python's root logger publishes each record; a reader thread of the native layer sends it here, before it sends
%% the answer of the call in which it was logged. At most 8 MiB of records wait; what comes beyond that is dropped, and
%% a summary says how much.
%%
%% With option `stdout => logger' each line that a worker writes to standard output or error is an event, too, of level `notice' and
%% with `stream => output' in its `python' map; a line over 8 KiB is several.
%%
%% Metadata of an event: what the process whose call logged has set as its own with `logger:set_process_metadata/1' or Elixir's
%% `Logger.metadata/1', an identifier of a web request for example; `pid' is that process, or this server for other threads of
%% Python; `time' is Python's; `file' and `line' are where the program logged; `python' is a map with `worker', `os_pid', `logger',
%% `level', `module', `function', `file', `line', `process', `thread', and with `exception', the traceback, if there is one.
-module(py_logger).

-behaviour(gen_server).

-export([configure/1, flush/0, of_caller/1, start_link/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([options/0]).

-include_lib("kernel/include/logger.hrl").

-type options() :: #{level => logger:level() | all | non_neg_integer(), format => unicode:chardata() | undefined}.
%% `level': nothing below it leaves Python; an integer is a level of Python; default: the primary level of `logger'. `format':
%% for `logging.Formatter' of Python; default: the message alone.

%% Events between two looks at what was dropped while the mailbox never empties.
-define(LOOK, 1000).
-define(TIMEOUT, 30000).
-define(SETUP, <<"__import__('erlang').setup_logging(level, format)">>).
-define(STOP, <<"__import__('erlang')._stop_logging()">>).

-record(state, {handled = 0 :: non_neg_integer(), senseless = 0 :: non_neg_integer()}).

%% @doc Sends what Python logs to `logger', from all workers of the common pools, present and future.
-spec configure(options()) -> ok | py_everywhere:failure().
configure(Options) when is_map(Options) ->
    #{level := Primary} = logger:get_primary_config(),
    try
        Level = level(maps:get(level, Options, Primary)),
        Format = format(maps:get(format, Options, undefined)),
        _ = [throw({bad_option, Key}) || Key <- maps:keys(Options), not lists:member(Key, [level, format])],
        py_exec_log:set(logging, {eval, ?SETUP, #{level => Level, format => Format}}, {eval, ?STOP, []}, ?TIMEOUT)
    catch
        throw:Reason -> {error, Reason}
    end;
configure(_Options) ->
    {error, {badarg, options}}.

level(none) -> 1 bsl 30;
level(emergency) -> 50;
level(alert) -> 50;
level(critical) -> 50;
level(error) -> 40;
level(warning) -> 30;
level(notice) -> 25;
level(info) -> 20;
level(debug) -> 10;
level(all) -> 1;
level(Level) when is_integer(Level), Level >= 0, Level < 1 bsl 30 -> Level;
level(_) -> throw({bad_option, level}).

format(undefined) ->
    none;
format(Format) ->
    case py_text:utf8(Format) of
        {ok, Text} -> {str, Text};
        error -> throw({bad_option, format})
    end.

%% @doc Returns when everything that Python had logged before has gone to `logger'.
-spec flush() -> ok.
flush() ->
    gen_server:call(?MODULE, flush, infinity).

%% @private Metadata of an event of a request: what its caller has set as its own, as it is at this moment, and who that is.
-spec of_caller(pid() | undefined) -> logger:metadata().
of_caller(undefined) ->
    #{pid => self()};
of_caller(Caller) ->
    case process_info(Caller, dictionary) of
        {dictionary, Dictionary} ->
            %% Where logger:set_process_metadata/1 puts it.
            case lists:keyfind('$logger_metadata$', 1, Dictionary) of
                {_, #{} = Own} -> Own#{pid => Caller};
                _ -> #{pid => Caller}
            end;
        undefined ->
            #{pid => Caller}
    end.

%% @doc Starts the server.
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @private
-spec init([]) -> {ok, #state{}}.
init([]) ->
    _ = py_nif:observe_open(?MODULE),
    {ok, #state{}}.

%% @private
-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}, 0}.
handle_call(flush, _From, State) ->
    {reply, ok, State, 0};
handle_call(_Call, _From, State) ->
    {reply, {error, unknown_call}, State, 0}.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}, 0}.
handle_cast(_Cast, State) ->
    {noreply, State, 0}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {noreply, #state{}, 0}.
handle_info({py_event, Epoch, Cost, Caller, Worker, OsPid, Event}, #state{handled = Handled} = State) ->
    Senseless = case log(Event, Caller, Worker, OsPid) of ok -> 0; senseless -> 1 end,
    ok = py_nif:observe_done(?MODULE, Epoch, Cost),
    Counted = State#state{handled = Handled + 1, senseless = State#state.senseless + Senseless},
    case Handled rem ?LOOK of
        ?LOOK - 1 -> {noreply, tell_dropped(Counted), 0};
        _ -> {noreply, Counted, 0}
    end;
handle_info(timeout, State) ->
    {noreply, tell_dropped(State)};
handle_info(_Info, State) ->
    {noreply, State, 0}.

-spec tell_dropped(#state{}) -> #state{}.
tell_dropped(#state{senseless = Senseless} = State) ->
    _ = [?LOG_WARNING("Python logs faster than logger takes it: ~b events were dropped", [N]) || N <- [py_nif:observe_dropped(?MODULE)], N > 0],
    _ = [?LOG_WARNING("~b log events of workers made no sense and were dropped", [Senseless]) || Senseless > 0],
    State#state{senseless = 0}.

%% Nothing of an event is believed: a worker can write what it likes.
-spec log(term(), pid() | undefined, non_neg_integer(), non_neg_integer()) -> ok | senseless.
log({Number, Time, Text, Logger, Module, Function, File, Line, Process, Thread, Exception}, Caller, Worker, OsPid) when
    is_integer(Number), is_integer(Time), is_integer(Line), is_binary(Text), is_binary(File)
->
    Fields = [{logger, Logger}, {module, Module}, {function, Function}, {file, File}, {process, Process}, {thread, Thread}, {exception, Exception}],
    Python = maps:from_list([{Key, text(Value)} || {Key, Value} <- Fields, is_binary(Value)]),
    Meta = (of_caller(Caller))#{
        file => unicode:characters_to_list(text(File)),
        line => max(0, Line),
        time => time(Time),
        python => Python#{level => Number, line => Line, worker => Worker, os_pid => OsPid}
    },
    logger:log(otp_level(Number), text(Text), Meta);
log(Line, undefined, Worker, OsPid) when is_binary(Line) ->
    logger:log(notice, text(Line), #{pid => self(), python => #{stream => output, worker => Worker, os_pid => OsPid}});
log(_Event, _Caller, _Worker, _OsPid) ->
    senseless.

-spec otp_level(integer()) -> logger:level().
otp_level(Number) when Number >= 50 -> critical;
otp_level(Number) when Number >= 40 -> error;
otp_level(Number) when Number >= 30 -> warning;
otp_level(Number) when Number >= 25 -> notice;
otp_level(Number) when Number >= 20 -> info;
otp_level(_Number) -> debug.

%% Formatters of logger take text in UTF-8 and times that a calendar has.

-spec text(binary()) -> binary().
text(Bytes) ->
    case unicode:characters_to_binary(Bytes) of
        Text when is_binary(Text) -> Text;
        _ -> unicode:characters_to_binary(Bytes, latin1)
    end.

-spec time(integer()) -> integer().
time(Time) ->
    Now = logger:timestamp(),
    case Time > 0 andalso Time < Now + 86400 * 1000000 of
        true -> Time;
        false -> Now
    end.
