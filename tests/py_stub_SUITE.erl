%% The stub of module erlang for type checkers: it says what the module has.
-module(py_stub_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [same_names, same_parameters, same_classes].

init_per_suite(Config) ->
    ok = py_test:start(),
    Path = filename:join([filename:dirname(py_nif:library()), "python", "erlang.pyi"]),
    {ok, Text} = file:read_file(Path),
    ok = py:exec_all([code()]),
    [{stub, Text} | Config].

end_per_suite(_Config) ->
    py_test:stop().

code() ->
    <<
        "import ast, erlang, inspect\n"
        "def public(names): return sorted(n for n in names if not n.startswith('_'))\n"
        "def body(stub): return ast.parse(stub).body\n"
        "def stub_names(stub):\n"
        "    names = {n.name for n in body(stub) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}\n"
        "    names |= {n.target.id for n in body(stub) if isinstance(n, ast.AnnAssign)}\n"
        "    return public(names)\n"
        "def module_names(): return public(set(vars(erlang)) | set(erlang._PARTS))\n"
        "def parameters(arguments):\n"
        "    names = [('/', a.arg) for a in arguments.posonlyargs] + [('', a.arg) for a in arguments.args]\n"
        "    names += [('*', a.arg) for a in [arguments.vararg] if a] + [('k', a.arg) for a in arguments.kwonlyargs]\n"
        "    return names + [('**', a.arg) for a in [arguments.kwarg] if a], len(arguments.defaults)\n"
        "KINDS = ['/', '', '*', 'k', '**']\n"
        "def signature(function):\n"
        "    found = list(inspect.signature(function).parameters.values())\n"
        "    defaults = [p for p in found if p.default is not p.empty and p.kind < 2]\n"
        "    return [(KINDS[p.kind], p.name) for p in found], len(defaults)\n"
        "def functions(stub):\n"
        "    plain = [n for n in body(stub) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]\n"
        "    plain = [n for n in plain if not n.decorator_list and not n.name.startswith('_')]\n"
        "    return [(n.name, parameters(n.args), signature(getattr(erlang, n.name))) for n in plain]\n"
        "def methods(stub, name):\n"
        "    tree, = [n for n in body(stub) if isinstance(n, ast.ClassDef) and n.name == name]\n"
        "    found = [n for n in tree.body if isinstance(n, ast.FunctionDef)]\n"
        "    fields = [n.target.id for n in tree.body if isinstance(n, ast.AnnAssign)]\n"
        "    return fields, [(n.name, parameters(n.args), signature(getattr(getattr(erlang, name), n.name))) for n in found]\n"
    >>.

%% covers: erlang.pyi
same_names(Config) ->
    {ok, Stub} = py:call('__main__', stub_names, [proplists:get_value(stub, Config)]),
    {ok, Module} = py:call('__main__', module_names, []),
    ?assertEqual(Module, Stub),
    ?assert(length(Stub) > 15).

same_parameters(Config) ->
    {ok, Functions} = py:call('__main__', functions, [proplists:get_value(stub, Config)]),
    ?assert(length(Functions) > 10),
    [?assertEqual({Name, Module}, {Name, Stub}) || {Name, Stub, Module} <- Functions],
    ?assert(lists:keymember(<<"call">>, 1, Functions)).

same_classes(Config) ->
    Stub = proplists:get_value(stub, Config),
    {ok, {Fields, Methods}} = py:call('__main__', methods, [Stub, <<"Span">>]),
    {ok, [true, true, true, true, true]} = py:eval(<<"[hasattr(erlang.Span('s'), f) for f in fields]">>, #{fields => Fields}),
    ?assertEqual(4, length(Methods)),
    [?assertEqual({Name, Of}, {Name, In}) || {Name, In, Of} <- Methods],
    {ok, {Info, []}} = py:call('__main__', methods, [Stub, <<"_WorkerInfo">>]),
    ?assertEqual({ok, lists:sort(Info)}, py:eval(<<"[n for n in dir(type(erlang.WorkerInfo)) if not n.startswith(('_', 'n_')) and n not in ('count', 'index')]">>)).
