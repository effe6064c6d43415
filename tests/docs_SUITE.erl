%%% Runs the code blocks of README.md and of the guides in docs/, page by page, each with an application of its own.
%%%
%%% `erlang'   expressions, in one session per page, or one module (`-module(...).'), or a configuration (`[{erlang_python, ...}].')
%%%            with which the application is started and tried
%%% `output'   what the Erlang block before it printed; `...' stands for anything
%%% `python'   a file, named in the first line (`# shop.py'), in a directory that is on the workers' path
%%% `elixir'   one script per page, where Elixir is installed
%%% `sh'       run in that directory; `make' only as far as the target exists
%%% `text'     not run, nor is a block under a line `<!-- not run: reason -->'
-module(docs_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() -> [every_page, links, named_tests, elixir | [Case || {Case, _} <- pages()]].

pages() ->
    [
        {readme, "README.md"},
        {getting_started, "docs/getting-started.md"},
        {types, "docs/types.md"},
        {async, "docs/async.md"},
        {streams, "docs/streams.md"},
        {callbacks, "docs/callbacks.md"},
        {contexts, "docs/contexts-and-state.md"},
        {wrappers, "docs/wrappers.md"},
        {environments, "docs/environments.md"},
        {observability, "docs/observability.md"},
        {reliability, "docs/reliability.md"},
        {sandbox, "docs/sandbox.md"},
        {asgi_wsgi, "docs/asgi-wsgi.md"},
        {migrating, "docs/migrating.md"},
        {cookbook, "docs/cookbook.md"},
        {faq, "docs/faq.md"}
    ].

init_per_suite(Config) ->
    %% priv is a link into the repository, so that its parent is the repository.
    Root = filename:join(code:priv_dir(erlang_python), ".."),
    [{root, Root} | Config].

end_per_suite(_Config) ->
    ok.

init_per_testcase(Case, Config) ->
    Dir = filename:join(?config(priv_dir, Config), Case),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    {ok, Cwd} = file:get_cwd(),
    [{dir, Dir}, {cwd, Cwd} | Config].

end_per_testcase(_Case, Config) ->
    ok = file:set_cwd(?config(cwd, Config)),
    _ = application:stop(erlang_python),
    py_test:clear_env(),
    ok.

readme(Config) -> page(readme, Config).
getting_started(Config) -> page(getting_started, Config).
types(Config) -> page(types, Config).
async(Config) -> page(async, Config).
streams(Config) -> page(streams, Config).
callbacks(Config) -> page(callbacks, Config).
contexts(Config) -> page(contexts, Config).
wrappers(Config) -> page(wrappers, Config).
environments(Config) -> page(environments, Config).
observability(Config) -> page(observability, Config).
reliability(Config) -> page(reliability, Config).
sandbox(Config) ->
    case py_test:landlock() of
        0 -> {skip, "this kernel has no Landlock"};
        _ -> page(sandbox, Config)
    end.
asgi_wsgi(Config) -> page(asgi_wsgi, Config).
migrating(Config) -> page(migrating, Config).
cookbook(Config) ->
    Python = py_test:python_with_packages(py_test:version(py_test:python())),
    case filelib:is_regular(Python) of
        true -> page(cookbook, Config, [{python, Python}]);
        false -> {skip, "no packages: run `.ci/setup test', which needs the network"}
    end.
faq(Config) -> page(faq, Config).

%% No page with code is forgotten.
every_page(Config) ->
    Root = ?config(root, Config),
    Files = filelib:wildcard("*.md", Root) ++ filelib:wildcard("docs/*.md", Root),
    WithCode = [File || File <- Files, [] =/= [L || {L, _} <- blocks(File, Config), L =/= <<"text">>]],
    ?assertEqual(lists:sort([File || {_, File} <- pages()]), lists:sort(WithCode)).

%% Links lead to files and headings that are there.
links(Config) ->
    Root = ?config(root, Config),
    Broken = [
        {File, Link}
     || File <- filelib:wildcard("*.md", Root) ++ filelib:wildcard("docs/**/*.md", Root),
        Link <- links_of(read(File, Config)),
        not leads_somewhere(Link, File, Config)
    ],
    ?assertEqual([], Broken).

%% Tests that prove what a page says are there.
named_tests(Config) ->
    Root = ?config(root, Config),
    Named = [
        {list_to_atom(Suite), list_to_atom(Case)}
     || File <- filelib:wildcard("docs/*.md", Root), File =/= "docs/api-coverage.md",
        {match, Found} <- [re:run(read(File, Config), "`(py_\\w+_SUITE):(\\w+)`", [global, {capture, all_but_first, list}])],
        [Suite, Case] <- Found
    ],
    ?assertEqual([], [Name || {Suite, Case} = Name <- Named, {module, Suite} =/= code:ensure_loaded(Suite) orelse not erlang:function_exported(Suite, Case, 1)]),
    ?assert(length(Named) > 20).

links_of(Text) ->
    case re:run(Text, "\\]\\((?!https?://)([^)\\s]+)\\)", [global, {capture, all_but_first, list}]) of
        {match, Links} -> lists:append(Links);
        nomatch -> []
    end.

leads_somewhere(Link, File, Config) ->
    {Path, Heading} =
        case string:split(Link, "#") of
            ["", H] -> {File, H};
            [P, H] -> {filename:join(filename:dirname(File), P), H};
            [P] -> {filename:join(filename:dirname(File), P), none}
        end,
    filelib:is_file(filename:join(?config(root, Config), Path)) andalso
        (Heading =:= none orelse lists:member(Heading, headings(read(Path, Config)))).

headings(Text) ->
    {match, Titles} = re:run(Text, "^#+ (.*)$", [global, multiline, {capture, all_but_first, list}]),
    [re:replace(string:replace(string:lowercase(T), " ", "-", all), "[^a-z0-9_-]", "", [global, {return, list}]) || [T] <- Titles].

%% The Elixir blocks of all pages, each page in a node of its own.
elixir(Config) ->
    case os:find_executable("elixir") of
        false -> {skip, "Elixir is not installed"};
        Elixir -> [elixir(Elixir, File, Blocks, Config) || {_, File} <- pages(), Blocks <- [blocks(File, <<"elixir">>, Config)], Blocks =/= []]
    end.

elixir(Elixir, File, Blocks, Config) ->
    Script = filename:join(?config(dir, Config), filename:basename(File, ".md") ++ ".exs"),
    %% A line for mix.exs is no program.
    Code = [Block || Block <- Blocks, re:run(Block, "^{:\\w+, (git|path):", [multiline]) =:= nomatch],
    ok = file:write_file(Script, ["{:ok, _} = Application.ensure_all_started(:erlang_python)\n" | Code]),
    Paths = lists:append([["-pa", Dir] || Dir <- code:get_path(), string:find(Dir, "erlang_python") =/= nomatch]),
    Options = ["--erl", lists:flatten(io_lib:format("-erlang_python python ~p", [py_test:python()]))],
    {Status, Output} = run(Elixir, Options ++ Paths ++ [Script], Config),
    ?assertEqual({File, 0, Output}, {File, Status, Output}).

%% A page.

page(Case, Config) ->
    page(Case, Config, []).

page(Case, Config, Env) ->
    File = proplists:get_value(Case, pages()),
    ok = file:set_cwd(?config(dir, Config)),
    start(Config, Env),
    Blocks = blocks(File, Config),
    Session = #{bindings => erl_eval:new_bindings(), output => "", config => Config},
    _ = lists:foldl(fun block/2, Session, Blocks),
    {comment, io_lib:format("~b blocks", [length(Blocks)])}.

start(Config, Env) ->
    ok = py_test:start([{paths, [?config(dir, Config)]}, {max_workers, 8} | Env]).

-spec block({binary(), binary()}, map()) -> map().
block({<<"erlang">>, <<"-module(", _/binary>> = Text}, #{config := Config} = Session) ->
    {match, [Name]} = re:run(Text, "-module\\((\\w+)\\)", [{capture, all_but_first, list}]),
    File = filename:join(?config(dir, Config), Name ++ ".erl"),
    ok = file:write_file(File, Text),
    {ok, Module, Code} = compile:file(File, [binary, report, warnings_as_errors]),
    {module, Module} = code:load_binary(Module, File, Code),
    Session;
block({<<"erlang">>, Text}, #{bindings := Bindings, config := Config} = Session) ->
    ct:log("~ts", [Text]),
    {Output, Bindings1} = printed(fun() -> expressions(unicode:characters_to_list(Text), Bindings, Config) end),
    Session#{bindings := Bindings1, output := Output};
block({<<"output">>, Expected}, #{output := Output} = Session) ->
    Parts = [re:replace(Part, "[][().*+?{}|^$\\\\]", "\\\\&", [global, unicode]) || Part <- string:split(string:trim(Expected), "...", all)],
    Pattern = unicode:characters_to_binary(["^", lists:join(".*", Parts), "$"]),
    Printed = string:trim(Output),
    ?assertEqual({Printed, match}, {Printed, re:run(Printed, Pattern, [unicode, dotall, {capture, none}])}),
    Session;
block({<<"python">>, <<"# ", Text/binary>> = Code}, #{config := Config} = Session) ->
    [Name, _] = binary:split(Text, <<"\n">>),
    {match, _} = re:run(Name, "^\\w+\\.py$"),
    ok = file:write_file(filename:join(?config(dir, Config), Name), Code),
    Session;
block({<<"sh">>, Text}, #{config := Config} = Session) ->
    lists:foreach(
        fun
            (<<"make ", Target/binary>>) -> {0, _} = run("/bin/sh", ["-c", "cd -P '" ++ ?config(root, Config) ++ "' && make -n " ++ binary_to_list(Target)], Config);
            (Line) -> {0, _} = run("/bin/sh", ["-ec", "PATH='" ++ filename:dirname(python3()) ++ "':$PATH\n" ++ binary_to_list(Line)], Config)
        end,
        binary:split(re:replace(Text, "\\\\\n\\s*", "", [global, {return, binary}]), <<"\n">>, [global, trim_all])
    ),
    Session;
block({Language, _}, Session) when Language =:= <<"text">>; Language =:= <<"elixir">> ->
    Session.

expressions(Text, Bindings, Config) ->
    lists:foldl(
        fun(Expressions, Before) ->
            case erl_eval:exprs(Expressions, Before) of
                {value, [{erlang_python, Env}], After} -> configured(Env, Config), After;
                {value, [{App, [_ | _]}], After} when App =:= kernel -> After;
                {value, _, After} -> After
            end
        end,
        Bindings,
        forms(Text, 1)
    ).

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

%% An example of a configuration must be one that the application starts with.
configured(Env, Config) ->
    ok = py:unbind(),
    ok = application:stop(erlang_python),
    ok = py_test:start(Env),
    {ok, 4.0} = py:call(math, sqrt, [16]),
    ok = application:stop(erlang_python),
    start(Config, []).

%% What a function returns, after what it prints.
printed(Fun) ->
    Leader = group_leader(),
    Recorder = spawn_link(fun() -> record([]) end),
    true = group_leader(Recorder, self()),
    try Fun() of
        Result ->
            Recorder ! {self(), output},
            receive {Recorder, Output} -> {Output, Result} end
    after
        group_leader(Leader, self()),
        unlink(Recorder),
        exit(Recorder, kill)
    end.

record(Output) ->
    receive
        {io_request, From, ReplyAs, {put_chars, unicode, Module, Function, Args}} ->
            From ! {io_reply, ReplyAs, ok},
            record([Output, unicode:characters_to_binary(apply(Module, Function, Args))]);
        {io_request, From, ReplyAs, {put_chars, unicode, Characters}} ->
            From ! {io_reply, ReplyAs, ok},
            record([Output, unicode:characters_to_binary(Characters)]);
        {From, output} ->
            From ! {self(), unicode:characters_to_list(iolist_to_binary(Output))},
            record([])
    end.

%% The interpreter under test, where shell blocks look for python3.
python3() ->
    case os:find_executable(py_test:python()) of
        false -> py_test:python();
        Path -> Path
    end.

%% Files and programs.

read(File, Config) ->
    {ok, Text} = file:read_file(filename:join(?config(root, Config), File)),
    Text.

%% Languages and contents of the fenced blocks that are to be run.
blocks(File, Config) ->
    Pattern = "(^<!-- not run: .*-->\\n+)?^```(.*)\\n((?:.*\\n)*?)^```$",
    case re:run(read(File, Config), Pattern, [global, multiline, {capture, all_but_first, binary}]) of
        {match, Found} -> [{Language, Text} || [<<>>, Language, Text] <- Found];
        nomatch -> []
    end.

blocks(File, Language, Config) ->
    [Text || {L, Text} <- blocks(File, Config), L =:= Language].

run(Program, Args, Config) ->
    Port = open_port({spawn_executable, Program}, [exit_status, stderr_to_stdout, binary, {args, Args}, {cd, ?config(dir, Config)}]),
    ended(Port, <<>>).

ended(Port, Output) ->
    receive
        {Port, {data, Data}} -> ended(Port, <<Output/binary, Data/binary>>);
        {Port, {exit_status, Status}} -> {Status, Output}
    end.
