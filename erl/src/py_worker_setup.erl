%% @doc What a worker runs before it serves: virtual environment, paths, imports, preload, and the log of {@link py_exec_log}.
-module(py_worker_setup).

-export([steps/1, request/1, describe/1, reason/1]).

-export_type([step/0]).

-type step() ::
    {venv, file:filename_all()}
    | {paths, [binary()]}
    | {import, binary()}
    | {preload, binary()}
    | {preload_file, binary()}
    | {loop, asyncio | uvloop, pos_integer()}
    | {asgi, binary(), binary()}
    | {replay, py_exec_log:entry()}.

%% @doc The steps that the options of a pool ask for, in order.
-spec steps(py_pool:spec()) -> [step()].
steps(#{venv := Venv, paths := Paths, imports := Imports, preload := Preload, kind := Kind, loop := Loop, num_executors := Threads}) ->
    [{venv, Venv} || Venv =/= undefined] ++
        [{paths, [binary(P) || P <- Paths]} || Paths =/= []] ++
        [{import, binary(M)} || M <- Imports] ++
        preload(Preload) ++
        %% Last of what runs in Python's main thread as in a script.
        [Step || Kind =:= async, Step <- [{loop, Loop, Threads} | applications(Preload)]].

%% ASGI applications need the loop.
-spec applications(term()) -> [step()].
applications({asgi, Module, Callable}) -> [{asgi, binary(Module), binary(Callable)}];
applications([H | _] = List) when not is_integer(H) -> lists:append([applications(P) || P <- List]);
applications(_) -> [].

-spec preload(term()) -> [step()].
preload([]) -> [];
preload({asgi, _, _}) -> [];
preload({file, Path}) -> [{preload_file, binary(filename:absname(Path))}];
preload([H | _] = List) when not is_integer(H) -> lists:append([preload(P) || P <- List]);
preload(Code) -> [{preload, binary(Code)}].

%% @doc The request of a step. None leaves a name in `__main__' but the code of the user.
-spec request(step()) -> py_nif:request().
request({venv, Path}) ->
    py_venv:configure(Path);
request({paths, Paths}) ->
    {eval, <<"__import__('sys').path.__setitem__(slice(0, 0), paths)">>, #{paths => Paths}};
request({import, Module}) ->
    {eval, <<"__import__(module) and None">>, #{module => Module}};
request({asgi, Module, Callable}) ->
    {call, <<"erlang._asgi">>, start, [{str, Module}, {str, Callable}, false], []};
request({preload, Code}) ->
    {exec, Code};
request({preload_file, Path}) ->
    {eval, <<"exec(compile(__import__('io').open_code(path).read(), path, 'exec'), globals())">>, #{path => Path}};
request({loop, Loop, Threads}) ->
    {call, erlang, '_enter_loop', [Loop, Threads], []};
request({replay, Entry}) ->
    py_exec_log:request(Entry).

%% @doc A step for people.
-spec describe(step()) -> string().
describe({venv, _}) -> "option venv";
describe({paths, _}) -> "option paths";
describe({import, Module}) -> text("import of ~ts (option imports)", [Module]);
describe({asgi, Module, Callable}) -> text("start of ~ts.~ts (option preload)", [Module, Callable]);
describe({preload, _}) -> "the code of option preload";
describe({preload_file, Path}) -> text("~ts (option preload)", [Path]);
describe({loop, Loop, _}) -> text("start of the event loop (option loop => ~ts)", [Loop]);
describe({replay, {exec_all, _, Code}}) -> text("exec_all of ~ts", [Code]);
describe({replay, Entry}) -> text("the setting of ~ts", [element(2, Entry)]).

%% @doc A reason for people.
-spec reason(term()) -> string().
reason({Type, Message}) when is_atom(Type), is_list(Message) -> text("~ts: ~ts", [Type, Message]);
reason(Reason) -> text("~tp", [Reason]).

-spec binary(unicode:chardata() | atom()) -> binary().
binary(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
binary(Text) -> unicode:characters_to_binary(Text).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
