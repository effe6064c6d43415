%% What Python logs arrives at logger: levels, metadata, order, floods, and programs that log nonsense.
-module(py_logger_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        nothing_is_imported, levels, below_the_level, default_level, idempotent, format, metadata, metadata_of_the_caller, exception, before_the_answer, from_threads,
        from_coroutines, odd_records, inside_formatting, base_exceptions_pass, long_text, workers_to_come, one_worker, in_a_child, flood,
        hostile_events, server_dies, bad_options, without_request
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    #{level := Level} = logger:get_primary_config(),
    ok = logger:set_primary_config(level, all),
    [{level, Level} | Config].

end_per_suite(Config) ->
    ok = logger:set_primary_config(level, proplists:get_value(level, Config)),
    py_test:stop().

init_per_testcase(nothing_is_imported, Config) ->
    Config;
init_per_testcase(_Case, Config) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => all, config => #{to => self()}}),
    ok = py:configure_logging(#{level => debug}),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = logger:remove_handler(?MODULE),
    py_test:settled().

%% The handler.
log(#{level := Level, msg := Msg, meta := #{python := _} = Meta}, #{config := #{to := To}}) ->
    To ! {event, Level, Msg, Meta};
log(#{level := Level, msg := {Format, Args}, meta := #{mfa := {py_logger, _, _}}}, #{config := #{to := To}}) when is_list(Args) ->
    To ! {about, Level, lists:flatten(io_lib:format(Format, Args))};
log(_Event, _Config) ->
    ok.

events() ->
    ok = py_logger:flush(),
    collect().

collect() ->
    receive {event, Level, {string, Text}, Meta} -> [{Level, Text, Meta} | collect()] after 0 -> [] end.

texts() ->
    [Text || {_, Text, _} <- events()].

run(Code) ->
    ok = py:exec(["import logging, erlang\n", Code], #{pool => default}).

%% A worker pays for none of it before it is used.
nothing_is_imported(_) ->
    Names = <<"[n for n in ('logging', 'traceback', 'string', 'weakref') if n in __import__('sys').modules]">>,
    {ok, []} = py:eval(Names),
    {ok, true} = py:eval(<<"hasattr(erlang, 'ErlangHandler') and 'logging' in __import__('sys').modules">>).

%% covers: py:configure_logging/1, erlang.ErlangHandler
levels(_) ->
    run(
        "log = logging.getLogger('a.b')\n"
        "log.debug('d'); log.info('i'); log.warning('w'); log.error('e'); log.critical('c')\n"
        "log.log(25, 'n'); log.log(11, 'd+'); log.log(1000, 'c+')\n"
    ),
    ?assertEqual(
        [{debug, <<"d">>}, {info, <<"i">>}, {warning, <<"w">>}, {error, <<"e">>}, {critical, <<"c">>}, {notice, <<"n">>}, {debug, <<"d+">>}, {critical, <<"c+">>}],
        [{Level, Text} || {Level, Text, _} <- events()]
    ).

below_the_level(_) ->
    ok = py:configure_logging(#{level => warning}),
    %% It does not even leave the worker: the answer takes the short way.
    run("for _ in range(3): logging.info('no')\nlogging.warning('yes')"),
    ?assertEqual([<<"yes">>], texts()),
    ok = py:configure_logging(#{level => none}),
    run("logging.critical('no')"),
    ?assertEqual([], texts()),
    ok = py:configure_logging(#{level => 35}),
    run("logging.warning('no')\nlogging.error('yes')"),
    ?assertEqual([<<"yes">>], texts()).

%% covers: py:configure_logging/0
default_level(_) ->
    ok = logger:set_primary_config(level, error),
    try
        ok = py:configure_logging(),
        {ok, 40} = py:eval(<<"__import__('logging').getLogger().level">>)
    after
        ok = logger:set_primary_config(level, all)
    end.

idempotent(_) ->
    [ok = py:configure_logging(#{level => debug}) || _ <- [1, 2, 3]],
    run("logging.info('one')"),
    ?assertEqual([<<"one">>], texts()),
    {ok, 1} = py:eval(<<"len(__import__('logging').getLogger().handlers)">>).

format(_) ->
    ok = py:configure_logging(#{level => debug, format => "%(name)s: %(message)s 'ä\\"}),
    run("logging.getLogger('x').info('%s-%d', 'text', 5)"),
    ?assertEqual([<<"x: text-5 'ä\\"/utf8>>], texts()).

metadata(_) ->
    Before = logger:timestamp(),
    {ok, 7} = py:eval(<<"[__import__('logging').getLogger('here').info('hello'), 7][1]">>),
    [{info, <<"hello">>, #{pid := Pid, time := Time, python := Python, line := Line} = Meta}] = events(),
    ?assertEqual(self(), Pid),
    ?assert(Time > Before - 1000000 andalso Time =< logger:timestamp()),
    ?assertEqual(1, Line),
    #{logger := <<"here">>, level := 20, line := 1, process := <<"MainProcess">>, thread := <<"MainThread">>, worker := Id, os_pid := OsPid} = Python,
    ?assert(is_integer(Id)),
    ?assert(lists:member(OsPid, py_test:os_pids(default))),
    ?assertNot(is_map_key(exception, Python)),
    %% What OTP's own formatter makes of it.
    Line1 = unicode:characters_to_binary(logger_formatter:format(#{level => info, msg => {string, <<"hello">>}, meta => Meta}, #{})),
    ?assertNotEqual(nomatch, binary:match(Line1, <<"hello">>)).

%% What the calling process says of itself is said of what it has Python do; it does not take the place of what is known.
metadata_of_the_caller(_) ->
    Logged = fun() -> [{info, <<"x">>, Meta}] = events(), Meta end,
    Call = fun() -> {ok, none} = py:call(logging, info, [<<"x">>]), Logged() end,
    ?assertNot(is_map_key(request_id, Call())),
    ok = logger:set_process_metadata(#{request_id => <<"F1x7">>, python => mine, line => mine, pid => mine}),
    Self = self(),
    ?assertMatch(#{request_id := <<"F1x7">>, pid := Self, line := Line, python := #{level := 20}} when is_integer(Line), Call()),
    ok = logger:unset_process_metadata(),
    ?assertNot(is_map_key(request_id, Call())),
    %% That of a caller that has ended is gone.
    ok = sys:suspend(py_logger),
    {Pid, Monitor} = spawn_monitor(fun() ->
        ok = logger:set_process_metadata(#{request_id => <<"F1x7">>}),
        {ok, none} = py:call(logging, info, [<<"x">>])
    end),
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end,
    ok = sys:resume(py_logger),
    Ended = Logged(),
    ?assertMatch(#{pid := Pid}, Ended),
    ?assertNot(is_map_key(request_id, Ended)).

exception(_) ->
    run("def fail(): 1 / 0\ntry: fail()\nexcept ZeroDivisionError: logging.exception('it failed')"),
    [{error, Text, #{python := #{exception := Trace}}}] = events(),
    <<"it failed\nTraceback (most recent call last):", _/binary>> = Text,
    <<"Traceback", _/binary>> = Trace,
    ?assertNotEqual(nomatch, binary:match(Trace, <<"ZeroDivisionError: division by zero">>)).

%% The event is in the mailbox of the receiver when the caller has its answer.
%% covers: guarantee:send_before_reply
before_the_answer(_) ->
    Waiting = fun() -> {message_queue_len, N} = process_info(whereis(py_logger), message_queue_len), N end,
    {ok, none} = py:call(logging, info, [<<"warm up">>]),
    ok = py_logger:flush(),
    ok = sys:suspend(py_logger),
    lists:foreach(
        fun(N) ->
            {ok, none} = py:call(logging, info, [<<"x">>]),
            ?assertEqual(N, Waiting())
        end,
        lists:seq(1, 500)
    ),
    ok = sys:resume(py_logger),
    ?assertEqual(501, length(events())).

from_threads(_) ->
    run(
        "import threading\n"
        "def work(n):\n"
        "    for i in range(50): logging.info('%d', n * 50 + i)\n"
        "threads = [threading.Thread(target=work, args=(n,), name='t%d' % n) for n in range(8)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
    ),
    Events = events(),
    ?assertEqual(lists:seq(0, 399), lists:sort([binary_to_integer(Text) || {_, Text, _} <- Events])),
    [?assertEqual(<<"t", (integer_to_binary(binary_to_integer(Text) div 50))/binary>>, Thread) || {_, Text, #{python := #{thread := Thread}}} <- Events].

from_coroutines(_) ->
    run(
        "import asyncio\n"
        "async def work(n):\n"
        "    for i in range(20):\n"
        "        await asyncio.sleep(0)\n"
        "        logging.info('%d', n * 20 + i)\n"
        "async def main():\n"
        "    await asyncio.gather(*(work(n) for n in range(5)))\n"
        "    logging.getLogger('asyncio').setLevel(logging.WARNING)\n"
        "asyncio.run(main())\n"
    ),
    ?assertEqual(lists:seq(0, 99), lists:sort([binary_to_integer(T) || {_, T, #{python := #{logger := <<"root">>}}} <- events()])).

%% None of these raises in the program, and each is heard of.
odd_records(_) ->
    run(
        "class Bad:\n"
        "    def __str__(self): raise ValueError('no text')\n"
        "    __repr__ = __str__\n"
        "logging.info('%d %d', 1)\n"
        "logging.info('%s', Bad())\n"
        "logging.info(Bad())\n"
        "logging.info({'a': 1})\n"
        "logging.info('\\ud800 \\0 \\U0001f600')\n"
        "logging.info(b'\\xff')\n"
        "log = logging.getLogger('\\udcff')\n"
        "log.info('name')\n"
        "logging.getLogger().handle(logging.makeLogRecord({'msg': 'made', 'levelno': 20}))\n"
        "logging.getLogger().handle(logging.makeLogRecord({'msg': 'no line', 'levelno': 20, 'lineno': None, 'threadName': None, 'created': -5}))\n"
        "logging.log(10 ** 30, 'far')\n"
    ),
    Texts = texts(),
    ?assertEqual(10, length(Texts)),
    ?assertMatch(
        [
            <<"'%d %d' (could not be formatted: TypeError)">>, <<"'%s' (could not be formatted: ValueError)">>,
            <<"<class '__main__.Bad'> (could not be formatted: ValueError)">>, <<"{'a': 1}">>, <<"\\ud800 ", 0, " ", _/binary>>, <<"b'\\xff'">>,
            <<"name">>, <<"made">>, <<"no line">>, <<"far">>
        ],
        Texts
    ).

%% The handler is entered again while it makes the text of a record.
inside_formatting(_) ->
    run(
        "class Loud:\n"
        "    def __str__(self):\n"
        "        logging.info('inner')\n"
        "        return 'loud'\n"
        "class Endless:\n"
        "    def __str__(self):\n"
        "        logging.info('%s', self)\n"
        "        return 'end'\n"
        "logging.info('%s', Loud())\n"
        "logging.info('%s', Endless())\n"
        "logging.info('after')\n"
    ),
    [<<"inner">>, <<"loud">> | Rest] = texts(),
    ?assertEqual(<<"after">>, lists:last(Rest)).

base_exceptions_pass(_) ->
    {error, {'KeyboardInterrupt', _}} = py:exec(
        "import logging\n"
        "class Stop:\n"
        "    def __str__(self): raise KeyboardInterrupt\n"
        "logging.info('%s', Stop())\n",
        #{pool => default}
    ),
    run("logging.info('goes on')"),
    ?assertEqual([<<"goes on">>], texts()).

%% Larger than a record of the ring, and longer than what is kept.
long_text(_) ->
    run("logging.info('x' * 60000)\nlogging.info('\\u20ac' * 60000)\nlogging.info('x' * 10 ** 6)"),
    ?assertEqual([60000, 180000, 65539], [byte_size(Text) || Text <- texts()]).

%% Workers that start later have it, too: replaced ones, and those of a pool that did not run.
workers_to_come(_) ->
    ok = py:configure_logging(#{level => info, format => "later %(message)s"}),
    [py_test:kill("KILL", Pid) || Pid <- py_test:os_pids(default)],
    py_test:whole(default),
    {ok, [{ok, none}, {ok, none}]} = py:parallel([{logging, info, [<<"p">>]}, {logging, info, [<<"p">>]}]),
    [{ok, none} = py:call(logging, info, [<<"d">>]) || _ <- lists:seq(1, 3)],
    Texts = texts(),
    ?assertEqual(3, length([d || <<"later d">> <- Texts])),
    ?assertEqual(2, length([p || <<"later p">> <- Texts])).

%% covers: erlang.setup_logging
one_worker(_) ->
    Pool = log_alone,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    Log = fun() -> {ok, none} = py:call(logging, warning, [<<"w">>], #{}, #{pool => Pool}) end,
    Log(),
    ?assertEqual([], texts()),
    ok = py:exec("import erlang; erlang.setup_logging('WARNING', '<%(message)s>')", #{pool => Pool}),
    Log(),
    ?assertEqual([<<"<w>">>], texts()),
    %% As any handler.
    ok = py:exec("import logging; log = logging.getLogger('own'); log.propagate = False; log.addHandler(erlang.ErlangHandler()); log.warning('own')", #{pool => Pool}),
    ?assertEqual([<<"own">>], texts()),
    ok = py_pool:stop_pool(Pool).

in_a_child(_) ->
    run("import os\npid = os.fork()\nif pid == 0:\n    logging.info('child')\n    os._exit(0)\nassert os.waitpid(pid, 0)[1] == 0\nlogging.info('parent')"),
    ?assertEqual([<<"parent">>], texts()).

%% Nobody waits for a receiver that is slow, and what waits for it is bounded.
flood(_) ->
    run("logging.info('first')"),
    ?assertEqual([<<"first">>], texts()),
    ok = sys:suspend(py_logger),
    Total = 100000,
    ok = py:exec(["import logging\nfor n in range(", integer_to_list(Total), "): logging.info('%d', n)"], #{pool => default, timeout => 100000}),
    {message_queue_len, Waiting} = process_info(whereis(py_logger), message_queue_len),
    ?assert(Waiting < Total),
    ?assert(Waiting > 1000),
    ok = sys:resume(py_logger),
    Seen = events(),
    Numbers = [binary_to_integer(Text) || {_, Text, _} <- Seen],
    ?assertEqual(lists:seq(0, length(Numbers) - 1), Numbers),
    ?assertEqual(Waiting, length(Numbers)),
    Dropped = dropped(Total - Waiting),
    ?assertEqual(Total, Waiting + Dropped),
    run("logging.info('last')"),
    ?assertEqual([<<"last">>], texts()).

dropped(Expected) ->
    receive
        {about, warning, "Python logs faster than logger takes it: " ++ Rest} ->
            {N, _} = string:to_integer(Rest),
            case Expected - N of 0 -> N; Left -> N + dropped(Left) end
    after 20000 -> ct:fail({dropped, Expected})
    end.

%% A worker may send anything.
hostile_events(_) ->
    Nonsense = [
        "()", "(1,)", "({'a': [1, 2]},)", "(20, 0) + (b'',) * 9", "(20, 1 << 80) + (b'',) * 9", "(20, -1, b'\\xff\\xfe', b'\\xff', b'', b'', b'\\xff', -3, b'', b'', None)",
        "(20, 0, 'text', 5, 6, 7, b'f', -5, None, (), {})", "(b'', 0) + ('x',) * 9", "(20, 0, 'ok', 'l', 'm', 'f', 'p', 1 << 70, 'P', 'T', 'E')"
    ],
    [ok = py:exec(["import erlang\nerlang._log(*", Args, ")"], #{pool => default}) || Args <- Nonsense],
    Kept = [Text || {info, Text, _} <- events()],
    ?assertEqual([<<"ÿþ"/utf8>>, <<"text">>, <<"ok">>], Kept),
    ?assertEqual(true, lists:member(?MODULE, logger:get_handler_ids())),
    ?assertEqual(true, lists:member(default, logger:get_handler_ids())),
    senseless(6).

senseless(0) ->
    ok;
senseless(Left) ->
    receive {about, warning, Text} ->
        {N, " log events of workers made no sense" ++ _} = string:to_integer(Text),
        senseless(Left - N)
    after 20000 -> ct:fail({senseless, Left})
    end.

abouts() ->
    receive {about, warning, _} -> abouts() after 0 -> ok end.

%% What waited for a server that died does not count against the next one.
server_dies(_) ->
    ok = sys:suspend(py_logger),
    run("for n in range(100000): logging.info('%d', n)"),
    Old = whereis(py_logger),
    exit(Old, kill),
    py_test:until(fun() -> is_pid(whereis(py_logger)) andalso whereis(py_logger) =/= Old end),
    run("for n in range(1000): logging.info('%d', n)"),
    ?assertEqual(1000, length(events())),
    abouts().

%% covers: error:bad_option, error:badarg
bad_options(_) ->
    {error, {bad_option, level}} = py:configure_logging(#{level => loud}),
    {error, {bad_option, level}} = py:configure_logging(#{level => -1}),
    {error, {bad_option, format}} = py:configure_logging(#{format => 5}),
    {error, {bad_option, format}} = py:configure_logging(#{format => <<255>>}),
    {error, {bad_option, colour}} = py:configure_logging(#{colour => red}),
    {error, {badarg, options}} = py:configure_logging([{level, info}]),
    %% A format that Python refuses changes nothing.
    {error, [{Id, {'ValueError', _}} | _]} = py:configure_logging(#{format => <<"no field">>}),
    ?assert(is_integer(Id)).

%% A thread that works for no call: its events belong to the server.
without_request(_) ->
    run(
        "import threading\n"
        "gate = threading.Event()\n"
        "def late():\n"
        "    gate.wait()\n"
        "    logging.info('late')\n"
        "late = threading.Thread(target=late); late.start()\n"
        "gate.set(); late.join()\n"
    ),
    [{info, <<"late">>, #{pid := Pid}}] = events(),
    ?assertEqual(whereis(py_logger), Pid).
