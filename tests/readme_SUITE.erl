%%% Runs the code blocks of README.md: Erlang expressions in one shell-like session, `make` commands by name.
%%% The Elixir blocks run in tests/packaging.
-module(readme_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, erlang_blocks/1, make_targets/1]).

all() ->
    [erlang_blocks, make_targets].

init_per_suite(Config) ->
    %% priv is a link into the repository, so that its parent is the repository.
    Root = filename:join(code:priv_dir(erlang_python), ".."),
    {ok, Text} = file:read_file(filename:join(Root, "README.md")),
    [{root, Root}, {text, Text} | Config].

end_per_suite(_Config) ->
    stop().

erlang_blocks(Config) ->
    Blocks = blocks(<<"erlang">>, Config),
    true = length(Blocks) >= 5,
    Bindings = lists:foldl(fun run_block/2, erl_eval:new_bindings(), Blocks),
    true = erl_eval:bindings(Bindings) =/= [].

make_targets(Config) ->
    Lines = lists:append([string:lexemes(B, "\n") || B <- blocks(<<"sh">>, Config)]),
    true = Lines =/= [],
    lists:foreach(
        fun(<<"make ", Target/binary>>) ->
            {0, _} = {sh("make -n " ++ binary_to_list(Target), Config), Target}
        end,
        Lines
    ).

%% Contents of the fenced blocks of one language.
blocks(Language, Config) ->
    Pattern = <<"^```", Language/binary, "\n(.*?)^```$">>,
    {match, Blocks} = re:run(
        proplists:get_value(text, Config), Pattern, [global, multiline, dotall, {capture, [1], binary}]
    ),
    lists:append(Blocks).

run_block(Block, Bindings) ->
    lists:foldl(fun run_expressions/2, Bindings, forms(unicode:characters_to_list(Block), 1)).

forms(Text, Line) ->
    case erl_scan:tokens([], Text, Line) of
        {done, {ok, Tokens, Next}, Rest} ->
            {ok, Expressions} = erl_parse:parse_exprs(Tokens),
            [Expressions | forms(Rest, Next)];
        {done, {eof, _}, _} ->
            [];
        {more, _} ->
            [] = string:trim(Text),
            []
    end.

run_expressions(Expressions, Bindings) ->
    ct:pal("~ts", [erl_pp:exprs(Expressions)]),
    case erl_eval:exprs(Expressions, Bindings) of
        {value, [{erlang_python, Env}], Bindings1} ->
            ok = configured(Env),
            Bindings1;
        {value, _, Bindings1} ->
            Bindings1
    end.

%% An example of a configuration must be one that the application starts with.
configured(Env) ->
    ok = application:stop(erlang_python),
    Before = application:get_all_env(erlang_python),
    ok = application:set_env([{erlang_python, Env}]),
    {ok, _} = application:ensure_all_started(erlang_python),
    {ok, 4.0} = py:call(math, sqrt, [16]),
    stop(),
    [ok = application:unset_env(erlang_python, Key) || {Key, _} <- Env],
    ok = application:set_env([{erlang_python, Before}]).

stop() ->
    case application:stop(erlang_python) of
        ok -> ok;
        {error, {not_started, erlang_python}} -> ok
    end.

sh(Command, Config) ->
    Port = open_port({spawn, Command}, [exit_status, stderr_to_stdout, {cd, proplists:get_value(root, Config)}]),
    receive_status(Port).

receive_status(Port) ->
    receive
        {Port, {data, _}} -> receive_status(Port);
        {Port, {exit_status, Status}} -> Status
    end.
