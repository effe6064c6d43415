%% Packages with native code, threads and sockets of their own, in real use: on the default Python, the oldest and the newest of the
%% machine. `.ci/setup test' installs them (tests/requirements-packages.txt) into _build/packages/VERSION.
-module(py_packages_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [{group, Group} || Group <- [default, oldest, newest]].

groups() ->
    Cases = [arrays, linear_algebra, scales, learning, data_frames, validation, http, http_on_loop, database, images, no_sub_interpreters],
    [{Group, [], Cases} || Group <- [default, oldest, newest]].

-define(PACKAGES, #{pool => packages, timeout => 60000}).

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_group(Group, Config) ->
    Version = version(Group),
    Python = py_test:python_with_packages(Version),
    case {Group =/= default andalso Version =:= version(default), filelib:is_regular(Python)} of
        {true, _} ->
            {skip, "the same as the default Python"};
        {false, false} ->
            {skip, "no packages for Python " ++ Version ++ ": run `.ci/setup test', which needs the network"};
        {false, true} ->
            %% Jobs are parallel because workers are, not because of threads of their own.
            ok = py_pool:start_pool(packages, #{
                num_workers => 2, python => Python, env => [{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}], preload => helpers()
            }),
            {ok, true} = py:eval(<<"__import__('platform').python_version() == version">>, #{version => list_to_binary(Version)}, ?PACKAGES),
            [{version, Version} | Config]
    end.

end_per_group(_Group, _Config) ->
    ok = py_pool:stop_pool(packages).

version(default) -> py_test:version(py_test:python());
version(oldest) -> element(1, hd(py_test:pythons()));
version(newest) -> element(1, lists:last(py_test:pythons())).

needs(scales) -> [numpy];
needs(arrays) -> [numpy];
needs(linear_algebra) -> [numpy];
needs(learning) -> [sklearn];
needs(data_frames) -> [pandas];
needs(validation) -> [pydantic];
needs(http) -> [requests, httpx];
needs(http_on_loop) -> [httpx];
needs(database) -> [sqlite3];
needs(images) -> ['PIL'];
needs(no_sub_interpreters) -> [numpy, pydantic].

init_per_testcase(Case, Config) ->
    Missing = [
        atom_to_list(Module)
     || Module <- needs(Case),
        {ok, true} =/= py:eval(<<"__import__('importlib.util').util.find_spec(name) is not None">>, #{name => Module}, ?PACKAGES)
    ],
    case Missing of
        [] -> Config;
        _ -> {skip, lists:flatten(lists:join(", ", Missing)) ++ " could not be installed for Python " ++ proplists:get_value(version, Config)}
    end.

%% The workers are those from before: no package has ended one.
end_per_testcase(_Case, _Config) ->
    [#{restarts := 0}, #{restarts := 0}] = [W || #{pool := packages} = W <- py:workers()],
    py_test:settled().

helpers() ->
    <<"
import io, os

def residual(size, seed):
    import numpy as np
    generator = np.random.default_rng(seed)
    a, b = generator.random((size, size)) + size * np.eye(size), generator.random(size)
    x = np.linalg.solve(a, b)
    values, vectors = np.linalg.eigh(a + a.T)
    return os.getpid(), float(np.abs(a @ x - b).max()), float(np.abs((a + a.T) @ vectors - vectors * values).max())

def busy(rounds):
    import numpy as np
    a = np.random.default_rng(rounds).random((160, 160))
    for _ in range(rounds):
        q, r = np.linalg.qr(a)
        a = r @ q
    return float(np.trace(a))

def classes(seed):
    from sklearn.datasets import make_classification
    return make_classification(n_samples=400, n_features=8, n_informative=4, class_sep=2.0, random_state=seed)

def fit(kind, seed):
    if kind == 'forest':
        from sklearn.ensemble import RandomForestClassifier as Model
    else:
        from sklearn.linear_model import LogisticRegression as Model
    x, y = classes(seed)
    return Model(random_state=0).fit(x[:300], y[:300])

def score(kind, seed):
    x, y = classes(seed)
    return os.getpid(), fit(kind, seed).score(x[300:], y[300:])

def totals(rows):
    import pandas as pd
    frame = pd.DataFrame(rows)
    frame['at'] = pd.to_datetime(frame['at'])
    return frame.groupby([frame['at'].dt.year, 'shop'])['sales'].sum().unstack().to_dict()

def person(data):
    import pydantic
    global Person
    if 'Person' not in globals():
        class Person(pydantic.BaseModel):
            name: str
            age: int = pydantic.Field(ge=0)
    return Person.model_validate(data).model_dump()

def get(package, url):
    module = __import__(package)
    if package == 'requests':
        client = module.Session()
        client.trust_env = False
    else:
        client = module.Client(trust_env=False)
    with client:
        response = client.get(url, timeout=30)
        return response.status_code, response.headers['X-Served-By'], response.content

async def aget(url):
    import httpx
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url, timeout=30)).text

def write(path, first, count):
    import sqlite3
    with sqlite3.connect(path, timeout=60) as connection:
        connection.execute('create table if not exists t (n integer primary key, data blob)')
        connection.executemany('insert into t values (?, ?)', [(n, bytes([n % 256]) * 3) for n in range(first, first + count)])
    connection.close()
    return os.getpid()

def thumbnail(data, size):
    from PIL import Image
    image = Image.open(io.BytesIO(data))
    image.thumbnail(size)
    out = io.BytesIO()
    image.convert('RGB').save(out, 'JPEG')
    return image.size, out.getvalue()

def picture(size):
    from PIL import Image
    out = io.BytesIO()
    Image.linear_gradient('L').resize(size).save(out, 'PNG')
    return out.getvalue()

def refused(package):
    import subprocess, sys
    code = '''
import sys
try:
    import _interpreters as i
    failure = i.exec(i.create(), 'import {0}')
    text = failure.formatted if failure else None
except ModuleNotFoundError:
    import _xxsubinterpreters as i
    try:
        i.run_string(i.create(), 'import {0}')
        text = None
    except i.RunFailedError as error:
        text = str(error)
print('interpreter' in text if text else False)
'''
    return subprocess.run([sys.executable, '-c', code.format(package)], capture_output=True, text=True).stdout.strip() != 'False'
">>.

call(Function, Args) ->
    py:call('__main__', Function, Args, #{}, ?PACKAGES).

%% Of any shape and type, as terms and as bytes, and computed with.
%% covers: to_python:ndarray, to_erlang:numpy, option:ndarray
arrays(_) ->
    Opts = ?PACKAGES#{ndarray => binary},
    Floats = << <<(N * 0.5):64/float-little>> || N <- lists:seq(1, 100000) >>,
    {ok, {ndarray, <<"float64">> = Dtype, {100000} = Shape, Doubled}} = py:call(numpy, multiply, [{ndarray, float64, [100000], Floats}, 2], #{}, Opts),
    ?assertEqual(<< <<(N * 1.0):64/float-little>> || N <- lists:seq(1, 100000) >>, Doubled),
    {ok, {ndarray, Dtype, Shape, Doubled}} = py:call(numpy, asarray, [{ndarray, Dtype, Shape, Doubled}], #{}, Opts),
    {ok, [[1, 3], [2, 4]]} = py:call(numpy, transpose, [{ndarray, int32, {2, 2}, <<1:32/little, 2:32/little, 3:32/little, 4:32/little>>}], #{}, ?PACKAGES),
    {ok, [[[true]], [[false]]]} = py:eval(<<"__import__('numpy').array([[[True]], [[False]]])">>, #{}, ?PACKAGES),
    {ok, 2.5} = py:call(numpy, mean, [[1, 2, 3, 4]], #{}, ?PACKAGES).

%% covers: py:parallel/2
linear_algebra(_) ->
    {ok, [2.0, 3.0]} = rounded(py:call('numpy.linalg', solve, [[[3, 1], [1, 2]], [9, 8]], #{}, ?PACKAGES)),
    {ok, Results} = py:parallel([{'__main__', residual, [120, Seed]} || Seed <- lists:seq(1, 32)], ?PACKAGES),
    [?assert(Solved < 1.0e-9 andalso Eigen < 1.0e-8) || {ok, {_, Solved, Eigen}} <- Results],
    32 = length([ok || {ok, _} <- Results]),
    ?assertEqual(py_test:os_pids(packages), lists:usort([OsPid || {ok, {OsPid, _, _}} <- Results])).

rounded({ok, Numbers}) -> {ok, [round(N * 1.0e9) / 1.0e9 || N <- Numbers]}.

%% Two equal jobs side by side take at most 0.65 of the time of one after the other.
%% covers: py:parallel/2
scales(_) ->
    case erlang:system_info(schedulers_online) of
        1 ->
            {skip, "one processor"};
        _ ->
            Job = {'__main__', busy, [60]},
            {ok, [{ok, Same}, {ok, Same}]} = py:parallel([Job, Job], ?PACKAGES),
            ?assertEqual(parallel, py_test:parallel_within(20, 0.65, fun(Jobs) -> py:parallel(Jobs, ?PACKAGES) end, Job))
    end.

%% Models are fitted in all workers at once; one stays where it is and predicts for arrays from Erlang.
%% covers: py:parallel/2, py:call_method/5, to_python:ndarray
learning(_) ->
    {ok, Scores} = py:parallel([{'__main__', score, [Kind, Seed]} || Kind <- [<<"forest">>, <<"linear">>], Seed <- lists:seq(1, 4)], ?PACKAGES),
    [?assert(Score > 0.75) || {ok, {_, Score}} <- Scores],
    8 = length([ok || {ok, _} <- Scores]),
    {ok, Model} = py:call('__main__', fit, [<<"linear">>, 1], #{}, ?PACKAGES#{return => ref}),
    {ok, {{ndarray, Dtype, {400, 8} = Shape, Points}, _}} = py:call('__main__', classes, [1], #{}, ?PACKAGES#{ndarray => binary}),
    {ok, Predicted} = py:call_method(Model, predict, [{ndarray, Dtype, Shape, Points}], #{}, ?PACKAGES),
    400 = length([C || C <- Predicted, C =:= 0 orelse C =:= 1]),
    {ok, Sure} = py:call_method(Model, predict_proba, [{ndarray, Dtype, Shape, Points}], #{}, ?PACKAGES),
    [?assert(abs(A + B - 1) < 1.0e-9) || [A, B] <- Sure],
    ok = py:release(Model).

data_frames(_) ->
    Rows = [
        #{shop => <<"north">>, sales => 3, at => <<"2023-05-01">>}, #{shop => <<"north">>, sales => 4, at => <<"2023-06-01">>},
        #{shop => <<"south">>, sales => 5, at => <<"2023-07-01">>}, #{shop => <<"north">>, sales => 6, at => <<"2024-05-01">>},
        #{shop => <<"south">>, sales => 7, at => <<"2024-01-01">>}
    ],
    {ok, #{<<"north">> := #{2023 := 7, 2024 := 6}, <<"south">> := #{2023 := 5, 2024 := 7}}} = call(totals, [Rows]),
    {error, {_, _}} = call(totals, [[#{shop => <<"north">>, sales => 1, at => <<"no date">>}]]),
    {ok, Frame} = py:call(pandas, 'DataFrame', [#{a => [1, 2, 3], b => [0.5, nan, 2.5]}], #{}, ?PACKAGES#{return => ref}),
    {ok, <<"a,b\n", _/binary>>} = py:call_method(Frame, to_csv, [], #{index => false}, ?PACKAGES),
    ok = py:release(Frame).

%% covers: error:exception
validation(_) ->
    {ok, #{<<"name">> := <<"Ada">>, <<"age">> := 36}} = call(person, [#{name => <<"Ada">>, age => <<"36">>}]),
    {error, {'ValidationError', Text}} = call(person, [#{name => <<"Ada">>, age => -1}]),
    ?assertNotEqual(nomatch, string:find(Text, "greater than or equal to 0")),
    {ok, All} = py:parallel([{'__main__', person, [#{name => <<"x">>, age => N}]} || N <- lists:seq(-5, 5)], ?PACKAGES),
    ?assertEqual({6, 5}, {length([ok || {ok, _} <- All]), length([bad || {error, {'ValidationError', _}} <- All])}).

http(_) ->
    with_server(fun(Url) ->
        [
            {ok, {200, <<"Erlang">>, <<"/one?two=3">>}} = call(get, [Package, <<Url/binary, "/one?two=3">>])
         || Package <- [<<"requests">>, <<"httpx">>]
        ],
        {ok, Answers} = py:parallel([{'__main__', get, [<<"requests">>, <<Url/binary, "/", (integer_to_binary(N))/binary>>]} || N <- lists:seq(1, 20)], ?PACKAGES),
        ?assertEqual([{ok, {200, <<"Erlang">>, <<"/", (integer_to_binary(N))/binary>>}} || N <- lists:seq(1, 20)], Answers)
    end).

%% covers: py:async_gather/2
http_on_loop(_) ->
    with_server(fun(Url) ->
        {ok, Texts} = py:async_gather([{'__main__', aget, [<<Url/binary, "/", (integer_to_binary(N))/binary>>]} || N <- lists:seq(1, 10)], ?PACKAGES),
        ?assertEqual([<<"/", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 10)], Texts)
    end).

%% A server that answers with the path that was asked for.
with_server(Fun) ->
    {ok, Listening} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}, {active, false}, {packet, http_bin}, binary, {backlog, 64}]),
    {ok, Port} = inet:port(Listening),
    Server = spawn_link(fun() -> serve(Listening) end),
    try
        Fun(iolist_to_binary(io_lib:format("http://127.0.0.1:~b", [Port])))
    after
        true = unlink(Server),
        true = exit(Server, kill),
        ok = gen_tcp:close(Listening)
    end.

serve(Listening) ->
    {ok, Socket} = gen_tcp:accept(Listening),
    {ok, {http_request, 'GET', {abs_path, Path}, _}} = gen_tcp:recv(Socket, 0),
    ok = headers(Socket),
    ok = inet:setopts(Socket, [{packet, raw}]),
    ok = gen_tcp:send(Socket, [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Served-By: Erlang\r\nConnection: close\r\nContent-Length: ",
        integer_to_list(byte_size(Path)), "\r\n\r\n", Path
    ]),
    ok = gen_tcp:close(Socket),
    serve(Listening).

headers(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, http_eoh} -> ok;
        {ok, {http_header, _, _, _, _}} -> headers(Socket)
    end.

%% Workers write into one file; a connection of the main thread stays usable from call to call.
database(Config) ->
    Path = unicode:characters_to_binary(filename:join(proplists:get_value(priv_dir, Config), "t" ++ proplists:get_value(version, Config) ++ ".db")),
    {ok, Writers} = py:parallel([{'__main__', write, [Path, N * 100, 100]} || N <- lists:seq(0, 19)], ?PACKAGES),
    20 = length([ok || {ok, _} <- Writers]),
    {ok, Connection} = py:call(sqlite3, connect, [Path], #{}, ?PACKAGES#{return => ref}),
    Row = fun(Query) ->
        {ok, Cursor} = py:call_method(Connection, execute, [Query], #{}, ?PACKAGES#{unknown => ref}),
        py:stream(builtins, iter, [Cursor])
    end,
    {ok, [{2000, 1999000}]} = Row(<<"select count(*), sum(n) from t">>),
    {ok, [{<<255, 255, 255>>}]} = Row(<<"select data from t where n = 255">>),
    {ok, none} = py:call_method(Connection, close, []),
    {error, {'IntegrityError', _}} = call(write, [Path, 0, 1]).

images(_) ->
    {ok, <<137, "PNG", _/binary>> = Picture} = call(picture, [{tuple, {640, 480}}]),
    {ok, {{64, 48}, <<255, 216, _/binary>>}} = call(thumbnail, [{bytes, Picture}, {tuple, {64, 64}}]),
    {ok, Thumbnails} = py:parallel([{'__main__', thumbnail, [{bytes, Picture}, {tuple, {N, N}}]} || N <- lists:seq(8, 40, 4)], ?PACKAGES),
    ?assertEqual([{N, N * 3 div 4} || N <- lists:seq(8, 40, 4)], [Size || {ok, {Size, _}} <- Thumbnails]),
    {error, {'UnidentifiedImageError', _}} = call(thumbnail, [{bytes, <<"no picture">>}, {tuple, {64, 64}}]).

%% Extensions that load in no sub-interpreter run side by side all the same.
%% covers: py:parallel/2
no_sub_interpreters(Config) ->
    Refused = [Package || Package <- [<<"numpy">>, <<"pydantic_core">>], call(refused, [Package]) =:= {ok, true}],
    ct:log("no sub-interpreter loads ~p", [Refused]),
    [_, Minor | _] = string:lexemes(proplists:get_value(version, Config), "."),
    %% Before 3.12 some load, and go wrong later.
    ?assert(Refused =/= [] orelse list_to_integer(Minor) < 12),
    Use = [{'__main__', residual, [4, 1]}, {'__main__', person, [#{name => <<"x">>, age => 1}]}],
    {ok, Results} = py:parallel(lists:append(lists:duplicate(10, Use)), ?PACKAGES),
    20 = length([ok || {ok, _} <- Results]).
