%% @doc Service times: how long requests take in Python, as histograms.
-module(py_latency).

-export([of_pool/1, of_worker/1, summary/1, since/2]).

-export_type([times/0, summary/0]).

-type times() :: #{count := non_neg_integer(), max_ns := non_neg_integer(), buckets := [bucket()]}.
-type bucket() :: {UpTo :: pos_integer(), Count :: pos_integer()}.
%% Bounds in nanoseconds, four for each power of two, ascending; a bucket holds the times that reach the bound before it, and not its own.
%% Empty ones are left out; the last, of nine minutes, has all that are longer.
-type summary() :: #{count := non_neg_integer(), p50_ns := non_neg_integer(), p99_ns := non_neg_integer(), max_ns := non_neg_integer(), buckets := [bucket()]}.

%% @doc Those of all workers that have served a pool since it was started.
-spec of_pool(py_nif:pool()) -> times().
of_pool(Pool) ->
    py_nif:service_times(Pool).

%% @doc Those of one incarnation of a worker.
-spec of_worker(undefined | py_nif:worker()) -> times().
of_worker(undefined) -> #{count => 0, max_ns => 0, buckets => []};
of_worker(Worker) -> py_nif:service_times(Worker).

%% @doc With the quantiles, which are bounds of buckets: up to a quarter more than the time itself.
-spec summary(times()) -> summary().
summary(#{count := Count, max_ns := Max, buckets := Buckets}) ->
    #{count => Count, p50_ns => quantile(50, Count, Max, Buckets), p99_ns => quantile(99, Count, Max, Buckets), max_ns => Max, buckets => Buckets}.

-spec quantile(1..100, non_neg_integer(), non_neg_integer(), [bucket()]) -> non_neg_integer().
quantile(_Percent, 0, _Max, _Buckets) ->
    0;
quantile(Percent, Count, Max, Buckets) ->
    %% Counted while somebody looked, a time may be in its bucket and not yet the longest.
    min(at((Count * Percent + 99) div 100, Buckets), case Max of 0 -> infinity; _ -> Max end).

-spec at(non_neg_integer(), [bucket(), ...]) -> pos_integer().
at(Rank, [{UpTo, Count} | Rest]) when Rank =< Count; Rest =:= [] -> UpTo;
at(Rank, [{_, Count} | Rest]) -> at(Rank - Count, Rest).

%% @doc Those that have come since an earlier look at the same; its `max_ns' is a bound of the longest.
-spec since(times(), times()) -> times().
since(#{buckets := Earlier}, #{buckets := Later, max_ns := Max}) ->
    Buckets = minus(Later, Earlier),
    #{count => lists:sum([Count || {_, Count} <- Buckets]), max_ns => min(Max, lists:max([0 | [UpTo || {UpTo, _} <- Buckets]])), buckets => Buckets}.

-spec minus([bucket()], [bucket()]) -> [bucket()].
minus([{UpTo, More} | Later], [{UpTo, Less} | Earlier]) when More > Less -> [{UpTo, More - Less} | minus(Later, Earlier)];
minus([{UpTo, _} | Later], [{UpTo, _} | Earlier]) -> minus(Later, Earlier);
minus([{UpTo, _} | _] = Later, [{Other, _} | Earlier]) when Other < UpTo -> minus(Later, Earlier);
minus([Bucket | Later], Earlier) -> [Bucket | minus(Later, Earlier)];
minus([], _Earlier) -> [].
